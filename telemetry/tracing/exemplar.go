package tracing

import (
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/wasmrouter/router/router"
)

// Exemplar is one traced message that took about so long.
type Exemplar struct {
	TraceID string
	Took    time.Duration
	At      time.Time
}

// exemplars are the last traced messages of one route, one for each bucket of a
// [router.Histogram].
type exemplars [len(router.HistogramBounds) + 1]atomic.Pointer[Exemplar]

// note remembers a message of a route.
func (t *Tracer) note(route string, sc trace.SpanContext, took time.Duration, at time.Time) {
	t.mu.RLock()
	of := t.exemplars[route]
	t.mu.RUnlock()
	if of == nil {
		t.mu.Lock()
		if of = t.exemplars[route]; of == nil {
			of = new(exemplars)
			t.exemplars[route] = of
		}
		t.mu.Unlock()
	}
	i := 0
	for i < len(router.HistogramBounds) && took > router.HistogramBounds[i] {
		i++
	}
	of[i].Store(&Exemplar{TraceID: sc.TraceID().String(), Took: took, At: at})
}

// Exemplars returns traced messages of a route, at most one for each bucket of a
// [router.Histogram], in ascending order of their durations.
func (t *Tracer) Exemplars(route string) []Exemplar {
	t.mu.RLock()
	of := t.exemplars[route]
	t.mu.RUnlock()
	if of == nil {
		return nil
	}
	var list []Exemplar
	for i := range of {
		if e := of[i].Load(); e != nil {
			list = append(list, *e)
		}
	}
	return list
}
