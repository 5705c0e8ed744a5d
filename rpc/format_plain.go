package rpc

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strings"

	"github.com/wasmrouter/router/router"
)

// Headers by which a reply in the format plain tells that it is a failure.
const (
	HeaderErrorClass   = "x-rpc-error-class"
	HeaderErrorModule  = "x-rpc-error-module"
	HeaderErrorMessage = "x-rpc-error-message"
)

// Plain is AMQP as it is: the body is the payload, the headers are the
// context, and the properties reply_to and correlation_id join a call and its
// reply. It has no namespaces, versions or keep-alives. The zero value is ready
// for use.
type Plain struct {
	// UniqueIDs says that message ids name one message each, so that a server
	// or listener may drop what has an id that it has seen. Not every sender
	// sees to that.
	UniqueIDs bool
}

var _ Format = Plain{}

// EncodeRequest implements [Format].
func (Plain) EncodeRequest(req Request, ticket Ticket) (router.Envelope, error) {
	if req.Namespace != nil || req.Version != "" || req.Monitor != 0 {
		return router.Envelope{}, fmt.Errorf("%w plain has no namespace, version or monitor; the format oslo has", ErrFormat)
	}
	env, err := plainEnvelope(req.Context, req.Payload, req.ContentType)
	env.Type, env.MessageID = req.Method, ticket.UniqueID
	env.CorrelationID, env.ReplyTo = ticket.ID, ticket.ReplyTo
	return env, err
}

// DecodeRequest implements [Format].
func (p Plain) DecodeRequest(env *router.Envelope) (Request, Ticket, error) {
	req := Request{Method: env.Type, Payload: env.Body, Context: env.Headers(), ContentType: env.ContentType}
	ticket := Ticket{ID: env.CorrelationID, ReplyTo: env.ReplyTo}
	if p.UniqueIDs {
		ticket.UniqueID = env.MessageID
	}
	if ticket.ID == "" && ticket.ReplyTo != "" {
		ticket.ID = env.MessageID // as many clients expect when they give no correlation id
	}
	return req, ticket, nil
}

// EncodeAnswer implements [Format].
func (Plain) EncodeAnswer(answer Answer, ticket Ticket) (router.Envelope, error) {
	if answer.KeepAlive {
		return router.Envelope{}, fmt.Errorf("%w plain has no keep-alives", ErrFormat)
	}
	env, err := plainEnvelope(answer.Reply.Context, answer.Reply.Payload, answer.Reply.ContentType)
	env.CorrelationID = ticket.ID
	if f := answer.Failure; f != nil {
		env.SetHeader(HeaderErrorClass, f.Class)
		env.SetHeader(HeaderErrorModule, f.Module)
		env.SetHeader(HeaderErrorMessage, f.Message)
	}
	return env, err
}

// DecodeAnswer implements [Format].
func (Plain) DecodeAnswer(env *router.Envelope) (string, Answer, error) {
	if env.CorrelationID == "" {
		return "", Answer{}, fmt.Errorf("%w plain: a reply without a correlation id", ErrFormat)
	}
	text := func(name string) string {
		v, _ := env.Header(name)
		s, _ := v.(string)
		return s
	}
	if _, failed := env.Header(HeaderErrorClass); failed {
		return env.CorrelationID, Answer{Failure: &RemoteError{
			Class: text(HeaderErrorClass), Module: text(HeaderErrorModule), Message: text(HeaderErrorMessage),
		}}, nil
	}
	return env.CorrelationID, Answer{Reply: Reply{Payload: env.Body, Context: env.Headers(), ContentType: env.ContentType}}, nil
}

// EncodeNotification implements [Format]: the event type becomes the property
// type, the publisher app_id. The priority is only in the routing key.
func (Plain) EncodeNotification(n Notification) (router.Envelope, error) {
	env, err := plainEnvelope(n.Context, n.Payload, n.ContentType)
	env.Type, env.AppID, env.MessageID, env.Timestamp = n.EventType, n.PublisherID, n.MessageID, n.Timestamp
	return env, err
}

// DecodeNotification implements [Format]. The priority is what follows the
// last dot of the routing key.
func (p Plain) DecodeNotification(env *router.Envelope) (Notification, error) {
	_, priority := cutLast(env.Origin.RoutingKey, '.')
	n := Notification{
		MessageID: env.MessageID, PublisherID: env.AppID, EventType: env.Type, Priority: strings.ToLower(priority),
		Payload: env.Body, Timestamp: env.Timestamp, Context: env.Headers(), ContentType: env.ContentType, Origin: env.Origin,
	}
	if p.UniqueIDs {
		n.UniqueID = env.MessageID
	}
	return n, nil
}

// Text implements [Format].
func (Plain) Text(env *router.Envelope) ([]byte, error) { return env.Body, nil }

func cutLast(s string, sep byte) (before, after string) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}

func plainEnvelope(context map[string]any, body []byte, contentType string) (router.Envelope, error) {
	headers := maps.Clone(context)
	for name, v := range headers {
		value, err := headerValue(v)
		if err != nil {
			return router.Envelope{}, fmt.Errorf("%w plain: header %q: %w", ErrFormat, name, err)
		}
		headers[name] = value
	}
	env := router.NewEnvelope(headers, body)
	env.ContentType, env.DeliveryMode = contentType, 2
	return env, nil
}

// headerValue makes the numbers of Go and JSON into those of AMQP; everything
// else is for the Sender to judge.
func headerValue(v any) (any, error) {
	switch v := v.(type) {
	case int:
		return int64(v), nil
	case uint:
		return headerValue(uint64(v))
	case uint64:
		if v > math.MaxInt64 {
			return nil, fmt.Errorf("%d is more than AMQP can hold", v)
		}
		return int64(v), nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, fmt.Errorf("%s is more than AMQP can hold", v)
		}
		return f, nil
	}
	return v, nil
}
