package oslo_test

import (
	"bytes"
	"fmt"
	"mime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/wasmrouter/router/oslo"
)

// FuzzFailure reads anything as what a server says went wrong. What is read can
// be written and is read as the same, whatever the reply said is in it, and a class
// that came from afar goes on under its own name.
func FuzzFailure(f *testing.F) {
	for _, text := range []string{
		`{"class": "ValueError", "module": "builtins", "message": "no\u001b", "tb": ["a\n", 1, "b"], "args": ["no", {"a": NaN}], "kwargs": {"k": 1}}`,
		`{"class": "E_Remote", "module": "m_Remote", "message": "x"}`, `{"class": "E_Remote_Remote", "module": "m_Remote"}`,
		`{"class": 1, "module": "exceptions", "args": null, "kwargs": [], "tb": {}}`, `just text`, `"\ud800"`, `{"class": "a", "class": "b"`, `[]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, raw := range []oslo.Raw{oslo.String(string(text)), oslo.Raw(text)} {
			if _, err := oslo.ParseRaw(raw); err != nil {
				continue
			}
			failure := oslo.ParseFailure(raw)
			written := failure.Encode()
			if _, err := oslo.ParseRaw(written); err != nil {
				t.Fatalf("%q was written as %q: %v", text, written, err)
			}
			again := oslo.ParseFailure(oslo.String(string(written)))
			twice := again.Encode()
			if strings.HasSuffix(again.Class, "_Remote") && strings.HasSuffix(again.Module, "_Remote") {
				continue // another of its names is taken off each time
			}
			if !bytes.Equal(written, twice) {
				t.Errorf("%q was written as %s, and that as %s", text, written, twice)
			}
		}
		if !utf8.Valid(text) {
			return // bytes that are none become halves of pairs, as in Python
		}
		if o, err := oslo.ParseObject(text); err != nil {
			if got := oslo.ParseFailure(oslo.String(string(text))); !strings.Contains(string(oslo.String(got.Message)), strings.Trim(string(oslo.String(string(text))), `"`)) {
				t.Errorf("%q became %+v: %v", text, got, err)
			}
		} else if got := oslo.ParseFailure(oslo.String(string(text))); got.Class != o.Text("class") || got.Message != o.Text("message") {
			t.Errorf("%q became %+v", text, got)
		}
	})
}

// FuzzCompatible: what implements a version can answer for it and for lower ones
// of the same major part, and no order of two versions is that of both.
func FuzzCompatible(f *testing.F) {
	for _, v := range [][2]string{{"1.0", "1.0"}, {"1.10", "1.9"}, {"2.0", "1.0"}, {"1.2.3", "1.2"}, {"1", "1.0"}, {"+1.0", "1.0"}, {"1.0.0.0", "1.0"}, {"1.4294967296", "1.0"}, {"01.1", "1.1"}, {"1. 0", ""}} {
		f.Add(v[0], v[1])
	}
	f.Fuzz(func(t *testing.T, have, want string) {
		there, back := oslo.Compatible(have, want), oslo.Compatible(want, have)
		number := func(s string) (major, minor, revision uint32, ok bool) {
			n := strings.Count(s, ".") + 1
			format := []string{"", "", "%d.%d", "%d.%d.%d"}
			if n < 2 || n > 3 || strings.Trim(s, "0123456789.") != "" {
				return 0, 0, 0, false
			}
			parts := []any{&major, &minor, &revision}[:n]
			_, err := fmt.Sscanf(s, format[n], parts...)
			return major, minor, revision, err == nil
		}
		a, b, c, ok := number(have)
		d, e, g, fine := number(want)
		model := ok && fine && a == d && (e < b || e == b && g <= c)
		if there != model {
			t.Errorf("%q for %q: %v", have, want, there)
		}
		if there && back && (a != d || b != e || c != g) {
			t.Errorf("%q and %q stand for each other", have, want)
		}
	})
}

// FuzzContentType agrees with the standard library about what is JSON in UTF-8,
// where that can read the header at all.
func FuzzContentType(f *testing.F) {
	for _, s := range []string{"application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"us-ascii\"; x=y", "text/json", "", ";", "application/json; charset=latin1", "application/json; x=charset=latin1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		err := oslo.CheckContentType(header)
		media, params, bad := mime.ParseMediaType(header)
		if bad != nil {
			return
		}
		if err == nil && media != oslo.ContentType && media != "" {
			t.Errorf("%q is read as %s", header, media)
		}
		switch charset := strings.ToLower(params["charset"]); {
		case err != nil || len(params) > 1:
		case charset != "" && charset != "utf-8" && charset != "utf8" && charset != "ascii" && charset != "us-ascii":
			t.Errorf("%q is read as UTF-8", header)
		}
		if err != nil && media == oslo.ContentType && len(params) == 0 {
			t.Errorf("%q: %v", header, err)
		}
	})
}
