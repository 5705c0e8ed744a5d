package meter

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// differential runs the same calls, in order, on a fresh instance of the source
// and of the metered module, and wants the same outcome of each.
func differential(t *testing.T, wasm []byte, list []invoke) (units []int64) {
	t.Helper()
	metered := mustInstrument(t, wasm, Limits{})
	plain := newHost(t).instantiate(t, wasm)
	in := newHost(t).instantiate(t, metered.Bytes)
	for _, c := range list {
		want := plain.call(c.name, c.args...)
		before := in.used()
		got := in.call(c.name, c.args...)
		units = append(units, in.used()-before)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s(%d) without and with metering (-want +got):\n%s", c.name, c.args, diff)
		}
	}
	return units
}

var corpus = []struct {
	name  string
	calls []invoke
	units []int64 // of each call
}{
	{
		name:  "fib",
		calls: calls("g", "fib 0", "fib 15", "add 3 4"),
		units: []int64{1, 1, 1973, 0},
	},
	{
		name: "control",
		calls: calls("swap 1 2", "sum 10", "sum 100000", "carry 10", "switch 0", "switch 1", "switch 2", "switch 9",
			"primes 1000", "pick 1 2 0", "pick 1 2 1", "dead", "trap 5", "trap 0", "sat 9221120237041090560", "ext 200"),
		units: []int64{1, 11, 100001, 5, 1, 1, 1, 1, 6457, 1, 1, 1, 1, 1, 1, 1},
	},
	{
		name: "bulk",
		calls: calls("fill 10 7 1000", "load 10", "load 1009", "load 1010", "copy 2000 10 500", "load 2000", "init 3000 0 12",
			"load 3007", "drop", "init 0 0 1", "fill 65530 1 7", "fill 0 1 -1", "copy 0 0 -1", "size", "grow 2", "size", "grow 2",
			"grow 1000000", "grow -1", "grow 1", "size", "tinit 0 0 3", "call 0", "call 1", "call 2", "tinit 0 0 -1", "call 5", "call 99",
			"tcopy 0 0 3", "callb 1", "tfill 4 5", "call 8", "call 9", "tsize", "tgrow 10", "tsize", "call 15", "tgrow 100", "tgrow -1",
			"isnull 9", "setnull 0", "isnull 0", "tdrop", "tinit 0 0 1"),
		units: []int64{
			17, 1, 1, 1, 9, 1, 2, 1, 1, 2, 2, 1026, 1026, 1, 2050, 1, 2, 2, 2, 1026, 1, 2, 2, 2, 2, 8194, 1, 1,
			2, 2, 2, 2, 1, 1, 3, 1, 2, 14, 8194, 1, 1, 1, 1, 2,
		},
	},
	{
		name: "pieces",
		calls: calls("seed 1", "sum",
			"fill 0 7 262144", "sum", "fill 1 8 262145", "sum", "fill 3 9 1310717", "sum", "fill 3 9 1310718", "sum", "fill 0 1 4294967295", "sum",
			"seed 2", "copy 1 0 1000000", "sum", "copy 0 1 1000000", "sum", "copy 0 0 1310720", "sum", "copy 1000 5 1309720", "sum", "copy 5 1000 1309720", "sum",
			"copy 300000 0 1010720", "sum", "copy 0 300000 1010720", "sum", "copy 700000 0 600000", "sum",
			"copy 5 1000 1309721", "sum", "copy 1000 5 1309721", "sum", "copy 0 4294967295 300000", "sum", "copy 4294967295 0 300000", "sum",
			"copy 0 1310720 0", "copy 0 1310721 0", "fill 1310720 1 0", "fill 1310721 1 0"),
	},
	{
		name:  "simd",
		calls: calls("shuffle", "abs -7", "dot 300 -20", "lane 123456789012345", "sum 1000", "conv 1092616192", "bits 4"),
	},
	{
		name: "element",
		calls: calls("a 0", "a 1", "a 2", "a 3", "a 4", "a 5", "b 0", "b 1", "b 4", "b 5", "p 0", "p 1", "p 2", "p 3",
			"g", "xsize"),
	},
}

func TestMeteredModulesGiveTheSameResults(t *testing.T) {
	for _, c := range corpus {
		t.Run(c.name, func(t *testing.T) {
			units := differential(t, wat(t, c.name), c.calls)
			if again := differential(t, wat(t, c.name), c.calls); !cmp.Equal(units, again) {
				t.Errorf("a second run cost %v, the first %v", again, units)
			}
			if c.units != nil && !cmp.Equal(c.units, units) {
				t.Errorf("units: %v, want %v", units, c.units)
			}
		})
	}
}

func TestOutputDependsOnInputAlone(t *testing.T) {
	for _, c := range corpus {
		wasm := wat(t, c.name)
		kept := bytes.Clone(wasm)
		first, second := mustInstrument(t, wasm, Limits{}), mustInstrument(t, wasm, Limits{})
		if !bytes.Equal(first.Bytes, second.Bytes) {
			t.Errorf("%s: two runs gave different modules", c.name)
		}
		if !bytes.Equal(kept, wasm) {
			t.Errorf("%s: the input was changed", c.name)
		}
	}
}

func TestMeteredModuleIsRefusedAsInput(t *testing.T) {
	m := mustInstrument(t, wat(t, "fib"), Limits{})
	_, err := Instrument(m.Bytes, Limits{})
	if err == nil || !strings.Contains(err.Error(), FuelModule) {
		t.Errorf("metering twice: %v, want a refusal that names %s", err, FuelModule)
	}
}

func TestCGuestBehavesTheSame(t *testing.T) {
	units := differential(t, cGuest(t), calls("prepare", "find", "hash", "sort", "sort"))
	if want := units[2]; want < 250 {
		t.Errorf("hashing 1 KB byte by byte cost %d units", want)
	}
}

func TestGoGuestBehavesTheSame(t *testing.T) {
	wasm := goGuest(t)
	m := mustInstrument(t, wasm, Limits{})
	if len(m.Bytes) > len(wasm)*115/100 {
		t.Errorf("%d bytes became %d", len(wasm), len(m.Bytes))
	}
	hostPlain, hostMetered := newHost(t).withWASI(t), newHost(t).withWASI(t)
	plain, in := hostPlain.instantiate(t, wasm), hostMetered.instantiate(t, m.Bytes)
	for _, c := range calls("decode 1", "decode 50", "decode 200") {
		want, got := plain.call(c.name, c.args...), in.call(c.name, c.args...)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s(%d) without and with metering (-want +got):\n%s", c.name, c.args, diff)
		}
	}
	if in.used() < 10_000 {
		t.Errorf("%d units used", in.used())
	}
	hostMetered.budget = 1 << 20
	if out := in.call("spin"); !strings.Contains(out.Err, errSpent.Error()) {
		t.Errorf("endless loop: %+v", out)
	}
}

func TestModuleTellsWhatTheHostWantsToKnow(t *testing.T) {
	got := mustInstrument(t, watText(t, `(module
		(import "router" "log" (func (param i32 i32 i32)))
		(import "env" "limit" (global (mut i64)))
		(table 3 funcref)
		(memory (export "memory") 2 10000)
		(global (export "version") f32 (f32.const 1))
		(data (i32.const 0) "hello")
		(func (export "router_decide") (param i32 i32) (result i64) (i64.const 0))
		(func $init)
		(start $init))`), Limits{})
	got.Bytes = nil
	want := &Module{
		Imports: []Import{
			{Module: "router", Name: "log", Kind: KindFunction, Params: []ValueType{I32, I32, I32}, Results: []ValueType{}},
			{Module: "env", Name: "limit", Kind: KindGlobal, Type: I64, Mutable: true},
		},
		Exports: []Export{
			{Name: "memory", Kind: KindMemory},
			{Name: "version", Kind: KindGlobal, Type: F32},
			{Name: "router_decide", Kind: KindFunction, Params: []ValueType{I32, I32}, Results: []ValueType{I64}},
		},
		HasMemory: true, MemoryMinPages: 2, MemoryMaxPages: 256,
		Functions: 2, Tables: 1, TableElements: 3, Globals: 2, DataSize: 5, CodeSize: 8, HasStart: true, ChargePoints: 2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("module (-want +got):\n%s", diff)
	}
}

// A table without maximum would grow until the process is out of memory.
func TestTablesGrowToTheLimitOnly(t *testing.T) {
	m := mustInstrument(t, watText(t, `(module (table 1 externref)
		(func (export "grow") (param i32) (result i32) (table.grow 0 (ref.null extern) (local.get 0))))`), Limits{TableElements: 100})
	in := newHost(t).instantiate(t, m.Bytes)
	for _, step := range []struct {
		n    uint64
		want uint32
	}{{4_000_000_000, 1<<32 - 1}, {100, 1<<32 - 1}, {99, 1}, {1, 1<<32 - 1}} {
		out := in.call("grow", step.n)
		if out.Err != "" || uint32(out.Results[0]) != step.want {
			t.Errorf("table.grow by %d: %+v, want %d", step.n, out, int32(step.want))
		}
	}
}

func TestMemoryGrowsToTheLimitOnly(t *testing.T) {
	m := mustInstrument(t, watText(t, `(module (memory 1)
		(func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))`), Limits{MemoryPages: 4})
	in := newHost(t).instantiate(t, m.Bytes)
	for _, step := range []struct {
		n     uint64
		want  uint32
		units int64
	}{{1 << 31, 1<<32 - 1, 2}, {4, 1<<32 - 1, 2}, {3, 1, 3*1024 + 2}, {0, 4, 2}} {
		before := in.used()
		out := in.call("grow", step.n)
		if out.Err != "" || uint32(out.Results[0]) != step.want {
			t.Errorf("memory.grow by %d: %+v, want %d", step.n, out, int32(step.want))
		}
		if units := in.used() - before; units != step.units {
			t.Errorf("memory.grow by %d: %d units, want %d", step.n, units, step.units)
		}
	}
}

func TestTracesKeepTheNamesOfFunctions(t *testing.T) {
	wasm := watText(t, `(module (import "host" "add" (func $add (param i32 i32) (result i32)))
		(memory 1)
		(func $inner (memory.fill (i32.const 65530) (i32.const 0) (i32.const 100)))
		(func $outer (export "f") (call $inner)))`, "--debug-names")
	m := mustInstrument(t, wasm, Limits{})
	if m.FunctionNames != 3 {
		t.Errorf("%d names kept, want 3", m.FunctionNames)
	}
	in := newHost(t).instantiate(t, m.Bytes)
	_, err := in.ExportedFunction("f").Call(t.Context())
	if err == nil || !strings.Contains(err.Error(), ".inner()") || !strings.Contains(err.Error(), ".outer()") {
		t.Errorf("trace does not name inner and outer: %v", err)
	}
	if !strings.Contains(err.Error(), "out of bounds memory access") {
		t.Errorf("outcome %v, want the trap of the source module", err)
	}
}

func TestLongNamesAreCut(t *testing.T) {
	long := strings.Repeat("x", maxFunctionName-1) + "\u00e9tc"
	wasm := bin(function(nil, []byte{0x00})).section(secCustom, sized([]byte("name")), []byte{1}, sized(append([]byte{1, 0}, sized([]byte(long))...)))
	m := mustInstrument(t, wasm, Limits{})
	if m.FunctionNames != 1 || bytes.Contains(m.Bytes, []byte("\u00e9")) || !bytes.Contains(m.Bytes, []byte(long[:maxFunctionName-1])) {
		t.Errorf("%d names kept", m.FunctionNames)
	}
	newHost(t).instantiate(t, m.Bytes)
}

func TestDamagedNamesAreDropped(t *testing.T) {
	good := function(nil, nil)
	section := func(parts ...[]byte) []byte {
		return bin(bytes.Clone(good)).section(secCustom, append([][]byte{sized([]byte("name"))}, parts...)...)
	}
	for name, wasm := range map[string][]byte{
		"count":          section([]byte{1}, sized([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})),
		"subsection":     section([]byte{1, 0x7f}),
		"index":          section([]byte{1}, sized([]byte{1, 5, 1, 'x'})),
		"twice":          section([]byte{1}, sized([]byte{2, 0, 1, 'x', 0, 1, 'y'})),
		"not UTF-8":      section([]byte{1}, sized([]byte{1, 0, 1, 0xff})),
		"left over":      section([]byte{1}, sized([]byte{1, 0, 1, 'x', 0})),
		"locals only":    section([]byte{2}, sized([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})),
		"before code":    append(header().section(secCustom, sized([]byte("name")), []byte{1}, sized([]byte{0})), good[8:]...),
		"module's name":  section([]byte{0}, sized(sized([]byte("evil")))),
		"another custom": bin(bytes.Clone(good)).section(secCustom, sized([]byte("producers")), []byte{1, 2, 3}),
	} {
		m, err := Instrument(wasm, Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.FunctionNames != 0 || bytes.Contains(m.Bytes, []byte("name")) || bytes.Contains(m.Bytes, []byte("evil")) {
			t.Errorf("%s: %d names kept", name, m.FunctionNames)
		}
	}
}
