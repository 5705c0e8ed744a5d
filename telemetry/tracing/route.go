package tracing

import (
	"context"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/wasmrouter/router/router"
)

var _ router.Tracer = (*Tracer)(nil)

// Trace implements [router.Tracer]: one span for the message, from when it was
// received to when it is settled, with one below it for each filter's turn and for
// each publish. What is published carries the context of the span of its publish.
// A message that is not sampled is not followed: its headers go on as they came.
func (t *Tracer) Trace(route string, received *router.Envelope) router.Trace {
	ctx := context.Background()
	if t.carries(received) {
		ctx = t.propagator.Extract(ctx, headers{received})
	}
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() && !sc.IsSampled() {
		return nil // who began the trace has decided; this is the cheap way to the same answer
	}
	began := received.Origin.Received
	if began.IsZero() {
		began = time.Now()
	}
	ctx, span := t.spans.Start(ctx, "process", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(began))
	if !span.IsRecording() {
		return nil
	}
	// Only now, as most messages may not be sampled.
	place, attrs := receivedFrom(received)
	attrs = append(attrs, semconv.MessagingOperationName("process"), attrRoute.String(route))
	span.SetAttributes(identity(attrs, received)...)
	span.SetName(named("process", place))
	return &message{t: t, route: route, ctx: ctx, span: span, began: began}
}

// carries reports whether a message may bring a trace's context.
func (t *Tracer) carries(env *router.Envelope) bool {
	for _, name := range t.fields {
		if _, ok := env.Header(name); ok {
			return true
		}
	}
	return false
}

// message is one message on its way through a route.
type message struct {
	t     *Tracer
	route string
	ctx   context.Context // of span
	span  trace.Span
	began time.Time

	mu      sync.Mutex   // protects publish
	publish []trace.Span // by number of the output; nil when it is settled
}

// Filtered implements [router.Trace].
func (m *message) Filtered(step router.Step) {
	_, span := m.t.spans.Start(m.ctx, "filter "+step.Filter, trace.WithTimestamp(step.Began), trace.WithAttributes(
		attrRoute.String(m.route), attrFilter.String(step.Filter), attrStage.String(step.Stage.String()),
	))
	if d := step.Decision; d != nil && step.Err == nil && d.Action != router.Undecided {
		span.SetAttributes(attrAction.String(d.Action.String()))
	}
	fail(span, step.Err)
	span.End(trace.WithTimestamp(step.Began.Add(step.Took)))
}

// Sending implements [router.Trace].
func (m *message) Sending(nth int, to router.Target, env *router.Envelope) {
	place, attrs := sentTo(to)
	attrs = append(attrs, semconv.MessagingOperationName("publish"), attrRoute.String(m.route))
	ctx, span := m.t.spans.Start(m.ctx, named("publish", place),
		trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(identity(attrs, env)...))
	m.t.propagator.Inject(ctx, headers{env})
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.publish) <= nth {
		m.publish = append(m.publish, nil)
	}
	m.publish[nth] = span
}

// Sent implements [router.Trace].
func (m *message) Sent(nth int, err error) {
	m.mu.Lock()
	var span trace.Span
	if nth < len(m.publish) {
		span, m.publish[nth] = m.publish[nth], nil
	}
	m.mu.Unlock()
	if span != nil {
		fail(span, err)
		span.End()
	}
}

// Done implements [router.Trace].
func (m *message) Done(o router.Outcome) {
	attrs := append(make([]attribute.KeyValue, 0, 6), attrVerdict.String(o.Verdict), attrAttempts.Int(o.Attempts))
	if l := o.Loss; l.Reason != "" {
		attrs = append(attrs, attrReason.String(l.Reason))
		if l.Filter != "" {
			attrs = append(attrs, attrFilter.String(l.Filter), attrStage.String(l.Stage))
		}
	}
	if o.Err != nil {
		attrs = append(attrs, semconv.ErrorTypeKey.String(o.Loss.Reason))
		text := o.Loss.Reason // a filter's words may be those of the message
		if !o.Loss.Quotes() {
			text = shortened(o.Err)
		}
		m.span.SetStatus(codes.Error, text)
	}
	m.span.SetAttributes(attrs...)
	end := time.Now()
	m.t.note(m.route, m.span.SpanContext(), end.Sub(m.began), end)
	m.span.End(trace.WithTimestamp(end))
}

// fail marks a span as that of something that went wrong; nil is nothing.
func fail(span trace.Span, err error) {
	if err == nil {
		return
	}
	span.SetAttributes(semconv.ErrorTypeKey.String(errorType(err)))
	span.SetStatus(codes.Error, shortened(err))
}

// maxStatus bounds the text of an error in a span, in bytes.
const maxStatus = 256

func shortened(err error) string {
	text := router.Discreet(err)
	if len(text) > maxStatus {
		text = text[:maxStatus] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
