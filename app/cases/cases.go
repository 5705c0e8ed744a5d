// Package cases runs the cases of `router test`: messages, and what the routes of
// a configuration must make of them. docs/TESTING.md describes their files.
package cases

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/wasmrouter/router/app/offline"
	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/config"
)

// Options say what to run.
type Options struct {
	Config string         // the configuration's file
	Files  []string       // with cases; none are those beside the configuration
	Run    *regexp.Regexp // names of the cases to run; nil is all of them
	Logger *slog.Logger   // gets what filters log; nil discards
}

// Report is what came of all cases.
type Report struct {
	Config string   `json:"config"`
	Passed int      `json:"passed"`
	Failed int      `json:"failed"`
	Cases  []Result `json:"cases"`
}

// Result is what came of one case.
type Result struct {
	Name   string        `json:"name"`
	File   string        `json:"file"`
	Line   int           `json:"line"`
	Route  string        `json:"route,omitempty"`
	Passed bool          `json:"passed"`
	Misses []Miss        `json:"misses,omitempty"`
	Got    string        `json:"got,omitempty"` // what became of the message, in words; of a case that missed
	Error  string        `json:"error,omitempty"`
	Took   time.Duration `json:"ns"`
}

// Run runs all cases that were asked for. The error is of what keeps cases from
// being run at all; a case that misses is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	files, err := load(o)
	if err != nil {
		return nil, err
	}
	r := &Report{Config: o.Config, Cases: []Result{}}
	for _, f := range files {
		for i := range f.Cases {
			c := &f.Cases[i]
			if o.Run != nil && !o.Run.MatchString(c.Name) {
				continue
			}
			result, err := runCase(ctx, o, f, i)
			if err != nil {
				return nil, err
			}
			if result.Passed {
				r.Passed++
			} else {
				r.Failed++
			}
			r.Cases = append(r.Cases, result)
		}
	}
	if len(r.Cases) == 0 {
		return nil, fmt.Errorf("no case has a name that matches %q", o.Run)
	}
	return r, nil
}

// load reads all files, so that what is wrong with one is known before a case of
// another runs.
func load(o Options) ([]*config.CaseFile, error) {
	paths := o.Files
	if len(paths) == 0 {
		found, err := filepath.Glob(filepath.Join(quoteGlob(filepath.Dir(o.Config)), "*"+config.CasesSuffix))
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			name := strings.TrimSuffix(o.Config, ".toml") + config.CasesSuffix
			return nil, fmt.Errorf("there are no cases: write %s, or name files with cases; docs/TESTING.md shows how", name)
		}
		paths = found
	}
	var files []*config.CaseFile
	var errs []error
	for _, path := range paths {
		f, err := config.LoadCases(path)
		errs = append(errs, err)
		files = append(files, f)
	}
	return files, errors.Join(errs...)
}

var globbing = regexp.MustCompile(`[*?\[\\]`)

// quoteGlob makes a pattern that matches path alone.
func quoteGlob(path string) string { return globbing.ReplaceAllString(path, `\$0`) }

// runCase runs one case with filters of its own, so that no case depends on another.
// The error is of the configuration, or the end of ctx.
func runCase(ctx context.Context, o Options, f *config.CaseFile, nth int) (result Result, err error) {
	c := &f.Cases[nth]
	at := f.Errorf(nth, nil, "", "here")
	result = Result{Name: c.Name, File: f.File(), Line: at.Line}
	r, _, err := offline.Open(ctx, o.Config, offline.Options{Logger: o.Logger})
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, r.Close(context.WithoutCancel(ctx))) }()
	start := time.Now()
	err = result.run(ctx, r, f, nth)
	result.Took = time.Since(start)
	if ctx.Err() != nil {
		return result, context.Cause(ctx)
	}
	if err != nil {
		result.Error = err.Error()
	}
	result.Passed = err == nil && len(result.Misses) == 0
	return result, nil
}

// run takes the case's messages through its route.
func (r *Result) run(ctx context.Context, routes *offline.Router, f *config.CaseFile, nth int) error {
	c := &f.Cases[nth]
	r.Route = c.When.Route
	names := routes.Routes()
	switch {
	case r.Route == "" && len(names) == 1:
		r.Route = names[0]
	case r.Route == "":
		return f.Errorf(nth, []string{"when", "route"}, "", "name one of the routes %s", strings.Join(names, ", "))
	case !slices.Contains(names, r.Route):
		return f.Errorf(nth, []string{"when", "route"}, "", "%w", routes.NoRoute(r.Route))
	}
	for i := range c.Before {
		env, err := envelope(&c.Before[i])
		if err != nil {
			return f.Errorf(nth, []string{"before", fmt.Sprint(i)}, "", "%w", err)
		}
		if _, err := routes.Run(ctx, r.Route, env); err != nil {
			return err
		}
	}
	env, err := envelope(&c.Given)
	if err != nil {
		return f.Errorf(nth, []string{"given"}, "", "%w", err)
	}
	got, err := routes.Run(ctx, r.Route, env)
	if err != nil {
		return err
	}
	sent, err := views(routes.Config().Routes[r.Route], got.Decision.Sent)
	if err != nil {
		return err
	}
	w := &want{file: f, nth: nth}
	w.expect(&c.Expect, &got.Decision, sent)
	if w.err != nil {
		return w.err
	}
	if r.Misses = w.misses; len(r.Misses) > 0 {
		r.Got = describe(&got.Decision)
	}
	return nil
}

// describe says in words what became of a message.
func describe(d *record.Decision) string {
	var b strings.Builder
	b.WriteString(d.Action)
	if len(d.Sent) > 0 {
		var to []string
		for _, s := range d.Sent {
			to = append(to, s.Target.String())
		}
		b.WriteString(" to " + strings.Join(to, ", "))
	}
	if d.Reason != "" {
		b.WriteString(", " + d.Reason)
	}
	if d.Filter != "" {
		b.WriteString(", by filter " + d.Filter + " in " + d.Stage)
	}
	if d.Error != "" {
		fmt.Fprintf(&b, ": %s", strings.ReplaceAll(d.Error, "\n", "; "))
	}
	return b.String()
}
