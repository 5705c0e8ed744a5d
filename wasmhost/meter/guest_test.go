package meter

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// cGuest builds testdata/scan.c, without debug sections but with names.
func cGuest(t testing.TB) []byte {
	t.Helper()
	object := filepath.Join(t.TempDir(), "scan.o")
	cmd := exec.Command("clang", "--target=wasm32", "-O2", "-mbulk-memory", "-ffreestanding", "-c", filepath.Join("testdata", "scan.c"), "-o", object)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("clang: %v\n%s", err, text)
	}
	return build(t, "wasm-ld", "--no-entry", "-z", "stack-size=16384", object, "-o")
}

// goGuest builds testdata/goguest, once per run of the tests.
func goGuest(t testing.TB) []byte {
	t.Helper()
	wasm, err := buildGoGuest()
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

var buildGoGuest = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "meter")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out := filepath.Join(dir, "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, "./testdata/goguest")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
})

// withWASI adds the system interface, which is the same on every run: its clock
// and its random numbers are fixed.
func (h *host) withWASI(t testing.TB) *host {
	t.Helper()
	if _, err := wasi_snapshot_preview1.Instantiate(context.Background(), h.runtime); err != nil {
		t.Fatal(err)
	}
	return h
}

// What a real module takes of memory: the metered module and little more.
func TestInstrumentIsFrugal(t *testing.T) {
	wasm := goGuest(t)
	if len(wasm) < 3<<20 {
		t.Fatalf("the guest in Go has %d bytes only", len(wasm))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m := mustInstrument(t, wasm, Limits{})
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > uint64(len(wasm))*3/2 {
		t.Errorf("%d bytes allocated for a module of %d", used, len(wasm))
	}
	if n := after.Mallocs - before.Mallocs; n > 1000 {
		t.Errorf("%d allocations", n)
	}
	if len(m.Bytes) > len(wasm)*11/10 {
		t.Errorf("%d bytes became %d", len(wasm), len(m.Bytes))
	}
}

func BenchmarkInstrument(b *testing.B) {
	for _, g := range []struct {
		name string
		wasm []byte
	}{{"go", goGuest(b)}, {"c", cGuest(b)}} {
		b.Run(g.name, func(b *testing.B) {
			b.SetBytes(int64(len(g.wasm)))
			b.ReportAllocs()
			var m *Module
			fastest := time.Hour // a shared machine has no other steady figure
			for b.Loop() {
				start := time.Now()
				m = mustInstrument(b, g.wasm, Limits{})
				fastest = min(fastest, time.Since(start))
			}
			b.ReportMetric(float64(fastest.Microseconds())/1000, "fastest-ms")
			b.ReportMetric(float64(len(m.Bytes))/float64(len(g.wasm)), "size-ratio")
		})
	}
}

// BenchmarkRun compares a guest as it is with the same guest metered.
func BenchmarkRun(b *testing.B) {
	c := cGuest(b)
	gg := goGuest(b)
	ctx := context.Background()
	for _, work := range []struct {
		name string
		wasm []byte
		call string
		args []uint64
	}{
		{"scan-json-c", c, "find", nil},
		{"hash-c", c, "hash", nil},
		{"sort-c", c, "sort", nil},
		{"decode-go", gg, "decode", []uint64{1}},
	} {
		for _, metered := range []bool{false, true} {
			name, wasm := work.name+"/plain", work.wasm
			if metered {
				name, wasm = work.name+"/metered", mustInstrument(b, work.wasm, Limits{}).Bytes
			}
			b.Run(name, func(b *testing.B) {
				h := newHost(b).withWASI(b)
				in := h.instantiate(b, wasm)
				if f := in.ExportedFunction("prepare"); f != nil {
					if _, err := f.Call(ctx); err != nil {
						b.Fatal(err)
					}
				}
				f := in.ExportedFunction(work.call)
				stack := make([]uint64, 1)
				for b.Loop() {
					copy(stack, work.args)
					if err := f.CallWithStack(ctx, stack); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
