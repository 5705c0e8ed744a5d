package workbench

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/wasmrouter/router/internal/junit"
)

// TestOptions choose what Test does.
type TestOptions struct {
	Run    *regexp.Regexp // names of the cases to run; nil is all of them
	Update bool           // write what happened into the cases that miss
}

// CaseResult is what came of one case.
type CaseResult struct {
	Name    string        `json:"name"`
	File    string        `json:"file"`
	Passed  bool          `json:"passed"`
	Updated bool          `json:"updated,omitempty"`
	Diff    string        `json:"diff,omitempty"` // what differs
	Error   string        `json:"error,omitempty"`
	Took    time.Duration `json:"ns"`
}

// TestReport is the result of all cases of a filter.
type TestReport struct {
	Filter string       `json:"filter"`
	Passed int          `json:"passed"`
	Failed int          `json:"failed"`
	Cases  []CaseResult `json:"cases"`
}

// Test runs the golden cases of a subject. The error is of what keeps cases from
// being run at all; a case that misses is in the report.
func (w *Workbench) Test(ctx context.Context, s *Subject, o TestOptions) (*TestReport, error) {
	files, err := casesOf(s)
	if err != nil {
		return nil, err
	}
	r := &TestReport{Filter: s.Name, Cases: []CaseResult{}}
	for _, file := range files {
		if name := caseName(file); o.Run != nil && !o.Run.MatchString(name) {
			continue
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		c := w.testCase(ctx, s, file, o.Update)
		if c.Passed {
			r.Passed++
		} else {
			r.Failed++
		}
		r.Cases = append(r.Cases, c)
	}
	if len(r.Cases) == 0 {
		return nil, fmt.Errorf("no case has a name that matches %q; the cases lie in %s", o.Run, s.Dir)
	}
	return r, nil
}

func (w *Workbench) testCase(ctx context.Context, s *Subject, file string, update bool) CaseResult {
	r := CaseResult{Name: caseName(file), File: file}
	start := time.Now()
	fail := func(err error) CaseResult {
		r.Error, r.Took = err.Error(), time.Since(start)
		return r
	}
	c, err := ReadCase(file)
	if err != nil {
		return fail(err)
	}
	got, err := c.Run(ctx, w, s)
	if err != nil {
		return fail(err)
	}
	r.Diff = c.Mismatch(got)
	if r.Diff != "" && update {
		if r.Updated, err = c.Update(got); err != nil {
			return fail(err)
		}
	}
	r.Passed, r.Took = r.Diff == "" || r.Updated, time.Since(start)
	return r
}

// WriteText writes the cases that missed, with what they lack (-) and what they
// have too much (+), and the counts.
func (r *TestReport) WriteText(w io.Writer) error {
	for _, c := range r.Cases {
		switch {
		case c.Error != "":
			fmt.Fprintf(w, "FAIL %s: %s\n", c.Name, c.Error)
		case c.Updated:
			fmt.Fprintf(w, "updated %s\n%s", c.File, c.Diff)
		case !c.Passed:
			fmt.Fprintf(w, "FAIL %s (%s; - wanted, + got)\n%s", c.Name, c.File, c.Diff)
		}
	}
	_, err := fmt.Fprintf(w, "%d passed, %d failed\n", r.Passed, r.Failed)
	return err
}

// WriteJUnit writes the report as the XML that test collectors read.
func (r *TestReport) WriteJUnit(w io.Writer) error {
	suite := junit.Suite{Name: r.Filter}
	for _, c := range r.Cases {
		jc := junit.Case{Class: r.Filter, Name: c.Name, File: c.File, Took: c.Took}
		switch {
		case c.Error != "":
			jc.Failed, jc.Text = c.Error, c.Diff
		case !c.Passed:
			jc.Failed, jc.Text = "differs from what is wanted", c.Diff
		}
		suite.Cases = append(suite.Cases, jc)
	}
	return suite.Write(w)
}
