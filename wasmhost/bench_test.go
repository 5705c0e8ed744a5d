package wasmhost

import (
	"context"
	"encoding/binary"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wasmrouter/router/router"
)

// The benchmarks of one call with 1 KB of body and 12 headers, metered, and of
// the bare call beside them.

// cpuPerOp reports the processor time of a loop, which on a busy machine says
// more than the time on the wall. Call it before the loop, and what it returns
// after.
func cpuPerOp(b *testing.B) func() {
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	start := used()
	return func() { b.ReportMetric(float64(used()-start)/float64(b.N), "cpu-ns/op") }
}

func benchmarkRun(b *testing.B, module []byte, env *router.Envelope) {
	_, in := load(b, FilterConfig{Module: module})
	var d router.Decision
	ctx := context.Background()
	b.ReportAllocs()
	cpu := cpuPerOp(b)
	for b.Loop() {
		d.Reset()
		if err := in.Run(ctx, router.Decide, env, &d); err != nil {
			b.Fatal(err)
		}
	}
	cpu()
}

func kilobyte() *router.Envelope { return message(strings.Repeat("x", 1024)) }

func BenchmarkRouteC(b *testing.B) { benchmarkRun(b, cGuest(b, "route"), kilobyte()) }

// BenchmarkRouteNeedsC is the same filter when it says what it reads.
func BenchmarkRouteNeedsC(b *testing.B) { benchmarkRun(b, cGuest(b, "route_needs"), kilobyte()) }

func BenchmarkRouteGo(b *testing.B) { benchmarkRun(b, goGuest(b), kilobyte()) }
func BenchmarkPass(b *testing.B)    { benchmarkRun(b, watFile(b, "pass"), kilobyte()) }
func BenchmarkRoute16K(b *testing.B) {
	benchmarkRun(b, cGuest(b, "route"), message(strings.Repeat("x", 16<<10)))
}

func BenchmarkRoute128K(b *testing.B) {
	benchmarkRun(b, cGuest(b, "route"), message(strings.Repeat("x", 128<<10)))
}

// BenchmarkRawCall is CallWithStack of the same handler on a frame that lies
// ready, without encoding, decoding, budget and counters.
func BenchmarkRawCall(b *testing.B) {
	_, in := load(b, FilterConfig{Module: cGuest(b, "route")})
	g := in.(*Instance).guest
	n, fail := g.put(kilobyte())
	if fail != nil {
		b.Fatal(fail)
	}
	fn := g.handlers[router.Decide]
	b.ReportAllocs()
	cpu := cpuPerOp(b)
	for b.Loop() {
		g.budget.fuel.Set(fuelSlice)
		g.stack = [2]uint64{uint64(g.bufPtr), uint64(n)}
		if err := fn.CallWithStack(g, g.stack[:]); err != nil {
			b.Fatal(err)
		}
	}
	cpu()
}

// BenchmarkEncode is the host's part before the call.
func BenchmarkEncode(b *testing.B) {
	env := kilobyte()
	f := frame{env: env, needs: needsAll, filter: "test"}
	buf := make([]byte, 8192)
	b.ReportAllocs()
	cpu := cpuPerOp(b)
	for b.Loop() {
		if _, err := f.encode(buf); err != nil {
			b.Fatal(err)
		}
	}
	cpu()
}

func BenchmarkMonotonic(b *testing.B) {
	cpu := cpuPerOp(b)
	for b.Loop() {
		_ = monotonic()
	}
	cpu()
}

func BenchmarkInstantiate(b *testing.B) {
	for _, g := range []struct {
		name   string
		module []byte
	}{{"C", cGuest(b, "route")}, {"Go", goGuest(b)}} {
		b.Run(g.name, func(b *testing.B) {
			f, _ := load(b, FilterConfig{Module: g.module})
			b.ReportAllocs()
			cpu := cpuPerOp(b)
			for b.Loop() {
				g, err := f.newGuest()
				if err != nil {
					b.Fatal(err)
				}
				g.farewell()
			}
			cpu()
		})
	}
}

// BenchmarkKV is a call that does one operation, of which the call itself,
// without an operation, is the first.
func BenchmarkKV(b *testing.B) {
	for _, c := range []struct {
		name string
		kvCall
	}{
		{"none", kvCall{what: '-', args: []any{"key", "................"}}},
		{"get", kvCall{what: 'g', args: []any{"key", "................"}}},
		{"set", kvCall{what: 's', args: []any{"key", "value of 16 byte", 0}}},
		{"swap", kvCall{what: 'w', args: []any{"key", "value of 16 byte", "value of 16 byte", 0}}},
		{"add", kvCall{what: 'a', args: []any{"sum", 1, 0}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			_, in := kvFilter(b, Limits{})
			kvCall{what: 's', args: []any{"key", "value of 16 byte", 0}}.do(b, in)
			c.quiet = true
			env := c.envelope()
			var d router.Decision
			b.ReportAllocs()
			for b.Loop() {
				d.Reset()
				if err := in.Run(context.Background(), router.Decide, env, &d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkKVEviction stores new keys in a cache that is full.
func BenchmarkKVEviction(b *testing.B) {
	c := newKVCache(1<<20, time.Hour)
	var key [16]byte
	value := []byte("value of 16 byte")
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		binary.LittleEndian.PutUint64(key[:], i)
		c.set(key[:], value, 0)
	}
}
