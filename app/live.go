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
	Reasons     []string           `json:"reasons"` // why it is not, and which routes are paused
	Reload      ReloadStatus       `json:"reload"`
	Embedded    bool               `json:"embedded"` // it is its own broker
	Routes      []RouteStatus      `json:"routes"`
	Filters     []FilterStatus     `json:"filters"`
	Connections []ConnectionStatus `json:"connections"`
	Pools       []PoolStatus       `json:"pools"`
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
	Paused             bool              `json:"paused"`
	PausedAt           *time.Time        `json:"paused_at,omitempty"`
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
	Targets            []TargetStatus    `json:"targets"`      // sent, by target
	DeadLetters        map[string]uint64 `json:"dead_letters"` // by reason
	Duration           Histogram         `json:"duration"`     // received to settled
	Calls              *CallStatus       `json:"calls,omitempty"`
}

// TargetStatus is what a route sent to one target. Besides those of the configuration
// it is one that a filter chose; see [router.RouteStat].
type TargetStatus struct {
	Target string            `json:"target"` // or "other", or "replies"
	Sent   map[string]uint64 `json:"sent"`   // by result
}

// CallStatus is the calls that a route with mode = "proxy" makes in its own name.
type CallStatus struct {
	Pending    int               `json:"pending"`     // waiting for their reply
	Results    map[string]uint64 `json:"results"`     // of those that have ended, by how
	KeepAlives uint64            `json:"keep_alives"` // passed on
	Late       uint64            `json:"late"`        // replies that nobody waited for
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
	Fuel        FuelStatus        `json:"fuel"`
	Failing     string            `json:"failing,omitempty"`
	Shadow      *ShadowStatus     `json:"shadow,omitempty"` // the new version that is tried
}

// FuelStatus is what those calls have burned that were looked at, an eighth of them
// or more, in the units of limits.fuel.
type FuelStatus struct {
	Calls uint64 `json:"calls"` // looked at
	Sum   uint64 `json:"sum"`
	Most  uint64 `json:"most"` // of one
}

// PoolStatus is a pool of what takes long to make, such as channels of the broker.
type PoolStatus struct {
	Name     string  `json:"name"`
	Max      int     `json:"max"`
	Lent     int     `json:"lent"`
	Idle     int     `json:"idle"`
	Waiting  int     `json:"waiting"` // borrowers in line
	Acquires uint64  `json:"acquires"`
	Waits    uint64  `json:"waits"`     // of those, how many had to wait
	WaitTime float64 `json:"wait_time"` // in sum
	Made     uint64  `json:"made"`
	Failures uint64  `json:"failures"` // to make one
	Discards uint64  `json:"discards"` // closed since they no longer worked
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
		Routes: []RouteStatus{}, Filters: []FilterStatus{}, Connections: []ConnectionStatus{}, Pools: []PoolStatus{},
		Reload: ReloadStatus{Successful: !a.reloads.failed.Load(), At: time.Unix(0, a.reloads.at.Load())},
	}
	s.Ready, s.Reasons = a.Ready()
	t, broker := a.table.Load(), a.broker.Load()
	if t == nil || broker == nil {
		return s
	}
	s.Embedded = broker.own != nil
	consuming := map[string]bool{}
	stat := broker.Stat()
	for _, c := range stat.Connections {
		s.Connections = append(s.Connections, ConnectionStatus{
			Purpose: c.Purpose, Host: c.Host, Connected: c.Connected, Blocked: c.Blocked, Consuming: c.Consuming,
			Reconnects: c.Reconnects, LastError: c.LastError,
		})
		if queue, ok := strings.CutPrefix(c.Purpose, "listen "); ok {
			consuming[queue] = consuming[queue] || c.Consuming
		}
	}
	p := stat.Channels
	s.Pools = append(s.Pools, PoolStatus{
		Name: "channels", Max: p.Max, Lent: p.Lent, Idle: p.Idle, Waiting: p.Waiting, Acquires: p.Acquires, Waits: p.Waits,
		WaitTime: p.WaitTime.Seconds(), Made: p.Made, Failures: p.MakeFailures, Discards: p.Discards,
	})
	calls := map[string]*CallStatus{}
	_, proxies := t.osloStats()
	for _, p := range proxies {
		calls[p.Route] = &CallStatus{p.Pending, p.Results, p.KeepAlives, p.Late}
	}
	for _, name := range slices.Sorted(maps.Keys(t.routes)) {
		r := t.routes[name].status(name, consuming)
		r.Calls = calls[name]
		s.Routes = append(s.Routes, r)
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
		Settled: map[string]uint64{}, Sent: sent(st.Sent[:]), Targets: []TargetStatus{}, DeadLetters: st.DeadLetters, Duration: histogram(st.Duration),
	}
	if at := r.gate.closed(); !at.IsZero() {
		s.Paused, s.PausedAt = true, &at
	}
	if failure := r.failure.Load(); failure != nil {
		s.Failure = *failure
	}
	for i, n := range st.Settled {
		s.Settled[router.VerdictNames[i]] = n
	}
	for _, t := range st.Targets {
		s.Targets = append(s.Targets, TargetStatus{t.Target, sent(t.Sent[:])})
	}
	return s
}

// sent names counts of sends by their result.
func sent(counts []uint64) map[string]uint64 {
	named := make(map[string]uint64, len(counts))
	for i, n := range counts {
		named[router.SentNames[i]] = n
	}
	return named
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
		s.Fuel.Calls += stage.Fuel.Calls
		s.Fuel.Sum += stage.Fuel.Sum
		s.Fuel.Most = max(s.Fuel.Most, stage.Fuel.Most)
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
