package workbench

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/router"
)

// wat builds a filter from functions in WebAssembly text. What they need around
// them is here: $say returns a delta that lies at 0.
func wat(t *testing.T, name, functions string) *Subject {
	t.Helper()
	source := filepath.Join(t.TempDir(), name+".wat")
	writeFile(t, source, `(module
  (memory (export "memory") 17)
  (func (export "router_abi_1"))
  (func (export "router_buffer") (param i32) (result i32) (i32.const 65536))
  `+functions+`)`)
	module := strings.TrimSuffix(source, ".wat") + ".wasm"
	if out, err := exec.CommandContext(t.Context(), "wat2wasm", "-o", module, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s, err := Open(module, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// delta writes operations as WebAssembly text has bytes.
func delta(ops ...[]string) (data string, n int) {
	var b []byte
	for _, op := range ops {
		code, key, value := op[0][0], op[1], op[2]
		b = append(b, code, op[0][1], byte(len(key)), 0, byte(len(value)), 0, 0, 0)
		b = append(append(b, key...), value...)
		for len(b)%8 != 0 {
			b = append(b, 0)
		}
	}
	var s strings.Builder
	for _, c := range b {
		s.WriteString("\\" + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]))
	}
	return s.String(), len(b)
}

func runOne(t *testing.T, s *Subject, stages string, message string) Outcome {
	t.Helper()
	l, err := bench.load(t.Context(), s, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	m, err := ParseMessage([]byte(message))
	if err != nil {
		t.Fatal(err)
	}
	list, err := ParseStages(strings.Fields(stages))
	if err != nil {
		t.Fatal(err)
	}
	out, err := try(t.Context(), l.instance, list, &m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const (
	opSetHeader = "\x01\x10"
	opTarget    = "\x05\x00"
	opAction    = "\x06\x00"
	opEmit      = "\x09\x00"
)

// A filter that names two targets, makes one more message, and packs all three.
func splitter(t *testing.T) *Subject {
	decide, n := delta(
		[]string{opTarget, "queue", "a"}, []string{opTarget, "queue", "b"}, []string{opEmit, "", ""},
		[]string{opSetHeader, "part", "1"}, []string{opTarget, "fanout", "all"})
	pack, m := delta([]string{opSetHeader, "packed", "yes"})
	return wat(t, "splitter", `
  (data (i32.const 0) "`+decide+`") (data (i32.const 1024) "`+pack+`")
  (func (export "router_decide") (param i32 i32) (result i64) (i64.const `+itoa(n)+`))
  (func (export "router_pack") (param i32 i32) (result i64) (i64.or (i64.shl (i64.const 1024) (i64.const 32)) (i64.const `+itoa(m)+`)))`)
}

func itoa(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestEachTargetAndEmittedMessageIsPacked(t *testing.T) {
	s := splitter(t)
	out := runOne(t, s, "decide", `{}`)
	if diff := cmp.Diff("action: forward\ntarget: queue:a\ntarget: queue:b\nemit 1: target: fanout:all\nemit 1: header part: string 1\n", out.Describe()); diff != "" {
		t.Errorf("decide (-want +got):\n%s", diff)
	}
	out = runOne(t, s, "decide pack", `{}`)
	want := `action: forward
target: queue:a
target: queue:b
to queue:a: header packed: string yes
to queue:b: header packed: string yes
emit 1: target: fanout:all
emit 1: header packed: string yes
emit 1: header part: string 1
`
	if diff := cmp.Diff(want, out.Describe()); diff != "" {
		t.Errorf("decide and pack (-want +got):\n%s", diff)
	}
	if len(out.Calls) != 4 {
		t.Errorf("%d calls; one to decide and three to pack are expected", len(out.Calls))
	}
	// By itself pack is told the target, and does not name it again.
	out = runOne(t, s, "pack", `{"target": "queue:x"}`)
	if diff := cmp.Diff("header packed: string yes\n", out.Describe()); diff != "" {
		t.Errorf("pack (-want +got):\n%s", diff)
	}
}

func TestLaterStagesDoNotSeeWhatIsRejected(t *testing.T) {
	data, n := delta([]string{opAction, "reject", "no"})
	s := wat(t, "rejecter", `
  (data (i32.const 0) "`+data+`")
  (func (export "router_unpack") (param i32 i32) (result i64) (i64.const `+itoa(n)+`))
  (func (export "router_decide") (param i32 i32) (result i64) (unreachable))
  (func (export "router_encode") (param i32 i32) (result i64) (unreachable))`)
	out := runOne(t, s, "unpack decide encode", `{}`)
	if diff := cmp.Diff("action: reject\nreason: no\n", out.Describe()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	out = runOne(t, s, "decide", `{"headers": {"h": 1}}`)
	if got := out.Describe(); !strings.HasPrefix(got, "decide fails: trap: unreachable") || len(out.Calls) != 1 {
		t.Errorf("%q, %d calls", got, len(out.Calls))
	}
}

func TestChangesAreNamed(t *testing.T) {
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	before := router.NewEnvelope(map[string]any{"gone": int64(1), "same": when, "typed": int64(1), "null": nil, "list": []any{"a"}}, []byte("old"))
	before.Priority, before.ContentType = 3, "text/plain"
	after := before.Clone()
	after.DelHeader("gone")
	after.SetHeader("same", when.Local())
	after.SetHeader("typed", 1.0)
	after.SetHeader("new", nil)
	after.Priority, after.ContentType, after.Timestamp, after.Body = 0, "", when, []byte{0, 255}
	o := Outcome{Before: before, After: after, Decision: router.Decision{Action: router.Retry, Delay: time.Second, Reason: "later", Stop: true}}
	want := `action: retry
reason: later
delay: 1s
stop
content_type: removed
priority: removed
timestamp: 2026-01-02T03:04:05Z
header gone: removed
header new: null
header typed: float64 1
body: hex 00 ff
`
	if diff := cmp.Diff(want, o.Describe()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var text bytes.Buffer
	if err := o.verdict(1).writeText(&text); err != nil {
		t.Fatal(err)
	}
	want = `message 1: retry after 1s because "later" and stops the filters after it
  content_type: "text/plain" -> none
  priority: "3" -> none
  timestamp: none -> "2026-01-02T03:04:05Z"
  header gone: 1 -> none
  header new: none -> {"null":true}
  header typed: 1 -> 1
  body: "old" -> {"base64":"AP8="}
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	o = Outcome{Before: before, After: before}
	if got := o.Describe(); got != "nothing\n" {
		t.Errorf("no change is %q", got)
	}
}

func TestMessagesAreReadAsTheyAreWritten(t *testing.T) {
	m, err := ParseMessage([]byte(`{
		"headers": {"i": 7, "f": 1.5, "b": {"bytes": "00ff"}, "t": {"time": "2026-01-02T03:04:05Z"}, "l": [1, {"x": "y"}], "n": null},
		"properties": {"priority": 9, "delivery_mode": "2", "timestamp": "2026-01-02T03:04:05Z", "type": "created"},
		"exchange": "ex", "routing_key": "key", "queue": "q", "redelivered": true, "received": "2026-01-02T03:04:06Z",
		"body": {"a":  1}}`))
	if err != nil {
		t.Fatal(err)
	}
	env, err := m.Envelope()
	if err != nil {
		t.Fatal(err)
	}
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := map[string]any{"i": int64(7), "f": 1.5, "b": []byte{0, 255}, "t": when, "l": []any{int64(1), map[string]any{"x": "y"}}, "n": nil}
	if diff := cmp.Diff(want, env.Headers()); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if string(env.Body) != `{"a":  1}` || env.Priority != 9 || env.DeliveryMode != 2 || !env.Timestamp.Equal(when) || env.Type != "created" {
		t.Errorf("%+v", env)
	}
	if diff := cmp.Diff(router.Origin{Queue: "q", Exchange: "ex", RoutingKey: "key", Redelivered: true, Received: when.Add(time.Second)}, env.Origin); diff != "" {
		t.Errorf("origin (-want +got):\n%s", diff)
	}
	for text, body := range map[string]string{`{"body": "t\u00e9xt"}`: "téxt", `{"body": 1.50}`: "1.50", `{"body_base64": "AP8="}`: "\x00\xff", `{}`: ""} {
		if m, err := ParseMessage([]byte(text)); err != nil || string(m.body) != body {
			t.Errorf("%s: %q, %v", text, m.body, err)
		}
	}
}

// The filter that others are measured against is what its source says.
func TestIdentityIsBuiltFromItsSource(t *testing.T) {
	out := filepath.Join(t.TempDir(), "identity.wasm")
	if text, err := exec.CommandContext(t.Context(), "wat2wasm", "-o", out, "identity.wat").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	built, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(built, identity) {
		t.Error("identity.wasm is another module than identity.wat: wat2wasm -o identity.wasm identity.wat")
	}
	s := &Subject{Name: "identity", File: "identity.wasm", Module: identity, Filter: config.Default().Filter}
	for _, stage := range StageNames() {
		if out := runOne(t, s, stage, `{"headers": {"h": 1}, "body": "text"}`); out.Describe() != "nothing\n" {
			t.Errorf("%s: %s", stage, out.Describe())
		}
	}
	r, err := bench.Check(t.Context(), s)
	if err != nil || !r.OK {
		t.Errorf("%v, %v", err, r.Err())
	}
}

func TestEveryGrantCanBeGiven(t *testing.T) {
	if diff := cmp.Diff([]string{"clock", "kv", "metrics", "random"}, Grants()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, name := range Grants() {
		var g config.Grants
		if err := give(&g, name); err != nil || g == (config.Grants{}) {
			t.Errorf("%s: %+v, %v", name, g, err)
		}
		if got := grantNames(g, false); len(got) != 1 || got[0] != name {
			t.Errorf("%s is shown as %q", name, got)
		}
	}
}

func TestProjectsThatCannotBeWrittenLeaveNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "p")
	_, err := writeProject(dir, map[string][]byte{"a": nil, "a/b": nil})
	if err == nil {
		t.Fatal("a file and a directory have one name")
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a is left: %v", err)
	}
}

// The positions in what is put together are those of the parts.
func TestPositionsInWATAreThoseOfTheSources(t *testing.T) {
	whole, line := include([]byte("(module\n  ;; ROUTER SDK\n  bad)\n"), []byte("one\ntwo"))
	if string(whole) != "(module\none\ntwo\n  bad)\n" || line != 2 {
		t.Errorf("%q, %d", whole, line)
	}
	whole, line = include([]byte("(module)"), nil)
	if string(whole) != "(module)" || line != 0 {
		t.Errorf("%q, %d", whole, line)
	}
}
