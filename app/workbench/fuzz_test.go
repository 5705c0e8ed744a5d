package workbench

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzParseMessage: a message that is accepted can be described, and its JSON is
// one message. One that is refused says in one line why.
func FuzzParseMessage(f *testing.F) {
	for _, s := range []string{
		`{"headers": {"h": 1, "b": {"bytes": "00ff"}, "t": {"time": "2024-01-02T03:04:05Z"}}, "properties": {"priority": 3, "timestamp": "2024-01-02T03:04:05Z"}, "body": {"a": 1}}`,
		`{"body": "text", "target": "topic:e/t", "received": "2024-01-02T03:04:05Z"}`, `{"body_base64": "AP8="}`, `{"body": null}`, `{"Body": 1, "body_base64": "AA=="}`,
		`{"properties": {"type": {}, "x": 1}}`, `{"properties": {"delivery_mode": 3}}`, `{"headers": []}`, `{} {}`, `{"headers": {"n": 1e400, "x": {"bytes": "0"}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseMessage(data)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b\x00") || err.Error() == "" {
				t.Errorf("%q", err)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("%q is no JSON", data)
		}
		env, err := m.Envelope()
		if err != nil {
			t.Fatalf("it was accepted, and then: %v", err)
		}
		if len(m.BodyBase64) == 0 && len(m.Body) > 0 && m.Body[0] != '"' && !bytes.Equal(env.Body, m.Body) {
			t.Errorf("the body %s became %q", m.Body, env.Body)
		}
		empty, err := (&Message{}).Envelope()
		if err != nil {
			t.Fatal(err)
		}
		if changes := Changes(&env, &env); len(changes) > 0 {
			t.Errorf("it differs from itself: %v", changes)
		}
		Changes(&empty, &env)
	})
}

// FuzzCase reads any file as a golden case. What is written is read as the same,
// an update changes what is wanted and nothing else, and a case that is brought up
// to date matches.
func FuzzCase(f *testing.F) {
	files, err := filepath.Glob("../../filters/stock/*/cases/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for i, file := range files {
		if i%8 != 0 {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "action: drop\n")
	}
	f.Add([]byte(twoSteps), "-- want --\n")
	f.Add([]byte("-- body.hex --\n00 f\n-- stage --\ndecode encode\n-- want --\nbody: <hex16>"), "")
	f.Fuzz(func(t *testing.T, data []byte, got string) {
		a := parseArchive(data)
		written := a.format()
		again := parseArchive(written)
		if !bytes.Equal(again.format(), written) || len(again.sections) != len(a.sections) {
			t.Fatalf("%q was written as %q, and that as %q", data, written, again.format())
		}
		c := &Case{archive: a}
		if err := c.parse(); err != nil {
			if strings.ContainsAny(err.Error(), "\x1b\x00") {
				t.Errorf("%q", err)
			}
			return
		}
		outs := make([]string, len(c.Steps))
		for i := range outs {
			outs[i] = got + "\n"
		}
		if strings.Contains(got, "-- ") {
			return // such a line begins a section
		}
		c.File = filepath.Join(t.TempDir(), "case.txtar")
		if _, err := c.Update(outs); err != nil {
			t.Fatal(err)
		}
		if diff := c.Mismatch(outs); diff != "" {
			t.Errorf("brought up to date, it differs:\n%s", diff)
		}
		data, err := os.ReadFile(c.File)
		if os.IsNotExist(err) {
			return
		}
		other := &Case{archive: parseArchive(data)}
		if err := other.parse(); err != nil || len(other.Steps) != len(c.Steps) {
			t.Fatalf("it has %d steps, not %d, once it is written: %v", len(other.Steps), len(c.Steps), err)
		}
		if diff := other.Mismatch(outs); diff != "" {
			t.Errorf("written and read, it differs:\n%s", diff)
		}
	})
}
