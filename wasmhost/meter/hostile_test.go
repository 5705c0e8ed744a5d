package meter

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// bin builds modules that no assembler would.
type bin []byte

func header() bin { return bin("\x00asm\x01\x00\x00\x00") }

func (b bin) section(id byte, payload ...[]byte) bin {
	return appendSection(b, id, bytes.Join(payload, nil))
}

func leb128(n int) []byte { return appendU32(nil, uint32(n)) }

func vector(items ...[]byte) []byte {
	return append(leb128(len(items)), bytes.Join(items, nil)...)
}

func sized(b []byte) []byte { return append(leb128(len(b)), b...) }

// function is a module with one function () -> () of the given locals and code.
func function(locals, code []byte) []byte {
	if locals == nil {
		locals = []byte{0}
	}
	body := append(append(bytes.Clone(locals), code...), opEnd)
	return header().
		section(secType, vector([]byte{0x60, 0, 0})).
		section(secFunction, vector([]byte{0})).
		section(secCode, vector(sized(body)))
}

func repeat(n int, code ...byte) []byte { return bytes.Repeat(code, n) }

func nest(n int) []byte { return append(repeat(n, opBlock, blockEmpty), repeat(n, opEnd)...) }

func brTable(n int) []byte {
	code := append([]byte{opBlock, blockEmpty, opI32Const, 0, 0x0e}, leb128(n)...)
	return append(append(code, make([]byte, n+1)...), opEnd)
}

func loops(n int) []byte { return repeat(n, opLoop, blockEmpty, opEnd) }

func named(module, name string) []byte {
	return append(sized([]byte(module)), sized([]byte(name))...)
}

// constant is a module with one global of that initial value.
func constant(code ...byte) []byte {
	return header().section(secGlobal, vector(append(append([]byte{byte(I32), 0}, code...), opEnd)))
}

// refusal is a module that must be refused, with the sentinel and a part of the
// text of the error.
type refusal struct {
	name   string
	wasm   []byte
	reason error
	want   string
}

func refusals() []refusal {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	typed := func() bin { return header().section(secType, vector([]byte{0x60, 0, 0})) }
	tests := []refusal{
		{"empty", nil, ErrMalformed, "empty file"},
		{"text", []byte("  (module)"), ErrUnsupported, "text format; build it with wat2wasm"},
		{"text with comment", []byte(";; a module\n(module)"), ErrUnsupported, "text format"},
		{"noise", []byte("\x7fELF-and-more-bytes"), ErrMalformed, "not a WebAssembly module"},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), ErrUnsupported, "component model binary"},
		{"version 2", []byte("\x00asm\x02\x00\x00\x00"), ErrUnsupported, "unknown version"},
		{"half a header", []byte("\x00asm\x01"), ErrMalformed, "cut off"},
		{"section past the end", append(header(), secType, 0x7f, 1), ErrMalformed, "only 1 bytes are left"},
		{"over-long size", append(header(), secType, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00), ErrMalformed, "integer"},
		{"unknown section", append(header(), 0x20, 0), ErrMalformed, "unknown section id 0x20"},
		{"section twice", typed().section(secType, []byte{0}), ErrMalformed, "type section twice or out of order"},
		{"sections out of order", header().section(secExport, []byte{0}).section(secImport, []byte{0}), ErrMalformed, "out of order"},
		{"start with results", header().section(secType, vector([]byte{0x60, 0, 1, byte(I32)})).section(secFunction, vector([]byte{0})).section(secStart, []byte{0}), ErrMalformed, "start function with parameters or results"},
		{"bytes left over", header().section(secType, []byte{0, 0}), ErrMalformed, "left over"},
		{"params", header().section(secType, []byte{1, 0x60}, huge), ErrMalformed, "4294967295 parameters announced"},
		{"locals", function(append(append([]byte{1}, huge...), 0x7f), nil), ErrLimit, "4294967295 locals in a function, at most 50000 allowed"},
		{"local declarations", function(huge, nil), ErrMalformed, "local declarations announced"},
		{"element items", header().section(secTable, vector([]byte{0x70, 0, 1})).section(secElement, []byte{1, 1, 0}, huge), ErrMalformed, "elements of segment announced"},
		{"br_table count", function(nil, append([]byte{opI32Const, 0, 0x0e}, huge...)), ErrMalformed, "br_table with 4294967295 targets"},
		{"body past the end", typed().section(secFunction, vector([]byte{0})).section(secCode, []byte{1, 0x40, 0, opEnd}), ErrMalformed, "function body of 64 bytes announced"},
		{"no end", typed().section(secFunction, vector([]byte{0})).section(secCode, vector(sized([]byte{0, 1, 1}))), ErrMalformed, "function 0: function body without end"},
		{"no code", typed().section(secFunction, vector([]byte{0})), ErrMalformed, "1 declared functions, but no code section"},
		{"more after end", function(nil, []byte{opEnd, 1}), ErrMalformed, "after the end of the function"},
		{"unknown type", header().section(secType, vector([]byte{0x60, 0, 0})).section(secFunction, vector([]byte{9})), ErrMalformed, "type 9 of 1"},
		{"unknown opcode", function(nil, []byte{0xc5}), ErrMalformed, "unknown opcode 0xc5"},
		{"unknown local", function(nil, []byte{opLocalGet, 0, 0x1a}), ErrMalformed, "local 0 of 0"},

		{"nested blocks", function(nil, nest(100_000)), ErrLimit, "blocks"},
		{"depth", function(nil, nest(6_000)), ErrLimit, "5001 nested blocks, at most 5000 allowed; nest less deeply or raise the limit Depth"},
		{"blocks", function(nil, repeat(100_000, opBlock, blockEmpty, opEnd)), ErrLimit, "ControlBlocks"},
		{"ifs", function(nil, repeat(50_000, opI32Const, 0, opIf, blockEmpty, opEnd)), ErrLimit, "ControlBlocks"},
		{"br_table targets", function(nil, brTable(65_000)), ErrLimit, "BrTableTargets"},
		{"many br_tables", function(nil, bytes.Repeat(brTable(1_000), 20)), ErrLimit, "BrTableTargets"},
		{"loops and locals", function([]byte{1, 0xd0, 0x0f, 0x7f}, loops(2_000)), ErrLimit, "LiveValues"},
		{"values of all types", header().section(secType, leb128(200), bytes.Repeat(append(append([]byte{0x60}, leb128(1000)...), append(repeat(1000, byte(I32)), 0)...), 200)), ErrLimit, "TypeValues"},
		{"values passed to calls", passing(opCall, 1), ErrLimit, "CarriedValues"},
		{"values passed to blocks", passing(opBlock, 0, opEnd), ErrLimit, "at most 500000 allowed"},
		{"values passed by branches", passing(opI32Const, 0, 0x0d, 0), ErrLimit, "at most 500000 allowed"},
		{"locals alive in blocks", function([]byte{1, 0xd0, 0x86, 0x03, 0x7f}, repeat(9_000, opBlock, blockEmpty, opEnd)), ErrLimit, "LiveValues"},
		{"operands alive in blocks", function(nil, append(repeat(50_000, opI32Const, 0), repeat(9_000, opBlock, blockEmpty, opEnd)...)), ErrLimit, "LiveValues"},
		{"operands alive at branches", function(nil, append(repeat(50_000, opI32Const, 0), repeat(9_000, opI32Const, 0, 0x0d, 0)...)), ErrLimit, "LiveValues"},
		{"body size", function(nil, repeat(4<<20, 1)), ErrLimit, "bytes of function body, at most 1048576 allowed; split the function"},
		{"many heavy functions", heavyFunctions(), ErrLimit, "CompileTime"},
		{"many functions", manyFunctions(1_000_000), ErrLimit, "1000000 functions, at most 50000"},
		{"nothing but loops", manyBodies(40_000, loops(12)), ErrLimit, "metered code"},

		{"initial memory", header().section(secMemory, []byte{1, 0, 0x80, 0x80, 4}), ErrLimit, "65536 pages of initial memory, at most 256 allowed"},
		{"initial table", header().section(secTable, vector(append([]byte{0x70, 0}, leb128(50_000_000)...))), ErrLimit, "table elements"},
		{"huge table", header().section(secTable, vector(append([]byte{0x70, 0}, huge...))), ErrLimit, "table elements"},
		{"two memories", header().section(secMemory, []byte{2, 0, 1, 0, 1}), ErrUnsupported, "multiple memories"},
		{"shared memory", header().section(secMemory, []byte{1, 3, 1, 1}), ErrUnsupported, "shared memory"},
		{"memory64", header().section(secMemory, []byte{1, 4, 1}), ErrUnsupported, "memory64"},
		{"atomics", function(nil, []byte{0xfe, 3, 0}), ErrUnsupported, "threads"},
		{"stack switching", function(nil, []byte{0xe0, 0}), ErrUnsupported, "stack switching"},
		{"wide arithmetic", function(nil, []byte{0xfc, 0x13}), ErrUnsupported, "wide arithmetic"},
		{"call_ref", function(nil, []byte{0x14, 0}), ErrUnsupported, "typed function references"},
		{"gc", function(nil, []byte{0xfb, 0}), ErrUnsupported, "garbage-collected types"},
		{"relaxed simd", function(nil, []byte{0xfd, 0x80, 0x02}), ErrUnsupported, "relaxed vector"},
		{"over-long vector opcode", function(nil, []byte{0xfd, 0x8c, 0x00}), ErrMalformed, "over-long vector opcode"},
		{"operands from table.size", header().section(secType, vector([]byte{0x60, 0, 0})).section(secFunction, vector([]byte{0})).section(secTable, vector([]byte{0x70, 0, 1})).
			section(secCode, vector(sized(append(append(append([]byte{0}, repeat(1000, 0xfc, bulkTableSize|0x80, 0, 0)...), repeat(1000, opBlock, blockEmpty, opEnd)...), opEnd)))), ErrLimit, "LiveValues"},
		{"constant without value", header().section(secGlobal, vector([]byte{byte(I32), 0, opI32Const, 1, opEnd}, []byte{byte(I32), 0, opEnd})), ErrMalformed, "initial value of global: 0 values, not one"},
		{"constant with two values", constant(opI32Const, 1, opI32Const, 1), ErrMalformed, "2 values, not one"},
		{"constant without operands", constant(opI32Const, 1, 0x6a), ErrMalformed, "opcode 0x6a without operands"},
		{"constant with a large stack", constant(append(repeat(17, opI32Const, 1), repeat(16, 0x6a)...)...), ErrUnsupported, "so many operands"},
		{"constant that divides", constant(opI32Const, 1, opI32Const, 1, 0x6d), ErrMalformed, "opcode 0x6d is not constant"},
		{"constant of another proposal", constant(opI32Const, 1, 0xfb, 0x1c), ErrUnsupported, "garbage-collected types"},
		{
			"growing an imported table",
			typed().section(secImport, vector(append(named("env", "t"), 1, 0x70, 0, 1))).section(secFunction, vector([]byte{0})).
				section(secCode, vector(sized([]byte{0, 0xd0, 0x70, opI32Const, 1, 0xfc, 15, 0, 0x1a, opEnd}))),
			ErrUnsupported, "table.grow without a small maximum",
		},

		{"fuel function imported", typed().section(secImport, vector(append(named("router_rt", "fuel"), 0, 0))), ErrReserved, "router_rt"},
		{"reserved import", typed().section(secImport, vector(append(named("env", "__router_x"), 0, 0))), ErrReserved, "__router_x"},
		{"reserved export", header().section(secGlobal, vector([]byte{0x7e, 1, opI64Const, 0, opEnd})).section(secExport, vector(append(sized([]byte("__router_fuel")), 3, 0))), ErrReserved, "__router_fuel"},
		{"fuel global written", function(nil, []byte{opI64Const, 0x3f, opGlobalSet, 0}), ErrMalformed, "global 0 of 0"},
		{"fuel global read in a constant", header().section(secGlobal, vector([]byte{0x7e, 0, opGlobalGet, 1, opEnd})), ErrMalformed, "global 1 of 1"},
		{"fuel global exported", header().section(secExport, vector(append(sized([]byte("g")), 3, 0))), ErrMalformed, "global 0 of 0"},
		{"function past the last called", function(nil, []byte{opCall, 1}), ErrMalformed, "function 1 of 1"},
		{"function past the last exported", header().section(secExport, vector(append(sized([]byte("f")), 0, 0))), ErrMalformed, "function 0 of 0"},
	}
	tests = append(tests, exceptionRefusals...)
	for _, s := range []struct {
		id   byte
		what string
	}{
		{secTag, "tags"},
		{secType, "types"},
		{secImport, "imports"},
		{secFunction, "functions"},
		{secTable, "tables"},
		{secMemory, "memories"},
		{secGlobal, "globals"},
		{secExport, "exports"},
		{secElement, "element segments"},
		{secCode, "function bodies"},
		{secData, "data segments"},
	} {
		for _, n := range []uint32{200_000_000, 1<<32 - 1} {
			tests = append(tests, refusal{fmt.Sprintf("%d %s", n, s.what), header().section(s.id, appendU32(nil, n)), ErrMalformed, fmt.Sprintf("%d %s announced", n, s.what)})
		}
	}
	return tests
}

func TestRefusals(t *testing.T) {
	for _, tt := range refusals() {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Instrument(tt.wasm, Limits{})
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatal("accepted")
			}
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, tt.reason) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want %v with %q", err, tt.reason, tt.want)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 4*uint64(len(tt.wasm))+1<<20 {
				t.Errorf("%d bytes allocated for a module of %d", used, len(tt.wasm))
			}
		})
	}
}

// The height of the operand stack is told from the opcodes alone. A long run of
// vector code leaves it where it was.
func TestVectorCodeKeepsTheStackLevel(t *testing.T) {
	constant := append([]byte{0xfd, 0x0c}, make([]byte, 16)...)
	shuffle := append([]byte{0xfd, 0x0d}, make([]byte, 16)...)
	step := bytes.Join([][]byte{constant, constant, shuffle, {0xfd, 0x4d, 0xfd, 0x61}, constant, constant, {0xfd, 0x52, 0x1a}}, nil)
	mustInstrument(t, function(nil, bytes.Repeat(step, 10_000)), Limits{})
	var e *Error
	_, err := Instrument(function(nil, bytes.Repeat(constant, 32_000)), Limits{})
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "LiveValues") {
		t.Errorf("32000 vectors on the stack: %v", err)
	}
}

// passing is a function (1000 values) -> (1000 values) of code, which may call
// it, many times over.
func passing(code ...byte) []byte {
	values := append(leb128(1000), repeat(1000, byte(I32))...)
	var gets []byte
	for i := range 1000 {
		gets = append(append(gets, opLocalGet), leb128(i)...)
	}
	body := append(append(append([]byte{0}, gets...), bytes.Repeat(code, 4000)...), opEnd)
	return header().
		section(secType, vector(append(append([]byte{0x60}, values...), values...))).
		section(secFunction, vector([]byte{0}, []byte{0})).
		section(secCode, vector(sized(body), sized(append(append([]byte{0}, gets...), opEnd))))
}

// heavyFunctions are many functions, each of them just below its limits.
func heavyFunctions() []byte { return manyBodies(20, repeat(9_000, opBlock, blockEmpty, opEnd)) }

func manyBodies(n int, code []byte) []byte {
	one := sized(append(append([]byte{0}, code...), opEnd))
	return header().
		section(secType, vector([]byte{0x60, 0, 0})).
		section(secFunction, leb128(n), make([]byte, n)).
		section(secCode, leb128(n), bytes.Repeat(one, n))
}

func manyFunctions(n int) []byte { return manyBodies(n, nil) }

func TestModuleOverSizeIsRefused(t *testing.T) {
	_, err := Instrument(wat(t, "fib"), Limits{ModuleSize: 100})
	if !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "raise the limit ModuleSize") {
		t.Errorf("error %v", err)
	}
}

func TestTruncatedModuleIsRefusedAtEveryByte(t *testing.T) {
	modules := map[string][]byte{}
	for _, c := range corpus {
		modules[c.name] = wat(t, c.name)
	}
	for _, c := range exceptions {
		modules[c.name] = assemble(t, c.text)
	}
	for name, wasm := range modules {
		ends := map[int]bool{8: true} // a module may end after any section
		for p := 8; p < len(wasm); {
			size, next := longU32(wasm, p+1)
			p = next + int(size)
			ends[p] = true
		}
		for n := range len(wasm) {
			_, err := Instrument(wasm[:n], Limits{})
			if err == nil && !ends[n] {
				t.Errorf("%s: %d of %d bytes accepted", name, n, len(wasm))
			}
		}
	}
}

func TestLimitsOutOfBoundsAreRefused(t *testing.T) {
	for _, l := range []Limits{{Depth: -1}, {MemoryPages: 65_536}, {CompileTime: -1}} {
		var e *Error
		if _, err := Instrument(header(), l); err == nil || errors.As(err, &e) {
			t.Errorf("%+v: error %v, want one about limits", l, err)
		}
	}
}

func TestEndlessWorkIsStopped(t *testing.T) {
	m := mustInstrument(t, wat(t, "hostile"), Limits{MemoryPages: 1024})
	for _, name := range []string{"loop", "recurse", "fill", "copy", "tree"} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.budget = 1 << 18
			if name == "recurse" {
				h.budget = 1 << 12 // before the stack of the runtime ends
			}
			given := h.budget
			out := h.instantiate(t, m.Bytes).call(name)
			if !strings.Contains(out.Err, errSpent.Error()) {
				t.Errorf("outcome %+v, want it to end with %q", out, errSpent)
			}
			if h.given != given {
				t.Errorf("ended after %d units, want %d", h.given, given)
			}
		})
	}
}

// endlessCalls go on without a loop and without a frame that stays.
const endlessCalls = `
	tag e
	table 1 indirect
	func direct
	  return_call other
	end
	func other
	  return_call direct
	end
	func indirect
	  i32.const 0
	  return_call_indirect
	end
	func thrower
	  block
	    try_table | catch_all 0
	      throw e
	    end
	  end
	  return_call thrower
	end
	func catcher
	  loop
	    try_table | catch_all 0
	      throw e
	    end
	  end
	end
	func caught
	  loop
	    block
	      try_table | catch_all 0
	        loop
	          br 0
	        end
	      end
	    end
	    br 0
	  end
	end`

func TestEndlessCallsAreStopped(t *testing.T) {
	m := mustInstrument(t, assemble(t, endlessCalls), Limits{})
	for _, name := range []string{"direct", "indirect", "thrower", "catcher", "caught"} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.budget = 1 << 16
			out := h.instantiate(t, m.Bytes).call(name)
			if !strings.Contains(out.Err, errSpent.Error()) || h.given != 1<<16 {
				t.Errorf("outcome %+v after %d units, want it to end with %q", out, h.given, errSpent)
			}
		})
	}
}

func TestStartFunctionIsStopped(t *testing.T) {
	m := mustInstrument(t, watText(t, `(module (func $s (loop (br 0))) (start $s))`), Limits{})
	h := newHost(t)
	h.budget = 1 << 16
	if _, err := h.tryInstantiate(m.Bytes); !errors.Is(err, errSpent) {
		t.Errorf("error %v, want %v", err, errSpent)
	}
}

// Straight code must pay too, on every path: these functions have neither loops
// nor calls, and skip the charges that a careless count would place.
func TestStraightCodePays(t *testing.T) {
	const n = 40_000
	// Each part weighs RunLength, and every charge of a plain count falls into
	// what is jumped over, because the first one does.
	offset, run, jumped := repeat(60, 1), repeat(100, 1), repeat(RunLength-104, 1)
	part := func(before, after []byte) []byte {
		one := bytes.Join([][]byte{before, after, jumped, {opEnd}}, nil)
		return append(bytes.Clone(offset), bytes.Repeat(one, n/100)...)
	}
	block := []byte{opBlock, blockEmpty}
	skipping := part(append(block, run...), []byte{opI32Const, 1, 0x0d, 0})
	table := part(append(block, run...), []byte{opI32Const, 0, 0x0e, 1, 0, 0})
	untaken := part(append([]byte{1}, run...), []byte{opI32Const, 0, opIf, blockEmpty})
	// The else branch weighs RunLength by itself, with the condition and the end.
	other := part(append([]byte{opI32Const, 1, opIf, blockEmpty}, run...), append([]byte{0x05}, repeat(101, 1)...))
	for name, code := range map[string][]byte{
		"straight": repeat(n, 1),
		"br_if":    skipping,
		"br_table": table,
		"if":       untaken,
		"else":     other,
		"divide":   repeat(n/16, opI32Const, 1, opI32Const, 1, 0x6d, 0x1a),
	} {
		t.Run(name, func(t *testing.T) {
			src := bin(function(nil, code))
			// Export the function; the sections after the export follow it.
			at := bytes.Index(src, []byte{secFunction, 2, 1, 0}) + 4
			wasm := append(src[:at:at], bin(nil).section(secExport, vector(append(sized([]byte("f")), 0, 0)))...)
			wasm = append(wasm, src[at:]...)
			in := newHost(t).instantiate(t, mustInstrument(t, wasm, Limits{}).Bytes)
			if out := in.call("f"); out.Err != "" {
				t.Fatal(out.Err)
			}
			least := int64(n / UnitWeight)
			if name == "divide" {
				least = n / 16 * 7 / UnitWeight
			}
			most := int64(len(code)/UnitWeight + n/100) // the dearest path, and entry
			if used := in.used(); used < least || used > most {
				t.Errorf("%d units, want %d to %d", used, least, most)
			}
		})
	}
}

// What comes before a call that never returns is paid for on the way down.
func TestRecursionPays(t *testing.T) {
	const n = 1000
	code := bytes.Join([][]byte{repeat(n/2, opI32Const, 0, 0x1a), {opCall, 0}, repeat(10, 1)}, nil)
	global := []byte{opGlobalGet, 0, opI64Const, 1, opI64Add, opGlobalSet, 0}
	in := newHost(t).instantiate(t, mustInstrument(t, header().section(secType, vector([]byte{0x60, 0, 0})).
		section(secFunction, vector([]byte{0})).
		section(secGlobal, vector([]byte{byte(I64), 1, opI64Const, 0, opEnd})).
		section(secExport, vector(append(sized([]byte("f")), 0, 0), append(sized([]byte("depth")), 3, 0))).
		section(secCode, vector(sized(join([]byte{0}, global, code, []byte{opEnd})))), Limits{}).Bytes)
	in.host.budget = 1 << 13
	if out := in.call("f"); !strings.Contains(out.Err, errSpent.Error()) {
		t.Fatal(out)
	}
	if depth, used := in.global("depth"), in.used(); depth*n/UnitWeight > uint64(used) {
		t.Errorf("%d calls for %d units, with %d instructions before each", depth, used, n)
	}
}
