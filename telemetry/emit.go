package telemetry

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/telemetry/tracing"
)

const (
	maxSeries = 64 // of one label that the process does not itself choose the values of
	overflow  = "other"
)

// emitter sends metrics of one scrape.
type emitter struct {
	ch   chan<- prometheus.Metric
	seen map[string]bool
}

// fresh reports whether this is the first metric of that description and those
// labels. Gathering fails as a whole for a second one.
func (e *emitter) fresh(desc *prometheus.Desc, labels []string) bool {
	for i, l := range labels {
		labels[i] = strings.ToValidUTF8(l, "\uFFFD") // no other label values are allowed
	}
	key := desc.String() + "\x00" + strings.Join(labels, "\x00")
	if e.seen[key] {
		return false
	}
	e.seen[key] = true
	return true
}

func (e *emitter) counter(desc *prometheus.Desc, v float64, labels ...string) {
	if e.fresh(desc, labels) {
		e.ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, v, labels...)
	}
}

func (e *emitter) gauge(desc *prometheus.Desc, v float64, labels ...string) {
	if e.fresh(desc, labels) {
		e.ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
}

func (e *emitter) flag(desc *prometheus.Desc, v bool, labels ...string) {
	e.gauge(desc, truth(v), labels...)
}

// time sends a moment; the zero time is none.
func (e *emitter) time(desc *prometheus.Desc, at time.Time, labels ...string) {
	if !at.IsZero() {
		e.gauge(desc, float64(at.UnixMilli())/1000, labels...)
	}
}

// counters sends one counter for each of values, whose keys become the last
// label.
func (e *emitter) counters(desc *prometheus.Desc, values map[string]uint64, labels ...string) {
	rest, more := 0.0, false
	for i, name := range slices.Sorted(maps.Keys(values)) {
		if i >= maxSeries || name == overflow {
			rest, more = rest+float64(values[name]), true
			continue
		}
		e.counter(desc, float64(values[name]), append(slices.Clone(labels), name)...)
	}
	if more {
		e.counter(desc, rest, append(slices.Clone(labels), overflow)...)
	}
}

func (e *emitter) histogram(desc *prometheus.Desc, h router.HistogramStat, labels ...string) {
	e.timed(desc, h, nil, labels...)
}

// timed is histogram with traced messages as exemplars, one for each bucket.
func (e *emitter) timed(desc *prometheus.Desc, h router.HistogramStat, traced []tracing.Exemplar, labels ...string) {
	if !e.fresh(desc, labels) {
		return
	}
	buckets := make(map[float64]uint64, len(router.HistogramBounds))
	var sum uint64
	for i, bound := range router.HistogramBounds {
		sum += h.Counts[i]
		buckets[bound.Seconds()] = sum
	}
	sum += h.Counts[len(router.HistogramBounds)]
	metric := prometheus.MustNewConstHistogram(desc, sum, h.Sum.Seconds(), buckets, labels...)
	if len(traced) > 0 {
		exemplars := make([]prometheus.Exemplar, len(traced))
		for i, x := range traced {
			exemplars[i] = prometheus.Exemplar{
				Value: x.Took.Seconds(), Timestamp: x.At,
				Labels: prometheus.Labels{"trace_id": x.TraceID},
			}
		}
		if with, err := prometheus.NewMetricWithExemplars(metric, exemplars...); err == nil {
			metric = with
		}
	}
	e.ch <- metric
}
