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
	trial  bool   // others wait for what becomes of the guest's first call
	fuel   int64  // that the last call burned, if its guest is gone
	closed bool

	stat   laneStat
	memory atomic.Int64 // bytes of the guest's memory, for Stat
}

// Why an instance is replaced that did not fail.
const (
	grownTooLarge = iota // its memory has
	servedEnough
)

var recycleCauses = [...]string{grownTooLarge: "memory", servedEnough: "calls"}

// maxCalls is how many calls a stateless instance serves before a new one takes
// its place.
const maxCalls = 1 << 20

// Run takes the message through the filter's part in stage. It returns nil, or
// an error and then neither env nor d has changed: a *[router.FilterError], or a
// *[router.RestError] when the filter has no instance at the moment. The time
// and fuel limits end a call, not ctx.
func (in *Instance) Run(_ context.Context, stage router.Stage, env *router.Envelope, d *router.Decision) error {
	f := in.filter
	if !f.stages.Has(stage) {
		return nil
	}
	if in.closed {
		return filterError(f.name, stage, &failure{class: ClassHost, err: ErrClosed})
	}
	if in.guest == nil {
		g, trial, rest := f.supply.take()
		if rest != nil {
			in.fuel = 0
			return rest
		}
		in.adopt(g)
		in.trial = trial
		f.restarts.Add(1)
	}
	g := in.guest
	end := in.stat.begin(stage)
	fail := g.run(stage, env, d)
	end.observe(&g.budget)
	trial := in.trial
	in.trial = false
	if fail == nil {
		f.supply.gate.worked()
		in.recycle(g)
		return nil
	}
	in.stat.fail(stage, fail.class)
	switch {
	case fail.poisons():
		in.fuel = g.budget.used()
		g.discard()
		in.lost()
		f.discarded[classIndex(fail.class)].Add(1)
		f.supply.gate.failed(trial, stage.String()+": "+fail.Error())
	case !fail.harmless:
		f.supply.gate.worked()
		in.recycle(g)
	}
	return filterError(f.name, stage, fail)
}

func (in *Instance) adopt(g *guest) {
	in.guest, in.first = g, g.memSize
	in.memory.Store(int64(g.memSize))
	g.budget.start(0, 0) // what it took to start is no message's
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

// lost takes the guest, which was freed, off the books.
func (in *Instance) lost() {
	in.guest = nil
	in.memory.Store(0)
	in.filter.supply.gate.leave()
}

// recycle replaces a guest whose memory has come close to its limit: it never
// shrinks, and what would come next is a trap. A stateless guest is replaced
// when it is old, too.
func (in *Instance) recycle(g *guest) {
	f := in.filter
	g.calls++
	why := servedEnough
	if size := g.mem.Size(); size != g.memSize {
		g.memSize = size
		in.memory.Store(int64(size))
		if size > in.first && int64(size) > f.limits.Memory*int64(f.limits.Recycle)/100 {
			why = grownTooLarge
		}
	}
	if why == grownTooLarge || g.frame.needs.stateless && g.calls >= maxCalls {
		in.fuel = g.budget.used()
		g.farewell()
		in.lost()
		f.recycled[why].Add(1)
	}
}

// Close frees the instance. It may be called again.
func (in *Instance) Close() {
	if in.closed {
		return
	}
	in.closed = true
	if in.guest != nil {
		in.guest.farewell()
		in.lost()
	}
	in.filter.leave(in)
}

var (
	_ router.Filter       = (*Instance)(nil)
	_ router.FilterSource = (*Filter)(nil)
)
