// Package tracing makes OpenTelemetry spans of messages: of their way through a
// route, and of what clients send and servers and listeners handle. Spans follow
// the semantic conventions for messaging, and the trace context travels in the
// AMQP headers traceparent, tracestate and baggage, as W3C writes them.
//
// It needs OpenTelemetry's API alone. A program that links it brings its own
// [trace.TracerProvider]; the router's is made by package telemetry/otlp.
package tracing

import (
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name under which the spans are made.
const scope = "github.com/wasmrouter/router/telemetry/tracing"

// Attributes that the conventions do not have.
const (
	attrRoute    = attribute.Key("router.route")
	attrVerdict  = attribute.Key("router.verdict")
	attrReason   = attribute.Key("router.reason")
	attrAttempts = attribute.Key("router.attempts")
	attrFilter   = attribute.Key("router.filter.name")
	attrStage    = attribute.Key("router.filter.stage")
	attrAction   = attribute.Key("router.filter.action")
)

// Tracer makes spans of messages. It is a Tracer of packages router and rpc, and
// safe for concurrent use.
type Tracer struct {
	spans      trace.Tracer
	propagator propagation.TextMapPropagator
	fields     []string // headers that propagator reads

	mu        sync.RWMutex // protects the map
	exemplars map[string]*exemplars
}

// Standard carries the trace context and baggage as W3C writes them.
func Standard() propagation.TextMapPropagator {
	return propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
}

// New returns a Tracer whose spans go where provider sends them. The trace
// context travels as propagator writes it; nil is [Standard].
func New(provider trace.TracerProvider, propagator propagation.TextMapPropagator) *Tracer {
	if propagator == nil {
		propagator = Standard()
	}
	return &Tracer{
		spans:      provider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)),
		propagator: propagator,
		fields:     propagator.Fields(),
		exemplars:  make(map[string]*exemplars),
	}
}
