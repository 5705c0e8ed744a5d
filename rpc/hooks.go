package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wasmrouter/router/router"
)

// DefaultHookTimeout bounds what hooks do to one message.
const DefaultHookTimeout = 10 * time.Second

// Part is what hooks see of a message: what its sender means by it, without
// its address and its envelope. A hook replaces what it changes; it must not
// change a payload or a map in place, as others may hold them.
type Part struct {
	Kind        PartKind
	Payload     []byte // arguments, result or notification, as Request, Reply and Notification have it
	Context     map[string]any
	ContentType string // of the payload, only in the format plain
}

// PartKind is what a message is for.
type PartKind uint8

// The kinds of messages that hooks see.
const (
	PartRequest PartKind = iota
	PartReply
	PartNotification
)

// Serializer turns the payloads that a program works with into those that
// travel, and back: oslo.messaging's serialize_entity and deserialize_entity,
// but for all arguments of a request at once. In the format oslo, what travels
// must still be JSON, an object for requests. Its methods are called
// concurrently; ctx bounds them.
type Serializer interface {
	Encode(ctx context.Context, p *Part) error
	Decode(ctx context.Context, p *Part) error
}

// ContextHook changes the context of requests and notifications before it
// travels, and after: oslo.messaging's serialize_context and
// deserialize_context. It may look at the payload, too, which it sees as the
// program does. Its methods are called concurrently; ctx bounds them.
type ContextHook interface {
	Pack(ctx context.Context, p *Part) error
	Unpack(ctx context.Context, p *Part) error
}

// Hooks are what a program does to its messages on the wire's side of it. What
// is sent passes Context, then Serializer; what is received passes them the
// other way round. Failures and keep-alives pass neither.
type Hooks struct {
	Serializer Serializer  // nil changes nothing
	Context    ContextHook // nil changes nothing
	// Timeout bounds the work on one message. The default is 10 s.
	Timeout time.Duration
}

// Hooked returns format with hooks around it, for whatever takes a [Format]:
// client, server, notifier, listener or a whole transport. A hook's error fails
// what is sent; a request whose hook fails is answered with a failure, or, if
// nobody waits for it and the error wraps [ErrAgain], given back to the broker.
func Hooked(format Format, hooks Hooks) Format {
	if hooks.Timeout <= 0 {
		hooks.Timeout = DefaultHookTimeout
	}
	return &hooked{Format: format, hooks: hooks}
}

type hooked struct {
	Format
	hooks Hooks
}

// out takes a part through the hooks on its way out.
func (h *hooked) out(p *Part) error {
	ctx, cancel := context.WithTimeout(context.Background(), h.hooks.Timeout)
	defer cancel()
	if hook := h.hooks.Context; hook != nil && p.Kind != PartReply {
		if err := hook.Pack(ctx, p); err != nil {
			return fmt.Errorf("%w: context hook: %w", ErrFormat, err)
		}
	}
	if s := h.hooks.Serializer; s != nil {
		if err := s.Encode(ctx, p); err != nil {
			return fmt.Errorf("%w: serializer: %w", ErrFormat, err)
		}
	}
	return nil
}

// in takes a part through the hooks on its way in.
func (h *hooked) in(p *Part) error {
	ctx, cancel := context.WithTimeout(context.Background(), h.hooks.Timeout)
	defer cancel()
	if s := h.hooks.Serializer; s != nil {
		if err := s.Decode(ctx, p); err != nil {
			return fmt.Errorf("%w: serializer: %w", ErrFormat, err)
		}
	}
	if hook := h.hooks.Context; hook != nil && p.Kind != PartReply {
		if err := hook.Unpack(ctx, p); err != nil {
			return fmt.Errorf("%w: context hook: %w", ErrFormat, err)
		}
	}
	return nil
}

// EncodeRequest implements [Format].
func (h *hooked) EncodeRequest(req Request, ticket Ticket) (router.Envelope, error) {
	p := Part{Kind: PartRequest, Payload: req.Payload, Context: req.Context, ContentType: req.ContentType}
	if err := h.out(&p); err != nil {
		return router.Envelope{}, err
	}
	req.Payload, req.Context, req.ContentType = p.Payload, p.Context, p.ContentType
	return h.Format.EncodeRequest(req, ticket)
}

// DecodeRequest implements [Format].
func (h *hooked) DecodeRequest(env *router.Envelope) (Request, Ticket, error) {
	req, ticket, err := h.Format.DecodeRequest(env)
	if err != nil {
		return req, ticket, err
	}
	p := Part{Kind: PartRequest, Payload: req.Payload, Context: req.Context, ContentType: req.ContentType}
	if err := h.in(&p); err != nil {
		if _, chosen := errors.AsType[*RemoteError](err); !chosen {
			err = fmt.Errorf("%w: %w", err, unreadable(err))
		}
		return req, ticket, err
	}
	req.Payload, req.Context, req.ContentType = p.Payload, p.Context, p.ContentType
	return req, ticket, nil
}

// EncodeAnswer implements [Format].
func (h *hooked) EncodeAnswer(answer Answer, ticket Ticket) (router.Envelope, error) {
	if answer.Failure == nil && !answer.KeepAlive {
		r := &answer.Reply
		p := Part{Kind: PartReply, Payload: r.Payload, Context: r.Context, ContentType: r.ContentType}
		if err := h.out(&p); err != nil {
			return router.Envelope{}, err
		}
		r.Payload, r.Context, r.ContentType = p.Payload, p.Context, p.ContentType
	}
	return h.Format.EncodeAnswer(answer, ticket)
}

// DecodeAnswer implements [Format]. A result that the hooks cannot read is a
// failure to its caller, who would wait for nothing otherwise.
func (h *hooked) DecodeAnswer(env *router.Envelope) (string, Answer, error) {
	id, answer, err := h.Format.DecodeAnswer(env)
	if err != nil || answer.Failure != nil || answer.KeepAlive {
		return id, answer, err
	}
	r := &answer.Reply
	p := Part{Kind: PartReply, Payload: r.Payload, Context: r.Context, ContentType: r.ContentType}
	if err := h.in(&p); err != nil {
		return id, Answer{Failure: &RemoteError{Class: "UnreadableReply", Module: internalModule, Message: err.Error()}}, nil
	}
	r.Payload, r.Context, r.ContentType = p.Payload, p.Context, p.ContentType
	return id, answer, nil
}

// EncodeNotification implements [Format].
func (h *hooked) EncodeNotification(n Notification) (router.Envelope, error) {
	p := Part{Kind: PartNotification, Payload: n.Payload, Context: n.Context, ContentType: n.ContentType}
	if err := h.out(&p); err != nil {
		return router.Envelope{}, err
	}
	n.Payload, n.Context, n.ContentType = p.Payload, p.Context, p.ContentType
	return h.Format.EncodeNotification(n)
}

// DecodeNotification implements [Format].
func (h *hooked) DecodeNotification(env *router.Envelope) (Notification, error) {
	n, err := h.Format.DecodeNotification(env)
	if err != nil {
		return n, err
	}
	p := Part{Kind: PartNotification, Payload: n.Payload, Context: n.Context, ContentType: n.ContentType}
	if err := h.in(&p); err != nil {
		return Notification{}, err
	}
	n.Payload, n.Context, n.ContentType = p.Payload, p.Context, p.ContentType
	return n, nil
}
