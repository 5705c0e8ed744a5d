package tracing

import (
	"context"
	"errors"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/wasmrouter/router/router"
)

// defaultExchange is what the conventions call the exchange without a name.
const defaultExchange = "amq.default"

// sentTo returns what spans of publishing to a target are named after, "" for one
// that has no lasting name, and the attributes that say where it goes. The routing
// key of an exchange is in no span's name: there may be as many as messages.
func sentTo(t router.Target) (place string, attrs []attribute.KeyValue) {
	exchange, key := t.Address()
	attrs = append(make([]attribute.KeyValue, 0, 10),
		semconv.MessagingSystemRabbitMQ,
		semconv.MessagingOperationTypeSend,
		semconv.MessagingDestinationName(joined(exchange, key)),
	)
	if key != "" {
		attrs = append(attrs, semconv.MessagingRabbitMQDestinationRoutingKey(key))
	}
	switch {
	case t.Kind == router.TargetQueue && temporary(key):
		return "", append(attrs, semconv.MessagingDestinationTemporary(true))
	case t.Kind == router.TargetQueue:
		place = key
	case t.Kind == router.TargetExchange:
		place = joined(exchange)
	default:
		place = joined(exchange, key)
	}
	return place, append(attrs, semconv.MessagingDestinationTemplate(place))
}

// receivedFrom is the same for a message that was received.
func receivedFrom(env *router.Envelope) (place string, attrs []attribute.KeyValue) {
	o := &env.Origin
	name := joined(o.Exchange, o.RoutingKey, o.Queue)
	if o.RoutingKey == o.Queue {
		name = joined(o.Exchange, o.Queue)
	}
	attrs = append(make([]attribute.KeyValue, 0, 12),
		semconv.MessagingSystemRabbitMQ,
		semconv.MessagingOperationTypeProcess,
		semconv.MessagingDestinationName(name),
	)
	if o.RoutingKey != "" {
		attrs = append(attrs, semconv.MessagingRabbitMQDestinationRoutingKey(o.RoutingKey))
	}
	if temporary(o.Queue) {
		return "", append(attrs, semconv.MessagingDestinationTemporary(true))
	}
	return o.Queue, append(attrs, semconv.MessagingDestinationTemplate(o.Queue))
}

// identity adds the attributes that tell one message from another.
func identity(attrs []attribute.KeyValue, env *router.Envelope) []attribute.KeyValue {
	if env.MessageID != "" {
		attrs = append(attrs, semconv.MessagingMessageID(env.MessageID))
	}
	if env.CorrelationID != "" {
		attrs = append(attrs, semconv.MessagingMessageConversationID(env.CorrelationID))
	}
	return append(attrs, semconv.MessagingMessageBodySize(len(env.Body)))
}

// joined returns a destination's name out of its parts.
func joined(parts ...string) string {
	var name strings.Builder
	for _, p := range parts {
		if p == "" {
			continue
		}
		if name.Len() > 0 {
			name.WriteByte(':')
		}
		name.WriteString(p)
	}
	if name.Len() == 0 {
		return defaultExchange
	}
	return name.String()
}

// temporary reports whether a queue has the name of one that lives as long as a
// process or connection: RabbitMQ's own, and those of replies.
func temporary(queue string) bool {
	return queue == "" || strings.HasPrefix(queue, "amq.") || strings.HasPrefix(queue, "reply_")
}

func named(operation, place string) string {
	if place == "" {
		return operation
	}
	return operation + " " + place
}

// errorType says of what kind an error is, in a bounded number of words.
func errorType(err error) string {
	if fe, ok := errors.AsType[*router.FilterError](err); ok {
		return "filter-" + fe.Class
	}
	if _, ok := errors.AsType[*router.RestError](err); ok {
		return "filter-rests"
	}
	for _, known := range []struct {
		err  error
		word string
	}{
		{router.ErrUnroutable, router.ReasonUnroutable},
		{router.ErrUnsendable, router.ReasonUnsendable},
		{router.ErrNacked, router.ReasonNacked},
		{router.ErrUnconfirmed, router.ReasonUnconfirmed},
		{router.ErrDisconnected, "disconnected"},
		{context.DeadlineExceeded, "timeout"},
		{context.Canceled, "canceled"},
		{router.ErrClosed, "closed"},
	} {
		if errors.Is(err, known.err) {
			return known.word
		}
	}
	return semconv.ErrorTypeOther.Value.AsString()
}
