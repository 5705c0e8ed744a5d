package telemetry

import (
	"time"

	"github.com/wasmrouter/router/pool"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/telemetry/tracing"
)

// Source gives the state that metrics are made of.
type Source interface {
	// Snapshot is called for every scrape, also concurrently, and should not
	// wait for anything. What it returns is not changed.
	Snapshot() Snapshot
}

// Snapshot is the process at one moment. Counters never fall while the process
// lives. Names are unique within their list; of two equal ones the first
// counts.
type Snapshot struct {
	Routes       []RouteStat
	ErrorReplies []ErrorReplyStat
	Proxies      []ProxyStat
	Filters      []FilterStat
	Shadows      []ShadowStat
	Connections  []ConnStat
	Pools        []PoolStat
	Services     []ServiceStat

	// What is nil is not there.
	Ready    *bool // as /readyz says
	Traffic  *TrafficStat
	Embedded *EmbeddedStat
	Traces   *TraceStat
	Logs     *LogStat
	Config   *ConfigStat
}

// RouteStat is one route.
type RouteStat struct {
	Name   string
	Paused bool // by an operator
	router.RouteStat
	Exemplars []tracing.Exemplar // of Duration
}

// ErrorReplyStat is the failures that the router itself answers the calls of one
// route with.
type ErrorReplyStat struct {
	Route   string
	Results map[string]uint64 // by what became of them
}

// ProxyStat is the calls that one route makes in its own name.
type ProxyStat struct {
	Route      string
	Pending    int
	Results    map[string]uint64 // of calls that have ended, by how
	KeepAlives uint64            // passed on
	Late       uint64            // replies that no call waited for, dropped
}

// FilterStat is one filter, over all its instances.
type FilterStat struct {
	Name  string
	Hooks []HookStat

	Lent        int               // instances that lanes hold
	Idle        int               // spare instances
	Created     uint64            // instances ever made
	Restarts    uint64            // of those, given to a lane that had lost one
	Discarded   map[string]uint64 // of those, lost to a failure, by its class
	Recycled    map[string]uint64 // of those, replaced before they failed, by why
	Unstarted   map[string]uint64 // instances that could not be started, by class
	MemoryBytes int64             // linear memory of the lent ones
	LogsDropped uint64            // log lines over a limit

	Failing bool          // it keeps failing
	Backoff time.Duration // how long it rests before a start while it does

	KV *KVStat // nil for filters without the grant kv

	User []UserMetric
}

// ShadowStat is the trial of a filter's new version, which is a filter of its own
// besides.
type ShadowStat struct {
	Filter      string
	State       string // one of [ShadowStates]
	Compared    uint64 // messages that both versions have had
	Differences uint64 // messages that they treat differently
	Served      uint64 // messages that the new version was to decide
	Failures    uint64 // calls in which it failed
	Shed        uint64 // messages not compared, for want of room or time
}

// ShadowStates are all states of a trial.
var ShadowStates = []string{"rolled-back", "shadow", "canary", "promoted"}

// KVStat is the cache that the instances of a filter share.
type KVStat struct {
	Entries   int
	Bytes     int64  // as they count against the filter's limit
	Hits      uint64 // look-ups that found an entry
	Misses    uint64 // and that found none
	Evictions uint64 // living entries that made room for others
}

// HookStat is one stage of a filter.
type HookStat struct {
	Hook     string // the stage's name
	Calls    uint64
	Fuel     FuelStat
	Failures map[string]uint64 // by class of [router.FilterError]
	Duration router.HistogramStat
}

// FuelStat is what calls have burned that were looked at, in the units of the limit
// fuel.
type FuelStat struct {
	Calls uint64 // those that were looked at
	Sum   uint64 // of all of them
	Most  uint64 // of one
}

// UserKind is the kind of a metric that a filter defines.
type UserKind uint8

// The kinds, numbered as in the filter ABI.
const (
	UserCounter   UserKind = iota
	UserGauge              // may rise and fall
	UserHistogram          // of seconds
)

// UserMetric is a metric that a filter defines.
type UserMetric struct {
	Name      string
	Label     string // empty is none
	Kind      UserKind
	Value     float64              // of UserCounter and UserGauge
	Histogram router.HistogramStat // of UserHistogram
}

// ConnStat is what became of one purpose's connection to the broker.
type ConnStat struct {
	Purpose     string // "send", or "listen" and the queue, or what that is for if its name is another each time
	Connected   bool
	Blocked     bool          // by the broker, now
	BlockedFor  time.Duration // in total
	Reconnects  uint64
	Undecodable uint64 // losses because a message could not be decoded
	Quarantine  bool   // messages are taken one at a time because of them
	Connects    uint64
	Listens     bool      // it is a listener's
	Consuming   bool      // and its consumer is registered
	Lacks       bool      // something of the topology could not be declared
	LastLoss    time.Time // zero is never
}

// PoolStat is one pool.
type PoolStat struct {
	Name string
	pool.Stat
}

// ConfigStat is what became of the last reload; the first load counts as one.
type ConfigStat struct {
	Successful  bool
	LastSuccess time.Time
}

// Build says what was built and with what.
type Build struct {
	Version   string
	Revision  string
	GoVersion string
}
