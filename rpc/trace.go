package rpc

import (
	"context"

	"github.com/wasmrouter/router/router"
)

// Tracer follows messages from who sends them to who handles them. That of
// package telemetry/tracing makes spans. Its methods are called concurrently and
// must not block.
type Tracer interface {
	// Publish says that env is about to be sent: operation is "publish", or "call"
	// for what waits for a reply. Headers of env may be set. The returned function
	// is called once: with what became of the message, or of the call.
	Publish(ctx context.Context, operation string, to router.Target, env *router.Envelope) (end func(error))
	// Process says that a message is about to be handled, with the context that it
	// returns. The returned function is called once, with what the handler returned.
	// Received must not be changed, and must be cloned to be kept.
	Process(ctx context.Context, received *router.Envelope) (handling context.Context, end func(error))
}

func publishing(ctx context.Context, t Tracer, operation string, to router.Target, env *router.Envelope) (end func(error)) {
	if t == nil {
		return func(error) {}
	}
	return t.Publish(ctx, operation, to, env)
}

func processing(ctx context.Context, t Tracer, received *router.Envelope) (handling context.Context, end func(error)) {
	if t == nil {
		return ctx, func(error) {}
	}
	return t.Process(ctx, received)
}
