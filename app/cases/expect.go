package cases

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/app/workbench"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/internal/textdiff"
	"github.com/wasmrouter/router/router"
)

// Miss is one thing that is not as it is wanted.
type Miss struct {
	What string `json:"what"`
	Want string `json:"want"`
	Got  string `json:"got"`
	Diff string `json:"diff,omitempty"` // line by line, where both have several
}

// want compares what became of a message with what a case expects.
type want struct {
	file   *config.CaseFile
	nth    int
	misses []Miss
	err    error // of the case itself
}

// none stands for what is not there.
const none = "none"

func (w *want) miss(what, want, got string) {
	w.misses = append(w.misses, Miss{What: what, Want: want, Got: got})
}

// fail notes a fault of the case.
func (w *want) fail(keys []string, err error) {
	if w.err == nil {
		w.err = w.file.Errorf(w.nth, append([]string{"expect"}, keys...), "", "%w", err)
	}
}

func (w *want) text(e *config.Expect, key, want, got string) {
	if e.Has(key) && want != got {
		w.miss(key, word(want), word(got))
	}
}

// word shows a text of one word.
func word(s string) string {
	if s == "" {
		return none
	}
	return s
}

// expect compares everything.
func (w *want) expect(e *config.Expect, d *record.Decision, sent []view) {
	w.text(e, "action", e.Action, d.Action)
	w.text(e, "reason", e.Reason, d.Reason)
	w.text(e, "filter", e.Filter, d.Filter)
	w.text(e, "stage", e.Stage, d.Stage)
	if e.Has("error") && !strings.Contains(d.Error, e.Error) {
		w.miss("error", "a text with "+strconv.Quote(e.Error), word(d.Error))
	}
	if e.Has("messages") && len(sent) != e.Messages {
		w.miss("messages", strconv.Itoa(e.Messages), strconv.Itoa(len(sent)))
	}
	if e.Has("targets") {
		w.targets(e.Targets, sent)
	}
	asks := wants(&e.Message)
	if asks && len(sent) == 0 {
		w.miss("messages", "one at least", none)
	}
	for i := range sent {
		of := ""
		if len(sent) > 1 {
			of = " to " + sent[i].Target.String()
		}
		w.message(nil, &e.Message, &sent[i], of)
	}
	w.each(e.Sent, sent)
}

// wants reports whether something is expected of messages.
func wants(m *config.Message) bool {
	_, body, _ := m.BodyBytes()
	return body || len(m.Headers)+len(m.Properties)+len(m.Context)+len(m.Payload) > 0
}

func (w *want) targets(want []string, sent []view) {
	var wanted, got []string
	for i, text := range want {
		t, err := router.ParseTarget(text)
		if err != nil {
			w.fail([]string{"targets", strconv.Itoa(i)}, err)
			return
		}
		wanted = append(wanted, t.String())
	}
	for i := range sent {
		got = append(got, sent[i].Target.String())
	}
	slices.Sort(wanted)
	slices.Sort(got)
	if !slices.Equal(wanted, got) {
		w.miss("targets", word(strings.Join(wanted, ", ")), word(strings.Join(got, ", ")))
	}
}

// each finds a message for each of those expected: one that is as wanted, for as
// many of them as can be, or else the one that misses least.
func (w *want) each(expected []config.Sent, sent []view) {
	m := matching{of: make([]int, len(sent))}
	for j := range m.of {
		m.of[j] = free
	}
	targets := make([]router.Target, len(expected))
	for i := range expected {
		var err error
		if targets[i], err = router.ParseTarget(expected[i].Target); err != nil {
			w.fail([]string{"sent", strconv.Itoa(i), "target"}, err)
			return
		}
		fits := make([]bool, len(sent))
		for j := range sent {
			if sent[j].Target == targets[i] {
				fits[j] = len(w.against(i, &expected[i], &sent[j])) == 0
			}
		}
		if w.err != nil {
			return
		}
		m.fits = append(m.fits, fits)
	}
	for i := range expected {
		if m.find(i, make([]bool, len(sent))) {
			continue
		}
		m.missed = append(m.missed, i)
	}
	for _, i := range m.missed {
		best, least := -1, []Miss(nil)
		for j := range sent {
			if m.of[j] != free || sent[j].Target != targets[i] {
				continue
			}
			if misses := w.against(i, &expected[i], &sent[j]); best < 0 || len(misses) < len(least) {
				best, least = j, misses
			}
		}
		if best < 0 {
			w.miss("message to "+targets[i].String(), "one", none)
			continue
		}
		m.of[best] = i
		w.misses = append(w.misses, least...)
	}
}

// against returns in what a message is not as the ith that is expected.
func (w *want) against(i int, m *config.Sent, v *view) []Miss {
	one := want{file: w.file, nth: w.nth}
	one.message([]string{"sent", strconv.Itoa(i)}, &m.Message, v, " to "+v.Target.String())
	if w.err == nil {
		w.err = one.err
	}
	return one.misses
}

// free is the place of a message that no expected one has.
const free = -1

// matching gives each of those expected a message of its own that fits it, as far
// as there are any.
type matching struct {
	fits   [][]bool // whether a message is as one that is expected, by that
	of     []int    // which of those expected has a message, or free
	missed []int    // those expected that have none
}

// find gives i a message, for which others may have to take another one; tried are
// those that have been asked for.
func (m *matching) find(i int, tried []bool) bool {
	for j, fits := range m.fits[i] {
		if !fits || tried[j] {
			continue
		}
		tried[j] = true
		if m.of[j] == free || m.find(m.of[j], tried) {
			m.of[j] = i
			return true
		}
	}
	return false
}

// message compares one message; keys say where it is expected, and of which it is.
func (w *want) message(keys []string, m *config.Message, v *view, of string) {
	expected, err := (&workbench.Message{Headers: m.Headers, Properties: m.Properties}).Envelope()
	if err != nil {
		w.fail(append(keys, "properties"), err)
		return
	}
	context, err := (&workbench.Message{Headers: m.Context}).Envelope()
	if err != nil {
		w.fail(append(keys, "context"), err)
		return
	}
	w.table("header ", of, expected.Headers(), v.Envelope.Headers())
	w.table("context ", of, context.Headers(), v.context)
	got := workbench.Properties(&v.Envelope.Properties)
	for _, name := range sorted(m.Properties) {
		want := workbench.Properties(&expected.Properties)[name]
		if want != got[name] {
			w.miss("property "+name+of, quoted(want), quoted(got[name]))
		}
	}
	if len(m.Payload) > 0 {
		w.payload(keys, m.Payload, v.payload, of)
	}
	if body, wanted, asJSON := m.BodyBytes(); wanted {
		w.body(body, asJSON, v.Envelope.Body, of)
	}
	for _, what := range m.Absent {
		w.absent(what, v, got, of)
	}
}

// table compares those headers that are wanted.
func (w *want) table(what, of string, want, got map[string]any) {
	for _, name := range sorted(want) {
		v, ok := got[name]
		switch {
		case !ok:
			w.miss(what+name+of, shown(want[name]), none)
		case !alike(want[name], v):
			w.miss(what+name+of, shown(want[name]), shown(v))
		}
	}
}

func (w *want) absent(what string, v *view, properties map[string]string, of string) {
	kind, name, _ := strings.Cut(what, ":")
	var found any
	is := false
	switch kind {
	case "header":
		found, is = v.Envelope.Header(name)
	case "context":
		found, is = v.context[name]
	case "property":
		found, is = properties[name], properties[name] != ""
	case "text":
		found, is = name, bytes.Contains(v.Envelope.Body, []byte(name))
	}
	if is {
		w.miss(kind+" "+name+of, none, shown(found))
	}
}

// payload compares the members that are wanted.
func (w *want) payload(keys []string, want map[string]any, got []byte, of string) {
	expected, err := asJSON(want)
	if err != nil {
		w.fail(append(keys, "payload"), err)
		return
	}
	found, err := parse(got)
	if err != nil {
		w.miss("payload"+of, "JSON", text(got))
		return
	}
	w.members("payload", of, expected, found)
}

// members compares JSON values: of objects only the members that are wanted.
func (w *want) members(path, of string, want, got any) {
	object, ok := want.(map[string]any)
	has, is := got.(map[string]any)
	if !ok || !is {
		if !alike(want, got) {
			w.miss(path+of, shown(want), shown(got))
		}
		return
	}
	for _, name := range sorted(object) {
		v, ok := has[name]
		if !ok {
			w.miss(path+"."+name+of, shown(object[name]), none)
			continue
		}
		w.members(path+"."+name, of, object[name], v)
	}
}

// body compares a whole body.
func (w *want) body(want []byte, isJSON bool, got []byte, of string) {
	a, b := text(want), text(got)
	if isJSON {
		x, errX := parse(want)
		y, errY := parse(got)
		if errX == nil && errY == nil {
			if alike(x, y) {
				return
			}
			a, b = indented(x), indented(y)
		}
	} else if bytes.Equal(want, got) {
		return
	}
	m := Miss{What: "body" + of, Want: a, Got: b}
	if strings.Contains(a+b, "\n") {
		m.Diff = textdiff.Lines(a, b)
	}
	w.misses = append(w.misses, m)
}

func indented(v any) string {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Sprint(v) // it was JSON
	}
	return string(text)
}
