package meter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// fuzzLimits keep what one input may cost the fuzzer small.
var fuzzLimits = Limits{CompileTime: 100 * time.Millisecond, MemoryPages: 16, TableElements: 1000}

// seeds adds modules that use all that is accepted.
func seeds(f *testing.F) {
	f.Helper()
	for _, c := range corpus {
		f.Add(wat(f, c.name))
	}
	for _, c := range exceptions {
		f.Add(assemble(f, c.text))
	}
	f.Add(cGuest(f))
	f.Add(assemble(f, endlessCalls))
	f.Add(constant(opI32Const, 7, opI32Const, 8, 0x6a, opI32Const, 3, 0x6c))
	f.Add([]byte(header()))
	for _, dir := range specDirs(f)[2:] { // those of the proposals
		files, err := filepath.Glob(filepath.Join(dir, "*.wasm"))
		if err != nil || len(files) == 0 {
			f.Fatalf("no modules in %s: %v", dir, err)
		}
		for _, file := range files {
			wasm, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(wasm)
		}
	}
}

// FuzzChunks wants the same of any input however many goroutines share it.
func FuzzChunks(f *testing.F) {
	seeds(f)
	for _, tt := range refusals() {
		if len(tt.wasm) < 1<<12 {
			f.Add(tt.wasm)
		}
	}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if diff := sharedDiffers(wasm, fuzzLimits, 1+len(wasm)%64, 3); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzInstrument wants three things of any input: no panic, memory in proportion
// to the input, and no work without pay: whatever is accepted and compiles, each
// of its functions ends when the budget does.
func FuzzInstrument(f *testing.F) {
	seeds(f)
	f.Add(function(nil, brTable(10)))
	f.Add(function([]byte{1, 3, 0x7b}, loops(3)))
	f.Add(throwing(try(3, opCall, 0)...))
	f.Add(throwing(nestedTries(3, []byte{opCall, 0, opThrow, 0})...))
	for _, tt := range refusals() {
		if len(tt.wasm) < 1<<12 {
			f.Add(tt.wasm)
		}
	}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		// Nobody keeps exceptions alive here.
		defer debug.SetGCPercent(debug.SetGCPercent(-1))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := Instrument(wasm, fuzzLimits)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 4*uint64(len(wasm))+1<<20 {
			t.Fatalf("%d bytes allocated for a module of %d", used, len(wasm))
		}
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Offset > len(wasm) || e.Reason == nil {
				t.Fatalf("error %#v", err)
			}
			return
		}
		if again := mustInstrument(t, wasm, fuzzLimits); !bytes.Equal(m.Bytes, again.Bytes) {
			t.Fatal("two runs gave different modules")
		}
		h := newHost(t)
		h.budget = 1 << 12
		in, err := h.tryInstantiate(m.Bytes)
		if err != nil {
			return
		}
		defer func() { _ = in.Close(context.Background()) }()
		for _, ex := range m.Exports {
			if ex.Kind != KindFunction {
				continue
			}
			h.budget = 1 << 12
			args := make([]uint64, max(len(ex.Params), len(ex.Results))*2)
			_ = in.ExportedFunction(ex.Name).CallWithStack(context.Background(), args)
		}
	})
}

// FuzzDifferential wants a metered module to do what it did before: the same
// results and traps, and the same memory and globals afterwards. Modules with
// exceptions are compared with the interpreter, see exception.go.
func FuzzDifferential(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, wasm []byte) {
		defer debug.SetGCPercent(debug.SetGCPercent(-1))
		m, err := Instrument(wasm, fuzzLimits)
		if err != nil || bytes.Contains(wasm, []byte{0xfc, bulkTableGrow}) { // which is bounded for the metered module only
			return
		}
		config := wazero.NewRuntimeConfigCompiler()
		if m.Exceptions {
			config = wazero.NewRuntimeConfigInterpreter()
		}
		meteredHost := newHost(t)
		meteredHost.budget = 1 << 12
		metered, err := meteredHost.tryInstantiate(m.Bytes)
		if endedByHost(fmt.Sprint(err)) {
			return
		}
		plain, plainErr := newHostOf(t, config.WithMemoryLimitPages(16)).tryInstantiate(withoutCustom(wasm))
		if (err == nil) != (plainErr == nil) {
			if m.Exceptions && plainErr != nil && strings.Contains(plainErr.Error(), "recovered by wazero") {
				return // a defect of the interpreter's
			}
			t.Fatalf("metered: %v, as it is: %v", err, plainErr)
		}
		if err != nil {
			return
		}
		defer func() { _ = errors.Join(metered.Close(context.Background()), plain.Close(context.Background())) }()
		for i, ex := range m.Exports {
			if ex.Kind != KindFunction {
				continue
			}
			meteredHost.budget = 1 << 12
			args := fuzzArguments(ex.Params, i)
			got := metered.call(ex.Name, args...)
			if endedByHost(got.Err) {
				return // from here on the two differ
			}
			want := plain.call(ex.Name, args...)
			if endedByHost(want.Err) || strings.Contains(want.Err, "recovered by wazero") {
				return
			}
			for _, o := range []outcome{want, got} {
				plainValues(o.Results, ex.Results)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s(%d) without and with metering (-want +got):\n%s", ex.Name, args, diff)
			}
		}
		compareState(t, m, plain, metered)
	})
}

// withoutCustom drops the custom sections of a module, as metering does: wazero
// refuses some that are damaged.
func withoutCustom(wasm []byte) []byte {
	out := bytes.Clone(wasm[:8])
	for p := 8; p < len(wasm); {
		size, next := longU32(wasm, p+1)
		end := next + int(size)
		if wasm[p] != secCustom {
			out = append(out, wasm[p:end]...)
		}
		p = end
	}
	return out
}

// endedByHost reports whether a call ended where the other may not.
func endedByHost(text string) bool {
	return strings.Contains(text, errSpent.Error()) || strings.Contains(text, "stack overflow")
}

// fuzzArguments are small numbers, and null for references.
func fuzzArguments(types []ValueType, seed int) []uint64 {
	var args []uint64
	for i, t := range types {
		switch t {
		case V128:
			args = append(args, uint64(seed), uint64(i))
		case FuncRef, ExternRef, ExnRef:
			args = append(args, 0)
		default:
			args = append(args, uint64((seed+i)%5))
		}
	}
	return args
}

// plainValues makes results comparable: references are addresses, and a number
// that is none has many forms.
func plainValues(values []uint64, types []ValueType) {
	i := 0
	for _, t := range types {
		if i >= len(values) {
			return
		}
		switch {
		case t == FuncRef || t == ExnRef:
			values[i] = min(values[i], 1)
		case t == F32 && math.IsNaN(float64(api.DecodeF32(values[i]))):
			values[i] = 0x7fc00000
		case t == F64 && math.IsNaN(api.DecodeF64(values[i])):
			values[i] = 0x7ff8000000000000
		case t == V128:
			i++
		}
		i++
	}
}

func compareState(t *testing.T, m *Module, plain, metered instance) {
	t.Helper()
	for _, ex := range m.Exports {
		if ex.Kind != KindGlobal || ex.Type == FuncRef || ex.Type == V128 {
			continue
		}
		values := []uint64{plain.ExportedGlobal(ex.Name).Get(), metered.ExportedGlobal(ex.Name).Get()}
		plainValues(values[:1], []ValueType{ex.Type})
		plainValues(values[1:], []ValueType{ex.Type})
		if values[0] != values[1] {
			t.Errorf("global %s is %d, metered %d", ex.Name, values[0], values[1])
		}
	}
	if m.HasMemory {
		compareMemory(t, plain, metered)
	}
}

func compareMemory(t *testing.T, plain, metered instance) {
	t.Helper()
	a, _ := plain.Memory().Read(0, plain.Memory().Size())
	b, _ := metered.Memory().Read(0, metered.Memory().Size())
	if !bytes.Equal(a, b) {
		t.Error("the memories differ")
	}
}
