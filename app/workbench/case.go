package workbench

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/internal/textdiff"
	"github.com/wasmrouter/router/router"
)

// Case is one golden case: a configuration, and steps that one instance takes
// in turn. docs/FILTERS.md describes its file.
type Case struct {
	Name   string         // the file's, without .txtar
	File   string         // as it was opened
	Config map[string]any // nil is the subject's own
	Steps  []Step

	archive archive
}

// Step is one message and what must come of it.
type Step struct {
	Message Message
	Stages  []router.Stage
	Want    string

	section int // of the want, in the archive
}

// ReadCase reads a case from its file. Errors name the file.
func ReadCase(file string) (*Case, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, reason(err))
	}
	c := &Case{Name: caseName(file), File: file, archive: parseArchive(data)}
	if err := c.parse(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

func caseName(file string) string {
	return strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
}

func (c *Case) parse() error {
	var step Step
	open := false // sections of a step were read, its want was not
	for i, s := range c.archive.sections {
		if err := c.section(s, &step, i); err != nil {
			return err
		}
		open = s.name != "want" && s.name != "config"
	}
	switch {
	case len(c.Steps) == 0:
		return errors.New("it has no section want; add a line -- want -- and run `router filter test --update`")
	case open:
		return errors.New("the last step has no section want; add a line -- want -- and run `router filter test --update`")
	}
	return nil
}

// section reads one section. What a step leaves out is as in the step before.
func (c *Case) section(s section, step *Step, at int) error {
	text := strings.TrimSuffix(string(s.data), "\n")
	body := step.Message.body
	switch s.name {
	case "config":
		if len(c.Steps) > 0 || c.Config != nil {
			return errors.New("the section config comes once, before the first step")
		}
		var table map[string]any
		if err := decodeJSON(s.data, &table); err != nil {
			return fmt.Errorf("config: %w", err)
		}
		c.Config, _ = amqpValue(table).(map[string]any)
	case "message":
		m, err := ParseMessage(s.data)
		if err != nil {
			return fmt.Errorf("message: %w", err)
		}
		if m.body == nil {
			m.body = body
		}
		step.Message = m
	case "body":
		step.Message.body = []byte(text)
	case "body.hex":
		b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return fmt.Errorf("body.hex: %w", err)
		}
		step.Message.body = b
	case "body.go":
		b, err := strconv.Unquote(text)
		if err != nil {
			return fmt.Errorf("body.go is no Go string: %w", err)
		}
		step.Message.body = []byte(b)
	case "stage":
		stages, err := ParseStages(strings.Fields(text))
		if err != nil {
			return err
		}
		step.Stages = stages
	case "want":
		if len(step.Stages) == 0 {
			return errors.New("it has no section stage; name the stages to run, such as decide")
		}
		step.Want, step.section = string(s.data), at
		c.Steps = append(c.Steps, *step)
	default:
		return fmt.Errorf("unknown section %q; the sections are config, message, body, body.hex, body.go, stage and want", s.name)
	}
	return nil
}

// Run passes the case's messages through one instance of the filter and
// describes what came of each step. When the filter refuses its configuration
// every step is that.
func (c *Case) Run(ctx context.Context, w *Workbench, s *Subject) ([]string, error) {
	outs, err := c.outcomes(ctx, w, s)
	var got []string
	if refused, ok := errors.AsType[*refusedError](err); ok {
		for range c.Steps {
			got = append(got, "refused: "+refusal(refused.err)+"\n")
		}
		return got, nil
	}
	for i := range outs {
		got = append(got, outs[i].Describe())
	}
	return got, err
}

// refusedError is why a filter did not start.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// outcomes takes one instance through the steps. The error is a *refusedError if
// the filter does not start with the case's configuration.
func (c *Case) outcomes(ctx context.Context, w *Workbench, s *Subject) (outs []Outcome, err error) {
	l, err := w.load(ctx, s, c.Config, true)
	if err != nil {
		return nil, &refusedError{err}
	}
	defer func() { err = errors.Join(err, l.close(ctx)) }()
	for i := range c.Steps {
		step := &c.Steps[i]
		for _, stage := range step.Stages {
			if !l.filter.Stages().Has(stage) {
				return nil, fmt.Errorf("%s: the filter has no %s stage", c.File, stage)
			}
		}
		out, err := try(ctx, l.instance, step.Stages, &step.Message)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.File, err)
		}
		outs = append(outs, out)
	}
	return outs, nil
}

// Mismatch shows how what came of a case differs from what it wants; it is empty
// when all is as wanted.
func (c *Case) Mismatch(got []string) string {
	var b strings.Builder
	for i, step := range c.Steps {
		if matches(step.Want, got[i]) {
			continue
		}
		if len(c.Steps) > 1 {
			fmt.Fprintf(&b, "step %d:\n", i+1)
		}
		b.WriteString(textdiff.Lines(step.Want, got[i]))
	}
	return b.String()
}

// Update writes what came of the steps into the case's file, and reports whether
// that changed anything. What matches already stays as it is.
func (c *Case) Update(got []string) (bool, error) {
	changed := false
	for i := range c.Steps {
		step := &c.Steps[i]
		if matches(step.Want, got[i]) {
			continue
		}
		step.Want, changed = got[i], true
		c.archive.sections[step.section].data = []byte(got[i])
	}
	if !changed {
		return false, nil
	}
	if err := os.WriteFile(c.File, c.archive.format(), 0o644); err != nil {
		return false, fmt.Errorf("%s: %w", c.File, reason(err))
	}
	return true, nil
}

// refusal is the text that a filter gave for refusing its configuration.
func refusal(err error) string {
	s := strings.ReplaceAll(err.Error(), "\n", "; ")
	if i := strings.Index(s, "config: "); i >= 0 {
		return s[i:]
	}
	return s
}

var token = regexp.MustCompile(`<hex(\d{1,4})>`)

// matches compares; <hexN> in want stands for N hexadecimal digits, where a
// filter makes up random numbers.
func matches(want, got string) bool {
	if !strings.Contains(want, "<hex") {
		return want == got
	}
	pattern := token.ReplaceAllString(regexp.QuoteMeta(want), "[0-9a-f]{$1}")
	re, err := regexp.Compile("^" + pattern + "$")
	return err == nil && re.MatchString(got)
}

// casesOf lists the case files of a subject, sorted.
func casesOf(s *Subject) ([]string, error) {
	if s.Dir == "" {
		return nil, fmt.Errorf("%s has no cases: they lie in the directory cases beside a %s", s.File, config.FilterFileName)
	}
	files, err := filepath.Glob(filepath.Join(s.Dir, "cases", "*.txtar"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s has no cases: write %s", s.Dir, filepath.Join(s.Dir, "cases", "NAME.txtar"))
	}
	return files, err
}
