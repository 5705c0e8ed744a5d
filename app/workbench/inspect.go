package workbench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/filters"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
)

// Inspection is what a module is, reads, writes and wants.
type Inspection struct {
	Filter  string `json:"filter"`
	File    string `json:"file"`
	SHA256  string `json:"sha256"`
	Bytes   int    `json:"bytes"`
	Code    int    `json:"code_bytes"`
	Data    int    `json:"data_bytes"`
	Problem string `json:"problem,omitempty"` // why it cannot be used as it is

	Stages []string `json:"stages"`
	Reads  string   `json:"reads"`
	Writes []string `json:"writes"` // what it changed in its cases
	Cases  int      `json:"cases"`  // how many there were

	Imports []string `json:"imports"`
	Wants   []string `json:"grants_wanted"` // by its imports
	Given   []string `json:"grants_given"`

	Functions     int      `json:"functions"`
	Globals       int      `json:"globals"`
	MemoryMin     int64    `json:"memory_min"`
	MemoryMax     int64    `json:"memory_max"`
	Tables        int      `json:"tables"`
	TableElements int      `json:"table_elements"`
	Start         bool     `json:"start_function"`
	Features      []string `json:"features"`
	Producers     []string `json:"producers"`

	Schema json.RawMessage `json:"config_schema,omitempty"` // of a stock filter
}

// Inspect looks at a module, starts it to learn what it reads, and runs its
// cases, if it has some, to learn what it writes. A filter that does not start
// is described as far as it goes. The error is of what is no module at all.
func (w *Workbench) Inspect(ctx context.Context, s *Subject) (*Inspection, error) {
	fc := app.FilterConfig(s.Name, s.Filter, s.Module)
	a, err := wasmhost.Dissect(s.Module, fc.Limits)
	if err != nil && a.CodeSize == 0 {
		return nil, s.refused(err)
	}
	r := &Inspection{
		Filter: s.Name, File: s.File, SHA256: a.SHA256, Bytes: a.Size, Code: a.CodeSize, Data: a.DataSize,
		Stages: []string{}, Writes: []string{}, Imports: list(a.Imports), Wants: list(a.Grants),
		Given:     list(grantNames(s.Filter.Grants, false)),
		Functions: a.Functions, Globals: a.Globals, MemoryMin: a.MemoryMin, MemoryMax: a.MemoryMax,
		Tables: a.Tables, TableElements: a.TableElements, Start: a.Start,
		Features: list(a.Features), Producers: list(a.Producers),
	}
	for _, stage := range stagesOf(a.Stages) {
		r.Stages = append(r.Stages, stage.String())
	}
	if name, ok := s.Filter.Stock(); ok {
		r.Schema, _ = filters.Schema(name)
	}
	if err != nil {
		r.Problem = s.refused(err).Error()
		return r, nil
	}
	if err := w.observe(ctx, s, r); err != nil {
		return nil, err
	}
	return r, ctx.Err()
}

// list is never null in JSON.
func list(v []string) []string {
	if v == nil {
		return []string{}
	}
	return v
}

// observe starts the filter and runs its cases.
func (w *Workbench) observe(ctx context.Context, s *Subject, r *Inspection) error {
	l, err := w.load(ctx, s, nil, true)
	if err != nil {
		r.Problem = s.refused(err).Error()
	} else {
		r.Reads = app.Reads(l.filter.Needs())
		if err := l.close(ctx); err != nil {
			return err
		}
	}
	files, err := casesOf(s)
	if err != nil {
		return nil // it need not have some
	}
	written := map[string]bool{}
	for _, file := range files {
		c, err := ReadCase(file)
		if err != nil {
			continue // for Test to report
		}
		outs, err := c.outcomes(ctx, w, s)
		if err != nil {
			continue
		}
		r.Cases++
		for i := range outs {
			outs[i].written(written)
		}
	}
	r.Writes = append(r.Writes, slices.Sorted(maps.Keys(written))...)
	return nil
}

// written notes what a filter changed: names, not values.
func (o *Outcome) written(to map[string]bool) {
	note := func(d *router.Decision, before, after *router.Envelope, targets bool) {
		for _, c := range Changes(before, after) {
			to[c.What] = true
		}
		if d.Action != router.Undecided {
			to["action "+d.Action.String()] = true
		}
		if targets && len(d.Targets) > 0 {
			to["targets"] = true
		}
	}
	note(&o.Decision, &o.Before, &o.After, !slices.Equal(o.Decision.Targets, o.Given))
	for i := range o.Copies {
		c := &o.Copies[i]
		note(&c.Decision, &c.From, &c.Envelope, false)
		if c.Emitted > 0 {
			to["further messages"] = true
		}
	}
}

// WriteText writes an inspection for people.
func (r *Inspection) WriteText(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "%s: %d bytes (code %d, data %d), sha256 %s\n", r.File, r.Bytes, r.Code, r.Data, r.SHA256); err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	row := func(key, format string, args ...any) {
		fmt.Fprintf(tw, "  %s\t%s\n", key, fmt.Sprintf(format, args...))
	}
	or := func(v []string, without string) string {
		if len(v) == 0 {
			return without
		}
		return strings.Join(v, ", ")
	}
	if r.Problem != "" {
		row("problem", "%s", r.Problem)
	}
	row("stages", "%s", or(r.Stages, "none"))
	if r.Reads != "" {
		row("reads", "%s", r.Reads)
	}
	if r.Cases > 0 {
		row("writes", "%s (in its %d cases)", or(r.Writes, "nothing"), r.Cases)
	}
	row("imports", "%s", or(r.Imports, "nothing"))
	row("grants", "wants %s, has %s", or(r.Wants, "none"), or(r.Given, "none"))
	row("memory", "%s at the start, at most %s", config.Size(r.MemoryMin), config.Size(r.MemoryMax))
	row("size", "%d functions, %d globals, %d table elements", r.Functions, r.Globals, r.TableElements)
	if r.Start {
		row("start", "a start function runs before anything else")
	}
	row("features", "%s", or(r.Features, "those of WebAssembly 1.0"))
	if len(r.Producers) > 0 {
		row("made by", "%s", strings.Join(r.Producers, ", "))
	}
	if r.Schema != nil {
		row("config", "`router filter list %s` explains it, --schema prints its JSON Schema", r.Filter)
	}
	return tw.Flush()
}
