package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// lane handles messages one after the other: it runs the filters, sends without
// waiting, and tries again what failed. A lane that keeps order takes no new
// message while one waits to be tried again, and tries again only when nothing
// else is under way.
type lane struct {
	route   *Route
	ordered bool
	in      chan *Delivery
	wake    chan struct{} // holds one token: something below changed
	sender  Sender
	filters []Filter

	// The rest down to mu belongs to run's goroutine.
	decision Decision
	packing  Decision
	held     []*flight // waiting to be tried again
	seq      uint64
	stopping bool

	mu     sync.Mutex // protects failed
	failed []*flight  // settled with errors, not yet looked at

	hasFailed atomic.Bool
	waiting   atomic.Bool  // run wants a wake when open becomes 0
	open      atomic.Int64 // flights whose outputs are not all settled
}

func newLane(ctx context.Context, r *Route, index int) (*lane, error) {
	l := &lane{
		route:   r,
		ordered: r.cfg.Order != OrderNone,
		in:      make(chan *Delivery, r.cfg.Source.Prefetch),
		wake:    make(chan struct{}, 1),
	}
	for _, f := range r.cfg.Filters {
		instance, err := f.Source.Instance(ctx)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("filter %s: %w", f.Source.Name(), err)
		}
		l.filters = append(l.filters, instance)
	}
	l.sender = r.cfg.NewSender(fmt.Sprintf("%s/%d", r.cfg.Name, index))
	return l, nil
}

func (l *lane) close() {
	for _, f := range l.filters {
		f.Close()
	}
	l.filters = nil
	if l.sender != nil {
		l.sender.Close()
		l.sender = nil
	}
}

// run handles deliveries until work ends. When stop closes, what has not begun
// and what waits to be tried again goes back to the broker.
func (l *lane) run(work context.Context, stop <-chan struct{}) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if l.hasFailed.Load() {
			l.collect(work)
		}
		if len(l.held) == 0 && !l.stopping {
			select {
			case d := <-l.in:
				l.begin(work, d)
				continue
			default:
			}
		}
		in, due := l.in, (<-chan time.Time)(nil)
		if len(l.held) > 0 {
			if l.ordered {
				in = nil
				l.waiting.Store(true)
			}
			if !l.ordered || l.open.Load() == 0 {
				timer.Reset(time.Until(l.held[0].due))
				due = timer.C
			}
		}
		select {
		case d := <-in:
			l.begin(work, d)
		case <-due:
			l.retryHeld(work)
		case <-l.wake:
		case <-stop:
			stop = nil
			l.stopping = true
			l.abandon()
		case <-work.Done():
			return
		}
		l.waiting.Store(false)
	}
}

// abandon gives what waits to be tried again back to the broker.
func (l *lane) abandon() {
	for _, f := range l.held {
		l.route.stat.held.Add(-1)
		l.requeue(f)
	}
	l.held = nil
}

func (l *lane) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *lane) begin(work context.Context, d *Delivery) {
	if !d.Settler.Live() {
		l.route.stat.settled[verdictStale].Add(1)
		return
	}
	if l.stopping {
		d.Settler.Requeue(d.Tag)
		l.route.stat.settled[verdictRequeue].Add(1)
		return
	}
	l.seq++
	f := newFlight(l, d, l.seq)
	stripRouterHeaders(&d.Envelope)
	l.route.stat.inflight.Add(1)
	l.attempt(work, f)
}

// attempt takes a flight one try further. Afterwards the lane either holds it,
// has settled it, or hears of it through collect.
func (l *lane) attempt(work context.Context, f *flight) {
	f.attempts++
	if len(f.outputs) > 0 {
		l.send(work, f)
		return
	}
	if fail := l.process(work, f); fail != nil {
		f.outputs = f.outputs[:0]
		l.fail(work, f, fail)
		return
	}
	if len(f.outputs) == 0 {
		f.ack(verdictDrop)
		return
	}
	f.bind()
	l.send(work, f)
}

// send publishes every output of f that is not yet with the broker.
func (l *lane) send(work context.Context, f *flight) {
	l.open.Add(1)
	f.pending.Store(int32(len(f.outputs)) + 1)
	for i := range f.outputs {
		o := &f.outputs[i]
		if o.done || o.final || l.duplicate(f, o) {
			f.pending.Add(-1)
			continue
		}
		o.err = nil
		if err := l.sender.Send(work, o.target, o.env, o); err != nil {
			o.fail(err)
			f.pending.Add(-1)
		}
	}
	if f.pending.Add(-1) == 0 {
		f.settled()
	}
}

// duplicate reports whether a redelivered message already went to the output's
// target.
func (l *lane) duplicate(f *flight, o *output) bool {
	e := &f.delivery.Envelope
	if !e.Origin.Redelivered || f.dead || !l.route.seen.has(e, o.target, time.Now()) {
		return false
	}
	o.done = true
	l.route.stat.duplicates.Add(1)
	return true
}

// fail acts on a message that did not get as far as being sent.
func (l *lane) fail(work context.Context, f *flight, fail *failure) {
	switch fail.policy {
	case PolicyDrop:
		f.ack(verdictDrop)
	case PolicyRetry:
		if f.attempts < l.route.cfg.Retry.MaxAttempts {
			l.route.stat.retries.Add(1)
			l.hold(f, fail.delay)
			return
		}
		l.deadLetter(work, f, fail)
	default:
		l.deadLetter(work, f, fail)
	}
}

// collect looks at the flights that came back with errors.
func (l *lane) collect(work context.Context) {
	l.mu.Lock()
	failed := l.failed
	l.failed = nil
	l.hasFailed.Store(false)
	l.mu.Unlock()
	slices.SortFunc(failed, bySeq)
	for _, f := range failed {
		switch {
		case !f.delivery.Settler.Live():
			f.finish(verdictStale)
		case l.stopping:
			l.requeue(f)
		case f.dead:
			l.route.stat.deadLetterFailures.Add(1)
			l.warn("dead letter not taken; the message stays in its queue and is tried again", f, f.outputs[0].err)
			l.hold(f, 0)
		default:
			l.sendFailed(work, f)
		}
	}
}

func (l *lane) sendFailed(work context.Context, f *flight) {
	final, transient := f.errs()
	if transient != nil && f.attempts < l.route.cfg.Retry.MaxAttempts {
		l.route.stat.retries.Add(1)
		l.hold(f, 0)
		return
	}
	l.deadLetter(work, f, sendFailure(errors.Join(final, transient)))
}

// hold keeps f to be tried again after delay, or after the route's backoff when
// delay is 0.
func (l *lane) hold(f *flight, delay time.Duration) {
	if l.stopping {
		l.requeue(f)
		return
	}
	if delay <= 0 {
		delay = l.route.cfg.Retry.delay(f.attempts)
	}
	f.due = time.Now().Add(delay)
	compare := byDue
	if l.ordered {
		compare = bySeq
	}
	i, _ := slices.BinarySearchFunc(l.held, f, compare)
	l.held = slices.Insert(l.held, i, f)
	l.route.stat.held.Add(1)
}

// retryHeld tries again what is due. In an ordered lane that is everything,
// oldest first, as far as it goes without being held again.
func (l *lane) retryHeld(work context.Context) {
	now := time.Now()
	held := l.held
	l.held = nil
	for i, f := range held {
		if (l.ordered && len(l.held) > 0) || (!l.ordered && f.due.After(now)) {
			l.held = append(l.held, held[i:]...)
			if !l.ordered {
				slices.SortFunc(l.held, byDue)
			}
			return
		}
		l.route.stat.held.Add(-1)
		if !f.delivery.Settler.Live() {
			f.finish(verdictStale)
			continue
		}
		l.attempt(work, f)
	}
}

func (l *lane) requeue(f *flight) {
	f.delivery.Settler.Requeue(f.delivery.Tag)
	f.finish(verdictRequeue)
}

func (l *lane) warn(msg string, f *flight, err error) {
	if l.route.stat.sampled() {
		l.route.log.Warn(msg, slog.String("id", f.delivery.Envelope.MessageID), slog.Int("attempts", f.attempts), slog.Any("err", err))
	}
}

func bySeq(a, b *flight) int {
	switch {
	case a.seq < b.seq:
		return -1
	case a.seq > b.seq:
		return 1
	}
	return 0
}

func byDue(a, b *flight) int { return a.due.Compare(b.due) }

// delay returns the backoff before the try after the given number of tries.
func (p RetryPolicy) delay(attempts int) time.Duration {
	d := p.MaxBackoff
	if shift := attempts - 1; shift < 32 && p.Backoff<<shift > 0 {
		d = min(p.Backoff<<shift, p.MaxBackoff)
	}
	return d - rand.N(d/4+1)
}
