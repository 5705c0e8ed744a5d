package wasmhost

import (
	"fmt"
	"log/slog"
	"time"
)

// Config is what a [Host] needs.
type Config struct {
	// CacheDir holds compiled modules between runs; a subdirectory for this
	// version is made in it with mode 0700. Its content is machine code: a
	// directory that others may write is refused. Empty means no disk cache.
	CacheDir string

	// CompileTimeout bounds how long one module may take to compile; 0 is a
	// minute.
	CompileTimeout time.Duration

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
	Memory     int64         // bytes of linear memory, rounded down to 64 KiB; at most 2 GiB - 64 KiB (16 MiB)
	Output     int64         // bytes that one call may hand back (4 MiB)
	ModuleSize int64         // bytes of the module (16 MiB)
	LogLines   int           // of one call, 1 KiB each (10)
	Targets    int           // of one message (16)
	Emit       int           // messages that one call may make (16)

	// Of the cache that the filter has with the grant kv.
	KVSize int64         // bytes of its entries, 128 for each among them (1 MiB)
	KVTTL  time.Duration // the longest that an entry lives (1 h)
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
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	if l.Time == 0 {
		l.Time = 50 * time.Millisecond
	}
	if l.StartTime == 0 {
		l.StartTime = 2 * time.Second
	}
	def(&l.Fuel, 1e9)
	def(&l.Memory, 16<<20)
	def(&l.Output, 4<<20)
	def(&l.ModuleSize, 16<<20)
	if l.LogLines == 0 {
		l.LogLines = 10
	}
	if l.Targets == 0 {
		l.Targets = 16
	}
	if l.Emit == 0 {
		l.Emit = 16
	}
	def(&l.KVSize, 1<<20)
	if l.KVTTL == 0 {
		l.KVTTL = time.Hour
	}
	return l
}

// validate reports the first limit that is out of bounds. It is meant for
// limits that have their defaults.
func (l Limits) validate() error {
	for _, b := range []struct {
		name       string
		value      int64
		low, high  int64
		because    string
		isDuration bool
	}{
		{"time", int64(l.Time), int64(time.Millisecond), int64(time.Minute), "a filter's lane waits for it", true},
		{"start_time", int64(l.StartTime), int64(time.Millisecond), int64(time.Minute), "a failed instance's lane may wait for the next", true},
		{"fuel", l.Fuel, 1000, 1 << 62, "a call needs some", false},
		{"memory", l.Memory, pageSize, maxMemory, "memory comes in pages of 64 KiB and addresses have 31 bits", false},
		{"output", l.Output, 64, maxMemory, "it is copied out of the filter's memory", false},
		{"module_size", l.ModuleSize, 8, 256 << 20, "it is compiled in memory", false},
		{"log_lines", int64(l.LogLines), 1, 1000, "a filter must not flood the log", false},
		{"targets", int64(l.Targets), 1, 1024, "each target is a message to send", false},
		{"emit", int64(l.Emit), 1, 1024, "each is a message to send", false},
		{"kv_size", l.KVSize, 4 << 10, 1 << 30, "it is the router's memory, and the smallest entries must fit", false},
		{"kv_ttl", int64(l.KVTTL), int64(time.Millisecond), int64(720 * time.Hour), "it is a cache, which ends with the process", true},
	} {
		if b.value >= b.low && b.value <= b.high {
			continue
		}
		if b.isDuration {
			return fmt.Errorf("limits.%s = %s: must be between %s and %s, because %s", b.name, time.Duration(b.value), time.Duration(b.low), time.Duration(b.high), b.because)
		}
		return fmt.Errorf("limits.%s = %d: must be between %d and %d, because %s", b.name, b.value, b.low, b.high, b.because)
	}
	return nil
}
