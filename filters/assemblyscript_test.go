package filters_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/filters/conformance"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
)

func TestAssemblyScriptReadsItsConfiguration(t *testing.T) {
	module := built(t, buildAS+"config.ts")
	config := map[string]any{
		"first": "a", "text": "grün", "int": int64(41), "on": true, "list": []any{"x", "y"}, "one": "z",
	}
	f, err := loadFilter(t, "config", module, config)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"a": "1", "tenant": "acme", "other": "2", "saw-a": "x", "saw-tenant": "x",
		"text": "grün default x+y+z", "int": int64(42), "on": true, "kept": `["x","y"]!`,
	}
	for range 2 { // what was kept outlives the first message
		env, d := router.NewEnvelope(map[string]any{"a": "1", "tenant": "acme", "other": "2"}, []byte(strings.Repeat("x", 10_000))), router.Decision{}
		if err := f.Run(t.Context(), router.Decide, &env, &d); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, env.Headers()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	for _, text := range []any{nil, "", int64(1)} {
		config["text"] = text
		if text == nil {
			delete(config, "text")
		}
		if _, err := loadFilter(t, "config", module, config); err == nil || !strings.Contains(err.Error(), "text is missing") {
			t.Errorf("text = %v: %v", text, err)
		}
	}
}

func TestAssemblyScriptReadsTexts(t *testing.T) {
	f, err := loadFilter(t, "probe", built(t, buildAS+"probe.ts"), nil)
	if err != nil {
		t.Fatal(err)
	}
	env, d := router.NewEnvelope(map[string]any{"tenant": "acme"}, []byte(`{"lines":[{},{"sku":"a-7"}],"lines":1}`)), router.Decision{}
	if err := f.Run(t.Context(), router.Pack, &env, &d); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"tenant": "acme", "empty": int64(0), "found": int64(229), "absent": int64(-2), "starts": true, "name": "tenant", "sku": "a-7", "none": true,
		"bad": true, "equal": true, "plain": "é", "wrong": true, "numbers": "-9223372036854775808 0", "prefix": int64(7<<32 | 8), "length": true,
	}
	if diff := cmp.Diff(want, env.Headers()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A frame with any of its numbers changed is malformed or read within its
// bounds.
func TestAssemblyScriptOutlivesMalformedFrames(t *testing.T) {
	ctx := t.Context()
	p, err := host.Engine(wasmhost.Limits{}).Load(ctx, built(t, buildAS+"probe.ts"), conformance.Options{Name: "probe"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	in, err := p.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	call := func(export string, args ...uint32) uint64 {
		t.Helper()
		result, err := in.Call(ctx, nil, export, args...)
		if err != nil {
			t.Fatalf("%s: %v", export, err)
		}
		return result
	}
	call("_initialize")

	m := &conformance.Message{Body: []byte(`{"name":"n\u00e9"}`), Headers: []conformance.Header{
		{Name: "tenant", Value: conformance.TextValue("acme")},
		{Name: "n", Value: conformance.IntValue(7)},
		{Name: "f", Value: conformance.FloatValue(0.5)},
		{Name: "b", Value: conformance.BoolValue(true)},
	}}
	frame := conformance.Frame(m, conformance.Unpack, conformance.Everything, conformance.Layout{})
	at := uint32(call("router_buffer", 4096))
	malformed := 0
	for i := 0; i+4 <= len(frame)-len(m.Body); i += 2 {
		for _, v := range []uint32{0, 1, 81, uint32(len(frame)), uint32(len(frame)) + 1, 1 << 16, 1 << 31, 1<<31 - 1, 1<<32 - 8, 1<<32 - 1} {
			bad := slices.Clone(frame)
			binary.LittleEndian.PutUint32(bad[i:], v)
			copy(in.Memory()[at:], bad)
			switch result := int64(call("router_unpack", at, uint32(len(bad)))); {
			case result == -2:
				malformed++
			case result <= 0 || uint64(result>>32)+uint64(uint32(result)) > uint64(len(in.Memory())):
				t.Errorf("%#x at %d: result %#x", v, i, result)
			}
		}
	}
	if malformed < 500 {
		t.Errorf("of all those frames %d were found malformed", malformed)
	}
	for _, place := range [][2]uint32{{at, 0}, {at, 79}, {1<<32 - 1, 80}, {1<<31 - 40, 80}, {0, 1<<32 - 1}} {
		copy(in.Memory()[at:], frame)
		if result := int64(call("router_unpack", place[0], place[1])); result != -2 {
			t.Errorf("a frame of %d bytes at %#x: result %d", place[1], place[0], result)
		}
	}
}

// A filter may make garbage: the collector keeps up, with strings of any length.
func TestGarbageOfAssemblyScriptFiltersIsCollected(t *testing.T) {
	f, err := loadFilter(t, "probe", built(t, buildAS+"probe.ts"), nil)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(strings.Repeat("word ", 200))
	pages := func(calls int) (most int64) {
		for i := range calls {
			env, d := router.NewEnvelope(nil, body[:i*257%len(body)]), router.Decision{}
			if err := f.Run(t.Context(), router.Decide, &env, &d); err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
			most = max(most, env.Headers()["pages"].(int64))
		}
		return most
	}
	if first, later := pages(1000), pages(100_000); later != first || first > 8 {
		t.Errorf("at first %d pages, after 100,000 calls %d", first, later)
	}
}

func TestAssemblyScriptTakesBigBodies(t *testing.T) {
	module := built(t, buildAS+"probe.ts")
	run := func(t *testing.T, stage router.Stage, body string) (router.Envelope, error) {
		t.Helper()
		f, err := loadFilter(t, "probe", module, nil)
		if err != nil {
			t.Fatal(err)
		}
		var env router.Envelope
		for _, b := range []string{"", strings.Repeat("a b ", 40_000), body, "", body} {
			var d router.Decision
			env = router.NewEnvelope(nil, []byte(b))
			if err := f.Run(t.Context(), stage, &env, &d); err != nil {
				return env, err
			}
		}
		return env, nil
	}
	long := `{"name":"` + strings.Repeat("\\n\u00e9", 500_000) + `"}`
	env, err := run(t, router.Unpack, long)
	if err != nil || env.Headers()["length"] != int64(1_500_000) || string(env.Body) != long {
		t.Errorf("an escaped name of %d bytes: %v, %v", len(long), env.Headers(), err)
	}
	if _, err = run(t, router.Decide, strings.Repeat("some text ", 10_000)+strings.Repeat("x", 200_000)); err != nil {
		t.Errorf("strings from a body of 300 KB: %v", err)
	}
	if env, err = run(t, router.Encode, strings.Repeat("x", 200_000)); err != nil || len(env.Body) != 200_000 {
		t.Errorf("a body that is copied: %v", err)
	}
	_, in := load(t, wasmhost.FilterConfig{Name: "body", Module: built(t, buildAS+"body.ts"), Limits: wasmhost.Limits{Memory: 12 << 20, Output: 12 << 20}})
	for n := 1 << 20; n <= 10<<20; n += 1 << 20 { // the buffer grows where it lies
		env, d := router.NewEnvelope(nil, make([]byte, n)), router.Decision{}
		if err := in.Run(t.Context(), router.Decode, &env, &d); err != nil || len(env.Body) != n-2 {
			t.Fatalf("a body of %d bytes becomes one of %d: %v", n, len(env.Body), err)
		}
	}
	var fe *router.FilterError
	if _, err = run(t, router.Encode, strings.Repeat("x", 1_200_000)); !errors.As(err, &fe) || fe.Class != wasmhost.ClassError || !strings.Contains(err.Error(), "too-big") {
		t.Errorf("a change that is too big: %v", err)
	}
	if _, err = run(t, router.Unpack, `{"name":"`+strings.Repeat("\\n", 6_000_000)+`"}`); !errors.As(err, &fe) || fe.Class != wasmhost.ClassMemory {
		t.Errorf("a text that memory has no room for: %v", err)
	}
}

// What goes wrong is said: assertions stay, and so do the bounds of arrays.
func TestAssemblyScriptSaysWhyItTraps(t *testing.T) {
	module := built(t, buildAS+"probe.ts")
	for body, want := range map[string]string{
		"assert": "three numbers are too few", "array": "Index out of range", "byte": "a Str has no such byte",
		"header": "the message has no such header", "null": "null in place of a text", "throw": "thrown",
	} {
		f, err := loadFilter(t, "probe", module, nil)
		if err != nil {
			t.Fatal(err)
		}
		env, d := router.NewEnvelope(nil, []byte(body)), router.Decision{}
		var fe *router.FilterError
		if err := f.Run(t.Context(), router.Encode, &env, &d); !errors.As(err, &fe) || fe.Class != wasmhost.ClassTrap || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestAssemblyScriptStringsBecomeUTF8(t *testing.T) {
	f, err := loadFilter(t, "probe", built(t, buildAS+"probe.ts"), nil)
	if err != nil {
		t.Fatal(err)
	}
	before := router.NewEnvelope(nil, []byte("most"))
	env, d := before.Clone(), router.Decision{}
	if err := f.Run(t.Context(), router.Encode, &env, &d); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"lone": "a\ufffdb😀é€", "twice": "most"}, env.Headers()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, text := range []string{
		"", "plain", "eight by\xffte", "eight bytes and more é", "\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\u0080", "\u07ff", "\xe0\x9f\xbf", "\u0800",
		"\xed\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\ue000", "\uffff", "\xf0\x8f\xbf\xbf", "\U00010000", "\U0010ffff", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xe2\x82",
	} {
		env = router.NewEnvelope(nil, []byte(text))
		if err := f.Run(t.Context(), router.Encode, &env, &d); err != nil {
			t.Fatal(err)
		}
		var want any = text
		if !utf8.ValidString(text) {
			want = []byte(text)
		}
		if diff := cmp.Diff(want, env.Headers()["twice"]); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	body := strings.Repeat("x", 1_200_000) // Delta.max is now greater
	env = router.NewEnvelope(nil, []byte(body))
	if err := f.Run(t.Context(), router.Encode, &env, &d); err == nil || !strings.Contains(err.Error(), "too-big") {
		t.Errorf("a body and a header of as much: %v", err)
	}
}

// The same sources give the same bytes, wherever they lie.
func TestAssemblyScriptModulesAreReproducible(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "sdk", "assemblyscript"), os.DirFS(filepath.Join("sdk", "assemblyscript"))); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "f.wasm")
	shell(t, dir, buildAS+"probe.ts", "OUT="+out)
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if sum(module) != sum(built(t, buildAS+"probe.ts")) {
		t.Error("the same sources gave other bytes in another directory")
	}
}
