package wasmhost

import (
	"context"
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"
	"unicode/utf16"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost/meter"
)

// hostFunc is one function that a guest may import.
type hostFunc struct {
	name    string
	params  []api.ValueType
	results []api.ValueType
	grant   string // the grant it needs, if any
	run     func(g *guest, mem api.Memory, stack []uint64)
}

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
	f64 = api.ValueTypeF64
)

func types(t ...api.ValueType) []api.ValueType { return t }

// hostModules is everything that a guest may import, by module. That nothing
// here reaches files, network, environment or another filter is what confines
// a filter.
var hostModules = map[string][]hostFunc{
	"router": {
		{name: "log", params: types(i32, i32, i32), run: hostLog},
		{name: "log_enabled", params: types(i32), results: types(i32), run: hostLogEnabled},
		{name: "header_get", params: types(i32, i32, i32, i32), results: types(i32), run: hostHeaderGet},
		{name: "body_read", params: types(i32, i32, i32), results: types(i32), run: hostBodyRead},
		{name: "time_ns", results: types(i64), run: hostTime},
		{name: "random", params: types(i32, i32), run: hostRandom},
		{name: "metric_def", params: types(i32, i32, i32), results: types(i32), grant: "metrics", run: hostMetricDef},
		{name: "metric_add", params: types(i32, i64), grant: "metrics", run: hostMetricAdd},
		{name: "metric_obs", params: types(i32, f64), grant: "metrics", run: hostMetricObs},
		{name: "kv_get", params: types(i32, i32, i32, i32), results: types(i32), grant: "kv", run: hostKVGet},
		{name: "kv_set", params: types(i32, i32, i32, i32, i64), results: types(i32), grant: "kv", run: hostKVSet},
		{name: "kv_swap", params: types(i32, i32, i32, i32, i32, i32, i64), results: types(i32), grant: "kv", run: hostKVSwap},
		{name: "kv_add", params: types(i32, i32, i64, i64), results: types(i64), grant: "kv", run: hostKVAdd},
		{name: "kv_delete", params: types(i32, i32), results: types(i32), grant: "kv", run: hostKVDelete},
	},
	"env": {
		{name: "abort", params: types(i32, i32, i32, i32), run: hostAbort},
	},
	"wasi_snapshot_preview1": wasiFuncs,
}

// instantiateHost puts the host's modules into a runtime.
func instantiateHost(ctx context.Context, r wazero.Runtime) error {
	for module, funcs := range hostModules {
		b := r.NewHostModuleBuilder(module)
		for _, f := range funcs {
			run := f.run
			b = b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, mod api.Module, stack []uint64) {
				g := ctx.(*guest)
				g.budget.charge(hostCallPrice)
				run(g, mod.Memory(), stack)
			}), f.params, f.results).Export(f.name)
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	_, err := r.NewHostModuleBuilder(meter.FuelModule).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, _ api.Module, _ []uint64) {
			ctx.(*guest).yield()
		}), nil, nil).Export(meter.FuelFunction).Instantiate(ctx)
	return err
}

// What host functions cost in fuel: a call, and each byte they touch.
const (
	hostCallPrice  = 50
	hostLogPrice   = 2000
	bytesPerFuel   = 64
	maxRandomBytes = 1 << 20
)

// guestView returns n bytes of guest memory or ends the call.
func guestView(mem api.Memory, ptr, n uint64) []byte {
	b, ok := mem.Read(uint32(ptr), uint32(n))
	if !ok {
		panic(&guestFault{class: ClassInvalid, text: "a host function was given an address outside the memory"})
	}
	return b
}

func hostLog(g *guest, mem api.Memory, stack []uint64) {
	n := uint32(stack[2])
	text := guestView(mem, stack[1], uint64(n))
	g.log(logLevel(uint32(stack[0])), text)
}

func hostLogEnabled(g *guest, _ api.Memory, stack []uint64) {
	enabled := g.logged < g.filter.limits.LogLines && g.filter.logs.enabled(logLevel(uint32(stack[0])))
	stack[0] = 0
	if enabled {
		stack[0] = 1
	}
}

func hostHeaderGet(g *guest, mem api.Memory, stack []uint64) {
	key := guestView(mem, stack[0], stack[1])
	g.budget.charge(int64(len(key) / bytesPerFuel))
	var value any
	ok := false
	if g.env != nil {
		value, ok = g.env.Headers()[string(key)]
	}
	if !ok {
		stack[0] = math.MaxUint32
		return
	}
	var w frameWriter
	typ, _, err := g.frame.value(&w, value)
	if err != nil {
		panic(&guestFault{class: ClassInvalid, text: err.Error()})
	}
	n := w.off
	g.budget.charge(int64(n / bytesPerFuel))
	if typ == typeNested { // rendered to be measured, and again to be written
		g.budget.charge(2 * int64(n))
	}
	if n <= int(uint32(stack[3])) {
		w = frameWriter{buf: guestView(mem, stack[2], uint64(n))}
		_, _, _ = g.frame.value(&w, value) // it was measured without error
	}
	stack[0] = uint64(uint32(w.off))
}

func hostBodyRead(g *guest, mem api.Memory, stack []uint64) {
	off := uint32(stack[0])
	n := 0
	if g.env != nil && uint64(off) < uint64(len(g.env.Body)) {
		rest := g.env.Body[off:]
		n = min(len(rest), int(uint32(stack[2])))
		copy(guestView(mem, stack[1], uint64(n)), rest)
		g.budget.charge(int64(n / bytesPerFuel))
	}
	stack[0] = uint64(uint32(n))
}

func hostTime(g *guest, _ api.Memory, stack []uint64) { stack[0] = uint64(g.now()) }

// now is the time the guest may know, ns since 1970.
func (g *guest) now() int64 {
	switch {
	case g.filter.grants.Clock:
		return time.Now().UnixNano()
	case g.env == nil:
		return 0
	}
	return unixNano(g.env.Origin.Received)
}

func hostRandom(g *guest, mem api.Memory, stack []uint64) {
	g.random(guestView(mem, stack[0], stack[1]))
}

// random fills b: from the system if granted, else with bytes that only the
// filter and the message decide, so that a replay gives the same.
func (g *guest) random(b []byte) {
	if len(b) > maxRandomBytes {
		panic(&guestFault{class: ClassInvalid, text: "more than 1 MiB of random bytes in one call"})
	}
	g.budget.charge(int64(len(b) / 8))
	if g.filter.grants.Random {
		// It never fails: the runtime ends the process rather than return an error.
		_, _ = crand.Read(b)
		return
	}
	if !g.seeded {
		g.rng.Seed(seed(g.filter.name, g.env))
		g.seeded = true
	}
	_, _ = g.rng.Read(b) // never fails
}

func seed(filter string, env *router.Envelope) [32]byte {
	var buf [512]byte
	b := append(append(buf[:0], filter...), 0)
	if env != nil {
		b = append(append(b, env.MessageID...), 0)
		b = append(append(b, env.CorrelationID...), 0)
		b = binary.LittleEndian.AppendUint64(b, uint64(unixNano(env.Timestamp)))
	}
	return sha256.Sum256(b)
}

func hostMetricDef(g *guest, mem api.Memory, stack []uint64) {
	name := guestView(mem, stack[1], stack[2])
	id := -1
	if g.starting {
		id = g.filter.metrics.define(MetricKind(uint32(stack[0])), name)
	}
	stack[0] = uint64(uint32(int32(id)))
}

func hostMetricAdd(g *guest, _ api.Memory, stack []uint64) {
	g.filter.metrics.add(uint32(stack[0]), int64(stack[1]))
}

func hostMetricObs(g *guest, _ api.Memory, stack []uint64) {
	g.filter.metrics.observe(uint32(stack[0]), api.DecodeF64(stack[1]))
}

// hostAbort is AssemblyScript's abort: message and file are its strings, UTF-16
// with the length in bytes in front of them.
func hostAbort(g *guest, mem api.Memory, stack []uint64) {
	text := "abort"
	if m := assemblyString(mem, uint32(stack[0])); m != "" {
		text += ": " + m
	}
	panic(&guestFault{class: ClassTrap, text: cutText(text, maxReason)})
}

func assemblyString(mem api.Memory, ptr uint32) string {
	if ptr < 4 {
		return ""
	}
	n, ok := mem.ReadUint32Le(ptr - 4)
	if !ok {
		return ""
	}
	b, ok := mem.Read(ptr, min(n, 2*maxReason)&^1)
	if !ok {
		return ""
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}
