package wasmhost

import (
	"reflect"

	"github.com/tetratelabs/wazero/api"
)

// wazero bounds the machine stack of a call, at some 100 MB, and keeps it with
// the function that was called for as long as that lives. A filter that once
// goes deep in each of its functions would hold that much for each of them, in
// every lane.
const (
	maxStack  = 16 << 20 // of a call, as seen when it yields
	keptStack = 1 << 20  // between calls
)

// function is one function of a guest, to be called by the host, with the stack
// that it runs on.
type function struct {
	api.Function // nil if the guest has none of that name
	name         string
	stack        reflect.Value // a field of wazero's own; not valid where there is none
}

func findFunction(mod api.Module, name string) function {
	f := function{Function: mod.ExportedFunction(name), name: name}
	if v := reflect.ValueOf(f.Function); v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct {
		if s := v.Elem().FieldByName("stack"); s.IsValid() && s.Kind() == reflect.Slice {
			f.stack = s
		}
	}
	return f
}

// stackSize returns the size of the stack in bytes, 0 if nobody knows.
func (f *function) stackSize() int {
	if !f.stack.IsValid() {
		return 0
	}
	return f.stack.Len()
}
