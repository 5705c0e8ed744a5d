package rpc

import (
	"fmt"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

// DefaultMaxBody bounds what a compressed body may grow to.
const DefaultMaxBody = 16 << 20

// Oslo is the wire format of oslo.messaging's RabbitMQ driver. The zero value
// is ready for use.
type Oslo struct {
	// Compress compresses what is sent, as oslo.messaging's "gzip" does.
	Compress bool
	// Flat sends without an envelope, as the notification driver "messaging"
	// does. Both are read in any case.
	Flat bool
	// MaxBody bounds a body, also after decompression, in bytes. The default
	// is DefaultMaxBody.
	MaxBody int
}

var _ Format = Oslo{}

// EncodeRequest implements [Format].
func (o Oslo) EncodeRequest(req Request, ticket Ticket) (router.Envelope, error) {
	if req.Method == "" {
		return router.Envelope{}, fmt.Errorf("%w oslo: a request needs a method", ErrFormat)
	}
	r := oslo.Request{
		Method: req.Method, Namespace: req.Namespace, Version: req.Version,
		MsgID: ticket.ID, ReplyQueue: ticket.ReplyTo, UniqueID: ticket.UniqueID,
		Timeout: oslo.Seconds(req.Monitor),
	}
	if req.Payload != nil {
		args, err := oslo.ParseRaw(req.Payload)
		if err == nil && !args.IsObject() {
			err = oslo.ErrMessage
		}
		if err != nil {
			return router.Envelope{}, fmt.Errorf("%w oslo: the payload must be a JSON object of arguments: %w", ErrFormat, err)
		}
		r.Args = args
	}
	var err error
	if r.Context, err = contextObject(req.Context); err != nil {
		return router.Envelope{}, err
	}
	return o.seal(r.Encode()), nil
}

// DecodeRequest implements [Format].
func (o Oslo) DecodeRequest(env *router.Envelope) (Request, Ticket, error) {
	message, err := o.open(env)
	if err != nil {
		if ticket := o.salvage(env); ticket.Wanted() {
			err = fmt.Errorf("%w: %w", err, unreadable(err))
			return Request{}, ticket, err
		}
		return Request{}, Ticket{}, err
	}
	r := oslo.ParseRequest(&message)
	ticket := Ticket{ID: r.MsgID, ReplyTo: r.ReplyQueue, UniqueID: r.UniqueID}
	if r.IsCall() {
		ticket.KeepAlive = r.KeepAlive()
	}
	req := Request{Method: r.Method, Namespace: r.Namespace, Version: r.Version, Context: r.Context.Value()}
	switch {
	case r.Method == "":
		return req, ticket, fmt.Errorf("%w oslo: %w", ErrFormat, remoteError(oslo.BadArguments("The request names no method")))
	case r.Args == nil:
		req.Payload = []byte("{}")
	case !r.Args.IsObject():
		return req, ticket, fmt.Errorf("%w oslo: %w", ErrFormat, remoteError(oslo.BadArguments("The arguments are no JSON object")))
	default:
		req.Payload = r.Args
	}
	return req, ticket, nil
}

// EncodeAnswer implements [Format].
func (o Oslo) EncodeAnswer(answer Answer, ticket Ticket) (router.Envelope, error) {
	r := oslo.Reply{MsgID: ticket.ID, UniqueID: oslo.NewID(), Ending: true}
	switch {
	case answer.KeepAlive:
		r = oslo.KeepAlive(ticket.ID)
	case answer.Failure != nil:
		if err := answer.Failure.check(); err != nil {
			return router.Envelope{}, fmt.Errorf("%w oslo: %w", ErrFormat, err)
		}
		r.Failure = answer.Failure.failure()
	case answer.Reply.Payload != nil:
		result, err := oslo.ParseRaw(answer.Reply.Payload)
		if err != nil {
			return router.Envelope{}, fmt.Errorf("%w oslo: the result must be JSON: %w", ErrFormat, err)
		}
		r.Result = result
	}
	return o.seal(r.Encode()), nil
}

// DecodeAnswer implements [Format].
func (o Oslo) DecodeAnswer(env *router.Envelope) (string, Answer, error) {
	message, err := o.open(env)
	if err != nil {
		return "", Answer{}, err
	}
	r, err := oslo.ParseReply(&message)
	if err != nil {
		return "", Answer{}, fmt.Errorf("%w oslo: %w", ErrFormat, err)
	}
	switch {
	case !r.Ending:
		return r.MsgID, Answer{KeepAlive: true}, nil
	case r.Failure != nil:
		return r.MsgID, Answer{Failure: remoteError(*r.Failure)}, nil
	case r.Result == nil:
		r.Result = oslo.Null
	}
	return r.MsgID, Answer{Reply: Reply{Payload: r.Result}}, nil
}

// EncodeNotification implements [Format].
func (o Oslo) EncodeNotification(n Notification) (router.Envelope, error) {
	out := oslo.Notification{
		MessageID: n.MessageID, PublisherID: n.PublisherID, EventType: n.EventType, Priority: n.Priority,
		Timestamp: n.Timestamp, UniqueID: n.UniqueID, Payload: oslo.Raw("{}"),
	}
	if n.EventType == "" || n.PublisherID == "" {
		return router.Envelope{}, fmt.Errorf("%w oslo: a notification needs an event type and a publisher id", ErrFormat)
	}
	var err error
	if n.Payload != nil {
		if out.Payload, err = oslo.ParseRaw(n.Payload); err != nil {
			return router.Envelope{}, fmt.Errorf("%w oslo: the payload must be JSON: %w", ErrFormat, err)
		}
	}
	if out.Context, err = contextObject(n.Context); err != nil {
		return router.Envelope{}, err
	}
	return o.seal(out.Encode()), nil
}

// DecodeNotification implements [Format].
func (o Oslo) DecodeNotification(env *router.Envelope) (Notification, error) {
	message, err := o.open(env)
	if err != nil {
		return Notification{}, err
	}
	n, err := oslo.ParseNotification(&message)
	if err != nil {
		return Notification{}, fmt.Errorf("%w oslo: %w", ErrFormat, err)
	}
	return Notification{
		MessageID: n.MessageID, PublisherID: n.PublisherID, EventType: n.EventType, Priority: n.Priority,
		Payload: n.Payload, Timestamp: n.Timestamp, Context: n.Context.Value(), UniqueID: n.UniqueID, Origin: env.Origin,
	}, nil
}

// Text implements [Format].
func (o Oslo) Text(env *router.Envelope) ([]byte, error) {
	message, err := o.open(env)
	if err != nil {
		return nil, err
	}
	return message.Raw(), nil
}

func (o Oslo) open(env *router.Envelope) (oslo.Object, error) {
	err := oslo.CheckContentType(env.ContentType)
	var message oslo.Object
	if err == nil {
		var body []byte
		if body, err = o.body(env); err == nil {
			message, _, err = oslo.Open(body)
		}
	}
	if err != nil {
		return message, fmt.Errorf("%w oslo: %w", ErrFormat, err)
	}
	return message, nil
}

// body returns the body, decompressed.
func (o Oslo) body(env *router.Envelope) ([]byte, error) {
	limit := o.MaxBody
	if limit == 0 {
		limit = DefaultMaxBody
	}
	compression, _ := env.Header(oslo.HeaderCompression)
	name, _ := compression.(string)
	return oslo.Decompress(name, env.Body, limit)
}

// salvage returns the way back to who sent what cannot be opened, as far as it
// can be made out.
func (o Oslo) salvage(env *router.Envelope) Ticket {
	body, err := o.body(env)
	if err != nil {
		body = env.Body
	}
	id, replyTo, _ := oslo.Salvage(body)
	return Ticket{ID: id, ReplyTo: replyTo}
}

func (o Oslo) seal(message oslo.Raw) router.Envelope {
	body := []byte(message)
	if !o.Flat {
		body = oslo.Seal(message)
	}
	env := router.NewEnvelope(nil, body)
	if o.Compress {
		env.Body = oslo.Compress(body)
		env.SetHeader(oslo.HeaderCompression, oslo.CompressionGzip)
	}
	env.ContentType, env.ContentEncoding, env.DeliveryMode = oslo.ContentType, oslo.ContentEncoding, oslo.DeliveryMode
	return env
}

func contextObject(context map[string]any) (oslo.Object, error) {
	o, err := oslo.MarshalObject(context)
	if err != nil {
		return o, fmt.Errorf("%w oslo: context %w", ErrFormat, err)
	}
	return o, nil
}
