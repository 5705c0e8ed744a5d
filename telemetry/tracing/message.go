package tracing

import (
	"context"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/wasmrouter/router/router"
)

// Publish implements the Tracer of package rpc: a span below that of ctx, until
// the returned function is called. Env carries its context.
func (t *Tracer) Publish(ctx context.Context, operation string, to router.Target, env *router.Envelope) (end func(error)) {
	place, attrs := sentTo(to)
	ctx, span := t.spans.Start(ctx, named(operation, place), trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(identity(append(attrs, semconv.MessagingOperationName(operation)), env)...))
	t.propagator.Inject(ctx, headers{env})
	return ender(span)
}

// Process implements the Tracer of package rpc: a span below the one whose context
// the message carries, until the returned function is called. The context that it
// returns is for what handles the message.
func (t *Tracer) Process(ctx context.Context, received *router.Envelope) (handling context.Context, end func(error)) {
	place, attrs := receivedFrom(received)
	ctx, span := t.spans.Start(t.propagator.Extract(ctx, headers{received}), named("process", place),
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(identity(append(attrs, semconv.MessagingOperationName("process")), received)...))
	return ctx, ender(span)
}

func ender(span trace.Span) func(error) {
	return func(err error) {
		fail(span, err)
		span.End()
	}
}
