package router

import (
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
)

// OrderKeyFunc returns a hash of the key by which messages are ordered.
type OrderKeyFunc func(*Envelope) uint64

// ParseOrderKey reads an order_by setting: "header:NAME", "routing_key", or
// "property:NAME" with one of correlation_id, message_id, reply_to, type,
// app_id, user_id. Messages without the key are ordered among themselves.
func ParseOrderKey(s string) (OrderKeyFunc, error) {
	seed := maphash.MakeSeed()
	kind, name, _ := strings.Cut(s, ":")
	switch {
	case s == "routing_key":
		return func(e *Envelope) uint64 { return maphash.String(seed, e.Origin.RoutingKey) }, nil
	case kind == "header" && name != "":
		return func(e *Envelope) uint64 { return hashValue(seed, e.headers[name]) }, nil
	case kind == "property":
		get, ok := orderProperties[name]
		if !ok {
			return nil, fmt.Errorf("order_by %q: no such property; it is one of correlation_id, message_id, reply_to, type, app_id, user_id", s)
		}
		return func(e *Envelope) uint64 { return maphash.String(seed, get(&e.Properties)) }, nil
	}
	return nil, errors.New(`order_by is written as "header:NAME", "property:NAME" or "routing_key"`)
}

var orderProperties = map[string]func(*Properties) string{
	"correlation_id": func(p *Properties) string { return p.CorrelationID },
	"message_id":     func(p *Properties) string { return p.MessageID },
	"reply_to":       func(p *Properties) string { return p.ReplyTo },
	"type":           func(p *Properties) string { return p.Type },
	"app_id":         func(p *Properties) string { return p.AppID },
	"user_id":        func(p *Properties) string { return p.UserID },
}

// hashValue hashes a header's value so that equal values of one AMQP type
// hash equally.
func hashValue(seed maphash.Seed, v any) uint64 {
	switch v := v.(type) {
	case nil:
		return 0
	case string:
		return maphash.String(seed, v)
	case []byte:
		return maphash.Bytes(seed, v)
	default:
		return maphash.String(seed, fmt.Sprint(v))
	}
}
