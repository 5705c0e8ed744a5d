// Package telemetry makes Prometheus metrics out of the counters that the
// router's packages keep, at the time of a scrape, and the process's logger.
package telemetry

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config says what to export and where.
type Config struct {
	Source   Source // required
	Build    Build
	Registry *prometheus.Registry // default: a new one
	Logger   *slog.Logger         // default: none
}

const (
	maxScrapes    = 4 // at a time; more are refused with 503
	scrapeTimeout = 10 * time.Second
)

// Metrics is a registry with the metrics of the router, of the Go runtime and
// of the process in it.
type Metrics struct {
	registry *prometheus.Registry
	handler  http.Handler
}

// New registers the metrics. It fails if there is no source, or the registry
// holds some of them already.
func New(cfg Config) (*Metrics, error) {
	if cfg.Source == nil {
		return nil, errors.New("telemetry: Source is nil; it gives the counts and is required")
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	for _, c := range []prometheus.Collector{
		NewCollector(cfg.Source, cfg.Build),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := cfg.Registry.Register(c); err != nil {
			return nil, fmt.Errorf("telemetry: register metrics: %w", err)
		}
	}
	return &Metrics{
		registry: cfg.Registry,
		handler: promhttp.HandlerFor(cfg.Registry, promhttp.HandlerOpts{
			ErrorLog:            errorLog{cfg.Logger},
			ErrorHandling:       promhttp.ContinueOnError, // half of the metrics beat none
			EnableOpenMetrics:   true,                     // the only format with exemplars
			MaxRequestsInFlight: maxScrapes,
			Timeout:             scrapeTimeout,
		}),
	}, nil
}

// Registry returns the registry, to gather from or to add to.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Handler serves the metrics in the Prometheus text formats.
func (m *Metrics) Handler() http.Handler { return m.handler }

// errorLog passes promhttp's complaints on.
type errorLog struct{ log *slog.Logger }

func (l errorLog) Println(v ...any) {
	l.log.Warn("a scrape was incomplete", "component", "telemetry", "err", fmt.Sprint(v...))
}
