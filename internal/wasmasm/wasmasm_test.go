package wasmasm

import (
	"bytes"
	"strings"
	"testing"
)

func TestModule(t *testing.T) {
	wasm, err := Module(`
		tag e (i32)  ;; a comment
		func f (i32) -> (i32)
		  local i64
		  block i32
		    try_table | catch e 0 | catch_all 1
		      i32.const -1
		      throw e
		    end
		    unreachable
		  end
		end`)
	if err != nil {
		t.Fatal(err)
	}
	want := "\x00asm\x01\x00\x00\x00" +
		"\x01\x0a\x02\x60\x01\x7f\x00\x60\x01\x7f\x01\x7f" +
		"\x03\x02\x01\x01" +
		"\x0d\x03\x01\x00\x00" +
		"\x07\x05\x01\x01f\x00\x00" +
		"\x0a\x17\x01\x15\x01\x01\x7e\x02\x7f\x1f\x40\x02\x00\x00\x00\x02\x01\x41\x7f\x08\x00\x0b\x00\x0b\x0b"
	if !bytes.Equal(wasm, []byte(want)) {
		t.Errorf("%x\nwant\n%x", wasm, want)
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"func f\n  i32.frob\nend":                   "line 2: i32.frob: no such instruction",
		"func f\n  call g\nend":                     `line 2: call g: no func "g"`,
		"func f (i33)\nend":                         `line 1: func f (i33): no type "i33"`,
		"func f\n  br\nend":                         "line 2: br: operand missing",
		"func f\n  try_table | catch 0\n  end\nend": `clause " catch 0"`,
		"func f\n  block":                           "2 blocks without end",
		"frob":                                      "line 1: frob: no such field",
	} {
		_, err := Module(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
