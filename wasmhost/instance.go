package wasmhost

import (
	"context"
	"sync/atomic"

	"github.com/wasmrouter/router/router"
)

// Instance is one filter in one lane: it implements [router.Filter] and is not
// safe for concurrent use. The guest behind it changes after each failure.
type Instance struct {
	filter *Filter
	guest  *guest // nil after a failure, until the next message
	first  uint32 // the guest's memory when it was new
	fuel   int64  // that the last call burned, if its guest is gone
	closed bool

	stat   laneStat
	memory atomic.Int64 // bytes of the guest's memory, for Stat
}

// How often an instance's memory is looked at, and how many calls a stateless
// one serves before a new one takes its place.
const (
	checkEvery = 64
	maxCalls   = 1 << 20
)

// Run takes the message through the filter's part in stage. It returns nil or
// a *[router.FilterError], and then neither env nor d has changed. The time and
// fuel limits end a call, not ctx.
func (in *Instance) Run(_ context.Context, stage router.Stage, env *router.Envelope, d *router.Decision) error {
	f := in.filter
	if !f.stages.Has(stage) {
		return nil
	}
	if in.closed {
		return filterError(f.name, stage, &failure{class: ClassHost, err: ErrClosed})
	}
	g := in.guest
	if g == nil {
		var err error
		if g, err = f.take(); err != nil {
			fail := &failure{class: asFailure(err).class, err: err}
			in.stat.fail(stage, fail.class)
			in.fuel = 0
			return filterError(f.name, stage, fail)
		}
		in.adopt(g)
	}
	end := in.stat.begin(stage)
	fail := g.run(stage, env, d)
	end.observe()
	if fail == nil {
		if g.calls++; g.calls%checkEvery == 0 {
			in.inspect(g)
		}
		return nil
	}
	in.stat.fail(stage, fail.class)
	if fail.poisons() {
		in.release()
		g.discard()
		f.discarded.Add(1)
	}
	return filterError(f.name, stage, fail)
}

func (in *Instance) adopt(g *guest) {
	in.guest, in.first = g, g.memSize
	in.memory.Store(int64(g.memSize))
	g.budget.start(0, 0) // what it took to start is no message's
}

// release gives up the guest, which the caller frees.
func (in *Instance) release() {
	in.fuel = in.guest.budget.used()
	in.guest = nil
	in.memory.Store(0)
}

// Fuel returns the fuel that the last call into the filter burned, in the units
// of [Limits].Fuel, and 0 before the first. A guest in the same state burns the
// same for the same message, everywhere. A call that was ended may have burned
// more than the limit, by its last step.
func (in *Instance) Fuel() int64 {
	if in.guest != nil {
		return in.guest.budget.used()
	}
	return in.fuel
}

// inspect looks at the guest's memory, and replaces a stateless guest whose
// memory has come close to the limit (it never shrinks) or that is old.
func (in *Instance) inspect(g *guest) {
	size := g.mem.Size()
	in.memory.Store(int64(size))
	grown := size > in.first && int64(size) > in.filter.limits.Memory*3/4
	if g.needs.stateless && (grown || g.calls >= maxCalls) {
		in.release()
		g.farewell()
		in.filter.recycled.Add(1)
	}
}

// Close frees the instance. It may be called again.
func (in *Instance) Close() {
	if in.closed {
		return
	}
	in.closed = true
	if g := in.guest; g != nil {
		in.release()
		g.farewell()
	}
	in.filter.leave(in)
}

var (
	_ router.Filter       = (*Instance)(nil)
	_ router.FilterSource = (*Filter)(nil)
)
