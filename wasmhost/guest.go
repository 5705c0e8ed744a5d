package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost/meter"
)

// guest is one instance of a module. One goroutine uses it at a time; after a
// failure that poisons it, nobody does.
//
// It is the context of its own calls: host functions find it there, without an
// allocation for each call, and no deadline of it can close the module under a
// running call.
type guest struct {
	filter *Filter
	budget budget
	mod    api.Module
	mem    api.Memory

	handlers [router.NumStages]function
	buffer   function
	goodbye  function // router_close; there may be none
	running  *function
	stack    [2]uint64 // arguments and result

	exceptions exceptions

	bufPtr, bufCap uint32
	frame          frame
	delta          delta

	// Of the call that runs; env is nil outside one.
	env      *router.Envelope
	making   context.Context // while the instance is made
	starting bool
	logged   int
	seeded   bool
	rng      rand.ChaCha8

	ticks   uint64  // what the ungranted monotonic clock shows
	stderr  [2]line // of fd_write to 1 and 2
	memory  bool    // the guest said on stderr that it is out of memory
	calls   uint64
	target  router.Target // whose text is in frame.target
	memSize uint32
}

// The context of guest calls: no deadline, and no values but for those that an
// instance is made with.

func (g *guest) Deadline() (time.Time, bool) { return time.Time{}, false }
func (g *guest) Done() <-chan struct{}       { return nil }
func (g *guest) Err() error                  { return nil }
func (g *guest) Value(key any) any {
	if g.making == nil {
		return nil
	}
	return g.making.Value(key)
}

var _ context.Context = (*guest)(nil)

// newGuest makes an instance that is ready for messages.
func (f *Filter) newGuest() (*guest, error) {
	g, err := f.instantiate()
	if err != nil {
		return nil, err
	}
	if err := g.start(); err != nil {
		g.discard()
		return nil, err
	}
	return g, nil
}

// instantiate makes an instance of which nothing but the start function has
// run.
func (f *Filter) instantiate() (_ *guest, err error) {
	g := &guest{filter: f, starting: true, making: withMemories}
	g.frame.filter = f.name
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	mod, err := f.runtime.InstantiateModule(g, f.compiled, config)
	g.making = nil
	if err != nil {
		return nil, classify(err, false)
	}
	defer func() {
		if err != nil {
			g.discard()
		}
	}()
	g.mod, g.mem = mod, mod.Memory()
	fuel, ok := mod.ExportedGlobal(meter.FuelGlobal).(api.MutableGlobal)
	if !ok {
		return nil, &failure{class: ClassHost, err: errors.New("the metered module has no fuel global")}
	}
	g.budget.fuel, g.budget.crowd = fuel, f.host.crowd
	g.budget.start(f.limits.StartTime, f.limits.StartFuel)
	g.buffer = findFunction(mod, "router_buffer")
	g.goodbye = findFunction(mod, "router_close")
	for s := range router.NumStages {
		if f.stages.Has(router.Stage(s)) {
			g.handlers[s] = findFunction(mod, handlerName(router.Stage(s)))
		}
	}
	if start := findFunction(mod, meter.StartFunction); start.Function != nil {
		if err := g.call(&start); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// start gets an instance ready for messages.
func (g *guest) start() (err error) {
	if start := findFunction(g.mod, "_initialize"); start.Function != nil {
		if err := g.call(&start); err != nil {
			return fmt.Errorf("_initialize: %w", err)
		}
	}
	if err := g.init(); err != nil {
		return fmt.Errorf("router_init: %w", err)
	}
	if g.frame.needs, err = g.readNeeds(); err != nil {
		return fmt.Errorf("router_needs: %w", err)
	}
	if g.frame.needs.names, err = g.readNames(); err != nil {
		return fmt.Errorf("router_needs_headers: %w", err)
	}
	g.starting = false
	g.memSize = g.mem.Size()
	return nil
}

// init hands the configuration over.
func (g *guest) init() error {
	start := findFunction(g.mod, "router_init")
	if start.Function == nil {
		return nil
	}
	g.frame.needs = needsAll
	g.frame.stage, g.frame.flags = stageConfig, flagConfig
	n, fail := g.put(g.filter.config)
	g.frame.flags = 0
	if fail != nil {
		return fail
	}
	g.stack = [2]uint64{uint64(g.bufPtr), uint64(n)}
	if err := g.call(&start); err != nil {
		return err
	}
	view, fail := g.result()
	if fail == nil && view != nil {
		fail = g.delta.read(view, router.Decode, g.mem, g.filter.deltaLimits())
		if fail == nil {
			fail = invalidf("router_init can only report an error")
		}
	}
	if fail != nil {
		return fail
	}
	return nil
}

// call runs one function of the guest within the budget that is running.
// Arguments and result are in g.stack.
func (g *guest) call(fn *function) error {
	g.running = fn
	err := fn.CallWithStack(g, g.stack[:])
	g.budget.end()
	if err != nil {
		full := g.memory || int64(g.mem.Size()) > g.filter.limits.Memory*7/8
		return classify(err, full)
	}
	if g.exceptions.end() || fn.stackSize() > keptStack {
		*fn = findFunction(g.mod, fn.name)
	}
	return nil
}

// yield is called by the guest when its fuel is gone, and with fuel left before
// it throws or enters an exception handler.
func (g *guest) yield() {
	if int64(g.budget.fuel.Get()) >= 0 {
		g.exception()
		return
	}
	if int64(g.running.stackSize()) > g.filter.limits.Stack {
		panic(&guestFault{class: ClassTrap, text: "stack overflow"})
	}
	g.budget.yield(g.budget.fuel)
}

// put writes the frame of env to the guest's input buffer and makes it larger
// if it must.
func (g *guest) put(env *router.Envelope) (int, *failure) {
	g.frame.env = env
	for range 2 {
		var view []byte
		if g.bufCap > 0 {
			var ok bool
			if view, ok = g.mem.Read(g.bufPtr, g.bufCap); !ok {
				return 0, invalidf("the buffer at %d, length %d, is outside the memory", g.bufPtr, g.bufCap)
			}
		}
		n, err := g.frame.encode(view)
		if err != nil {
			return 0, &failure{class: ClassInvalid, harmless: true, err: err}
		}
		if n <= len(view) {
			return n, nil
		}
		if fail := g.growBuffer(n); fail != nil {
			return 0, fail
		}
	}
	return 0, &failure{class: ClassHost, err: errors.New("a frame changed its length")}
}

func (g *guest) growBuffer(n int) *failure {
	if int64(n) > g.filter.limits.Memory {
		return &failure{class: ClassMemory, harmless: true, err: fmt.Errorf("the message needs %d bytes of the filter's memory, the limit is %d", n, g.filter.limits.Memory)}
	}
	want := uint32(max(n, 2*int(g.bufCap), 1024))
	if int64(want) > g.filter.limits.Memory {
		want = uint32(n)
	}
	g.stack[0] = uint64(want)
	if err := g.call(&g.buffer); err != nil {
		return asFailure(err)
	}
	ptr := uint32(g.stack[0])
	switch {
	case ptr == 0:
		return &failure{class: ClassMemory, err: fmt.Errorf("router_buffer has no %d bytes", want)}
	case ptr%8 != 0:
		return invalidf("router_buffer returned %#x, which is not a multiple of 8", ptr)
	case uint64(ptr)+uint64(want) > uint64(g.mem.Size()):
		return invalidf("router_buffer returned %#x, where %d bytes pass the end of the memory", ptr, want)
	}
	g.bufPtr, g.bufCap = ptr, want
	return nil
}

// result reads what a handler returned and finds the delta, if any, in the guest's
// memory.
func (g *guest) result() ([]byte, *failure) {
	r := int64(g.stack[0])
	switch {
	case r == 0:
		return nil, nil
	case r == -1:
		return nil, &failure{class: ClassMemory, err: errors.New("the filter is out of memory")}
	case r == -2:
		return nil, &failure{class: ClassError, err: errors.New("the filter found the frame malformed")}
	case r == -3:
		return nil, &failure{class: ClassError, err: errors.New("the filter does not support this")}
	case r < 0:
		return nil, &failure{class: ClassError, err: fmt.Errorf("internal error of the filter (%d)", r)}
	}
	ptr, n := uint32(r>>32), uint32(r)
	if n == 0 {
		return nil, invalidf("a delta without bytes at %#x", ptr)
	}
	if int64(n) > g.filter.limits.Output {
		return nil, invalidf("output of %d bytes passes the limit of %d", n, g.filter.limits.Output)
	}
	view, ok := g.mem.Read(ptr, n)
	if !ok {
		return nil, invalidf("the delta at %#x, length %d, is outside the memory", ptr, n)
	}
	return view, nil
}

// run takes one message through one stage. It leaves env and d alone when it
// returns a failure.
func (g *guest) run(stage router.Stage, env *router.Envelope, d *router.Decision) *failure {
	lim := &g.filter.limits
	g.env, g.logged, g.seeded = env, 0, false
	defer g.end()
	if kv := g.filter.kv; kv != nil {
		kv.see(env.Origin.Received)
	}
	g.budget.start(lim.Time, lim.Fuel)
	g.frame.stage = uint8(stage)
	g.setTarget(stage, d)
	n, fail := g.put(env)
	if fail != nil {
		return fail
	}
	g.stack = [2]uint64{uint64(g.bufPtr), uint64(n)}
	if err := g.call(&g.handlers[stage]); err != nil {
		return asFailure(err)
	}
	view, fail := g.result()
	if fail != nil || view == nil {
		return fail
	}
	if fail := g.delta.read(view, stage, g.mem, g.filter.deltaLimits()); fail != nil {
		return fail
	}
	g.delta.apply(env, d)
	return nil
}

func (g *guest) end() { g.env, g.frame.env = nil, nil }

// setTarget shows pack and encode where the message goes. Rendering a target
// allocates, so the last one is kept.
func (g *guest) setTarget(stage router.Stage, d *router.Decision) {
	if stage != router.Pack && stage != router.Encode || len(d.Targets) != 1 {
		if g.frame.target != "" {
			g.frame.target, g.target = "", router.Target{}
		}
		return
	}
	if t := d.Targets[0]; t != g.target {
		g.frame.target, g.target = t.String(), t
	}
}

// farewell calls router_close and frees the instance.
func (g *guest) farewell() {
	if g.goodbye.Function != nil {
		g.budget.start(10*time.Millisecond, g.filter.limits.Fuel)
		// Best effort: a filter that fails here fails nobody.
		_ = g.call(&g.goodbye)
	}
	g.discard()
}

// discard frees the instance without another call into it.
func (g *guest) discard() {
	if g.mod != nil {
		// Closing a module of ours runs no code and has nothing to report.
		_ = g.mod.Close(context.Background())
	}
}

func asFailure(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	return &failure{class: ClassHost, err: err}
}

func handlerName(s router.Stage) string { return "router_" + s.String() }
