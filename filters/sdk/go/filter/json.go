package filter

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// JSON is one value inside a document, as it is written there; of a string,
// what stands between the quotes. Kind is '{', '[', '"', '0' for a number, 't',
// 'f' or 'n'.
type JSON struct {
	Kind    byte
	Escaped bool // a string that holds escapes
	Raw     []byte
}

// Is reports whether the value is the string s, a number written like s, or
// the boolean that s names.
func (v JSON) Is(s string) bool {
	switch v.Kind {
	case '"':
		if v.Escaped {
			return equalUnescaped(v.Raw, s)
		}
	case '{', '[', 'n':
		return false
	}
	return string(v.Raw) == s
}

// Text returns a scalar's text: a string without escapes, written to buf[:0]
// when it has some, a number or a boolean as written. It returns false for
// null, objects and arrays, and when an escape is malformed.
func (v JSON) Text(buf []byte) (string, bool) {
	switch v.Kind {
	case '"':
		if !v.Escaped {
			break
		}
		b, ok := Unescape(buf[:0], v.Raw)
		return view(b), ok
	case '{', '[', 'n':
		return "", false
	}
	return view(v.Raw), true
}

// FindJSON finds the value at a path like "order.items.0.type"; `\.` is a dot
// inside a name, an empty path the whole document. It reads no further than the
// value and is no validator. Of members with the same name the first counts.
// When the document is malformed before the value, found is false and badAt is
// where, else badAt is -1.
func FindJSON(doc []byte, path string) (v JSON, found bool, badAt int) {
	s := scanner{doc: doc}
	s.space()
	for path != "" {
		var segment string
		segment, path = cutPath(path)
		ok := s.enter(segment)
		if s.bad {
			return JSON{}, false, s.at
		}
		if !ok {
			return JSON{}, false, -1
		}
	}
	if v, found = s.value(); !found {
		return JSON{}, false, s.at
	}
	return v, true, -1
}

func cutPath(path string) (segment, rest string) {
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '\\':
			i++
		case '.':
			return path[:i], path[i+1:]
		}
	}
	return path, ""
}

// scanner walks through a document; at is the current place.
type scanner struct {
	doc []byte
	at  int
	bad bool
}

func (s *scanner) space() {
	for s.at < len(s.doc) {
		switch s.doc[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

func (s *scanner) peek() byte {
	if s.at < len(s.doc) {
		return s.doc[s.at]
	}
	return 0
}

func (s *scanner) fail() bool {
	s.bad = true
	return false
}

// enter goes to the member or element of the container at hand.
func (s *scanner) enter(segment string) bool {
	open := s.peek()
	if open != '{' && open != '[' {
		if _, ok := s.value(); !ok {
			return s.fail()
		}
		return false
	}
	want := -1
	if open == '[' && len(segment) < 10 {
		if n, err := strconv.ParseUint(segment, 10, 31); err == nil {
			want = int(n)
		}
	}
	s.at++
	for i := 0; ; i++ {
		s.space()
		if s.peek() == open+2 {
			return false
		}
		if i > 0 {
			if s.peek() != ',' {
				return s.fail()
			}
			s.at++
			s.space()
		}
		if open == '{' {
			name, escaped, ok := s.name()
			if !ok {
				return s.fail()
			}
			if segmentIs(segment, name, escaped) {
				return true
			}
		} else if i == want {
			return true
		}
		if _, ok := s.value(); !ok {
			return s.fail()
		}
	}
}

// name reads a member's name and the colon behind it.
func (s *scanner) name() (name []byte, escaped, ok bool) {
	if s.peek() != '"' {
		return nil, false, false
	}
	name, escaped, ok = s.str()
	if !ok {
		return nil, false, false
	}
	s.space()
	if s.peek() != ':' {
		return nil, false, false
	}
	s.at++
	s.space()
	return name, escaped, true
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// str reads the string at hand, eight bytes in a step while none of them is a
// quote or a backslash.
func (s *scanner) str() (text []byte, escaped, ok bool) {
	doc, i := s.doc, s.at+1
	for {
		for i+8 <= len(doc) {
			w := *(*uint64)(unsafe.Pointer(&doc[i]))
			q, b := w^(ones*'"'), w^(ones*'\\')
			if ((q-ones)&^q|(b-ones)&^b)&highs != 0 {
				break
			}
			i += 8
		}
		for i < len(doc) && doc[i] != '"' && doc[i] != '\\' {
			i++
		}
		if i >= len(doc) {
			return nil, false, false
		}
		if doc[i] == '"' {
			text = doc[s.at+1 : i]
			s.at = i + 1
			return text, escaped, true
		}
		escaped = true
		i += 2
	}
}

// value reads the value at hand; on failure the place stays where it begins.
func (s *scanner) value() (JSON, bool) {
	start := s.at
	kind := s.peek()
	switch {
	case kind == '"':
		text, escaped, ok := s.str()
		return JSON{kind, escaped, text}, ok
	case kind == '{' || kind == '[':
		for depth := 0; s.at < len(s.doc); {
			switch s.doc[s.at] {
			case '"':
				if _, _, ok := s.str(); !ok {
					s.at = start
					return JSON{}, false
				}
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					s.at++
					return JSON{kind, false, s.doc[start:s.at]}, true
				}
			}
			s.at++
		}
		s.at = start
		return JSON{}, false
	case kind == '-' || kind >= '0' && kind <= '9':
		kind = '0'
	case kind != 't' && kind != 'f' && kind != 'n':
		return JSON{}, false
	}
	i := start
	for i < len(s.doc) {
		switch s.doc[i] {
		case ',', '}', ']', ' ', '\t', '\n', '\r':
		default:
			i++
			continue
		}
		break
	}
	raw := s.doc[start:i]
	switch kind {
	case 't', 'f', 'n':
		if word := string(raw); word != "true" && word != "false" && word != "null" {
			return JSON{}, false
		}
	}
	s.at = i
	return JSON{kind, false, raw}, true
}

// segmentIs compares a member's name, as it is written, with a segment of a path,
// in which a backslash takes the meaning from what follows.
func segmentIs(segment string, name []byte, escaped bool) bool {
	if !escaped && strings.IndexByte(segment, '\\') < 0 {
		return string(name) == segment
	}
	var tmp [utf8.UTFMax]byte
	for len(name) > 0 {
		c, n := append(tmp[:0], name[0]), 1
		if name[0] == '\\' {
			if c, n = unescapeOne(tmp[:0], name); n == 0 {
				return false
			}
		}
		for i := range c {
			if len(segment) > 1 && segment[0] == '\\' {
				segment = segment[1:]
			}
			if segment == "" || segment[0] != c[i] {
				return false
			}
			segment = segment[1:]
		}
		name = name[n:]
	}
	return segment == ""
}

// EqualJSON compares what stands between a string's quotes with text.
func EqualJSON(raw []byte, text string) bool {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw) == text
	}
	return equalUnescaped(raw, text)
}

func equalUnescaped(raw []byte, text string) bool {
	var tmp [utf8.UTFMax]byte
	for len(raw) > 0 {
		b := append(tmp[:0], raw[0])
		n := 1
		if raw[0] == '\\' {
			if b, n = unescapeOne(tmp[:0], raw); n == 0 {
				return false
			}
		}
		if len(text) < len(b) || text[:len(b)] != string(b) {
			return false
		}
		raw, text = raw[n:], text[len(b):]
	}
	return text == ""
}

// Unescape appends what the text between a string's quotes stands for to dst.
// It returns false for a malformed escape.
func Unescape(dst, raw []byte) ([]byte, bool) {
	for len(raw) > 0 {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return append(dst, raw...), true
		}
		dst = append(dst, raw[:i]...)
		var n int
		if dst, n = unescapeOne(dst, raw[i:]); n == 0 {
			return dst, false
		}
		raw = raw[i+n:]
	}
	return dst, true
}

// unescapeOne appends the character of the escape at the start of raw and
// returns the escape's length, 0 when it is malformed. A surrogate without its
// partner becomes U+FFFD.
func unescapeOne(dst, raw []byte) ([]byte, int) {
	if len(raw) < 2 {
		return dst, 0
	}
	switch c := raw[1]; c {
	case '"', '\\', '/':
		return append(dst, c), 2
	case 'b':
		return append(dst, '\b'), 2
	case 'f':
		return append(dst, '\f'), 2
	case 'n':
		return append(dst, '\n'), 2
	case 'r':
		return append(dst, '\r'), 2
	case 't':
		return append(dst, '\t'), 2
	case 'u':
		r := hex4(raw)
		if r < 0 {
			return dst, 0
		}
		if utf16.IsSurrogate(r) {
			if both := utf16.DecodeRune(r, hex4(raw[6:])); both != utf8.RuneError {
				return utf8.AppendRune(dst, both), 12
			}
			r = utf8.RuneError
		}
		return utf8.AppendRune(dst, r), 6
	}
	return dst, 0
}

// hex4 reads an escape of \u and four hexadecimal digits, or returns -1.
func hex4(raw []byte) rune {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range raw[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}
