package wasmhost

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"
)

// Config is what a [Host] needs.
type Config struct {
	// Compiler is the command that compiles modules in a process of its own, as
	// [compile.Self] returns it. Without one they are compiled in this process:
	// nothing then bounds the memory that it takes, one that takes too long goes
	// on in the background, and nothing is kept for the next start. That is for
	// tests and trusted modules.
	Compiler []string

	// CacheDir holds what Compiler made between runs; a subdirectory for this
	// version is made in it with mode 0700. Its content is machine code: a
	// directory that others may write is refused. Empty is a temporary
	// directory, which Close removes.
	CacheDir string

	// CacheSize is how many bytes to keep in CacheDir; 0 is
	// [compile.DefaultSize].
	CacheSize int64

	Logger *slog.Logger // nil discards
}

// FilterConfig is one filter as configured.
type FilterConfig struct {
	Name   string
	Module []byte // not changed; not kept after Load
	SHA256 string // hexadecimal; empty is no pin

	// Stages restricts the filter to some of the stages it exports; empty
	// means all of them.
	Stages []string

	Config map[string]any // handed to router_init
	Limits Limits
	Grants Grants

	logger *slog.Logger // instead of the host's
}

// Limits bound what a filter may use. Zero fields take the default in
// parentheses.
type Limits struct {
	Time       time.Duration // of one call, without the time others ran (50 ms)
	StartTime  time.Duration // to start one instance (2 s)
	Fuel       int64         // loop iterations and function entries of one call (1e9)
	StartFuel  int64         // the same to start one instance (1e10)
	Memory     int64         // bytes of linear memory, rounded down to 64 KiB; at most 2 GiB - 64 KiB (16 MiB)
	Table      int           // elements of all tables at the start, and that each may grow to (65,536)
	Stack      int64         // bytes of machine stack of one call, as seen when it yields (16 MiB)
	Output     int64         // bytes that one call may hand back (4 MiB)
	ModuleSize int64         // bytes of the module (16 MiB)

	CompileTime   time.Duration // to compile it (30 s)
	CompileMemory int64         // bytes to compile it, which bind only a process of its own (512 MiB)

	LogLines int // of one call, 1 KiB each (10)
	LogRate  int // lines per second of all instances, four times as many in a burst (50)
	Targets  int // of one message (16)
	Emit     int // messages that one call may make (16)

	// Of the cache that the filter has with the grant kv.
	KVSize int64         // bytes of its entries, 128 for each among them (1 MiB)
	KVTTL  time.Duration // the longest that an entry lives (1 h)

	// Instances is how many there may be at once, in all lanes, the spare
	// included (128).
	Instances int
	// Recycle is the share of Memory, in percent, past which an instance that
	// has grown since its start is replaced between two messages; 100 is never
	// (75).
	Recycle int
	// RestartBackoff is how long a filter that keeps failing rests before it is
	// started again (100 ms). It doubles with each further failure, up to
	// MaxBackoff (30 s).
	RestartBackoff, MaxBackoff time.Duration
}

// Grants are the authorities a filter gets beyond its message.
type Grants struct {
	Clock   bool // the real time
	Random  bool // the system's random source
	Metrics bool // metrics of its own
	KV      bool // a cache that its instances share
}

const (
	pageSize  = 64 << 10
	maxMemory = 2<<30 - pageSize // keeps address<<32|length positive
)

// withDefaults returns the limits with every zero field replaced.
func (l Limits) withDefaults() Limits {
	def(&l.Time, 50*time.Millisecond)
	def(&l.StartTime, 2*time.Second)
	def(&l.Fuel, 1e9)
	def(&l.StartFuel, 1e10)
	def(&l.Memory, 16<<20)
	def(&l.Table, 65_536)
	def(&l.Stack, 16<<20)
	def(&l.Output, 4<<20)
	def(&l.ModuleSize, 16<<20)
	def(&l.CompileTime, 30*time.Second)
	def(&l.CompileMemory, 512<<20)
	def(&l.LogLines, 10)
	def(&l.LogRate, 50)
	def(&l.Targets, 16)
	def(&l.Emit, 16)
	def(&l.KVSize, 1<<20)
	def(&l.KVTTL, time.Hour)
	def(&l.Instances, 128)
	def(&l.Recycle, 75)
	def(&l.RestartBackoff, 100*time.Millisecond)
	def(&l.MaxBackoff, max(30*time.Second, l.RestartBackoff))
	return l
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// validate reports the first limit that is out of bounds. It is meant for
// limits that have their defaults.
func (l Limits) validate() error {
	return cmp.Or(
		within("time", l.Time, time.Millisecond, time.Minute, "a filter's lane waits for it"),
		within("start_time", l.StartTime, time.Millisecond, time.Minute, "a failed instance's lane may wait for the next"),
		within("fuel", l.Fuel, 1000, 1<<62, "a call needs some"),
		within("start_fuel", l.StartFuel, 1000, 1<<62, "starting needs some"),
		within("memory", l.Memory, pageSize, maxMemory, "memory comes in pages of 64 KiB and addresses have 31 bits"),
		within("table", l.Table, 1, 10_000_000, "each element takes 8 bytes"),
		within("stack", l.Stack, 64<<10, 48<<20, "the runtime's own bound is not far above"),
		within("output", l.Output, 64, maxMemory, "it is copied out of the filter's memory"),
		within("module_size", l.ModuleSize, 8, 256<<20, "it is compiled in memory"),
		within("compile_time", l.CompileTime, 100*time.Millisecond, 10*time.Minute, "the router neither starts nor reloads meanwhile"),
		within("compile_memory", l.CompileMemory, 32<<20, 64<<30, "small modules take that much, and machines have no more"),
		within("log_lines", l.LogLines, 1, 1000, "a filter must not flood the log"),
		within("log_rate", l.LogRate, 1, 10_000, "a filter must not flood the log"),
		within("targets", l.Targets, 1, 1024, "each target is a message to send"),
		within("emit", l.Emit, 1, 1024, "each is a message to send"),
		within("kv_size", l.KVSize, 4<<10, 1<<30, "it is the router's memory, and the smallest entries must fit"),
		within("kv_ttl", l.KVTTL, time.Millisecond, 720*time.Hour, "it is a cache, which ends with the process"),
		within("instances", l.Instances, 2, 65_536, "a lane takes one, and one is kept to replace it"),
		within("recycle", l.Recycle, 10, 100, "it is the percentage of memory past which an instance is replaced"),
		within("restart_backoff", l.RestartBackoff, time.Millisecond, time.Minute, "it is the first of several rests, each twice as long"),
		within("max_backoff", l.MaxBackoff, l.RestartBackoff, time.Hour, "no rest is shorter than restart_backoff, and a mended filter waits for its end"),
	)
}

func within[T int | int64 | time.Duration](name string, v, low, high T, because string) error {
	if v >= low && v <= high {
		return nil
	}
	return fmt.Errorf("limits.%s = %v: must be between %v and %v, because %s", name, v, low, high, because)
}
