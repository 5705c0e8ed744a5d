package wasmhost

import (
	"bytes"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/router"
)

// MetricKind is the kind of a metric that a filter defines.
type MetricKind uint32

// The kinds.
const (
	Counter MetricKind = iota
	Gauge
	Duration // a histogram of seconds
)

// MetricStat is one metric of a filter at one moment.
type MetricStat struct {
	Name      string
	Label     string // what stands behind the slash of the name that was given, if anything
	Kind      MetricKind
	Value     float64              // of Counter and Gauge
	Histogram router.HistogramStat // of Duration
}

const (
	maxMetrics    = 64
	maxMetricName = 64 // bytes of a name, and of a label
)

type metric struct {
	name  string
	kind  MetricKind
	count atomic.Uint64 // of a counter
	gauge atomic.Uint64 // the bits of a float64
	hist  router.Histogram
}

// guestMetrics are the metrics that the instances of one filter share. It is
// safe for concurrent use.
type guestMetrics struct {
	mu   sync.Mutex // orders definitions
	list atomic.Pointer[[]*metric]
}

func (m *guestMetrics) all() []*metric {
	if p := m.list.Load(); p != nil {
		return *p
	}
	return nil
}

// define returns the metric's id, or -1 if there cannot be one.
func (m *guestMetrics) define(kind MetricKind, name []byte) int {
	if kind > Duration || !metricName(name) {
		return -1
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.all()
	for i, have := range list {
		if have.name == string(name) {
			if have.kind != kind {
				return -1
			}
			return i
		}
	}
	if len(list) >= maxMetrics {
		return -1
	}
	list = append(list[:len(list):len(list)], &metric{name: string(name), kind: kind})
	m.list.Store(&list)
	return len(list) - 1
}

// metricName reports whether a text may name a metric: a name, and perhaps a
// slash and a label.
func metricName(text []byte) bool {
	if len(text) > 2*maxMetricName+1 { // it may be all of a guest's memory
		return false
	}
	name, label, labelled := bytes.Cut(text, []byte{'/'})
	if labelled && (len(label) == 0 || len(label) > maxMetricName || !validText(label)) {
		return false
	}
	if len(name) == 0 || len(name) > maxMetricName || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

func (m *guestMetrics) add(id uint32, v int64) {
	list := m.all()
	if int64(id) >= int64(len(list)) {
		return
	}
	switch x := list[id]; x.kind {
	case Counter:
		if v > 0 {
			x.count.Add(uint64(v))
		}
	case Gauge:
		for {
			old := x.gauge.Load()
			if x.gauge.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+float64(v))) {
				return
			}
		}
	}
}

func (m *guestMetrics) observe(id uint32, v float64) {
	list := m.all()
	if int64(id) >= int64(len(list)) || math.IsNaN(v) {
		return
	}
	switch x := list[id]; x.kind {
	case Gauge:
		x.gauge.Store(math.Float64bits(v))
	case Duration:
		x.hist.Observe(time.Duration(min(max(v, 0), 1e9) * float64(time.Second)))
	}
}

func (m *guestMetrics) stat() []MetricStat {
	list := m.all()
	stats := make([]MetricStat, len(list))
	for i, x := range list {
		name, label, _ := strings.Cut(x.name, "/")
		stats[i] = MetricStat{Name: name, Label: label, Kind: x.kind}
		switch x.kind {
		case Counter:
			stats[i].Value = float64(x.count.Load())
		case Gauge:
			stats[i].Value = math.Float64frombits(x.gauge.Load())
		case Duration:
			stats[i].Histogram = x.hist.Stat()
		}
	}
	return stats
}
