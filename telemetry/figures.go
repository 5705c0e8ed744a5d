package telemetry

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// figure is one number out of a T, as one series. A name that ends in _total is a
// counter's, any other a gauge's.
type figure[T any] struct {
	name, help string
	label      string // "NAME=VALUE" of a further label; figures of one name differ in the value
	value      func(*T) float64
}

// figures are those of a T with their descriptions.
type figures[T any] struct {
	list  []figure[T]
	descs []*prometheus.Desc // of each of list
}

// newFigures describes figures, all of which have the labels.
func newFigures[T any](desc describe, list []figure[T], labels ...string) figures[T] {
	fs := figures[T]{list: list}
	known := map[string]*prometheus.Desc{}
	for _, f := range list {
		if known[f.name] == nil {
			all := append([]string(nil), labels...)
			if name, _, ok := strings.Cut(f.label, "="); ok {
				all = append(all, name)
			}
			known[f.name] = desc(f.name, f.help, all...)
		}
		fs.descs = append(fs.descs, known[f.name])
	}
	return fs
}

func (fs *figures[T]) emit(e *emitter, of *T, labels ...string) {
	for i, f := range fs.list {
		all := append([]string(nil), labels...)
		if _, value, ok := strings.Cut(f.label, "="); ok {
			all = append(all, value)
		}
		if strings.HasSuffix(f.name, "_total") {
			e.counter(fs.descs[i], f.value(of), all...)
		} else {
			e.gauge(fs.descs[i], f.value(of), all...)
		}
	}
}
