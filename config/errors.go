package config

import (
	"strconv"
	"strings"
)

// Error is one problem of a configuration file.
type Error struct {
	File    string // as given to Load
	Line    int    // from 1; 0 when the file could not be read at all
	Col     int    // from 1, in characters
	Key     string // the key in full, such as routes.orders.send[0]; may be empty
	Problem string // what is wrong
	Hint    string // what to do about it; may be empty
	Err     error  // the cause, for errors.Is; may be nil
}

// Error returns FILE:LINE:COL: KEY: PROBLEM; HINT.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		b.WriteString(":" + strconv.Itoa(e.Line) + ":" + strconv.Itoa(e.Col))
	}
	b.WriteString(": ")
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Problem)
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errors is every problem of a file, in the order of their positions. It is
// never empty when returned as an error.
type Errors []*Error

// Error returns one line for each problem.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems one by one.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i := range e {
		all[i] = e[i]
	}
	return all
}

// Warning is something that works but is likely not meant, or unsafe.
type Warning struct{ Error }

// String returns the warning in the form of an error.
func (w Warning) String() string { return w.Error.Error() }
