package wasmhost

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tetratelabs/wazero/sys"

	"github.com/wasmrouter/router/router"
)

// The classes of [router.FilterError].
const (
	ClassTrap     = "trap"     // unreachable, out of bounds, stack overflow, abort
	ClassDeadline = "deadline" // time or fuel used up
	ClassMemory   = "memory"   // no memory left, or a message too big for the filter
	ClassExit     = "exit"     // the module called proc_exit
	ClassInvalid  = "invalid"  // what it handed back breaks the ABI
	ClassError    = "error"    // the filter reported an error
	ClassHost     = "host"     // a defect of this package
)

// classes lists all of them; counters are kept by index.
var classes = [...]string{ClassTrap, ClassDeadline, ClassMemory, ClassExit, ClassInvalid, ClassError, ClassHost}

func classIndex(class string) int {
	for i, c := range classes {
		if c == class {
			return i
		}
	}
	return len(classes) - 1
}

// What callers may test errors of [Host.Load] for.
var (
	// ErrPin: the module is not the one that sha256 names.
	ErrPin = errors.New("sha256 differs")
	// ErrModule: the module is malformed, breaks a structural bound or does not
	// speak the ABI.
	ErrModule = errors.New("unusable module")
	// ErrGrant: the module imports a function without the grant for it.
	ErrGrant = errors.New("missing grant")
	// ErrClosed: the host or the filter was closed.
	ErrClosed = errors.New("closed")
)

// failure is why one call failed, before filter and stage are known.
type failure struct {
	class     string
	retryable bool
	harmless  bool // the guest was not even called, or did as it should
	err       error
}

func (f *failure) Error() string { return f.class + ": " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// poisons reports whether the instance must not be called again.
func (f *failure) poisons() bool { return f.class != ClassError && !f.harmless }

func invalidf(format string, args ...any) *failure {
	return &failure{class: ClassInvalid, err: fmt.Errorf(format, args...)}
}

// What host functions panic with to end a call; wazero hands it back wrapped.
var (
	errTime = errors.New("time limit exceeded")
	errFuel = errors.New("fuel used up")
)

type exitError struct{ code uint32 }

func (e *exitError) Error() string { return fmt.Sprintf("the module exited with code %d", e.code) }

// guestFault is a fault of the guest that a host function noticed.
type guestFault struct {
	class string
	text  string
}

func (e *guestFault) Error() string { return e.text }

// classify turns the error of a guest call into a failure. memoryFull says that
// the instance's memory had reached its limit.
func classify(err error, memoryFull bool) *failure {
	var exit *exitError
	var wazeroExit *sys.ExitError
	var fault *guestFault
	switch {
	case errors.Is(err, errTime):
		return &failure{class: ClassDeadline, err: withFrame(errTime, err)}
	case errors.Is(err, errFuel):
		return &failure{class: ClassDeadline, err: withFrame(errFuel, err)}
	case errors.As(err, &exit):
		return &failure{class: ClassExit, err: withFrame(exit, err)}
	case errors.As(err, &wazeroExit):
		return &failure{class: ClassExit, err: wazeroExit}
	case errors.As(err, &fault):
		return &failure{class: fault.class, err: withFrame(fault, err)}
	}
	// The first line is wazero's, those below name the guest's functions.
	first, _, _ := strings.Cut(err.Error(), "\n")
	if strings.HasSuffix(first, "(recovered by wazero)") {
		return &failure{class: ClassHost, err: err}
	}
	first = strings.TrimPrefix(first, "wasm error: ")
	short := withFrame(errors.New(cutText(first, maxReason)), err)
	if memoryFull {
		return &failure{class: ClassMemory, err: fmt.Errorf("memory limit reached: %w", short)}
	}
	return &failure{class: ClassTrap, err: short}
}

// withFrame adds the first frame of wazero's stack trace to cause.
func withFrame(cause, err error) error {
	_, trace, ok := strings.Cut(err.Error(), "wasm stack trace:\n\t")
	if !ok {
		return cause
	}
	for frame := range strings.Lines(trace) {
		frame = strings.TrimSpace(frame)
		// The metering import is our own, the guest's function comes next.
		if strings.HasPrefix(frame, "router_rt.") {
			continue
		}
		return fmt.Errorf("%w in %s", cause, cutText(strings.TrimPrefix(frame, "."), 128))
	}
	return cause
}

// filterError completes a failure.
func filterError(filter string, stage router.Stage, f *failure) error {
	return &router.FilterError{Filter: filter, Stage: stage, Class: f.class, Retryable: f.retryable, Err: f.err}
}

// cutText makes guest text fit for errors and logs: valid UTF-8 without control
// characters, at most n bytes, and three dots if something is missing. N must
// be at least 3.
func cutText(s string, n int) string {
	if len(s) <= n && printable(s) {
		return s
	}
	b := make([]byte, 0, min(n, 4*len(s)))
	fits := 0 // how much of b leaves room for the dots
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = fmt.Appendf(b, `\x%02x`, s[i])
		case unprintable(r) && r < 0x100:
			b = fmt.Appendf(b, `\x%02x`, r)
		case unprintable(r):
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = utf8.AppendRune(b, r)
		}
		if len(b) > n {
			return string(b[:fits]) + "..."
		}
		if len(b) <= n-3 {
			fits = len(b)
		}
		i += size
	}
	return string(b)
}

func printable(s string) bool {
	for i := range len(s) { // the common case, quickly
		if s[i] < 0x20 || s[i] >= 0x7f {
			for _, r := range s {
				if unprintable(r) || r == utf8.RuneError {
					return false
				}
			}
			return true
		}
	}
	return true
}

// unprintable: control characters, and what reorders or breaks lines.
func unprintable(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 ||
		r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}
