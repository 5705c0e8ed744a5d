package main

// maxDepth bounds how deep a document may be nested.
const maxDepth = 128

// edit replaces a part of the document, with the mask or with nothing.
type edit struct {
	from, to int
	mask     bool
}

// walker checks a whole document and collects what is to be redacted. It is
// strict, for what it lets pass must read the same to whoever comes after: what
// is not JSON by RFC 8259 is refused, and every member of a name that occurs
// twice is redacted.
type walker struct {
	r     *redact
	doc   []byte
	at    int
	path  [maxDepth]step
	depth int
	muted bool // inside of what is redacted already
	edits []edit
	out   []byte
}

var walk walker

// body returns the redacted document, whether it differs, and where it is
// malformed, or -1. The result is valid until the next call.
func (r *redact) body(doc []byte) (out []byte, changed bool, badAt int) {
	w := &walk
	w.r, w.doc, w.at, w.depth, w.muted, w.edits = r, doc, 0, 0, false, w.edits[:0]
	w.space()
	ok := w.value()
	w.space()
	if !ok || w.at != len(doc) {
		return nil, false, w.at
	}
	if len(w.edits) == 0 {
		return nil, false, -1
	}
	w.out = w.out[:0]
	last := 0
	for _, e := range w.edits {
		w.out = append(w.out, doc[last:e.from]...)
		if e.mask {
			w.out = append(w.out, r.quoted...)
		}
		last = e.to
	}
	w.out = append(w.out, doc[last:]...)
	return w.out, true, -1
}

func (w *walker) peek() byte {
	if w.at < len(w.doc) {
		return w.doc[w.at]
	}
	return 0
}

func (w *walker) take(c byte) bool {
	if w.peek() != c || w.at >= len(w.doc) {
		return false
	}
	w.at++
	return true
}

func (w *walker) space() {
	for w.at < len(w.doc) && w.doc[w.at] <= ' ' {
		switch w.doc[w.at] {
		case ' ', '\t', '\n', '\r':
			w.at++
		default:
			return
		}
	}
}

func (w *walker) value() bool {
	switch w.peek() {
	case '{':
		return w.container('}')
	case '[':
		return w.container(']')
	case '"':
		_, _, ok := w.str()
		return ok
	case 't':
		return w.word("true")
	case 'f':
		return w.word("false")
	case 'n':
		return w.word("null")
	}
	return w.number()
}

func (w *walker) word(s string) bool {
	for i := range len(s) {
		if !w.take(s[i]) {
			return false
		}
	}
	return true
}

func (w *walker) digits() bool {
	start, i := w.at, w.at
	for i < len(w.doc) && w.doc[i]-'0' <= 9 {
		i++
	}
	w.at = i
	return i > start
}

func (w *walker) number() bool {
	w.take('-')
	if !w.take('0') && !w.digits() {
		return false
	}
	if w.take('.') && !w.digits() {
		return false
	}
	if w.take('e') || w.take('E') {
		if !w.take('+') {
			w.take('-')
		}
		return w.digits()
	}
	return true
}

// plain says of each byte whether it stands for itself inside a string.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return t
}()

// str reads a string and returns what stands between its quotes.
func (w *walker) str() (text []byte, escaped, ok bool) {
	if !w.take('"') {
		return nil, false, false
	}
	doc, start := w.doc, w.at
	for i := start; i < len(doc); {
		c := doc[i]
		if plain[c] {
			i++
			continue
		}
		w.at = i + 1
		switch {
		case c == '"':
			return doc[start:i], escaped, true
		case c != '\\':
			w.at = i
			return nil, false, false
		case !w.escape():
			return nil, false, false
		}
		i, escaped = w.at, true
	}
	w.at = len(doc)
	return nil, false, false
}

func (w *walker) escape() bool {
	c := w.peek()
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		w.at++
		return true
	case 'u':
		w.at++
	default:
		return false
	}
	for range 4 {
		c := w.peek()
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
		w.at++
	}
	return true
}

// container reads an object or an array. A removed member takes a comma with
// it: the one before it when a member before it stays, else the one behind it.
func (w *walker) container(end byte) bool {
	w.at++
	if w.depth == maxDepth {
		return false
	}
	w.depth++
	s := &w.path[w.depth-1]
	*s = step{index: -1}
	kept := false // some member so far stays
	cut := -1     // index of the edit that still lacks its end
	for i := 0; ; i++ {
		before := w.at
		w.space()
		if w.peek() == end && i == 0 {
			break
		}
		if i > 0 {
			if w.take(end) {
				w.at--
				break
			}
			if !w.take(',') {
				return false
			}
			w.space()
		}
		start := w.at
		if cut >= 0 {
			w.edits[cut].to, cut = start, -1
		}
		if end == ']' {
			s.index = i
		} else {
			var ok bool
			if s.name, s.escaped, ok = w.str(); !ok {
				return false
			}
			w.space()
			if !w.take(':') {
				return false
			}
			w.space()
		}
		redacted := !w.muted && w.wanted()
		valueAt := w.at
		w.muted = w.muted || redacted
		ok := w.value()
		if redacted {
			w.muted = false
		}
		if !ok {
			return false
		}
		switch {
		case !redacted:
			kept = true
		case w.r.masking:
			w.edits = append(w.edits, edit{valueAt, w.at, true})
			kept = true
		case kept:
			w.edits = append(w.edits, edit{before, w.at, false})
		default:
			cut = len(w.edits)
			w.edits = append(w.edits, edit{start, w.at, false})
		}
	}
	if cut >= 0 {
		w.edits[cut].to = w.at
	}
	w.at++
	w.depth--
	return true
}

// wanted reports whether the value at hand is to be redacted.
func (w *walker) wanted() bool {
	path := w.path[:w.depth]
	for i := range w.r.fields {
		if w.r.fields[i].matches(path) {
			return true
		}
	}
	return false
}
