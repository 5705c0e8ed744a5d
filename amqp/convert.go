package amqp

import (
	"slices"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/router"
)

// fill makes env out of a delivery. It takes body and headers over without a
// copy; nested tables and decimals are converted in place.
func fill(env *router.Envelope, d *amqp091.Delivery, queue string, now time.Time) {
	*env = router.NewEnvelope(envelopeTable(d.Headers), d.Body)
	env.Origin = router.Origin{
		Queue:       queue,
		Exchange:    d.Exchange,
		RoutingKey:  d.RoutingKey,
		Redelivered: d.Redelivered,
		Received:    now,
	}
	env.Properties = router.Properties{
		ContentType:     d.ContentType,
		ContentEncoding: d.ContentEncoding,
		DeliveryMode:    d.DeliveryMode,
		Priority:        d.Priority,
		CorrelationID:   d.CorrelationId,
		ReplyTo:         d.ReplyTo,
		Expiration:      d.Expiration,
		MessageID:       d.MessageId,
		Timestamp:       d.Timestamp,
		Type:            d.Type,
		UserID:          d.UserId,
		AppID:           d.AppId,
	}
}

// publishing makes what the library publishes out of env, without a copy of
// the body, nor of the headers unless they nest.
func publishing(env *router.Envelope, user string) amqp091.Publishing {
	p := amqp091.Publishing{
		Headers:         amqpTable(env.Headers()),
		ContentType:     env.ContentType,
		ContentEncoding: env.ContentEncoding,
		DeliveryMode:    env.DeliveryMode,
		Priority:        env.Priority,
		CorrelationId:   env.CorrelationID,
		ReplyTo:         env.ReplyTo,
		Expiration:      env.Expiration,
		MessageId:       env.MessageID,
		Timestamp:       env.Timestamp,
		Type:            env.Type,
		AppId:           env.AppID,
		Body:            env.Body,
	}
	if env.UserID == user { // the broker refuses any other
		p.UserId = env.UserID
	}
	return p
}

// envelopeTable converts a table that belongs to us in place.
func envelopeTable(t amqp091.Table) map[string]any {
	for k, v := range t {
		switch v.(type) {
		case amqp091.Table, amqp091.Decimal, []any:
			t[k] = envelopeValue(v)
		}
	}
	return t
}

func envelopeValue(v any) any {
	switch v := v.(type) {
	case amqp091.Table:
		return envelopeTable(v)
	case amqp091.Decimal:
		return router.Decimal{Scale: v.Scale, Value: v.Value}
	case []any:
		for i := range v {
			v[i] = envelopeValue(v[i])
		}
	}
	return v
}

// amqpTable converts a table that may be shared: it copies what it must
// change.
func amqpTable(m map[string]any) amqp091.Table {
	for _, v := range m {
		if !nests(v) {
			continue
		}
		t := make(amqp091.Table, len(m))
		for k, v := range m {
			t[k] = amqpValue(v)
		}
		return t
	}
	return m
}

// nests reports whether v must be converted.
func nests(v any) bool {
	switch v := v.(type) {
	case map[string]any, router.Decimal:
		return true
	case []any:
		if slices.ContainsFunc(v, nests) {
			return true
		}
	}
	return false
}

func amqpValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return amqpTable(v)
	case router.Decimal:
		return amqp091.Decimal{Scale: v.Scale, Value: v.Value}
	case []any:
		if !nests(v) {
			return v
		}
		list := make([]any, len(v))
		for i := range v {
			list[i] = amqpValue(v[i])
		}
		return list
	}
	return v
}
