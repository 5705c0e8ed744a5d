package oslo

import "unicode/utf8"

// edit replaces a part of a text.
type edit struct {
	from, to int
	text     []byte
}

// splice appends source with the edits done, which are in the order of the text
// and do not overlap.
func splice(dst, source []byte, edits []edit) []byte {
	if dst == nil {
		n := len(source)
		for _, e := range edits {
			n += len(e.text)
		}
		dst = make([]byte, 0, n)
	}
	at := 0
	for _, e := range edits {
		dst = append(append(dst, source[at:e.from]...), e.text...)
		at = e.to
	}
	return append(dst, source[at:]...)
}

func shift(edits []edit, by int) {
	for i := range edits {
		edits[i].from += by
		edits[i].to += by
	}
}

// edits returns what must be done to the source for it to say what the object
// says. The members that were read are still in the order of the source.
func (o *Object) edits() []edit {
	var list []edit
	kept := 0
	end := o.first  // where the member before ended
	next := o.first // where the one after it began
	for ; kept < len(o.members) && !o.members[kept].added(); kept++ {
		m := &o.members[kept]
		if m.read.key != next {
			list = append(list, edit{from: next, to: m.read.key})
		}
		if m.set {
			list = append(list, edit{m.read.value, m.read.end, m.value.orNull()})
		}
		end, next = m.read.end, m.read.next
	}
	// Whatever is left of the source's members is gone, and the added ones are
	// in its place.
	if kept < len(o.members) || end != o.last {
		list = append(list, edit{end, o.last, o.appendMembers(nil, kept)})
	}
	return list
}

// escape turns edits of the text that quoted holds into edits of quoted itself.
func escape(edits []edit, quoted []byte) {
	at, n := 1, 0 // place in quoted, and how much of the text is before it
	seek := func(to int) int {
		for n < to {
			took, gave := step(quoted[at:])
			at, n = at+took, n+gave
		}
		return at
	}
	for i := range edits {
		e := &edits[i]
		e.from, e.to = seek(e.from), seek(e.to)
		if len(e.text) > 0 {
			text := appendQuoted(nil, e.text)
			e.text = text[1 : len(text)-1]
		}
	}
}

// step returns how long the first character of s is, part of a JSON string, and
// how many bytes of text it stands for.
func step(s []byte) (took, gave int) {
	if s[0] != '\\' {
		return 1, 1
	}
	if s[1] != 'u' {
		return 2, 1
	}
	r, pair := escaped(s)
	switch {
	case pair:
		return 12, utf8.UTFMax
	case r < 0x80:
		return 6, 1
	case r < 0x800:
		return 6, 2
	default:
		return 6, 3
	}
}
