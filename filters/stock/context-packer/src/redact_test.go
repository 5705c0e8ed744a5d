package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// strip is the reference: it removes what the patterns match from a decoded
// document.
func strip(v any, patterns []pattern, path []step) any {
	keep := func(s step) ([]step, bool) {
		p := append(path[:len(path):len(path)], s)
		for i := range patterns {
			if patterns[i].matches(p) {
				return p, false
			}
		}
		return p, true
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			if p, ok := keep(step{name: quote(k), escaped: true, index: -1}); ok {
				out[k] = strip(e, patterns, p)
			}
		}
		return out
	case []any:
		out := []any{}
		for i, e := range v {
			if p, ok := keep(step{index: i}); ok {
				out = append(out, strip(e, patterns, p))
			}
		}
		return out
	}
	return v
}

func quote(k string) []byte {
	b, _ := json.Marshal(k)
	return b[1 : len(b)-1]
}

func patterns(t testing.TB, texts ...string) []pattern {
	t.Helper()
	var list []pattern
	for _, s := range texts {
		p, err := parsePattern(s)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func FuzzRedact(f *testing.F) {
	for _, s := range []string{
		`{"a":1}`, `{"a":1,"b":2,"x":{"y":3}}`, `[{"a":1},[2],{"b":{"a":[]}}]`, ` { "b" : 1 , "a" : 2 , "c" : 3 } `,
		`{"x":{"y":1,"z":2},"a":[1,2,3]}`, `{"\u0061":1,"b":"\ud800"}`, `[0,1,2,3]`, `{"a":1,"a":2}`, `"a"`, `01`, `{"a":1,}`, `[1`, `{"a":"` + "\n" + `"}`,
		`{"items":[{"p":1,"q":2},{"p":3}]}`, `-0.5e+3`, `{"deep":[[[{"secret":1,"b":2}]]]}`,
	} {
		f.Add([]byte(s))
	}
	fields := patterns(f, "a", "x.y", "items.*.p", "*.1", "**.secret", `b\.c`)
	remove := redact{fields: fields}
	mask := redact{fields: fields, masking: true, quoted: []byte(`"***"`)}
	f.Fuzz(func(t *testing.T, doc []byte) {
		before := bytes.Clone(doc)
		out, changed, badAt := remove.body(doc)
		if !bytes.Equal(before, doc) {
			t.Fatal("the document was changed in place")
		}
		if valid := json.Valid(doc); valid != (badAt < 0) {
			if valid && bytes.Count(doc, []byte("["))+bytes.Count(doc, []byte("{")) > maxDepth {
				return // nested too deep, which encoding/json allows
			}
			t.Fatalf("%q: valid = %v, malformed at %d", doc, valid, badAt)
		}
		if badAt >= 0 {
			return
		}
		got := doc
		if changed {
			got = out
		}
		var was, is any
		if err := json.Unmarshal(doc, &was); err != nil {
			return // a number too big for a double
		}
		if err := json.Unmarshal(got, &is); err != nil {
			t.Fatalf("%q became %q: %v", doc, got, err)
		}
		if diff := cmp.Diff(strip(was, fields, nil), is); diff != "" {
			t.Fatalf("%q became %q (-want +got):\n%s", doc, got, diff)
		}
		removed := changed
		out, changed, _ = mask.body(doc)
		if changed != removed {
			t.Fatalf("%q: removing changes it: %v, masking: %v", doc, removed, changed)
		}
		if changed && !json.Valid(out) {
			t.Fatalf("%q was masked as %q", doc, out)
		}
	})
}

func TestCallsDoNotAllocate(t *testing.T) {
	r := redact{fields: patterns(t, "x.y", "a.*.c", "**.secret", "items.1")}
	doc := []byte(`{"items":[{"x":1.5},[2],"\u0041"],"a":[{"c":1,"d":"e"}],"x":{"y":true},"q":{"secret":null}}`)
	if n := testing.AllocsPerRun(100, func() { r.body(doc) }); n != 0 {
		t.Errorf("redacting allocates %v times", n)
	}
}

func TestTraceparent(t *testing.T) {
	const valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if !validParent(valid) {
		t.Error("a valid traceparent is refused")
	}
	// No other character is right in any place, but for other hex digits.
	for i := range len(valid) {
		for c := range 256 {
			s := valid[:i] + string([]byte{byte(c)}) + valid[i+1:]
			isHex := c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
			want := isHex && valid[i] != '-' && (i > 1) || s == valid
			if i <= 1 && isHex {
				want = true // a later version, of the same form
			}
			if got := validParent(s); got != want {
				t.Errorf("%q: %v", s, got)
			}
		}
	}
	for n := range len(valid) {
		if validParent(valid[:n]) {
			t.Errorf("%q is too short", valid[:n])
		}
	}
}
