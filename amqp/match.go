package amqp

import (
	"bytes"
	"math"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/router"
)

// sameMessage reports whether ret is the return of the publish of env to
// exchange and key. Everything is compared that AMQP carries, save the user id,
// which we may have left out.
func sameMessage(ret *amqp091.Return, exchange, key string, env *router.Envelope) bool {
	return ret.RoutingKey == key &&
		ret.Exchange == exchange &&
		ret.MessageId == env.MessageID &&
		ret.CorrelationId == env.CorrelationID &&
		len(ret.Body) == len(env.Body) &&
		ret.ReplyTo == env.ReplyTo &&
		ret.Type == env.Type &&
		ret.AppId == env.AppID &&
		ret.ContentType == env.ContentType &&
		ret.ContentEncoding == env.ContentEncoding &&
		ret.DeliveryMode == env.DeliveryMode &&
		ret.Priority == env.Priority &&
		ret.Expiration == env.Expiration &&
		sameTime(ret.Timestamp, env.Timestamp) &&
		bytes.Equal(ret.Body, env.Body) &&
		sameTable(ret.Headers, env.Headers())
}

func sameTime(a, b time.Time) bool {
	return a.IsZero() == b.IsZero() && a.Unix() == b.Unix()
}

// sameTable compares a table as the library read it with one of ours. BCC is
// left out: the broker takes it off before it returns a message.
func sameTable(a amqp091.Table, b map[string]any) bool {
	n := len(b)
	if _, ok := b["BCC"]; ok {
		if _, ok := a["BCC"]; !ok {
			n--
		}
	}
	if len(a) != n {
		return false
	}
	for k, v := range a {
		w, ok := b[k]
		if !ok || !sameValue(v, w) {
			return false
		}
	}
	return true
}

func sameValue(a, b any) bool {
	switch a := a.(type) {
	case amqp091.Table:
		b, ok := b.(map[string]any)
		return ok && sameTable(a, b)
	case amqp091.Decimal:
		b, ok := b.(router.Decimal)
		return ok && a.Scale == b.Scale && a.Value == b.Value
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !sameValue(a[i], b[i]) {
				return false
			}
		}
		return true
	case []byte:
		b, ok := b.([]byte)
		return ok && bytes.Equal(a, b)
	case time.Time:
		b, ok := b.(time.Time)
		return ok && a.Unix() == b.Unix()
	case float32: // by bits, for NaN
		b, ok := b.(float32)
		return ok && math.Float32bits(a) == math.Float32bits(b)
	case float64:
		b, ok := b.(float64)
		return ok && math.Float64bits(a) == math.Float64bits(b)
	}
	switch b.(type) {
	case map[string]any, []any, []byte:
		return false // not comparable by ==
	}
	return a == b
}
