package meter

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
)

// program writes functions that throw, catch, branch and call each other, as
// its choices say. All are valid; whether they end is another matter.
type program struct {
	choices []byte
	text    strings.Builder
	labels  []string // what a branch to each open block takes, the function not counted
	left    int      // statements
}

func (p *program) pick(n int) int {
	if len(p.choices) == 0 {
		return 0
	}
	c := int(p.choices[0])
	p.choices = p.choices[1:]
	return c % n
}

func (p *program) line(format string, args ...any) {
	fmt.Fprintf(&p.text, format+"\n", args...)
}

func (p *program) module() string {
	p.line("memory 1\ntag a (i32)\ntag b\ntag c (i32 i64)\ntable 4 f0 f1 f2 f3\nglobal trace mut i64 = 7")
	for i := range 4 {
		p.left = 40
		p.line("func f%d (i32) -> (i32)\nlocal i32 i32 i32 exnref", i)
		p.block(0)
		p.line("local.get %d\nend", p.pick(4))
	}
	return p.text.String()
}

// block writes some statements.
func (p *program) block(depth int) {
	for range 1 + p.pick(4) {
		p.statement(depth)
	}
}

func (p *program) open(label, line string, args ...any) {
	p.line(line, args...)
	p.labels = append([]string{label}, p.labels...)
}

func (p *program) end() {
	p.line("end")
	p.labels = p.labels[1:]
}

func (p *program) statement(depth int) {
	if p.left--; p.left < 0 {
		return
	}
	kind := p.pick(16)
	if depth > 5 {
		kind %= 9
	}
	p.line("global.get trace\ni64.const 31\ni64.mul\ni64.const %d\ni64.add\nglobal.set trace", kind)
	local, other := p.pick(4), p.pick(4)
	switch kind {
	case 0:
		p.line("local.get %d\ni32.const %d\ni32.add\nlocal.set %d", other, p.pick(9), local)
	case 1:
		p.line("local.get %d\ncall f%d\nlocal.set %d", other, p.pick(4), local)
	case 2:
		p.line("local.get %d\ni32.const %d\ncall_indirect (i32) -> (i32)\nlocal.set %d", other, p.pick(5), local)
	case 3:
		p.line("local.get %d\nlocal.get %d\nthrow a", other, local)
		p.line("drop") // the rest cannot be reached
	case 4:
		p.line([]string{"throw b", "i32.const 5\ni64.const 6\nthrow c", "local.get 4\nthrow_ref"}[p.pick(3)])
	case 5:
		p.line("local.get %d\nif\nlocal.get %d\nreturn_call f%d\nend", local, other, p.pick(4))
	case 6:
		p.branch(local)
	case 7:
		p.line("i32.const %d\nlocal.get %d\ni32.store", 4*p.pick(99), local)
	case 8:
		p.line("local.get %d\ni32.const 3\ni32.and\nlocal.tee %d\ndrop", other, local)
	case 9:
		p.open("", "block")
		p.block(depth + 1)
		p.end()
	case 10:
		p.open("", "local.get %d\nif", local)
		p.block(depth + 1)
		p.line("else")
		p.block(depth + 1)
		p.end()
	case 11: // a loop of three rounds at most, unless something starts it again
		p.open("", "i32.const 0\nlocal.set %d\nloop", local)
		p.block(depth + 1)
		p.line("local.get %d\ni32.const 1\ni32.add\nlocal.tee %d\ni32.const 3\ni32.lt_u\nbr_if 0", local, local)
		p.end()
	default:
		p.try(depth, local)
	}
}

// branch writes a branch out of some blocks.
func (p *program) branch(local int) {
	depth := p.pick(len(p.labels) + 1)
	if depth == len(p.labels) {
		p.line("local.get %d\nif\nlocal.get %d\nreturn\nend", local, local)
		return
	}
	if p.labels[depth] == "" {
		p.line("local.get %d\nbr_if %d", local, depth)
	}
}

// try writes a try_table in the blocks that its clauses go to.
func (p *program) try(depth, local int) {
	p.open("", "block")
	p.open("ref", "block exnref")
	p.open("value", "block i32")
	clauses := []string{"catch a 0", "catch b 2", "catch_all_ref 1", "catch_all 2", "catch_ref b 1"}
	line := "try_table"
	for range p.pick(4) {
		line += " | " + clauses[p.pick(len(clauses))]
	}
	p.open("", line)
	p.block(depth + 1)
	p.end()
	p.line("br 2")
	p.end()
	p.line("local.set %d\nbr 1", local)
	p.end()
	p.line("local.set 4")
	p.end()
}

// FuzzPrograms compares programs that are valid by construction, so that the
// fuzzer spends its time on what they do.
func FuzzPrograms(f *testing.F) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // the same on every run
		choices := make([]byte, 600)
		for i := range choices {
			choices[i] = byte(r.Uint32())
		}
		f.Add(choices)
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		defer debug.SetGCPercent(debug.SetGCPercent(-1)) // nobody keeps exceptions alive here
		p := program{choices: choices}
		text := p.module()
		wasm := assemble(t, text)
		m := mustInstrument(t, wasm, Limits{})
		h := newHost(t)
		metered := h.instantiate(t, m.Bytes)
		plain := newHostOf(t, wazero.NewRuntimeConfigInterpreter().WithCloseOnContextDone(true)).instantiate(t, wasm)
		// The metered module has ended, so the other one should.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for i := range 4 {
			h.budget = 1 << 14
			name := fmt.Sprintf("f%d", i)
			got := metered.call(name, uint64(i))
			if endedByHost(got.Err) {
				return
			}
			want := plain.callIn(ctx, name, uint64(i))
			if endedByHost(want.Err) {
				return
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%s: %+v, metered %+v\n%s", name, want, got, text)
			}
		}
		if compareMemory(t, plain, metered); t.Failed() {
			t.Log(text)
		}
		if a, b := plain.global("trace"), metered.global("trace"); a != b {
			t.Errorf("the traces differ: %d and %d\n%s", a, b, text)
		}
	})
}
