package conformance

import (
	"context"
	"fmt"
)

// Engine runs modules for [Check] and [CheckCommands]: a WebAssembly runtime with
// the imports of docs/ABI.md section 4, and nothing of the buffer and frame
// protocol, which the kit speaks itself.
type Engine interface {
	// Load compiles a module. The options hold for all its instances. The
	// caller closes the program.
	Load(ctx context.Context, module []byte, o Options) (Program, error)
}

// Options say how a module is run.
type Options struct {
	Name string // the filter's name

	// Grants. The key-value cache belongs to the program.
	Metrics, KV, Clock, Random bool

	// Memory is the limit of an instance in bytes; 0 is the engine's default.
	Memory int64

	// Log, if set, gets every line that an instance logs, of all levels,
	// before the call that logs it returns.
	Log func(level int, text string)
}

// Program is a compiled module.
type Program interface {
	// Start makes an instance and runs the module's start function, but none of
	// its exports. The caller closes the instance.
	Start(ctx context.Context) (Instance, error)
	// Close frees the program, once its instances are closed.
	Close() error
}

// Meter is a program that can tell the metrics of its instances: counters and
// gauges by their value, histograms by the sum of what was observed.
type Meter interface {
	Metrics() map[string]float64
}

// Instance is one instance of a module. One goroutine uses it.
type Instance interface {
	// Call calls an exported function of the type i32… -> () or one result,
	// within the limits of the ABI's section 5. The message is what header_get,
	// body_read, time_ns and random are about; nil during start-up. An error is
	// a trap or an exceeded limit, and the end of the instance; use a [Failure]
	// to say which.
	Call(ctx context.Context, m *Message, export string, args ...uint32) (uint64, error)
	// Memory returns the linear memory, all of it, to be read and written until
	// the next call.
	Memory() []byte
	// Close frees the instance without calling it.
	Close() error
}

// Host runs filters for [CheckHost], from the message to what became of it.
type Host interface {
	// Load loads a filter and starts it up to and including router_needs, with
	// a configuration: strings, int64, float64, bool, []any and
	// map[string]any. Logs and limits are as the options say. The error of a
	// filter that does not start is or wraps a [Failure] if it has a class.
	Load(ctx context.Context, module []byte, config map[string]any, o Options) (Filter, error)
}

// Filter is a loaded filter in one lane. One goroutine uses it.
type Filter interface {
	// Run takes a message through one stage. In pack and encode the message's
	// target is that of its slot 13. It returns what became of the message, and
	// when the filter failed a [Failure]; the outcome then shows what was
	// changed nevertheless, which should be nothing.
	Run(ctx context.Context, stage Stage, m *Message) (Outcome, error)
	// Close calls router_close and frees the filter.
	Close() error
}

// The classes of section 5.
const (
	ClassError    = "error"
	ClassInvalid  = "invalid"
	ClassTrap     = "trap"
	ClassDeadline = "deadline"
	ClassMemory   = "memory"
	ClassExit     = "exit"
)

// Failure is why a call failed.
type Failure struct {
	Class     string
	Text      string
	Retryable bool
}

func (f *Failure) Error() string { return f.Class + ": " + f.Text }

// Stage is a stage as frames number it.
type Stage uint8

// The stages. Config is the number in a configuration frame.
const (
	Decode Stage = iota
	Unpack
	Decide
	Pack
	Encode
	Config Stage = 255
)

var stageNames = [...]string{"decode", "unpack", "decide", "pack", "encode"}

func (s Stage) String() string {
	switch {
	case int(s) < len(stageNames):
		return stageNames[s]
	case s == Config:
		return "init"
	}
	return fmt.Sprintf("stage %d", uint8(s))
}

// Export returns the name of the function that a module exports to take part
// in the stage.
func (s Stage) Export() string { return "router_" + s.String() }
