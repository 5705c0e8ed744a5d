package meter

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFeaturesAreNamed(t *testing.T) {
	limits := DefaultLimits()
	for text, want := range map[string]string{
		`(func (export "f") (drop (i32.add (i32.const 1) (i32.const 2))))`:                                "",
		`(func (drop (i32.extend8_s (i32.const 1))))`:                                                     "sign-extension",
		`(func (drop (i32.trunc_sat_f32_s (f32.const 1))))`:                                               "saturating-conversions",
		`(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 9)))`:                       "bulk-memory",
		`(memory 1) (data $d "x") (func (data.drop $d))`:                                                  "bulk-memory",
		`(table 1 funcref) (func (drop (table.size 0)))`:                                                  "reference-types",
		`(func (drop (ref.null func)))`:                                                                   "reference-types",
		`(func $f (return_call $f))`:                                                                      "tail-calls",
		`(table 1 externref)`:                                                                             "reference-types",
		`(func (result i32 i32) (i32.const 1) (i32.const 2))`:                                             "multi-value",
		`(func (drop (v128.const i32x4 0 0 0 0)))`:                                                        "simd",
		`(func (drop (i64.extend32_s (i64.trunc_sat_f64_u (f64.const 1)))))`:                              "sign-extension saturating-conversions",
		`(global (import "env" "base") i32) (data (i32.add (global.get 0) (i32.const 8)) "x") (memory 1)`: "extended-const",
	} {
		m, err := Instrument(watText(t, "(module "+text+")", "--enable-tail-call", "--enable-extended-const"), limits)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(strings.Fields(want), m.Features); diff != "" && (want != "" || m.Features != nil) {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}
