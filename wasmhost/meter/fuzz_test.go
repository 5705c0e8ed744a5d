package meter

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"testing"
	"time"
)

// FuzzInstrument wants three things of any input: no panic, memory in proportion
// to the input, and no work without pay: whatever is accepted and compiles, each
// of its functions ends when the budget does.
func FuzzInstrument(f *testing.F) {
	for _, c := range corpus {
		f.Add(wat(f, c.name))
	}
	f.Add(cGuest(f))
	f.Add([]byte(header()))
	f.Add(function(nil, brTable(10)))
	f.Add(function([]byte{1, 3, 0x7b}, loops(3)))
	limits := Limits{CompileTime: 100 * time.Millisecond}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := Instrument(wasm, limits)
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
		if again := mustInstrument(t, wasm, limits); !bytes.Equal(m.Bytes, again.Bytes) {
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
