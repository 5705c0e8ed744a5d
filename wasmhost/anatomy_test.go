package wasmhost

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDissectTellsWhatAModuleIsMadeOf(t *testing.T) {
	module := wat(t, `(module `+handlers+`
		(table 3 funcref) (global i32 (i32.const 1)) (func $s (memory.fill (i32.const 0) (i32.const 0) (i32.const 1))) (start $s) (data (i32.const 0) "abc"))`)
	section := func(body string) []byte { return append([]byte{0, byte(len(body))}, body...) }
	said := append(module, section("\x09producers\x02\x08language\x01\x02Go\x041.26\x0cprocessed-by\x02\x05clang\x0214\x02Go\x041.26")...)
	a, err := Dissect(said, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if a.DataSize != 3 || a.Tables != 1 || a.TableElements != 3 || a.Globals != 1 || !a.Start || a.CodeSize < 10 || a.CodeSize > len(module) {
		t.Errorf("%+v", a)
	}
	if diff := cmp.Diff([]string{"bulk-memory"}, a.Features); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Go 1.26", "clang 14"}, a.Producers); diff != "" {
		t.Error(diff)
	}
	for name, damaged := range map[string]string{
		"cut off":       "\x09producers\x02\x08language\x01\x02Go",
		"a long name":   "\x09producers\x01\x08language\x01\xff\xff\xff\xff\x0fGo",
		"no text":       "\x09producers\x01\x08language\x01\x02\xff\xfe\x01a",
		"another":       "\x08produces\x01\x08language\x01\x02Go\x011",
		"a bare number": "\x09producers\xff",
	} {
		a, err := Dissect(append(module[:len(module):len(module)], section(damaged)...), Limits{})
		if err != nil || a.Producers != nil {
			t.Errorf("%s: %q, %v", name, a.Producers, err)
		}
	}
	// What cannot be used still says what it is, and what is no module says nothing.
	if a, err = Dissect(wat(t, `(module (func (export "x")))`), Limits{}); err == nil || a.SHA256 == "" || a.CodeSize == 0 {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err = Dissect([]byte("no"), Limits{}); err == nil || a.Size != 2 {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err = Dissect(module, Limits{Memory: 1}); err == nil {
		t.Error("a limit that is none is taken")
	}
}
