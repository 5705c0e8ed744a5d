package shadow

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/wasmrouter/router/router"
)

// outcome is what a version made of a message in one stage.
type outcome struct {
	env router.Envelope
	d   router.Decision
	err error
}

func outcomeOf(env *router.Envelope, d *router.Decision, err error) outcome {
	return outcome{env.Clone(), cloneDecision(d), err}
}

// cloneDecision returns a decision that shares nothing that changes.
func cloneDecision(d *router.Decision) router.Decision {
	c := *d
	c.Targets = slices.Clone(d.Targets)
	c.Emitted = slices.Clone(d.Emitted)
	for i := range c.Emitted {
		c.Emitted[i].Envelope = d.Emitted[i].Envelope.Clone()
		c.Emitted[i].Targets = slices.Clone(d.Emitted[i].Targets)
	}
	return c
}

// Difference is one call in which the two versions did not do the same.
type Difference struct {
	At        time.Time `json:"at"`
	Queue     string    `json:"queue"`
	MessageID string    `json:"message_id,omitempty"`
	Stage     string    `json:"stage"`
	Parts     []Part    `json:"parts"`
	Body      string    `json:"body,omitempty"` // that both were given, its beginning; empty if values are hidden
}

// Part is one thing that differs. Old and New describe it; where it is a
// message's content they are its sizes and types if values are hidden.
type Part struct {
	What string `json:"what"` // such as "targets", "header x-kind", "body"
	Old  string `json:"old"`
	New  string `json:"new"`

	oldSize, newSize string // in place of Old and New; empty if these may be seen
}

func (d Difference) whats() []string {
	var all []string
	for _, p := range d.Parts {
		all = append(all, p.What)
	}
	return all
}

// hidden returns d without content.
func (d Difference) hidden() Difference {
	d.Body = ""
	d.Parts = slices.Clone(d.Parts)
	for i := range d.Parts {
		if p := &d.Parts[i]; p.oldSize != "" {
			p.Old, p.New = p.oldSize, p.newSize
		}
	}
	return d
}

// maxParts bounds how many of a call's differences are told apart.
const maxParts = 16

// differ collects parts.
type differ struct{ parts []Part }

func (x *differ) add(p Part) {
	if len(x.parts) < maxParts {
		x.parts = append(x.parts, p)
	}
}

// open adds a part that anybody may see.
func (x *differ) open(what, before, after string) {
	if before != after {
		x.add(Part{What: what, Old: before, New: after})
	}
}

// difference returns in what two outcomes differ, nothing if they are the same.
// After a failure nothing else counts: it has changed nothing.
func difference(a, b outcome) []Part {
	x := &differ{}
	if ca, cb := classOf(a.err), classOf(b.err); ca != "" || cb != "" {
		if ca != cb {
			x.open("failure", failureText(a.err), failureText(b.err))
		}
		return x.parts
	}
	x.decisions(&a.d, &b.d)
	x.envelopes("", &a.env, &b.env)
	return x.parts
}

func failureText(err error) string {
	if err == nil {
		return "none"
	}
	return cut(err.Error(), maxValue)
}

func (x *differ) decisions(a, b *router.Decision) {
	x.open("action", a.Action.String(), b.Action.String())
	x.open("targets", targets(a.Targets), targets(b.Targets))
	x.open("reason", a.Reason, b.Reason)
	x.open("delay", a.Delay.String(), b.Delay.String())
	x.open("stop", strconv.FormatBool(a.Stop), strconv.FormatBool(b.Stop))
	x.open("emitted", strconv.Itoa(len(a.Emitted)), strconv.Itoa(len(b.Emitted)))
	for i := range min(len(a.Emitted), len(b.Emitted)) {
		prefix := fmt.Sprintf("emitted %d: ", i+1)
		x.open(prefix+"targets", targets(a.Emitted[i].Targets), targets(b.Emitted[i].Targets))
		x.envelopes(prefix, &a.Emitted[i].Envelope, &b.Emitted[i].Envelope)
	}
}

func targets(all []router.Target) string {
	texts := make([]string, 0, len(all))
	for _, t := range all {
		texts = append(texts, t.String())
	}
	if len(texts) == 0 {
		return "none"
	}
	return strings.Join(texts, ", ")
}

func (x *differ) envelopes(prefix string, a, b *router.Envelope) {
	x.properties(prefix, &a.Properties, &b.Properties)
	x.headers(prefix, a.Headers(), b.Headers())
	if bytes.Equal(a.Body, b.Body) {
		return
	}
	at := 0
	for at < min(len(a.Body), len(b.Body)) && a.Body[at] == b.Body[at] {
		at++
	}
	size := func(body []byte) string { return fmt.Sprintf("%d bytes, differs from byte %d", len(body), at) }
	x.add(Part{prefix + "body", excerpt(a.Body, at), excerpt(b.Body, at), size(a.Body), size(b.Body)})
}

// properties compares field by field, so that none can be forgotten.
func (x *differ) properties(prefix string, a, b *router.Properties) {
	if *a == *b {
		return
	}
	va, vb := reflect.ValueOf(*a), reflect.ValueOf(*b)
	for field, v := range va.Fields() {
		w := vb.FieldByIndex(field.Index)
		if !sameValue(v.Interface(), w.Interface()) {
			x.value(prefix+"property "+snake(field.Name), v.Interface(), !v.IsZero(), w.Interface(), !w.IsZero())
		}
	}
}

// snake returns a field's name as configuration has it: message_id of MessageID.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) && !unicode.IsUpper(rune(name[i-1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func (x *differ) headers(prefix string, a, b map[string]any) {
	if reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer() {
		return
	}
	names := make(map[string]any, len(a))
	maps.Copy(names, a)
	maps.Copy(names, b)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		v, hasA := a[name]
		w, hasB := b[name]
		if hasA != hasB || !sameValue(v, w) {
			x.value(prefix+"header "+cut(name, maxValue), v, hasA, w, hasB)
		}
	}
}

// sameValue compares two values of headers or properties. Times are the same if
// the moment is, and NaN is like itself.
func sameValue(v, w any) bool {
	if t, ok := v.(time.Time); ok {
		u, ok := w.(time.Time)
		return ok && t.Equal(u)
	}
	return reflect.DeepEqual(v, w) || fmt.Sprintf("%T%v", v, v) == fmt.Sprintf("%T%v", w, w)
}

// value adds a part whose value is content.
func (x *differ) value(what string, v any, has bool, w any, hasToo bool) {
	before, beforeSize := describe(v, has)
	after, afterSize := describe(w, hasToo)
	x.add(Part{what, before, after, beforeSize, afterSize})
}

// maxValue bounds the text of a value, and maxBody that of a body, in bytes.
const (
	maxValue = 256
	maxBody  = 2048
)

// describe returns a value as text, and what may be said about it without it.
func describe(v any, has bool) (text, size string) {
	if !has {
		return "absent", "absent"
	}
	switch v := v.(type) {
	case string:
		return strconv.Quote(cut(v, maxValue)), fmt.Sprintf("text of %d bytes", len(v))
	case []byte:
		return fmt.Sprintf("bytes %q", cut(string(v), maxValue)), fmt.Sprintf("%d bytes", len(v))
	}
	return cut(fmt.Sprintf("%v (%T)", v, v), maxValue), fmt.Sprintf("%T", v)
}

// excerpt returns the part of a body in which byte at is.
func excerpt(body []byte, at int) string {
	from := 0
	if at > maxBody/2 {
		from = at - maxBody/4
	}
	text := string(body[from:min(len(body), from+maxBody)])
	if from > 0 {
		text = "…" + text
	}
	if from+maxBody < len(body) {
		text += "…"
	}
	return strings.ToValidUTF8(text, "\ufffd")
}

func cut(s string, most int) string {
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "\ufffd")
}
