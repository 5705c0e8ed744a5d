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

	// Fields of wazero's own; not valid where there are none.
	stack    reflect.Value
	thrown   reflect.Value // the last exception
	handlers reflect.Value // that are open
}

func findFunction(mod api.Module, name string) function {
	f := function{Function: mod.ExportedFunction(name), name: name}
	if v := reflect.ValueOf(f.Function); v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct {
		f.stack = field(v, "stack", reflect.Slice)
		f.thrown = field(v, "pendingException", reflect.Pointer)
		f.handlers = field(v, "tryHandlers", reflect.Slice)
	}
	return f
}

func field(v reflect.Value, name string, kind reflect.Kind) reflect.Value {
	if f := v.Elem().FieldByName(name); f.IsValid() && f.Kind() == kind {
		return f
	}
	return reflect.Value{}
}

// stackSize returns the size of the stack in bytes, 0 if nobody knows.
func (f *function) stackSize() int {
	if !f.stack.IsValid() {
		return 0
	}
	return f.stack.Len()
}
