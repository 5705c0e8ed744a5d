package oslo

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Member is one name and value of an [Object].
type Member struct {
	Key   string
	Value Raw

	quoted []byte // the key as it was written, nil if it never was
}

// Object is a JSON object whose members' values stay text. Where names occur
// twice the last one counts, as in Python. The zero Object is empty. It is not
// safe for concurrent use; copies share members until [Object.Clone].
type Object struct {
	members []Member
	source  []byte // what members were read from, while nothing has changed
}

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
	o := Object{members: make([]Member, 0, 12)}
	end, err := scanObject(text, start, 0, func(key, value []byte) error {
		o.members = append(o.members, Member{Key: keyName(key), Value: Raw(value), quoted: key})
		return nil
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
	for _, known := range knownKeys {
		if len(quoted) == len(known)+2 && string(quoted[1:len(quoted)-1]) == known {
			return known
		}
	}
	return string(unquote(quoted))
}

var knownKeys = [...]string{
	keyVersion, keyMessage, keyMsgID, keyReplyQueue, keyTimeout, keyUniqueID,
	"method", "args", "namespace", "version", "result", "failure", "ending",
	"message_id", "publisher_id", "event_type", "priority", "payload", "timestamp",
}

// Len returns how many members there are.
func (o *Object) Len() int { return len(o.members) }

// All yields the members in the order in which they are written.
func (o *Object) All() iter.Seq2[string, Raw] {
	return func(yield func(string, Raw) bool) {
		for i := range o.members {
			if !yield(o.members[i].Key, o.members[i].Value) {
				return
			}
		}
	}
}

func (o *Object) find(key string) int {
	for i, v := range slices.Backward(o.members) {
		if v.Key == key {
			return i
		}
	}
	return -1
}

// Get returns the member of that name, and whether there is one.
func (o *Object) Get(key string) (Raw, bool) {
	if i := o.find(key); i >= 0 {
		return o.members[i].Value, true
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

// Set replaces the member of that name, in its place, or appends one. Value
// must be one JSON value, as [Marshal] and [ParseRaw] return it.
func (o *Object) Set(key string, value Raw) {
	o.source = nil
	if i := o.find(key); i >= 0 {
		o.members[i].Value = value
		return
	}
	o.members = append(o.members, Member{Key: key, Value: value})
}

// Delete removes every member of that name; an absent one is no error.
func (o *Object) Delete(key string) {
	if o.find(key) < 0 {
		return
	}
	o.source = nil
	o.members = slices.DeleteFunc(o.members, func(m Member) bool { return m.Key == key })
}

// Clone returns an object of its own members; their values stay shared, as
// nothing changes them in place.
func (o *Object) Clone() Object {
	return Object{members: slices.Clone(o.members), source: o.source}
}

// Raw returns the object's text: the very text it was read from while nothing
// has changed, else the members' own texts joined as Python joins them.
func (o *Object) Raw() Raw {
	if o.source != nil {
		return Raw(o.source)
	}
	return Raw(o.append(nil))
}

func (o *Object) append(dst []byte) []byte {
	if o.source != nil {
		return append(dst, o.source...)
	}
	w := objectWriter{dst: append(dst, '{')}
	for i := range o.members {
		m := &o.members[i]
		if m.quoted != nil {
			w.separate()
			w.dst = append(append(w.dst, m.quoted...), ": "...)
		} else {
			w.key(m.Key)
		}
		w.dst = appendRaw(w.dst, m.Value)
	}
	return append(w.dst, '}')
}

// Value returns the object as Go values, as [Raw.Value] does.
func (o *Object) Value() map[string]any {
	m := make(map[string]any, len(o.members))
	for i := range o.members {
		if v, err := o.members[i].Value.Value(); err == nil {
			m[o.members[i].Key] = v
		}
	}
	return m
}

// cutPrefixed returns the members whose names begin with prefix, without it.
func (o *Object) cutPrefixed(prefix string) Object {
	var out Object
	for i := range o.members {
		if name, ok := strings.CutPrefix(o.members[i].Key, prefix); ok {
			out.members = append(out.members, Member{Key: name, Value: o.members[i].Value})
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

func (w *objectWriter) prefixed(prefix string, o *Object) {
	for i := range o.members {
		w.raw(prefix+o.members[i].Key, o.members[i].Value)
	}
}

func appendRaw(dst []byte, r Raw) []byte {
	if len(r) == 0 {
		return append(dst, Null...)
	}
	return append(dst, r...)
}
