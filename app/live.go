package app

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wasmrouter/router/router"
)

// Status is a running router at one moment: what the admin listener serves at
// /api/status. Counts begin when the router starts; those of a route begin anew when
// a reload changes the route. Times are in seconds.
type Status struct {
	Version     string             `json:"version"`
	Now         time.Time          `json:"now"`
	Started     time.Time          `json:"started"`
	Ready       bool               `json:"ready"`
	Reasons     []string           `json:"reasons"` // why it is not
	Reload      ReloadStatus       `json:"reload"`
	Routes      []RouteStatus      `json:"routes"`
	Filters     []FilterStatus     `json:"filters"`
	Connections []ConnectionStatus `json:"connections"`
}

// ReloadStatus is what became of the last reload; the start counts as one.
type ReloadStatus struct {
	Successful bool      `json:"successful"`
	At         time.Time `json:"at"` // of the last that was
}

// RouteStatus is one route. Failure is why it does not run, empty if it does.
type RouteStatus struct {
	Name               string            `json:"name"`
	Queue              string            `json:"queue"`
	Consuming          bool              `json:"consuming"`
	Failure            string            `json:"failure,omitempty"`
	Received           uint64            `json:"received"`
	Redelivered        uint64            `json:"redelivered"`
	Retries            uint64            `json:"retries"`
	FilterFailures     uint64            `json:"filter_failures"`
	DeadLetterFailures uint64            `json:"dead_letter_failures"`
	Inflight           int64             `json:"inflight"`
	Held               int64             `json:"held"`
	Settled            map[string]uint64 `json:"settled"`      // by verdict
	Sent               map[string]uint64 `json:"sent"`         // by result
	DeadLetters        map[string]uint64 `json:"dead_letters"` // by reason
	Duration           Histogram         `json:"duration"`     // received to settled
}

// FilterStatus is one filter, over all its instances. Failing is the cause of the
// last failure while the filter keeps failing, and empty otherwise.
type FilterStatus struct {
	Name        string            `json:"name"`
	Instances   int               `json:"instances"`
	Spare       int               `json:"spare"`
	Restarts    uint64            `json:"restarts"`
	MemoryBytes int64             `json:"memory_bytes"`
	Calls       uint64            `json:"calls"`
	Failures    map[string]uint64 `json:"failures"` // by class
	Duration    Histogram         `json:"duration"` // of calls
	Failing     string            `json:"failing,omitempty"`
	Shadow      *ShadowStatus     `json:"shadow,omitempty"` // the new version that is tried
}

// ConnectionStatus is one purpose's connection to the broker.
type ConnectionStatus struct {
	Purpose    string `json:"purpose"`
	Host       string `json:"host"`
	Connected  bool   `json:"connected"`
	Blocked    bool   `json:"blocked"`
	Consuming  bool   `json:"consuming"`
	Reconnects uint64 `json:"reconnects"`
	LastError  string `json:"last_error,omitempty"`
}

// Histogram is a histogram of durations. Counts are not cumulative; the last is of
// what is above every bound.
type Histogram struct {
	Bounds []float64 `json:"bounds"`
	Counts []uint64  `json:"counts"`
	Sum    float64   `json:"sum"`
}

func histogram(of ...router.HistogramStat) Histogram {
	h := Histogram{Counts: make([]uint64, len(router.HistogramBounds)+1)}
	for _, bound := range router.HistogramBounds {
		h.Bounds = append(h.Bounds, bound.Seconds())
	}
	for _, s := range of {
		for i, n := range s.Counts {
			h.Counts[i] += n
		}
		h.Sum += s.Sum.Seconds()
	}
	return h
}

// Status returns the router at this moment.
func (a *App) Status() Status {
	s := Status{
		Version: a.opts.Build.Version, Now: time.Now(), Started: a.began,
		Routes: []RouteStatus{}, Filters: []FilterStatus{}, Connections: []ConnectionStatus{},
		Reload: ReloadStatus{Successful: !a.reloads.failed.Load(), At: time.Unix(0, a.reloads.at.Load())},
	}
	s.Ready, s.Reasons = a.Ready()
	t, broker := a.table.Load(), a.broker.Load()
	if t == nil || broker == nil {
		return s
	}
	consuming := map[string]bool{}
	for _, c := range broker.Stat().Connections {
		s.Connections = append(s.Connections, ConnectionStatus{
			Purpose: c.Purpose, Host: c.Host, Connected: c.Connected, Blocked: c.Blocked, Consuming: c.Consuming,
			Reconnects: c.Reconnects, LastError: c.LastError,
		})
		if queue, ok := strings.CutPrefix(c.Purpose, "listen "); ok {
			consuming[queue] = consuming[queue] || c.Consuming
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.routes)) {
		s.Routes = append(s.Routes, t.routes[name].status(name, consuming))
	}
	for _, name := range slices.Sorted(maps.Keys(t.filters)) {
		s.Filters = append(s.Filters, t.filters[name].status(name))
	}
	return s
}

func (r *routePart) status(name string, consuming map[string]bool) RouteStatus {
	st := r.current.Load().Stat()
	s := RouteStatus{
		Name: name, Queue: r.cfg.Source.Queue, Consuming: consuming[r.cfg.Source.Queue],
		Received: st.Received, Redelivered: st.Redelivered, Retries: st.Retries, FilterFailures: st.FilterFailures,
		DeadLetterFailures: st.DeadLetterFailures, Inflight: st.Inflight, Held: st.Held,
		Settled: map[string]uint64{}, Sent: map[string]uint64{}, DeadLetters: st.DeadLetters, Duration: histogram(st.Duration),
	}
	if failure := r.failure.Load(); failure != nil {
		s.Failure = *failure
	}
	for i, n := range st.Settled {
		s.Settled[router.VerdictNames[i]] = n
	}
	for i, n := range st.Sent {
		s.Sent[router.SentNames[i]] = n
	}
	return s
}

func (f loadedFilter) status(name string) FilterStatus {
	st := f.Stat()
	s := FilterStatus{
		Name: name, Instances: st.Live, Spare: st.Idle, Restarts: st.Restarts, MemoryBytes: st.MemoryBytes,
		Failures: map[string]uint64{},
	}
	var durations []router.HistogramStat
	for _, stage := range st.Stages {
		s.Calls += stage.Calls
		for class, n := range stage.Failures {
			s.Failures[class] += n
		}
		durations = append(durations, stage.Duration)
	}
	s.Duration = histogram(durations...)
	if st.Failing != nil {
		s.Failing = st.Failing.Cause
	}
	if f.next != nil {
		s.Shadow = f.next.status(f.cfg)
	}
	return s
}
