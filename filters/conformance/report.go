package conformance

import (
	"fmt"
	"strings"
)

// Verdict is how a check went.
type Verdict uint8

// The verdicts.
const (
	Pass Verdict = iota
	Fail
	Skip
)

func (v Verdict) String() string { return [...]string{"pass", "FAIL", "skip"}[v] }

// Finding is one check and how it went.
type Finding struct {
	ID      string // as "frame.flags", the same for ever
	Proves  string // what is true when it passes
	Verdict Verdict
	Detail  string // of Fail what is wrong and how to mend it, of Skip why; one line
}

func (f Finding) String() string {
	s := fmt.Sprintf("%s  %-22s %s", f.Verdict, f.ID, f.Proves)
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	return s
}

// Report is what a run of the kit found, in the order of the checks.
type Report []Finding

// Failed returns the findings that failed.
func (r Report) Failed() []Finding {
	var failed []Finding
	for _, f := range r {
		if f.Verdict == Fail {
			failed = append(failed, f)
		}
	}
	return failed
}

// String returns the report, a finding a line.
func (r Report) String() string {
	var b strings.Builder
	for _, f := range r {
		b.WriteString(f.String())
		b.WriteByte('\n')
	}
	return b.String()
}
