package meter

import (
	"fmt"
	"strings"
	"testing"
)

// There is no way around a loop, short or long, that the host does not end.
func TestEveryWayBackIsChecked(t *testing.T) {
	long := strings.Repeat("(local.set $x (i32.add (local.get $x) (i32.const 3)))\n", shortLength/7+1)
	for name, loop := range map[string]string{
		"br":                 `(loop $l %s (br $l))`,
		"br_if":              `(loop $l %s (br_if $l (i32.const 2)))`,
		"br_if with a value": `(i32.const 1) (loop $l (param i32) (result i32) %s (br_if $l (i32.const 2))) (drop)`,
		"br with a value":    `(i32.const 1) (loop $l (param i32) (result i32) %s (br $l)) (drop)`,
		"br_table":           `(block $out (loop $l %s (br_table $out $l $out (i32.const 1))))`,
		"br_table default":   `(block $out (loop $l %s (br_table $out $l (i32.const 7))))`,
		"from inside":        `(loop $l (loop $m %s (block $b (br_if $l (i32.const 4)))))`,
		"inner loop":         `(loop $l (loop $m %s (br_if $m (local.get $x)) (br $l)) (br $l))`,
		"if":                 `(loop $l %s (if (i32.const 1) (then (br $l)) (else (br $l))))`,
		"many ways":          `(loop $l %s ` + strings.Repeat(`(br_if $l (local.get $x)) `, shortBacks+1) + `(br $l))`,
		"with a call":        `(loop $l %s (call $nothing) (br $l))`,
	} {
		for length, filling := range map[string]string{"short": "", "long": long} {
			t.Run(name+", "+length, func(t *testing.T) {
				m := mustInstrument(t, watText(t, fmt.Sprintf(`(module (func $nothing) (func (export "f") (local $x i32) `+loop+`))`, filling)), Limits{})
				h := newHost(t)
				in := h.instantiate(t, m.Bytes)
				h.budget = 1 << 16
				if out := in.call("f"); !strings.Contains(out.Err, errSpent.Error()) {
					t.Errorf("%+v, want %v", out, errSpent)
				}
			})
		}
	}
}

// Reading ahead takes time in proportion to the module, however deep its loops are.
func TestLoopsAreReadAheadForSoFar(t *testing.T) {
	loop := append(repeat(20, 1), opEnd)
	c := &coder{ahead: 50}
	var got []string
	for range 4 {
		got = append(got, fmt.Sprint(c.short(loop, 0), c.ahead))
	}
	if want := "[true 29 true 8 false 0 false 0]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}
