package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/app/deadletters"
	"github.com/wasmrouter/router/app/workbench"
	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// FuzzPairs reads NAME=VALUE flags: what is JSON has JSON's type and comes out as
// it was written, all else is the text itself, and an error names the flag.
func FuzzPairs(f *testing.F) {
	for _, s := range []string{
		"a=1", "a=1]", "a={\"b\":[1.5,null,-0,1e400,\"\\ud800\"]}", "a= true ", "a=18446744073709551616", "=1", "a", "a=b=c", "a=1 2", "priority=256", "type=x", "x=\x1b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, value, ok := strings.Cut(s, "=")
		ok = ok && name != ""
		headers, err := pairs("--header", []string{s})
		context, contextErr := contextOf("", []string{s})
		for _, err := range []error{err, contextErr} {
			if (err == nil) != ok || err != nil && (!strings.Contains(err.Error(), "--header") || strings.ContainsFunc(err.Error(), unicode.IsControl)) {
				t.Fatalf("%q: %v", s, err)
			}
		}
		var p router.Properties
		if err := (&message{properties: []string{s}}).setProperties(&p); err != nil && (p != (router.Properties{}) || !strings.Contains(err.Error(), "--property")) {
			t.Errorf("%q: %v, and %+v", s, err, p)
		}
		if !ok {
			return
		}
		if !json.Valid([]byte(value)) {
			if headers[name] != value || context[name] != value {
				t.Errorf("%q became %#v and %#v", s, headers[name], context[name])
			}
			return
		}
		if !sendable(headers[name]) {
			t.Errorf("%q became %#v", s, headers[name])
		}
		if raw, ok := context[name].(oslo.Raw); !ok || string(raw) != value {
			t.Errorf("%q became the context %#v", s, context[name])
		}
		written, err := json.Marshal(headers[name])
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		again, err := pairs("--header", []string{name + "=" + string(written)})
		twice, _ := json.Marshal(again[name]) // 1.0 is 1 to JSON
		if written = bytes.ReplaceAll(written, []byte("-0"), []byte("0")); err != nil || !bytes.Equal(written, bytes.ReplaceAll(twice, []byte("-0"), []byte("0"))) {
			t.Errorf("%q was written as %s, and that as %s, %v", s, written, twice, err)
		}
	})
}

// sendable reports whether a header can hold the value.
func sendable(v any) bool {
	switch v := v.(type) {
	case nil, bool, string, int64, float64:
		return true
	case []any:
		for _, v := range v {
			if !sendable(v) {
				return false
			}
		}
		return true
	case map[string]any:
		for _, v := range v {
			if !sendable(v) {
				return false
			}
		}
		return true
	}
	return false
}

// FuzzPrintedMessage prints messages of people who may not wish us well. Nothing
// in them can command the terminal or forge a line, and as JSON they are one line
// that `router filter run` takes as the same message.
func FuzzPrintedMessage(f *testing.F) {
	f.Add("orders", "k", "h", "text", "id", []byte("body"))
	f.Add("q\x1b[2J", "k\n", "h\n  body", "\u009b31m", "\xff", []byte{0, 0xff})
	f.Add("q", "k", "a", "<&>\u2028", "i\r\nd", []byte(`{"method": "m\u001b]0;", "args": {"a": NaN}, "_msg_id": "i", "_reply_q": "q", "_context_u": "\u009b"}`))
	f.Add("q", "k", "a", "b", "", []byte(`{"failure": "{\"class\": \"E\", \"tb\": [\"a\\n\", \"\\u001bb\"]}", "ending": true, "_msg_id": "i"}`))
	f.Add("q", "k", "a", "b", "", []byte(`{"event_type": "e\u001b", "publisher_id": "p", "priority": "INFO", "payload": [1, "\u007f"]}`))
	f.Fuzz(func(t *testing.T, queue, key, name, text, id string, body []byte) {
		env := router.NewEnvelope(map[string]any{name: text, "list": []any{text, map[string]any{name: body}}, "n": int64(7), "bytes": body}, body)
		env.Origin = router.Origin{Queue: queue, Exchange: key, RoutingKey: key}
		env.CorrelationID, env.Priority = id, 3
		for _, asOslo := range []bool{false, true} {
			format := rpc.Format(rpc.Plain{})
			if asOslo {
				format = rpc.Oslo{}
			}
			var out bytes.Buffer
			p := &messagePrinter{out: &out, format: format, oslo: asOslo}
			p.print(&env)
			head := 1 + len(env.Headers()) + len(deadletters.PropertyTexts(&env.Properties))
			for i, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
				if strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }) || !utf8.ValidString(line) {
					t.Errorf("line %d is %q", i, line)
				}
				if header := strings.HasPrefix(line, "  header "); i > 0 && i < head && !header && !strings.HasPrefix(line, "  correlation_id: ") && !strings.HasPrefix(line, "  priority: ") {
					t.Errorf("line %d is %q", i, line)
				}
			}
			out.Reset()
			p.json = true
			p.print(&env)
			if bytes.Count(out.Bytes(), []byte("\n")) != 1 || !json.Valid(out.Bytes()) {
				t.Fatalf("no line of JSON: %q", out.Bytes())
			}
			if !asOslo {
				comesBack(t, out.Bytes(), &env)
			}
		}
	})
}

// comesBack reads a printed message.
func comesBack(t *testing.T, printed []byte, env *router.Envelope) {
	t.Helper()
	m, err := workbench.ParseMessage(printed)
	if err != nil && len(env.CorrelationID) <= 255/3 { // what is no UTF-8 may grow
		t.Fatalf("%s: %v", printed, err)
	}
	back, err := m.Envelope()
	if err != nil {
		return
	}
	if !bytes.Equal(back.Body, env.Body) {
		t.Errorf("the body %q came back as %q", env.Body, back.Body)
	}
	for name := range maps.Keys(env.Headers()) {
		if text, ok := env.Headers()[name].(string); ok && utf8.ValidString(name+text) && back.Headers()[name] != text {
			t.Errorf("the header %q, %q, came back as %v", name, text, back.Headers()[name])
		}
	}
	if have, want := back.Headers()["bytes"], env.Headers()["bytes"]; !cmp.Equal(have, want) {
		t.Errorf("the header bytes, %q, came back as %q", want, have)
	}
	if utf8.ValidString(env.CorrelationID) && back.Properties != env.Properties {
		t.Errorf("%+v came back as %+v", env.Properties, back.Properties)
	}
}
