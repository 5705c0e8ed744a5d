package meter

import (
	"errors"
	"fmt"
	"strings"
)

// What an [Error] is about; test with errors.Is.
var (
	// ErrMalformed says that the bytes are not a WebAssembly module.
	ErrMalformed = errors.New("malformed module")
	// ErrLimit says that the module is larger or more complex than Limits allow.
	ErrLimit = errors.New("module over a limit")
	// ErrUnsupported says that the module uses a feature that is not accepted.
	ErrUnsupported = errors.New("unsupported feature")
	// ErrReserved says that the module uses a name that belongs to the host.
	ErrReserved = errors.New("reserved name")
)

// Error says why a module was refused. It unwraps to one of ErrMalformed,
// ErrLimit, ErrUnsupported and ErrReserved.
type Error struct {
	Reason error  // one of the sentinels of this package
	Offset int    // where in the module, in bytes from its start
	Where  string // section and function, empty for the module as a whole
	What   string // the construct, with its size and the limit where there is one
	Advice string // what to do about it, may be empty
}

// Error puts the parts on one line.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "offset %#x: ", e.Offset)
	if e.Where != "" {
		b.WriteString(e.Where)
		b.WriteString(": ")
	}
	b.WriteString(e.What)
	if e.Advice != "" {
		b.WriteString("; ")
		b.WriteString(e.Advice)
	}
	return b.String()
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Reason }

// bailout carries an Error from the depth of a decoder to Instrument. Decoders
// panic with it and nothing else, which keeps their loops free of error checks.
type bailout struct{ err *Error }

func malformed(offset int, format string, args ...any) {
	panic(bailout{&Error{Reason: ErrMalformed, Offset: offset, What: fmt.Sprintf(format, args...)}})
}

func unsupported(offset int, what, advice string) {
	panic(bailout{&Error{Reason: ErrUnsupported, Offset: offset, What: what, Advice: advice}})
}

func reserved(offset int, what string) {
	panic(bailout{&Error{Reason: ErrReserved, Offset: offset, What: what, Advice: "choose another name"}})
}

// overLimit reports a count or size above the limit called name.
func overLimit(offset int, what string, have uint64, limit int, name, advice string) {
	if advice != "" {
		advice += " or "
	}
	panic(bailout{&Error{
		Reason: ErrLimit, Offset: offset,
		What:   fmt.Sprintf("%d %s, at most %d allowed", have, what, limit),
		Advice: advice + "raise the limit " + name,
	}})
}
