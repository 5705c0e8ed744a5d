package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	format  Format // the first of filters; nil is plain
	filters []Filter

	// The rest down to mu belongs to run's goroutine.
	decision Decision
	packing  Decision
	held     []*flight // waiting to be tried again
	trying   []Target  // of the message that was tried again alone
	proved   []Target  // at which one has arrived since the last failure
	seq      uint64
	now      *flight // whose message the filters have
	said     Loss    // the last word about it, if it comes to a loss
	stop     <-chan struct{}
	stopping bool

	// sending is what Send is called with. A lane that keeps order cuts it when
	// a send has failed that will be tried again: a Send that waits for room or
	// for a new channel would otherwise overtake the one that failed. Both are
	// replaced only while nothing is under way.
	sending context.Context
	cut     context.CancelFunc

	mu     sync.Mutex // protects failed
	failed []*flight  // settled with errors, not yet looked at

	hasFailed atomic.Bool
	broken    atomic.Bool  // sending has been cut
	lost      atomic.Bool  // a session has ended: some of held may be stale
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
		instance, err := l.instance(ctx, f.Source)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("filter %s: %w", f.Source.Name(), err)
		}
		l.filters = append(l.filters, instance)
	}
	l.sender = r.cfg.NewSender(fmt.Sprintf("%s/%d", r.cfg.Name, index))
	return l, nil
}

// instance makes an instance of a filter. The first is the format's, if the
// route has one.
func (l *lane) instance(ctx context.Context, source FilterSource) (Filter, error) {
	if l.route.cfg.Format == nil || len(l.filters) > 0 {
		return source.Instance(ctx)
	}
	format, err := l.route.cfg.Format.Format(ctx)
	l.format = format
	return format, err
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
	l.stop = stop
	l.mend(work)
	defer func() { l.cut() }()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for work.Err() == nil {
		if l.hasFailed.Load() {
			l.collect(work)
		}
		paused := l.paused()
		if len(l.held) == 0 && !paused && !l.stopping {
			select {
			case d := <-l.in:
				l.begin(work, d)
				continue
			default:
			}
		}
		in, due := l.in, (<-chan time.Time)(nil)
		idle := true
		if paused {
			in = nil
			l.waiting.Store(true)
			// Asked before hasFailed: a flight that fails is in failed before it
			// stops being under way. So none that is older than those held can
			// turn up once nothing is under way.
			idle = l.open.Load() == 0
			if l.hasFailed.Load() {
				continue
			}
			if idle && l.broken.Load() {
				l.mend(work)
				continue
			}
		}
		if idle && len(l.held) > 0 {
			wait := time.Until(l.held[0].due)
			if len(l.trying) > 0 {
				wait = 0 // what went ahead has arrived
			}
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case d := <-in:
			l.begin(work, d)
		case <-due:
			l.retryHeld(work)
		case <-l.wake:
			if l.lost.Swap(false) {
				l.forgetStale()
			}
		case <-stop:
			stop = nil
			l.halt()
		case <-work.Done():
		}
		l.waiting.Store(false)
	}
}

// halt gives back what the lane has not begun with, from now on too.
func (l *lane) halt() {
	l.stopping = true
	l.abandon()
}

// paused reports whether the lane takes nothing new for the sake of order.
func (l *lane) paused() bool {
	return l.ordered && !l.stopping && (len(l.held) > 0 || l.broken.Load())
}

// mend makes a new context for sending. Nothing is under way.
func (l *lane) mend(work context.Context) {
	l.sending, l.cut = work, func() {}
	if l.ordered {
		l.sending, l.cut = context.WithCancel(work)
	}
	l.broken.Store(false)
}

// interrupt keeps a Send that runs now, and those after it, from overtaking a
// message that has to be sent again. It is called while that one is under way.
func (l *lane) interrupt() {
	if l.ordered {
		l.broken.Store(true)
		l.cut()
	}
}

func (l *lane) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *lane) begin(work context.Context, d *Delivery) {
	if l.stopping || !d.Settler.Live() {
		l.decline(d)
		return
	}
	l.seq++
	f := newFlight(l, d, l.seq)
	stripRouterHeaders(&d.Envelope)
	l.route.stat.inflight.Add(1)
	if t := l.route.cfg.Tracer; t != nil {
		f.trace = t.Trace(l.route.cfg.Name, &d.Envelope)
	}
	l.attempt(work, f)
}

// decline gives back a delivery that the lane does not begin with.
func (l *lane) decline(d *Delivery) {
	if !d.Settler.Live() {
		l.route.stat.settled[verdictStale].Add(1)
		return
	}
	d.Settler.Requeue(d.Tag)
	l.route.stat.settled[verdictRequeue].Add(1)
}

// attempt takes a flight one try further. Afterwards the lane either holds it,
// has settled it, or hears of it through collect.
func (l *lane) attempt(work context.Context, f *flight) {
	f.attempts++
	if len(f.outputs) > 0 {
		l.send(f)
		return
	}
	if fail := l.process(work, f); fail != nil {
		f.clearOutputs()
		l.fail(work, f, fail)
		return
	}
	if len(f.outputs) == 0 {
		f.outcome.Loss = l.said
		l.mourn(f, l.said)
		f.ack(verdictDrop)
		return
	}
	f.bind()
	l.send(f)
}

// send publishes every output of f that is not yet with the broker.
func (l *lane) send(f *flight) {
	l.open.Add(1)
	f.pending.Store(int32(len(f.outputs)) + 1)
	for i := range f.outputs {
		o := &f.outputs[i]
		if o.done || o.final || l.duplicate(f, o) {
			f.pending.Add(-1)
			continue
		}
		o.err, o.nth = nil, i
		if err := l.sender.Send(l.sending, o.target, o.outgoing(), o); err != nil {
			o.unsent(err)
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
	if !f.delivery.Envelope.Origin.Redelivered || !l.route.seen.has(o.key, time.Now()) {
		return false
	}
	o.done = true
	l.route.stat.duplicates.Add(1)
	return true
}

// fail acts on a message that did not get as far as being sent.
func (l *lane) fail(work context.Context, f *flight, fail *failure) {
	if fail.policy == policyLeave || work.Err() != nil { // which may be all that is wrong
		l.giveBack(f)
		return
	}
	switch fail.policy {
	case PolicyDrop:
		f.outcome.Loss, f.outcome.Err = fail.loss(), fail.err
		l.mourn(f, fail.loss())
		f.ack(verdictDrop)
	case PolicyRetry:
		if f.attempts < l.route.cfg.Retry.MaxAttempts {
			l.route.stat.retries.Add(1)
			l.hold(f, fail.delay)
			return
		}
		l.deadLetter(f, fail)
	default:
		l.deadLetter(f, fail)
	}
}

// collect looks at the flights that came back with errors.
func (l *lane) collect(work context.Context) {
	for _, f := range l.takeFailed() {
		switch {
		case l.stopping || work.Err() != nil || !f.delivery.Settler.Live():
			l.giveBack(f)
		case f.behind():
			// It was not tried: another one goes first, then this one at once.
			f.attempts--
			l.hold(f, time.Nanosecond)
		case f.letter != nil:
			l.deadLetterFailed(f)
		default:
			l.sendFailed(f)
		}
	}
}

func (l *lane) sendFailed(f *flight) {
	final, transient := f.errs()
	if transient == nil && l.route.cfg.Unroutable == PolicyDrop && f.unroutable() {
		f.outcome.Loss.Reason, f.outcome.Err = ReasonUnroutable, final
		f.ack(verdictDrop)
		return
	}
	if transient != nil && f.attempts < l.route.cfg.Retry.MaxAttempts {
		l.route.stat.retries.Add(1)
		l.hold(f, 0)
		return
	}
	l.deadLetter(f, sendFailure(errors.Join(final, transient)))
}

// mourn tells the format of a message that nobody gets.
func (l *lane) mourn(f *flight, loss Loss) {
	if l.format != nil {
		l.format.Lost(&f.delivery.Envelope, loss)
	}
}

func (l *lane) warn(msg string, f *flight, err error) {
	if l.route.stat.sampled() {
		l.route.log.Warn(msg, slog.String("id", f.delivery.Envelope.MessageID), slog.Int("attempts", f.attempts), slog.Any("err", err))
	}
}
