package workbench

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wasmrouter/router/router"
)

// Change is one difference between two messages. What is "header NAME", the
// name of a property, or "body"; Old and New are nil where there is none.
type Change struct {
	What     string
	Old, New any
}

// Changes returns what turns one message into another: properties and headers,
// each by name, and the body.
func Changes(before, after *router.Envelope) []Change {
	var all []Change
	for _, p := range properties {
		if was, is := p.get(&before.Properties), p.get(&after.Properties); was != is {
			all = append(all, Change{p.name, orNil(was), orNil(is)})
		}
	}
	names := map[string]any{}
	maps.Copy(names, before.Headers())
	maps.Copy(names, after.Headers())
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old, had := before.Header(name)
		now, has := after.Header(name)
		if had && has && same(old, now) {
			continue
		}
		c := Change{What: "header " + name}
		if had {
			c.Old = present(old)
		}
		if has {
			c.New = present(now)
		}
		all = append(all, c)
	}
	if !bytes.Equal(before.Body, after.Body) {
		all = append(all, Change{"body", before.Body, after.Body})
	}
	return all
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// null is a header that is there and has no value.
type null struct{}

// String returns the word for it.
func (null) String() string { return "null" }

func present(v any) any {
	if v == nil {
		return null{}
	}
	return v
}

func same(a, b any) bool {
	if t, ok := a.(time.Time); ok {
		u, ok := b.(time.Time)
		return ok && t.Equal(u)
	}
	return reflect.DeepEqual(a, b)
}

// Describe says what a filter did in the form of golden cases: one change a
// line, and "nothing" when nothing changed.
func (o *Outcome) Describe() string {
	if o.Err != nil {
		return fmt.Sprintf("%s fails: %s: %v\n", o.Err.Stage, o.Err.Class, o.Err.Err)
	}
	targets := o.Decision.Targets
	if slices.Equal(targets, o.Given) {
		targets = nil
	}
	lines := decided(&o.Decision, targets)
	lines = append(lines, changed(&o.Before, &o.After)...)
	for i := range o.Copies {
		c := &o.Copies[i]
		label := fmt.Sprintf("emit %d: ", c.Emitted)
		targets := c.Decision.Targets
		if c.Emitted == 0 {
			label, targets = fmt.Sprintf("to %s: ", targets[0]), nil
		}
		for _, line := range slices.Concat(decided(&c.Decision, targets), changed(&c.From, &c.Envelope)) {
			lines = append(lines, label+line)
		}
	}
	if len(lines) == 0 {
		return "nothing\n"
	}
	return strings.Join(lines, "\n") + "\n"
}

func decided(d *router.Decision, targets []router.Target) []string {
	var lines []string
	if d.Action != router.Undecided {
		lines = append(lines, "action: "+d.Action.String())
	}
	for _, t := range targets {
		lines = append(lines, "target: "+t.String())
	}
	if d.Reason != "" {
		lines = append(lines, "reason: "+d.Reason)
	}
	if d.Delay != 0 {
		lines = append(lines, "delay: "+d.Delay.String())
	}
	if d.Stop {
		lines = append(lines, "stop")
	}
	return lines
}

func changed(before, after *router.Envelope) []string {
	var lines []string
	for _, c := range Changes(before, after) {
		name, isHeader := strings.CutPrefix(c.What, "header ")
		switch body, isBody := c.New.([]byte); {
		case isHeader && c.New == nil:
			lines = append(lines, "header "+name+": removed")
		case isHeader && c.New == any(null{}):
			lines = append(lines, "header "+name+": null")
		case isHeader:
			lines = append(lines, fmt.Sprintf("header %s: %T %v", name, c.New, c.New))
		case c.New == nil:
			lines = append(lines, c.What+": removed")
		case isBody && printable(body):
			lines = append(lines, fmt.Sprintf("body: %s", body))
		case isBody:
			lines = append(lines, fmt.Sprintf("body: hex % x", body))
		default:
			lines = append(lines, fmt.Sprintf("%s: %v", c.What, c.New))
		}
	}
	return lines
}

func printable(b []byte) bool {
	return utf8.Valid(b) && bytes.IndexFunc(b, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
}
