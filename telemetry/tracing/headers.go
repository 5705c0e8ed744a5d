package tracing

import (
	"maps"
	"slices"

	"go.opentelemetry.io/otel/propagation"

	"github.com/wasmrouter/router/router"
)

// headers carries a trace context in an envelope's headers.
type headers struct{ env *router.Envelope }

var _ propagation.TextMapCarrier = headers{}

// Get implements [propagation.TextMapCarrier]. AMQP clients write text as a long
// string, and some as bytes.
func (h headers) Get(key string) string {
	value, _ := h.env.Header(key)
	switch v := value.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// Set implements [propagation.TextMapCarrier].
func (h headers) Set(key, value string) { h.env.SetHeader(key, value) }

// Keys implements [propagation.TextMapCarrier].
func (h headers) Keys() []string { return slices.Collect(maps.Keys(h.env.Headers())) }
