package rpc

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/wasmrouter/router/router"
)

// listening is one Listen: what it has in hand.
type listening struct {
	l    *NotificationListener
	crew *crew

	mu     sync.Mutex        // protects groups
	groups map[string]*group // batches that are being collected, by priority
}

// group is a batch that is being collected.
type group struct {
	items []*notice
	taken chan struct{} // closed when it was full, and was handed over
}

// add brings a notification to a worker, or to a batch that goes to one when it
// is full or has waited for BatchTimeout.
func (r *listening) add(ctx context.Context, it *notice) {
	size := r.l.cfg.BatchSize
	if size == 1 {
		r.work(ctx, []*notice{it})
		return
	}
	r.mu.Lock()
	g := r.groups[it.n.Priority]
	if g == nil {
		g = &group{taken: make(chan struct{})}
		r.groups[it.n.Priority] = g
		r.crew.busy.Go(func() { r.expire(ctx, it.n.Priority, g) })
	}
	g.items = append(g.items, it)
	full := len(g.items) == size
	if full {
		delete(r.groups, it.n.Priority)
		close(g.taken)
	}
	r.mu.Unlock()
	if full {
		r.work(ctx, g.items)
	}
}

// expire hands over what was collected in time.
func (r *listening) expire(ctx context.Context, priority string, g *group) {
	timer := time.NewTimer(r.l.cfg.BatchTimeout)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-g.taken:
		return
	}
	r.mu.Lock()
	taken := r.groups[priority] != g
	if !taken {
		delete(r.groups, priority)
	}
	r.mu.Unlock()
	if !taken {
		r.work(ctx, g.items)
	}
}

// work gives the notifications to a worker, or back to the broker if ctx ends
// first.
func (r *listening) work(ctx context.Context, batch []*notice) {
	if r.crew.do(ctx, func(work context.Context) { r.process(ctx, work, batch) }) {
		return
	}
	for _, it := range batch {
		it.giveBack()
	}
}

// process passes the notifications to each endpoint that has not handled them.
func (r *listening) process(ctx, work context.Context, batch []*notice) {
	batch = slices.DeleteFunc(batch, func(it *notice) bool {
		dead := !it.live()
		if dead {
			it.giveBack()
		}
		return dead
	})
	ends := make([]func(error), len(batch))
	for i, it := range batch {
		it.handling, ends[i] = processing(work, r.l.cfg.Tracer, &it.delivery.Envelope)
	}
	for i := range r.l.endpoints {
		var next []*notice
		for _, it := range batch {
			if it.done == i && it.err == nil {
				next = append(next, it)
			}
		}
		r.l.pass(work, &r.l.endpoints[i], next)
		for _, it := range next {
			if it.err == nil {
				it.done++
			}
		}
	}
	for i, it := range batch {
		ends[i](it.err)
		if it.err != nil {
			it.failed(ctx, work, func() { r.add(ctx, it) })
			continue
		}
		it.handled()
	}
}

// notice is one notification in hand.
type notice struct {
	run      *listening
	delivery *router.Delivery
	n        Notification
	since    time.Time // when it came
	tracked  bool      // the listener's held has the delivery

	// The fields below belong to who works on it.
	handling context.Context //nolint:containedctx // of a handler that gets it alone
	wanted   bool            // by any endpoint
	done     int             // endpoints that need not see it again
	tries    int             // how often it failed
	err      error           // of the last try
	reason   string          // why it was given up
}

// first reports whether the notification comes for the first time. Otherwise
// its delivery is settled: at once, or with the one in hand.
func (it *notice) first() bool {
	l := it.run.l
	if !l.held.join(it.n.UniqueID, it.delivery) {
		return false
	}
	it.tracked = true
	if !l.seen.has(it.n.UniqueID) {
		return true
	}
	it.settleAll(router.Settler.Ack)
	return false
}

// settleAll settles the delivery, and those of the same notification that came
// meanwhile.
func (it *notice) settleAll(how func(router.Settler, uint64)) {
	all := []*router.Delivery{it.delivery}
	if it.tracked {
		all = it.run.l.held.leave(it.n.UniqueID)
	}
	for _, d := range all {
		how(d.Settler, d.Tag)
	}
}

// settle is settleAll of what is in hand.
func (it *notice) settle(how func(router.Settler, uint64)) {
	it.run.l.counters.inHand.Add(-1)
	it.settleAll(how)
}

// live reports whether the notification can still be settled. Otherwise the
// broker delivers it again, perhaps to somebody else.
func (it *notice) live() bool {
	if it.tracked {
		return it.run.l.held.live(it.n.UniqueID)
	}
	return it.delivery.Settler.Live()
}

// live reports whether any delivery of id can be settled.
func (t *together) live(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.held[id], func(d *router.Delivery) bool { return d.Settler.Live() })
}

func (it *notice) handled() {
	l := it.run.l
	if it.wanted {
		l.counters.handled.Add(1)
	} else {
		l.counters.unwanted.Add(1)
	}
	if it.tracked {
		l.seen.add(it.n.UniqueID)
	}
	it.settle(router.Settler.Ack)
}

// giveBack leaves the notification to the broker, and to whom it gives it next.
func (it *notice) giveBack() {
	it.run.l.counters.again.Add(1)
	it.settle(router.Settler.Requeue)
}

// failed decides what becomes of a notification that was not handled: again
// tries once more.
func (it *notice) failed(ctx, work context.Context, again func()) {
	l := it.run.l
	it.tries++
	l.counters.failed.Add(1)
	if limit := l.cfg.RequeueLimit; limit > 0 && it.tries > limit && ctx.Err() == nil {
		it.giveUp(ctx, work, reasonAttempts, it.err)
		return
	}
	l.cfg.Logger.Warn("notification to be handled again", "queue", it.n.Origin.Queue, "event_type", it.n.EventType, "tries", it.tries, "err", it.err)
	it.rest(ctx, func() {
		it.err, it.n.Origin.Redelivered = nil, true
		again()
	})
}

// rest waits for RequeueDelay, without a worker, and then calls again, unless
// the notification is to go back to the broker.
func (it *notice) rest(ctx context.Context, again func()) {
	l := it.run.l
	it.run.crew.busy.Go(func() {
		l.counters.resting.Add(1)
		timer := time.NewTimer(l.cfg.RequeueDelay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		l.counters.resting.Add(-1)
		if ctx.Err() != nil || time.Since(it.since) > MaxHold {
			it.giveBack()
			return
		}
		again()
	})
}
