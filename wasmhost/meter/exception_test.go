package meter

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/internal/wasmasm"
)

// assemble builds a module from the notation of package wasmasm.
func assemble(t testing.TB, text string) []byte {
	t.Helper()
	wasm, err := wasmasm.Module(text)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// What wazero's compiler does with exceptions is wrong in places, so these modules
// say what is right. Its interpreter agrees with them.
var exceptions = []struct {
	name, text string
	calls      []invoke
	want       []outcome
}{
	{
		name: "locals set in the body survive",
		text: `
			tag e
			func f (i32) -> (i32)
			  local i32
			  block
			    try_table | catch_all 0
			      local.get 0
			      i32.const 1
			      i32.add
			      local.set 1
			      call thrower
			      i32.const 99
			      local.set 1
			    end
			  end
			  local.get 1
			end
			func thrower
			  throw e
			end`,
		calls: calls("f 41", "f 6"),
		want:  results(42, 7),
	},
	{
		name: "a try_table without clauses leaves the handler around it",
		text: `
			tag e
			func f -> (i32)
			  block
			    try_table | catch_all 0
			      try_table
			        nop
			      end
			      throw e
			    end
			  end
			  i32.const 7
			end`,
		calls: calls("f"),
		want:  results(7),
	},
	{
		name: "clauses are tried from the inside, each in its order",
		text: `
			tag a
			tag b
			tag c
			func f (i32) -> (i32)
			  block                           ;; 0 of the outermost handler
			    block
			      block
			        try_table | catch c 0 | catch b 1 | catch a 2
			          block
			            block
			              try_table | catch b 0 | catch b 1
			                local.get 0
			                call thrower
			              end
			              i32.const 0
			              return
			            end
			            i32.const 10
			            return
			          end
			          i32.const 11
			          return
			        end
			        unreachable
			      end
			      i32.const 23
			      return
			    end
			    i32.const 22
			    return
			  end
			  i32.const 21
			end
			func thrower (i32)
			  block
			    block
			      block
			        block
			          local.get 0
			          br_table 0 1 2 3
			        end
			        return
			      end
			      throw a
			    end
			    throw b
			  end
			  throw c
			end`,
		calls: calls("f 0", "f 1", "f 2", "f 3"),
		want:  results(0, 21, 10, 23),
	},
	{
		name: "values and references",
		text: `
			tag e (i32 i64 f32 f64)
			func inner -> (i32 i64 f32 f64 exnref)
			  block () -> (i32 i64 f32 f64 exnref)
			    try_table | catch_ref e 0
			      i32.const -5
			      i64.const 6000000000
			      f32.const 0
			      f64.const 0
			      throw e
			    end
			    unreachable
			  end
			end
			func f -> (i32)
			  local exnref
			  block () -> (i32 i64 f32 f64)
			    call inner
			    local.set 0
			    drop
			    drop
			    drop
			    drop
			    try_table | catch e 0
			      local.get 0
			      throw_ref
			    end
			    unreachable
			  end
			  drop
			  drop
			  i64.const 6000000000
			  i64.eq
			  i32.add
			end
			func null
			  ref.null exnref
			  throw_ref
			end
			func caught -> (i32)
			  block
			    try_table | catch_all 0
			      ref.null exnref    ;; this is a trap
			      throw_ref
			    end
			  end
			  i32.const 1
			end`,
		calls: calls("f", "null", "caught"),
		want:  append(results(1<<32-4), outcome{Err: "wasm error: null reference"}, outcome{Err: "wasm error: null reference"}),
	},
	{
		name: "operands around an indirect call",
		text: `
			tag e (i32)
			table 4 thrower double
			func thrower (i32) -> (i32)
			  local.get 0
			  throw e
			end
			func double (i32) -> (i32)
			  local.get 0
			  i32.const 2
			  i32.mul
			end
			func f (i32 i32) -> (i32)
			  block i32
			    i32.const 1000
			    try_table (i32) -> (i32) | catch e 0
			      i32.const 100
			      local.get 1
			      local.get 0
			      call_indirect (i32) -> (i32)
			      i32.add
			      i32.add
			    end
			    i32.const 1
			    i32.add
			  end
			end`,
		calls: calls("f 0 5", "f 1 5", "f 2 5", "f 9 5"),
		want:  append(results(5, 1111), outcome{Err: "wasm error: invalid table access"}, outcome{Err: "wasm error: invalid table access"}),
	},
	{
		name: "ways out of a body",
		text: `
			tag e
			func leave (i32)
			  block
			    block
			      block
			        try_table | catch_all 0
			          try_table | catch e 1
			            local.get 0
			            br_table 0 1 2 3 4
			          end
			          local.get 0
			          i32.const 5
			          i32.eq
			          br_if 1
			          local.get 0
			          i32.const 6
			          i32.eq
			          if
			            return
			          end
			        end
			      end
			    end
			  end
			end
			func f (i32) -> (i32)
			  block
			    try_table | catch_all 0
			      local.get 0
			      call leave
			      throw e     ;; not to a handler of leave
			    end
			  end
			  i32.const 1
			end
			func uncaught (i32)
			  local.get 0
			  call leave
			  throw e
			end`,
		calls: calls("f 0", "f 1", "f 2", "f 3", "f 4", "f 5", "f 6", "uncaught 0", "uncaught 3", "uncaught 6"),
		want:  append(results(1, 1, 1, 1, 1, 1, 1), uncaught, uncaught, uncaught),
	},
	{
		name: "a tail call leaves the handlers of its function",
		text: `
			tag e
			table 1 thrower
			func thrower
			  throw e
			end
			func f
			  block
			    try_table | catch_all 0
			      return_call thrower
			    end
			  end
			end
			func g
			  block
			    try_table | catch_all 0
			      i32.const 0
			      return_call_indirect
			    end
			  end
			end
			func h -> (i32)
			  block
			    try_table | catch_all 0
			      call f
			    end
			    i32.const 0
			    return
			  end
			  i32.const 1
			end`,
		calls: calls("f", "g", "h"),
		want:  append([]outcome{uncaught, uncaught}, results(1)...),
	},
	{
		name: "exceptions end a loop or start it again",
		text: `
			tag e (i32)
			func count (i32) -> (i32)
			  local i32
			  local.get 0
			  loop (i32)
			    local.set 0
			    local.get 1
			    i32.const 3
			    i32.add
			    local.set 1
			    local.get 0
			    i32.eqz
			    if
			      local.get 1
			      return
			    end
			    try_table | catch e 0
			      local.get 0
			      i32.const 1
			      i32.sub
			      throw e
			    end
			    unreachable
			  end
			  unreachable
			end`,
		calls: calls("count 0", "count 1", "count 10"),
		want:  results(3, 6, 33),
	},
	{
		name: "handlers in every frame, and one that throws",
		text: `
			tag e (i32)
			func down (i32) -> (i32)
			  local exnref
			  block () -> (i32 exnref)
			    try_table | catch_ref e 0
			      local.get 0
			      i32.eqz
			      if
			        i32.const 1
			        throw e
			      end
			      local.get 0
			      i32.const 1
			      i32.sub
			      call down
			      return
			    end
			    unreachable
			  end
			  local.set 1
			  local.get 0
			  i32.const 2
			  i32.eq
			  if
			    local.get 1
			    throw_ref
			  end
			  i32.const 2
			  i32.mul
			  local.get 0
			  i32.const 7
			  i32.eq
			  if (i32) -> (i32)
			    return
			  end
			  throw e
			end`,
		calls: calls("down 0", "down 7", "down 8"),
		want:  append([]outcome{uncaught}, results(128, 128)...),
	},
	{
		name: "code that cannot be reached",
		text: `
			tag e (i32)
			table 1 f
			func f (i32) -> (i32)
			  local exnref
			  block i32
			    try_table i32 | catch e 0
			      local.get 0
			      throw e
			      call f
			      throw e
			      throw_ref
			      i32.const 0
			      call_indirect (i32) -> (i32)
			      block exnref
			        try_table | catch_all_ref 0
			          i32.const 1
			          call f
			          drop
			        end
			        unreachable
			      end
			      throw_ref
			      return_call f
			    end
			  end
			end`,
		calls: calls("f 5"),
		want:  results(5),
	},
}

var uncaught = outcome{Err: "wasm error: uncaught exception"}

// results are the outcomes of calls with one result each.
func results(values ...uint64) []outcome {
	var list []outcome
	for _, v := range values {
		list = append(list, outcome{Results: []uint64{v}})
	}
	return list
}

func TestExceptionsAreRight(t *testing.T) {
	for _, c := range exceptions {
		t.Run(c.name, func(t *testing.T) {
			wasm := assemble(t, c.text)
			m := mustInstrument(t, wasm, Limits{})
			metered, interpreted := newHost(t).instantiate(t, m.Bytes), newInterpreter(t).instantiate(t, wasm)
			for i, call := range c.calls {
				if diff := cmp.Diff(c.want[i], interpreted.call(call.name, call.args...)); diff != "" {
					t.Errorf("%s(%d) interpreted (-want +got):\n%s", call.name, call.args, diff)
				}
				if diff := cmp.Diff(c.want[i], metered.call(call.name, call.args...)); diff != "" {
					t.Errorf("%s(%d) metered (-want +got):\n%s", call.name, call.args, diff)
				}
			}
		})
	}
}

// throwing is a module with the tags () and (i32) and one function () -> ().
func throwing(code ...byte) []byte {
	return header().
		section(secType, vector([]byte{0x60, 0, 0}, []byte{0x60, 1, byte(I32), 0})).
		section(secFunction, vector([]byte{0})).
		section(secTag, vector([]byte{0, 0}, []byte{0, 1})).
		section(secCode, vector(sized(append(append([]byte{0}, code...), opEnd))))
}

// tagged is a module with one type and one tag of it.
func tagged(typ ...byte) []byte {
	return header().section(secType, vector(append([]byte{0x60}, typ...))).section(secTag, vector([]byte{0, 0}))
}

// try is a try_table with as many clauses catch_all.
func try(clauses int, body ...byte) []byte {
	code := append([]byte{opTryTable, blockEmpty}, leb128(clauses)...)
	code = append(code, bytes.Repeat([]byte{catchAll, 0}, clauses)...)
	return append(append(code, body...), opEnd)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// nestedTries are so many try_tables in one another, each with a clause that
// does not catch all, around code.
func nestedTries(n int, code []byte) []byte {
	var out []byte
	for range n {
		out = append(out, opBlock, blockEmpty, opTryTable, blockEmpty, 1, 0, 0, 0)
	}
	return append(append(out, code...), repeat(2*n, opEnd)...)
}

var exceptionRefusals = []refusal{
	{"tag of no type", header().section(secTag, vector([]byte{0, 0})), ErrMalformed, "type 0 of 0"},
	{"tag with attribute", header().section(secType, vector([]byte{0x60, 0, 0})).section(secTag, vector([]byte{1, 0})), ErrMalformed, "unknown attribute of tag 0x1"},
	{"tag with results", tagged(0, 1, byte(I32)), ErrMalformed, "tag with results"},
	{"tag that carries a vector", tagged(1, byte(V128), 0), ErrUnsupported, "exception that carries a v128"},
	{"tag that carries much", tagged(append(append([]byte{65}, repeat(65, byte(I32))...), 0)...), ErrLimit, "65 values carried by a tag, at most 64"},
	{"many tags", header().section(secType, vector([]byte{0x60, 0, 0})).section(secTag, leb128(1001), repeat(1001, 0, 0)), ErrLimit, "1001 tags, at most 1000"},
	{"tags after globals", header().section(secGlobal, []byte{0}).section(secTag, []byte{0}), ErrMalformed, "tag section twice or out of order"},
	{"tag exported that is not there", header().section(secExport, vector(append(sized([]byte("e")), byte(KindTag), 0))), ErrMalformed, "tag 0 of 0"},
	{"tag thrown that is not there", throwing(opThrow, 2), ErrMalformed, "tag 2 of 2"},
	{"tag caught that is not there", throwing(opTryTable, blockEmpty, 1, 0, 2, 0, opEnd), ErrMalformed, "tag 2 of 2"},
	{"clause of no kind", throwing(opTryTable, blockEmpty, 1, 4, 0, opEnd), ErrMalformed, "unknown catch clause 0x4"},
	{"clause without label", throwing(opTryTable, blockEmpty, 1, catchAll, 1, opEnd), ErrMalformed, "branch out of 2 blocks, only 1 are open"},
	{"clause with another type", throwing(opBlock, byte(I64), opTryTable, blockEmpty, 1, 0, 1, 0, opEnd, opUnreachable, opEnd, 0x1a), ErrMalformed, "catch clause whose label takes other values"},
	{"clause without value", throwing(opBlock, byte(I32), opTryTable, blockEmpty, 1, catchAll, 0, opEnd, opUnreachable, opEnd, 0x1a), ErrMalformed, "catch clause whose label takes other values"},
	{"clause without reference", throwing(opTryTable, blockEmpty, 1, catchAll|catchRef, 0, opEnd), ErrMalformed, "catch clause whose label takes other values"},
	{"clauses past the end", throwing(append([]byte{opTryTable, blockEmpty}, 0xff, 0xff, 0xff, 0xff, 0x0f)...), ErrMalformed, "try_table with 4294967295 clauses"},
	{"many clauses", throwing(try(20_000)...), ErrLimit, "catch clauses in a function, at most 16384"},
	{"many clauses around many calls", throwing(join([]byte{opTryTable, blockEmpty}, leb128(4_000), repeat(4_000, 0, 0, 0), repeat(4, opCall, 0), []byte{opEnd})...), ErrLimit, "ControlBlocks"},
	{"many handlers", throwing(bytes.Repeat(try(1, opCall, 0), 5_000)...), ErrLimit, "ControlBlocks"},
	{"handlers around handlers", throwing(nestedTries(2_000, repeat(10, opCall, 0))...), ErrLimit, "ControlBlocks"},
	{"many values thrown", throwingMuch(2_000), ErrLimit, "CarriedValues"},
	{"nothing but guarded calls", guardedCalls(), ErrLimit, "metered code"},
	{"exception in a global", header().section(secGlobal, vector([]byte{byte(ExnRef), 1, opRefNull, byte(ExnRef), opEnd})), ErrUnsupported, "exnref in a global; keep caught exceptions in local variables"},
	{"exception in an imported global", header().section(secImport, vector(append(named("env", "g"), byte(KindGlobal), byte(ExnRef), 1))), ErrUnsupported, "exnref in a global"},
	{"exception in a table", header().section(secTable, vector([]byte{byte(ExnRef), 0, 1})), ErrUnsupported, "exnref in a table"},
	{"exception in an element segment", header().section(secTable, vector([]byte{byte(FuncRef), 0, 1})).section(secElement, vector([]byte{5, byte(ExnRef), 0})), ErrUnsupported, "exnref in a table"},
	{"legacy try", throwing(0x06, blockEmpty, opEnd), ErrUnsupported, "legacy exception instruction try; translate it (wasm-opt --translate-to-exnref)"},
	{"legacy catch", throwing(0x07, 0), ErrUnsupported, "legacy exception instruction catch;"},
	{"legacy rethrow", throwing(0x09, 0), ErrUnsupported, "legacy exception instruction rethrow"},
	{"legacy delegate", throwing(0x18, 0), ErrUnsupported, "legacy exception instruction delegate"},
	{"legacy catch_all", throwing(0x19), ErrUnsupported, "legacy exception instruction catch_all"},
	{"reference to any exception", throwing(opBlock, 0x64, byte(ExnRef), opEnd), ErrUnsupported, "typed function references"},
}

// throwingMuch is a function with so many throws of 64 values.
func throwingMuch(n int) []byte {
	throw := join([]byte{opI32Const, 0, opIf, blockEmpty}, repeat(64, opI32Const, 0), []byte{opThrow, 0, opEnd})
	return header().
		section(secType, vector(join([]byte{0x60, 64}, repeat(64, byte(I32)), []byte{0}), []byte{0x60, 0, 0})).
		section(secFunction, vector([]byte{1})).
		section(secTag, vector([]byte{0, 0})).
		section(secCode, vector(sized(join([]byte{0}, bytes.Repeat(throw, n), []byte{opEnd}))))
}

// guardedCalls are functions of nothing but calls within a handler, which take
// several times the room when they are metered.
func guardedCalls() []byte {
	one := sized(append(append([]byte{0}, try(1, repeat(1000, opCall, 0)...)...), opEnd))
	return header().
		section(secType, vector([]byte{0x60, 0, 0})).
		section(secFunction, leb128(100), make([]byte, 100)).
		section(secTag, vector([]byte{0, 0})).
		section(secCode, leb128(100), bytes.Repeat(one, 100))
}
