package main

import (
	"errors"
	"strconv"
	"strings"

	"github.com/wasmrouter/router/filters/sdk/go/filter"
)

// redact removes or masks headers and JSON fields.
type redact struct {
	headers []string // lower case
	fields  []pattern
	masking bool
	mask    string // as header text
	quoted  []byte // as JSON
}

func (r *redact) read(m *filter.Message) error {
	for _, h := range m.ConfigList("redact.headers") {
		if h == "" {
			return errors.New("redact.headers: an empty name")
		}
		r.headers = append(r.headers, strings.ToLower(h))
	}
	for _, f := range m.ConfigList("redact.fields") {
		p, err := parsePattern(f)
		if err != nil {
			return err
		}
		r.fields = append(r.fields, p)
	}
	switch mode := m.ConfigText("redact.mode", "remove"); mode {
	case "remove":
	case "mask":
		r.masking = true
	default:
		return errors.New("redact.mode: remove and mask are known, not " + mode)
	}
	r.mask = m.ConfigText("redact.mask", "***")
	if !clean(r.mask) {
		return errors.New("redact.mask holds control characters")
	}
	r.quoted = append(r.quoted, '"')
	for i := range len(r.mask) {
		if c := r.mask[i]; c == '"' || c == '\\' {
			r.quoted = append(r.quoted, '\\')
		}
		r.quoted = append(r.quoted, r.mask[i])
	}
	r.quoted = append(r.quoted, '"')
	return nil
}

func (r *redact) apply(m *filter.Message, d *filter.Delta) {
	if len(r.headers) > 0 {
		for i := range m.HeaderCount() {
			name, v := m.HeaderAt(i)
			switch {
			case !r.names(name):
			case !r.masking:
				d.DelHeader(name)
			case v.Type != filter.UTF8 || v.Raw != r.mask:
				d.SetHeader(name, r.mask)
			}
		}
	}
	if len(r.fields) == 0 || len(m.Body()) == 0 {
		return
	}
	if m.Flags()&filter.BodyTruncated != 0 {
		d.Error("truncated", "the body is not whole")
		return
	}
	body, changed, badAt := r.body(m.Body())
	if badAt >= 0 {
		notJSON(d, badAt)
		return
	}
	if changed {
		d.SetBodyRef(body)
	}
}

func notJSON(d *filter.Delta, at int) {
	var b [20]byte
	d.Error("malformed", "the body is not JSON: malformed at byte ", string(strconv.AppendInt(b[:0], int64(at), 10)))
}

// names reports whether a header is to be redacted, whatever its case.
func (r *redact) names(header string) bool {
	for _, h := range r.headers {
		if len(h) == len(header) && strings.EqualFold(h, header) {
			return true
		}
	}
	return false
}

// pattern is a path to fields: names, * for any name or index, and a leading
// ** for any depth.
type pattern struct {
	segments []segment
	anywhere bool
}

type segment struct {
	name  string
	index int // the name as a number, else -1
	any   bool
}

func newSegment(name string) segment {
	n, err := strconv.Atoi(name)
	if err != nil || n < 0 {
		n = -1
	}
	return segment{name, n, name == "*"}
}

func parsePattern(s string) (pattern, error) {
	var p pattern
	rest, ok := strings.CutPrefix(s, "**.")
	p.anywhere = ok
	var name []byte
	for i := 0; i <= len(rest); i++ {
		switch {
		case i == len(rest) || rest[i] == '.':
			if len(name) == 0 || string(name) == "**" {
				return p, errors.New("redact.fields: not a path: " + s)
			}
			p.segments = append(p.segments, newSegment(string(name)))
			name = name[:0]
		case rest[i] == '\\' && i+1 < len(rest):
			i++
			name = append(name, rest[i])
		default:
			name = append(name, rest[i])
		}
	}
	return p, nil
}

// step is one step of the way to the value at hand.
type step struct {
	name    []byte // as written in the document
	escaped bool
	index   int // of an array's element, else -1
}

func (s *step) is(want *segment) bool {
	if want.any {
		return true
	}
	if s.index >= 0 {
		return s.index == want.index
	}
	// Without escapes a name has the segment's length; with them it is longer.
	if len(s.name) <= len(want.name) {
		return string(s.name) == want.name
	}
	return s.escaped && filter.EqualJSON(s.name, want.name)
}

func (p *pattern) matches(path []step) bool {
	n := len(p.segments)
	if len(path) < n || len(path) > n && !p.anywhere {
		return false
	}
	tail := path[len(path)-n:]
	for i := n - 1; i >= 0; i-- {
		if !tail[i].is(&p.segments[i]) {
			return false
		}
	}
	return true
}
