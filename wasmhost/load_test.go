package wasmhost

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
)

func TestInspect(t *testing.T) {
	module := cGuest(t, "host")
	got, err := Inspect(module, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(module)
	want := Info{
		SHA256: hex.EncodeToString(sum[:]), Size: len(module), Stages: router.StageSet(0).With(router.Decide),
		Imports: []string{
			"router.body_read", "router.header_get", "router.log", "router.log_enabled", "router.metric_add",
			"router.metric_def", "router.metric_obs", "router.random", "router.time_ns",
		},
		Grants: []string{"metrics"}, MemoryMin: got.MemoryMin, MemoryMax: 16 << 20, Functions: got.Functions,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.MemoryMin == 0 || got.Functions < 5 {
		t.Errorf("%+v", got)
	}
	// A module that cannot be used still says what it is.
	if got, err = Inspect(wat(t, `(module (func (export "router_pack") (param i32 i32) (result i64) (i64.const 0)))`), Limits{}); !errors.Is(err, ErrModule) {
		t.Error(err)
	}
	if !got.Stages.Has(router.Pack) || got.SHA256 == "" {
		t.Errorf("%+v", got)
	}
}

// handlers is the least a module exports.
const handlers = `
  (memory (export "memory") 1)
  (func (export "router_abi_1"))
  (func (export "router_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "router_decide") (param i32 i32) (result i64) (i64.const 0))`

func TestLoadRefuses(t *testing.T) {
	h := newHost(t, Config{})
	good := wat(t, `(module `+handlers+`)`)
	replace := func(old, with string) []byte { return wat(t, `(module `+strings.Replace(handlers, old, with, 1)+`)`) }
	imports := func(s string) []byte { return wat(t, `(module `+s+handlers+`)`) }
	for _, c := range []struct {
		name string
		cfg  FilterConfig
		is   error
		text []string
	}{
		{"another module than pinned", FilterConfig{Module: good, SHA256: strings.Repeat("0", 64)}, ErrPin, []string{"filter test", "the module has"}},
		{"a pin that is no hash", FilterConfig{Module: good, SHA256: "abc"}, nil, []string{"64 hexadecimal digits"}},
		{"a pin before a broken module", FilterConfig{Module: []byte("nonsense"), SHA256: strings.Repeat("0", 64)}, ErrPin, nil},
		{"empty", FilterConfig{}, ErrModule, []string{"not a WebAssembly module but an empty file; build it again"}},
		{"text format", FilterConfig{Module: []byte(" \n(module)")}, ErrModule, []string{"not a WebAssembly module but its text format; build it with wat2wasm"}},
		{"text", FilterConfig{Module: []byte("#include <x>")}, ErrModule, []string{"but text; name the file that the compiler wrote"}},
		{"noise", FilterConfig{Module: []byte("\xff\xfe\x00\x01")}, ErrModule, []string{"but something else; name the file"}},
		{"ELF", FilterConfig{Module: []byte("\x7fELF\x02\x01\x01")}, ErrModule, []string{"but a native program (ELF); build it for WebAssembly"}},
		{"gzip", FilterConfig{Module: []byte("\x1f\x8b\x08\x00")}, ErrModule, []string{"but compressed with gzip; unpack it with gunzip"}},
		{"page", FilterConfig{Module: []byte("<!DOCTYPE html>")}, ErrModule, []string{"but a web page or XML; download the file itself"}},
		{"pointer", FilterConfig{Module: []byte("version https://git-lfs.github.com/spec/v1\n")}, ErrModule, []string{"but a pointer of Git LFS; fetch the file with `git lfs pull`"}},
		{"truncated", FilterConfig{Module: good[:len(good)-3]}, ErrModule, []string{"; the file is damaged or cut short: build or copy it again"}},
		{"200 million functions", FilterConfig{Module: []byte("\x00asm\x01\x00\x00\x00\x03\x05\x80\x84\xaf\x5f\x00")}, ErrModule, nil},
		{"4 billion types", FilterConfig{Module: []byte("\x00asm\x01\x00\x00\x00\x01\x05\xff\xff\xff\xff\x0f")}, ErrModule, nil},
		{"component", FilterConfig{Module: []byte("\x00asm\x0d\x00\x01\x00")}, ErrModule, []string{"component"}},
		{"too large", FilterConfig{Module: good, Limits: Limits{ModuleSize: 64}}, ErrModule, []string{"limits.module_size"}},
		{"absurd limit", FilterConfig{Module: good, Limits: Limits{Memory: 4 << 30}}, nil, []string{"limits.memory", "must be between"}},
		{"negative time", FilterConfig{Module: good, Limits: Limits{Time: -1}}, nil, []string{"limits.time"}},
		{"stage it has not", FilterConfig{Module: good, Stages: []string{"pack"}}, nil, []string{"no pack stage", "it has decide"}},
		{"stage that is none", FilterConfig{Module: good, Stages: []string{"decode "}}, nil, []string{"is no stage"}},
		{"config that is none", FilterConfig{Module: good, Config: map[string]any{"a": []any{make(chan int)}}}, nil, []string{"config"}},
		{"no marker", FilterConfig{Module: replace("router_abi_1", "router_abi_7")}, ErrModule, []string{"it speaks filter ABI 7 and this router ABI 1; update the router"}},
		{"an older marker", FilterConfig{Module: replace("router_abi_1", "router_abi_0")}, ErrModule, []string{"it exports router_abi_0, and this router speaks filter ABI 1; build the filter with an SDK of ABI 1"}},
		{"a marker without a version", FilterConfig{Module: replace("router_abi_1", "router_abi_x")}, ErrModule, []string{"it exports router_abi_x, and this router"}},
		{"no marker at all", FilterConfig{Module: replace("router_abi_1", "abi")}, ErrModule, []string{"it does not export router_abi_1, the marker of filters; the SDKs do"}},
		{"a module of something else", FilterConfig{Module: wat(t, `(module (memory (export "memory") 1))`)}, ErrModule, []string{"it is a module of something else", "`router filter new`"}},
		{"no stage", FilterConfig{Module: replace("router_decide", "decide")}, ErrModule, []string{"exports no stage"}},
		{"no buffer", FilterConfig{Module: replace("router_buffer", "buffer")}, ErrModule, []string{"router_buffer"}},
		{"no memory", FilterConfig{Module: replace(`"memory"`, `"mem"`)}, ErrModule, []string{`it does not export its memory; export it as "memory"`}},
		{"marker of another type", FilterConfig{Module: replace(`"router_abi_1")`, `"router_abi_1") (param i32)`)}, ErrModule, []string{"router_abi_1 has the type (i32) -> (); declare it as () -> ()"}},
		{
			"handler of another type",
			FilterConfig{Module: replace(`(param i32 i32) (result i64) (i64.const 0)`, `(param i32) (result i32) (i32.const 0)`)},
			ErrModule,
			[]string{"router_decide has the type (i32) -> (i32); declare it as (i32, i32) -> (i64)"},
		},
		{"a global as a handler", FilterConfig{Module: imports(`(global (export "router_pack") i32 (i32.const 0))`)}, ErrModule, []string{"router_pack is a global"}},
		{"a command", FilterConfig{Module: imports(`(func (export "_start"))`)}, ErrModule, []string{"-buildmode=c-shared", "-mexec-model=reactor"}},
		{
			"unknown imports",
			FilterConfig{Module: imports(`(import "evil" "b" (func)) (import "wasi_snapshot_preview1" "path_open" (func)) (import "router" "kv_list" (func))`)},
			ErrModule,
			[]string{"evil.b, router.kv_list, wasi_snapshot_preview1.path_open; this router does not have it"},
		},
		{"files", FilterConfig{Module: imports(`(import "wasi_snapshot_preview1" "path_open" (func))`)}, ErrModule, []string{"wasi_snapshot_preview1.path_open; take out what calls it: filters have no files"}},
		{"an undefined function", FilterConfig{Module: imports(`(import "env" "memcpy" (func))`)}, ErrModule, []string{"env.memcpy; nothing defines it"}},
		{"a browser's module", FilterConfig{Module: imports(`(import "__wbindgen_placeholder__" "x" (func))`)}, ErrModule, []string{"build without wasm-bindgen"}},
		{"an older WASI", FilterConfig{Module: imports(`(import "wasi_unstable" "fd_write" (func))`)}, ErrModule, []string{"build for wasip1"}},
		{"import of another type", FilterConfig{Module: imports(`(import "router" "log" (func (param i32)))`)}, ErrModule, []string{"router.log with the type (i32) -> (); declare it as (i32, i32, i32) -> ()"}},
		{"imported memory", FilterConfig{Module: wat(t, `(module (import "router" "memory" (memory 1))`+strings.Replace(handlers, `(memory (export "memory") 1)`, `(export "memory" (memory 0))`, 1)+`)`)}, ErrModule, []string{"memory"}},
		{"imported global", FilterConfig{Module: imports(`(import "env" "g" (global i32))`)}, ErrModule, []string{"the global env.g"}},
		{"metrics without the grant", FilterConfig{Module: cGuest(t, "host")}, ErrGrant, []string{"router.metric_def", "metrics = true"}},
		{"kv without the grant", FilterConfig{Module: cGuest(t, "kv"), Grants: Grants{Metrics: true}}, ErrGrant, []string{"router.kv_get, router.kv_set", "set kv = true under"}},
		{"two grants", FilterConfig{Module: imports(`(import "router" "kv_delete" (func (param i32 i32) (result i32))) (import "router" "metric_add" (func (param i32 i64)))`)}, ErrGrant, []string{"set kv = true and metrics = true under"}},
		{"memory over the limit", FilterConfig{Module: replace(`"memory") 1`, `"memory") 100`), Limits: Limits{Memory: 1 << 20}}, ErrModule, nil},
		{"start that traps", FilterConfig{Module: imports(`(func $s (unreachable)) (start $s)`)}, ErrModule, []string{"start: ", "unreachable"}},
		{"start that loops", FilterConfig{Module: imports(`(func $s (loop $l (br $l))) (start $s)`), Limits: Limits{StartTime: 20 * time.Millisecond}}, ErrModule, []string{"start: ", "time limit"}},
		{"_initialize that loops", FilterConfig{Module: imports(`(func (export "_initialize") (loop $l (br $l)))`), Limits: Limits{StartTime: 20 * time.Millisecond}}, ErrModule, []string{"_initialize: deadline"}},
		{"init that loops", FilterConfig{Module: imports(`(func (export "router_init") (param i32 i32) (result i64) (loop $l (br $l)) (unreachable))`), Limits: Limits{StartTime: 20 * time.Millisecond}}, ErrModule, []string{"router_init: deadline"}},
		{"init that exits", FilterConfig{Module: imports(`(import "wasi_snapshot_preview1" "proc_exit" (func $x (param i32))) (func (export "_initialize") (call $x (i32.const 0)))`)}, ErrModule, []string{"_initialize: exit"}},
		{"init that changes the message", FilterConfig{Module: imports(`(func (export "router_init") (param i32 i32) (result i64) (i32.store8 (i32.const 0) (i32.const 3)) (i64.const 8))`)}, ErrModule, []string{"can only report an error"}},
		{"needs that mean nothing", FilterConfig{Module: imports(`(func (export "router_needs") (result i64) (i64.const 16))`)}, ErrModule, []string{"router_needs"}},
		{"header names outside the memory", FilterConfig{Module: imports(`(func (export "router_needs_headers") (result i64) (i64.const 0xffff00000004))`)}, ErrModule, []string{"router_needs_headers: invalid", "outside the memory"}},
		{"an empty header name", FilterConfig{Module: imports(`(func (export "router_needs_headers") (result i64) (i64.const 0x800000002))`)}, ErrModule, []string{"a header name of 0 bytes"}},
		{"too many bytes of header names", FilterConfig{Module: imports(`(func (export "router_needs_headers") (result i64) (i64.const 0x80000ffff))`)}, ErrModule, []string{"65535 bytes of names"}},
		{"too many header names", FilterConfig{Module: imports(`(data (i32.const 8) "` + strings.Repeat(`a\00`, 64) + `a") (func (export "router_needs_headers") (result i64) (i64.const 0x800000081))`)}, ErrModule, []string{"65 names; 64 are allowed"}},
		{"buffer of 0", FilterConfig{Module: imports(`(func (export "router_init") (param i32 i32) (result i64) (i64.const 0))`), Limits: Limits{Memory: 65536}}, nil, nil},
		{"data out of range", FilterConfig{Module: imports(`(data (i32.const 65534) "abcd")`)}, ErrModule, nil},
		{
			"configuration refused by the filter",
			FilterConfig{Module: cGuest(t, "host"), Grants: Grants{Metrics: true}, Config: map[string]any{"mode": map[string]any{"name": "refuse"}}},
			ErrModule,
			[]string{"router_init: error: config: mode.name cannot be refuse"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Name = "test"
			f, err := h.Load(context.Background(), c.cfg)
			if c.name == "buffer of 0" { // the control: it loads
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatalf("loaded %+v", f.Info())
			}
			t.Log(err)
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v: want one that is %v", err, c.is)
			}
			for _, text := range c.text {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%v: want %q in it", err, text)
				}
			}
		})
	}
}

func TestBufferLies(t *testing.T) {
	for _, c := range []struct{ name, body, class string }{
		{"0", "(i32.const 0)", ClassMemory},
		{"unaligned", "(i32.const 1025)", ClassInvalid},
		{"end of memory", "(i32.const 65528)", ClassInvalid},
		{"past the memory", "(i32.const -8)", ClassInvalid},
		{"trap", "(unreachable)", ClassTrap},
		{"endless", "(loop $l (br $l)) (unreachable)", ClassDeadline},
	} {
		t.Run(c.name, func(t *testing.T) {
			module := wat(t, `(module `+strings.Replace(handlers, "(i32.const 1024)", c.body, 1)+`)`)
			_, in := load(t, FilterConfig{Module: module, Limits: hostileLimits()})
			for range 2 {
				var d router.Decision
				if err := in.Run(context.Background(), router.Decide, small("x"), &d); err == nil || classOf(t, err) != c.class {
					t.Errorf("%v: want class %s", err, c.class)
				}
			}
		})
	}
}

func TestStagesAreChosen(t *testing.T) {
	f, in := load(t, FilterConfig{Module: watFile(t, "delta"), Stages: []string{"encode", "decode"}})
	if want := router.StageSet(0).With(router.Decode).With(router.Encode); f.Stages() != want {
		t.Errorf("stages %05b, want %05b", f.Stages(), want)
	}
	env := small(ops(bodyOp("changed")))
	var d router.Decision
	if err := in.Run(context.Background(), router.Decide, env, &d); err != nil || string(env.Body) == "changed" {
		t.Errorf("a stage that was not chosen ran: %v", err)
	}
	if err := in.Run(context.Background(), router.Encode, env, &d); err != nil || string(env.Body) != "changed" {
		t.Errorf("a stage that was chosen did not run: %v", err)
	}
}

func TestPinIsAccepted(t *testing.T) {
	module := watFile(t, "pass")
	sum := sha256.Sum256(module)
	pin := strings.ToUpper(hex.EncodeToString(sum[:]))
	f, _ := load(t, FilterConfig{Module: module, SHA256: pin})
	if f.SHA256() != strings.ToLower(pin) || f.Size() != len(module) {
		t.Errorf("%s, %d bytes", f.SHA256(), f.Size())
	}
}
