package meter

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tetratelabs/wazero"
)

// tangle writes functions (i32) -> (i32) of loops, blocks and branches in all
// their forms, short and long ones, as its choices say; all are valid. Global 0 is
// a trace of what ran, global 1 counts the rounds of
// loops, global 2 part of the instructions.
//
// Type 3p+r takes p values and leaves r, all i32; type 9 is that of the functions.
type tangle struct {
	choices []byte
	code    []byte
	labels  []int // how many values a branch to each open block takes, the innermost first
	left    int   // statements
}

const (
	tangleFunctions = 3
	tangleType      = 9
	tangleLocals    = 4 // the parameter included
)

func (g *tangle) pick(n int) int {
	if len(g.choices) == 0 {
		return 0
	}
	c := int(g.choices[0])
	g.choices = g.choices[1:]
	return c % n
}

func (g *tangle) put(code ...byte) { g.code = append(g.code, code...) }

func (g *tangle) module() []byte {
	var types, functions, exports, bodies [][]byte
	for p := range 3 {
		for r := range 3 {
			types = append(types, join([]byte{0x60}, sized(repeat(p, byte(I32))), sized(repeat(r, byte(I32)))))
		}
	}
	types = append(types, []byte{0x60, 1, byte(I32), 1, byte(I32)})
	for i := range tangleFunctions {
		functions = append(functions, []byte{tangleType})
		exports = append(exports, join(sized(fmt.Appendf(nil, "f%d", i)), []byte{0, byte(i)}))
		g.code, g.labels, g.left = []byte{1, tangleLocals - 1, byte(I32)}, []int{1}, 30
		g.statements(0)
		g.value()
		g.put(opEnd)
		bodies = append(bodies, sized(g.code))
	}
	for i, name := range []string{"trace", "rounds", "work"} {
		exports = append(exports, join(sized([]byte(name)), []byte{3, byte(i)}))
	}
	global := []byte{byte(I64), 1, opI64Const, 0, opEnd}
	return header().section(secType, vector(types...)).
		section(secFunction, vector(functions...)).
		section(secTable, vector([]byte{byte(FuncRef), 0, 4})).
		section(secMemory, vector([]byte{0, 1})).
		section(secGlobal, vector(global, global, global)).
		section(secExport, vector(exports...)).
		section(secElement, vector([]byte{0, opI32Const, 0, opEnd, 3, 0, 1, 2})).
		section(secCode, vector(bodies...))
}

// value leaves a local on the stack.
func (g *tangle) value() { g.put(opLocalGet, byte(g.pick(tangleLocals))) }

func (g *tangle) values(n int) {
	for range n {
		g.value()
	}
}

// store takes n values from the stack.
func (g *tangle) store(n int) {
	for range n {
		g.put(opLocalSet, byte(g.pick(tangleLocals)))
	}
}

// number leaves a number below 2^bits that looks like chance.
func (g *tangle) number(bits int) {
	x := byte(g.pick(tangleLocals))
	g.put(opLocalGet, x, opI32Const)
	g.code = appendS64(g.code, 1103515245)
	g.put(0x6c, opI32Const)
	g.code = appendS64(g.code, int64(12345+g.pick(256)))
	g.put(opI32Add, 0x22, x, opI32Const, 32-byte(bits), opI32ShrU) // local.tee
}

func (g *tangle) statements(depth int) {
	for range 1 + g.pick(4) {
		g.statement(depth)
	}
}

// open enters a block of some kind with values to take and to leave.
func (g *tangle) open(op byte, depth int) {
	params, results := g.pick(3), g.pick(3)
	if g.pick(2) == 0 {
		params, results = 0, 0 // the most common
	}
	arity := results
	if op == opLoop {
		arity = params
	}
	g.values(params)
	if op == opIf {
		g.number(1)
	}
	g.put(op)
	if params+results == 0 {
		g.put(blockEmpty)
	} else {
		g.put(byte(3*params + results))
	}
	g.labels = append([]int{arity}, g.labels...)
	inside := func() {
		g.store(params)
		if op == opLoop {
			g.put(opGlobalGet, 1, opI64Const, 1, opI64Add, opGlobalSet, 1)
		}
		g.statements(depth + 1)
		if op == opLoop && g.pick(4) > 0 {
			g.branch(opBrIf, 0)
		}
		g.values(results)
	}
	inside()
	if op == opIf && (params != results || g.pick(2) == 0) {
		g.put(opElse)
		inside()
	}
	g.put(opEnd)
	g.labels = g.labels[1:]
	g.store(results)
}

func (g *tangle) branch(op byte, depth int) {
	arity := g.labels[depth]
	g.values(arity)
	if op == opBrIf {
		g.number(1 + g.pick(2))
		g.put(opBrIf, byte(depth))
		g.store(arity)
		return
	}
	g.put(opBr, byte(depth))
}

// table writes a br_table over all labels that take as many values as one of them.
func (g *tangle) table() {
	arity := g.labels[g.pick(len(g.labels))]
	var targets []byte
	for depth, have := range g.labels {
		if have == arity && (len(targets) == 0 || g.pick(3) > 0) {
			targets = append(targets, byte(depth))
		}
	}
	g.values(arity)
	g.number(2)
	last := len(targets) - 1
	g.put(0x0e)
	g.put(sized(targets[:last])...)
	g.put(targets[last])
}

func (g *tangle) statement(depth int) {
	if g.left--; g.left < 0 {
		return
	}
	kind := g.pick(20)
	if depth > 6 {
		kind %= 11
	}
	g.put(opGlobalGet, 0, opI64Const, 31, 0x7e, opI64Const, byte(kind), opI64Add, opGlobalSet, 0)
	switch kind {
	case 0:
		g.number(16)
		g.store(1)
	case 2, 3, 4:
		g.branch(opBrIf, g.pick(len(g.labels)))
	case 5:
		if g.pick(3) == 0 { // what follows is dead
			g.branch(opBr, g.pick(len(g.labels)))
		}
	case 6:
		if g.pick(3) == 0 {
			g.table()
		}
	case 7:
		g.value()
		if g.pick(4) == 0 {
			g.put([][]byte{{opReturn}, {0x12, byte(g.pick(tangleFunctions))}, {opUnreachable}}[g.pick(3)]...)
			return
		}
		g.put(opCall, byte(g.pick(tangleFunctions)))
		g.store(1)
	case 8:
		g.value()
		g.number(2)
		g.put(0x11, tangleType, 0)
		g.store(1)
	case 1, 9: // far from short, or enough for a charge of its own
		n := []int{10, 160, 400}[g.pick(3)]
		for range n {
			g.put(opLocalGet, 1, opI32Const, 3, opI32Add, opLocalSet, 1)
		}
		g.put(opGlobalGet, 2, opI64Const)
		g.code = appendS64(g.code, int64(4*n))
		g.put(opI64Add, opGlobalSet, 2)
	case 10:
		g.number(10)
		g.value()
		g.put(0x36, 2, 0) // i32.store
	case 11, 12:
		g.open(opBlock, depth)
	case 13, 14:
		g.open(opIf, depth)
	default:
		g.open(opLoop, depth)
	}
}

// FuzzLoops wants of any tangle of loops that metering changes nothing but the
// credit, that rounds of loops and straight
// code cost something, and that the price does not
// depend on how the credit is handed out.
func FuzzLoops(f *testing.F) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // the same on every run
		choices := make([]byte, 900)
		for i := range choices {
			choices[i] = byte(r.Uint32())
		}
		f.Add(choices)
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		g := tangle{choices: choices}
		wasm := g.module()
		m := mustInstrument(t, wasm, Limits{})
		wide, narrow := newHost(t), newHost(t)
		narrow.slice = 3
		metered, again := wide.instantiate(t, m.Bytes), narrow.instantiate(t, m.Bytes)
		plain := newHostOf(t, wazero.NewRuntimeConfigCompiler()).instantiate(t, wasm)
		for i := range tangleFunctions {
			wide.budget, narrow.budget = 1<<13, 1<<20
			name := fmt.Sprintf("f%d", i)
			got := metered.call(name, 5)
			// What comes before the first loop of a function and what comes after
			// the last may be paid for by the same units.
			used, rounds, work := uint64(metered.used()), metered.global("rounds"), metered.global("work")
			if used < rounds || 2*UnitWeight*used < work {
				t.Fatalf("%s: %d rounds of loops and %d instructions for %d units", name, rounds, work, used)
			}
			if endedByHost(got.Err) {
				return
			}
			want := plain.call(name, 5)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%s: %+v, metered %+v", name, want, got)
			}
			if other := again.call(name, 5); fmt.Sprint(got) != fmt.Sprint(other) || metered.used() != again.used() {
				t.Fatalf("%s: %+v for %d units, in small slices %+v for %d", name, got, metered.used(), other, again.used())
			}
		}
		compareMemory(t, plain, metered)
		for _, name := range []string{"trace", "rounds"} {
			if a, b := plain.global(name), metered.global(name); a != b {
				t.Errorf("%s: %d and metered %d", name, a, b)
			}
		}
	})
}
