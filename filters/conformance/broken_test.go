package conformance_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/filters/conformance"
)

// withClock grants every filter the clock behind the kit's back.
type withClock struct{ conformance.Engine }

func (e withClock) Load(ctx context.Context, module []byte, o conformance.Options) (conformance.Program, error) {
	o.Clock = true
	return e.Engine.Load(ctx, module, o)
}

// The kit finds each mistake, and nothing else.
func TestEachMistakeIsFound(t *testing.T) {
	tests := []struct {
		mistake string
		want    string // the checks that fail
	}{
		{"NONE", ""},
		{"START_TRAP", "start"},
		{"START_CODE", "start"},
		{"START_REFUSED", "start"},
		{"START_EMPTY", "start.empty-config"},
		{"NEEDS_BITS", "start.needs"},
		{"NEEDS_BOTH", "start.needs"},
		{"NAMES_OUTSIDE", "start.needs"},
		{"NAMES_EMPTY", "start.needs"},
		{"PLAIN", "message.plain"},
		{"CLOCK", "deterministic"},
		{"HEAD", "frame.head"},
		{"FLAGS", "frame.flags"},
		{"MINOR", "frame.minor"},
		{"RESERVED", "frame.minor"},
		{"SLOTS", "frame.slots"},
		{"ORDER", "frame.order"},
		{"HEADER_TYPE", "frame.header-type"},
		{"MALFORMED", "frame.malformed"},
		{"EMPTY", "message.empty"},
		{"LEFT_OUT", "message.left-out"},
		{"TRUNCATED", "message.truncated"},
		{"MANY_HEADERS", "message.many-headers"},
		{"HUGE_HEADER", "message.huge-header"},
		{"BIG_BODY", "message.big-body"},
		{"STRINGS", "message.strings"},
		{"VALUES", "message.values"},
		{"NO_MEMORY", "message.values"},
		{"JSON", "message.json"},
		{"JSON_DEEP", "message.json-deep"},
		{"GROWS", "buffer.grows"},
		{"UNALIGNED", "buffer.room"},
		{"OUTSIDE", "buffer.room"},
		{"LATER_OUTSIDE", "buffer.room"},
		{"OWN", "buffer.own"},
		{"STATELESS", "stateless.order stateless.replaced"},
		{"REPLACED", "stateless.replaced"},
		{"LEAK", "memory.flat"},
		{"CLOSE", "close"},
		{"PLACE", "delta.place"},
		{"NO_BYTES", "delta.place"},
		{"RULES", "delta.rules"},
		{"BODY_REF", "delta.rules"},
		{"PADDING", "delta.rules"},
	}
	for _, tt := range tests {
		t.Run(tt.mistake, func(t *testing.T) {
			e := engine
			if tt.mistake == "CLOCK" {
				e = withClock{engine}
			}
			report := conformance.Check(t.Context(), e, built(t, buildC("testdata/broken.c", "-DBROKEN="+tt.mistake)), conformance.CheckOptions{
				Options: conformance.Options{Name: "broken", KV: true},
				Config:  map[string]any{"key": "value"},
				Calls:   2000,
			})
			failed := failedIDs(report)
			if diff := cmp.Diff(strings.Fields(tt.want), failed); diff != "" {
				t.Errorf("failed checks (-want +got):\n%s%s", diff, report)
			}
			for _, f := range report {
				if f.Verdict == conformance.Fail && (f.Detail == "" || strings.Contains(f.Detail, "\n")) {
					t.Errorf("%s: the detail is not one line: %q", f.ID, f.Detail)
				}
			}
		})
	}
}

func failedIDs(r conformance.Report) []string {
	failed := []string{}
	for _, f := range r.Failed() {
		failed = append(failed, f.ID)
	}
	slices.Sort(failed)
	return failed
}

// What can be seen without running anything.
func TestEachMistakeInAModuleIsFound(t *testing.T) {
	const (
		memory  = `(memory (export "memory") 1)`
		marker  = `(func (export "router_abi_1"))`
		buffer  = `(func (export "router_buffer") (param i32) (result i32) (i32.const 1024))`
		decide  = `(func (export "router_decide") (param i32 i32) (result i64) (i64.const 0))`
		healthy = memory + marker + buffer + decide
	)
	tests := []struct{ name, module, want, says string }{
		{"imported memory", `(import "env" "memory" (memory 1))` + marker + buffer + decide, "module.memory", "imported"},
		{"no memory", marker + buffer + decide, "module.memory", "0 memories"},
		{"unexported memory", `(memory 1)` + marker + buffer + decide, "module.memory", `exported as "memory"`},
		{"no marker", memory + buffer + decide, "module.marker", "router_abi_1"},
		{"another ABI", memory + `(func (export "router_abi_2"))` + buffer + decide, "module.marker", "router_abi_2"},
		{"no buffer", memory + marker + decide, "module.exports", "router_buffer"},
		{"no stage", memory + marker + buffer, "module.exports", "at least one"},
		{"wrong type", healthy + `(func (export "router_encode") (param i32) (result i64) (i64.const 0))`, "module.exports", "(i32) -> (i64)"},
		{"no function", healthy + `(global (export "router_close") i32 (i32.const 0))`, "module.exports", "router_close is no function"},
		{"command", healthy + `(func (export "_start"))`, "module.exports", "reactor"},
		{"unknown import", `(import "evil" "b" (func))` + healthy, "module.imports", "evil.b"},
		{"import of another type", `(import "router" "log" (func (param i32)))` + healthy, "module.imports", "router.log has the type (i32) -> ()"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			module := built(t, "echo '(module "+tt.module+")' >$OUT.wat && wat2wasm -o $OUT $OUT.wat")
			report := conformance.Check(t.Context(), engine, module, conformance.CheckOptions{})
			failed := report.Failed()
			if len(failed) == 0 || failed[0].ID != tt.want || !strings.Contains(failed[0].Detail, tt.says) {
				t.Errorf("want %s to say %q:\n%s", tt.want, tt.says, report)
			}
			for _, f := range failed[1:] {
				if strings.HasPrefix(f.ID, "module.") {
					t.Errorf("%s fails too", f.ID)
				}
			}
		})
	}
	for name, module := range map[string]string{
		"empty": "", "text": "(module)", "component": "\x00asm\x0d\x00\x01\x00", "version": "\x00asm\x02\x00\x00\x00",
		"cut": "\x00asm\x01\x00\x00\x00\x01\x7f", "endless": "\x00asm\x01\x00\x00\x00\x01\x06\xff\xff\xff\xff\x0f\x60",
	} {
		if got := failedIDs(conformance.Check(t.Context(), engine, []byte(module), conformance.CheckOptions{})); !cmp.Equal(got, []string{"module.format"}) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
