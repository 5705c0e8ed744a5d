package oslo

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Object is a JSON object whose members' values stay text. Where names occur
// twice the last one counts, as in Python. The zero Object is empty. It is not
// safe for concurrent use; copies share members until [Object.Clone].
type Object struct {
	members []member
	source  []byte // what it was read from, from brace to brace; nil if it was built
	touched bool   // something differs from source
	first   int    // in source: where the first member began
	last    int    // in source: where the last member ended
}

// member is one name and value of an [Object]. Those that were read are before
// those that were added, and in the order of the source.
type member struct {
	key   string
	value Raw
	read  place
	set   bool // value is not the one that was read
}

// place is where in its object's source a member was read. The zero place is
// of a member that was added.
type place struct {
	key   int // first byte of the name
	value int // first byte of the value
	end   int // behind the value
	next  int // first byte of the next member's name, 0 if there was none
}

func (m *member) added() bool { return m.read.key == 0 }

// checked reports whether the scanner has accepted the value.
func (m *member) checked() bool { return !m.added() && !m.set }

// ParseObject splits text, which must be one JSON object, into its members.
// They share memory with text. Errors wrap [ErrSyntax], or [ErrMessage] if the
// text is JSON but no object.
func ParseObject(text []byte) (Object, error) {
	start := skipSpace(text, 0)
	if start == len(text) || text[start] != '{' {
		raw, err := ParseRaw(text)
		if err == nil {
			err = fmt.Errorf("%w: %s where an object should be", ErrMessage, raw.kind())
		}
		return Object{}, err
	}
	o := Object{members: make([]member, 0, 12), first: 1, last: 1}
	end, err := scanObject(text, start, 0, func(key, keyEnd, value, valueEnd int) {
		m := member{
			key: keyName(text[key:keyEnd]), value: Raw(text[value:valueEnd:valueEnd]),
			read: place{key: key - start, value: value - start, end: valueEnd - start},
		}
		if n := len(o.members); n > 0 {
			o.members[n-1].read.next = m.read.key
		} else {
			o.first = m.read.key
		}
		o.last = m.read.end
		o.members = append(o.members, m)
	})
	if err != nil {
		return Object{}, err
	}
	if i := skipSpace(text, end); i != len(text) {
		return Object{}, syntaxError(i, "text after the value")
	}
	o.source = text[start:end:end]
	return o, nil
}

// keyName returns the text of a quoted name, without allocating for those that
// every message has.
func keyName(quoted []byte) string {
	switch name := quoted[1 : len(quoted)-1]; string(name) {
	case keyMsgID:
		return keyMsgID
	case keyReplyQueue:
		return keyReplyQueue
	case keyTimeout:
		return keyTimeout
	case keyUniqueID:
		return keyUniqueID
	case "method":
		return "method"
	case "args":
		return "args"
	case "namespace":
		return "namespace"
	case "version":
		return "version"
	case "result":
		return "result"
	case "failure":
		return "failure"
	case "ending":
		return "ending"
	case "message_id":
		return "message_id"
	case "publisher_id":
		return "publisher_id"
	case "event_type":
		return "event_type"
	case "priority":
		return "priority"
	case "payload":
		return "payload"
	case "timestamp":
		return "timestamp"
	}
	return string(unquote(quoted))
}

// Len returns how many members there are.
func (o *Object) Len() int { return len(o.members) }

// All yields the members in the order in which they are written.
func (o *Object) All() iter.Seq2[string, Raw] {
	return func(yield func(string, Raw) bool) {
		for i := range o.members {
			if !yield(o.members[i].key, o.members[i].value) {
				return
			}
		}
	}
}

func (o *Object) find(key string) int {
	for i, v := range slices.Backward(o.members) {
		if v.key == key {
			return i
		}
	}
	return -1
}

// Get returns the member of that name, and whether there is one.
func (o *Object) Get(key string) (Raw, bool) {
	if i := o.find(key); i >= 0 {
		return o.members[i].value, true
	}
	return nil, false
}

// Text returns the string of that name; it is empty if there is none or it is
// no string.
func (o *Object) Text(key string) string {
	raw, _ := o.Get(key)
	text, _ := raw.Text()
	return text
}

// Set replaces the value of that name, in its place, or appends a member. Value
// must be one JSON value, as [Marshal] and [ParseRaw] return it.
func (o *Object) Set(key string, value Raw) {
	o.touched = true
	if i := o.find(key); i >= 0 {
		o.members[i].value, o.members[i].set = value, true
		return
	}
	o.members = append(o.members, member{key: key, value: value})
}

// Delete removes every member of that name; an absent one is no error.
func (o *Object) Delete(key string) {
	if o.find(key) < 0 {
		return
	}
	o.touched = true
	o.members = slices.DeleteFunc(o.members, func(m member) bool { return m.key == key })
}

// Select returns an object of those members whose names keep accepts; their
// texts and order stay.
func (o *Object) Select(keep func(key string) bool) Object {
	out := *o
	out.members = make([]member, 0, len(o.members))
	for i := range o.members {
		if keep(o.members[i].key) {
			out.members = append(out.members, o.members[i])
		}
	}
	out.touched = o.touched || len(out.members) < len(o.members)
	return out
}

// Clone returns an object of its own members; their values stay shared, as
// nothing changes them in place.
func (o *Object) Clone() Object {
	c := *o
	c.members = slices.Clone(o.members)
	return c
}

// Raw returns the object's text: the very text it was read from while nothing
// has changed. Of a changed one it is that text with the changes in it, and
// every other byte as it was; of one that was built, what Python would write.
func (o *Object) Raw() Raw {
	if o.source != nil && !o.touched {
		return Raw(o.source)
	}
	return Raw(o.append(nil))
}

func (o *Object) append(dst []byte) []byte {
	switch {
	case o.source == nil:
		return append(o.appendMembers(append(dst, '{'), 0), '}')
	case o.touched:
		return splice(dst, o.source, o.edits())
	default:
		return append(dst, o.source...)
	}
}

// appendMembers writes the members from the one at index on.
func (o *Object) appendMembers(dst []byte, from int) []byte {
	w := objectWriter{dst: dst, some: from > 0}
	for i := range o.members[from:] {
		w.raw(o.members[from+i].key, o.members[from+i].value)
	}
	return w.dst
}

// Value returns the object as Go values, as [Raw.Value] does.
func (o *Object) Value() map[string]any {
	m := make(map[string]any, len(o.members))
	for i := range o.members {
		v := &o.members[i]
		if !v.checked() {
			if value, err := v.value.Value(); err == nil {
				m[v.key] = value
			}
			continue
		}
		m[v.key] = v.value.value()
	}
	return m
}

// cutPrefixed returns the members whose names begin with prefix, without it.
func (o *Object) cutPrefixed(prefix string) Object {
	n := 0
	for i := range o.members {
		if strings.HasPrefix(o.members[i].key, prefix) {
			n++
		}
	}
	if n == 0 {
		return Object{}
	}
	out := Object{members: make([]member, 0, n)}
	for i := range o.members {
		if name, ok := strings.CutPrefix(o.members[i].key, prefix); ok {
			out.members = append(out.members, member{key: name, value: o.members[i].value})
		}
	}
	return out
}

// objectWriter writes members one after another.
type objectWriter struct {
	dst  []byte
	some bool
}

func (w *objectWriter) separate() {
	if w.some {
		w.dst = append(w.dst, ", "...)
	}
	w.some = true
}

func (w *objectWriter) key(name string) {
	w.separate()
	w.dst = append(appendQuoted(w.dst, name), ": "...)
}

func (w *objectWriter) raw(name string, value Raw) {
	w.key(name)
	w.dst = appendRaw(w.dst, value)
}

func (w *objectWriter) text(name, value string) {
	w.key(name)
	w.dst = appendQuoted(w.dst, value)
}

// prefixed writes the members of o with a prefix, which needs no escapes, to
// their names.
func (w *objectWriter) prefixed(prefix string, o *Object) {
	for i := range o.members {
		w.separate()
		w.dst = appendEscaped(append(append(w.dst, '"'), prefix...), o.members[i].key)
		w.dst = appendRaw(append(w.dst, `": `...), o.members[i].value)
	}
}

func appendRaw(dst []byte, r Raw) []byte { return append(dst, r.orNull()...) }
