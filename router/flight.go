package router

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// flight is one delivery from the moment a lane takes it until it is settled.
type flight struct {
	lane     *lane
	delivery *Delivery // its envelope is never changed: a dead letter carries it
	env      Envelope  // as the filters left it
	id       string    // the message's, as the format knows it
	outputs  []output
	pending  atomic.Int32 // outputs not settled, and 1 while sending
	attempts int
	seq      uint64
	due      time.Time
	letter   *letter // of a flight whose only output is its dead letter
	forward  verdict // what the flight counts as when all went well
	trace    Trace   // nil when nobody follows the message
	outcome  Outcome // of which finish completes Verdict and Attempts
}

// output is one message to one target.
type output struct {
	flight *flight
	target Target
	counts *targetCounts // of target
	env    *Envelope     // the flight's, or own
	own    Envelope
	key    seenKey
	twin   bool // not the only output to its target
	done   bool // with the broker
	final  bool // err cannot be mended by sending again
	unfit  bool // the Sender itself refused it
	nth    int
	err    error
}

// errBehind marks an output that was not sent because another message has to be
// sent again first.
var errBehind = errors.New("waits for a message before it")

// keptOutputs is how many outputs a flight keeps room for while it is unused.
const keptOutputs = 16

var flights = sync.Pool{New: func() any { return new(flight) }}

func newFlight(l *lane, d *Delivery, seq uint64) *flight {
	f := flights.Get().(*flight)
	f.lane, f.delivery, f.seq, f.id = l, d, seq, d.Envelope.MessageID
	return f
}

// add appends an output; bind makes it ready to be sent.
func (f *flight) add(env *Envelope, t Target, counts *targetCounts) {
	o := output{flight: f, target: t, counts: counts}
	if env == &f.env {
		o.env = env
	} else {
		o.own = *env
	}
	f.outputs = append(f.outputs, o)
}

// bind points outputs at their own envelopes, once no more are added and they
// stay where they are, and tells those to the same target apart.
func (f *flight) bind() {
	seen, e := f.lane.route.seen, &f.delivery.Envelope
	for i := range f.outputs {
		o := &f.outputs[i]
		if o.env == nil {
			o.env = &o.own
		}
		if seen == nil {
			continue
		}
		nth := 0
		for j := range i {
			if before := &f.outputs[j]; before.target == o.target {
				before.twin, o.twin = true, true
				nth++
			}
		}
		o.key = seen.key(f.id, e, o.target, nth)
		if !e.Origin.Redelivered {
			seen.forget(o.key)
		}
	}
}

// clearOutputs takes the outputs off, none of which is under way.
func (f *flight) clearOutputs() {
	clear(f.outputs)
	f.outputs = f.outputs[:0]
}

// outgoing returns what is to be published: of a message that is followed, an
// envelope of this output's own, which the trace may mark.
func (o *output) outgoing() *Envelope {
	trace := o.flight.trace
	if trace == nil {
		return o.env
	}
	own := o.env.Clone()
	trace.Sending(o.nth, o.target, &own)
	return &own
}

// Settle implements Receipt.
func (o *output) Settle(err error) {
	if trace := o.flight.trace; trace != nil {
		trace.Sent(o.nth, err)
	}
	if err != nil {
		o.fail(err)
	} else {
		o.done = true
		r := o.flight.lane.route
		o.counts.sent[sentOK].Add(1)
		// Twins are known by their place, which a filter may change from one
		// run to the next: they count only once all of them have arrived.
		if r.seen != nil && !o.twin {
			r.seen.add(o.key, time.Now())
		}
	}
	if f := o.flight; f.pending.Add(-1) == 0 {
		f.settled()
	}
}

// unsent notes that Send returned err.
func (o *output) unsent(err error) {
	if trace := o.flight.trace; trace != nil {
		trace.Sent(o.nth, err)
	}
	if errors.Is(err, ErrUnsendable) {
		o.unfit = true
	} else if o.flight.lane.broken.Load() {
		o.err = errBehind
		return
	}
	o.fail(err)
}

func (o *output) fail(err error) {
	o.err = err
	l := o.flight.lane
	what := result(err)
	switch what {
	case sentUnroutable:
		o.final = !l.route.cfg.Retry.Unroutable || l.route.cfg.Unroutable == PolicyDrop
	case sentUnsendable:
		o.final = true
	}
	o.counts.sent[what].Add(1)
	if !o.final {
		l.interrupt()
	}
}

// behind reports whether all that is missing was not tried at all.
func (f *flight) behind() bool {
	for i := range f.outputs {
		if o := &f.outputs[i]; !o.done && !errors.Is(o.err, errBehind) {
			return false
		}
	}
	return true
}

// settled runs once all outputs of a try are settled, in the goroutine of the
// last receipt.
func (f *flight) settled() {
	l := f.lane
	for i := range f.outputs {
		if f.outputs[i].done {
			continue
		}
		l.mu.Lock()
		l.failed = append(l.failed, f)
		l.hasFailed.Store(true)
		l.mu.Unlock()
		l.open.Add(-1)
		l.signal()
		return
	}
	if f.letter != nil {
		f.forward = verdictReject
	}
	for i := range f.outputs {
		if o := &f.outputs[i]; o.twin {
			l.route.seen.add(o.key, time.Now())
		}
	}
	f.ack(f.forward)
	if l.open.Add(-1) == 0 && l.waiting.Load() {
		l.signal()
	}
}

// unroutable reports whether no queue took any of the outputs.
func (f *flight) unroutable() bool {
	for i := range f.outputs {
		if o := &f.outputs[i]; !errors.Is(o.err, ErrUnroutable) {
			return false
		}
	}
	return true
}

// arrived reports whether an output is with the broker.
func (f *flight) arrived() bool {
	for i := range f.outputs {
		if f.outputs[i].done {
			return true
		}
	}
	return false
}

// errs returns the errors of the outputs that did not arrive: those that cannot
// be mended, and those that may.
func (f *flight) errs() (final, transient error) {
	for i := range f.outputs {
		switch o := &f.outputs[i]; {
		case o.done:
		case o.final:
			final = errors.Join(final, &targetError{o.target, o.err})
		default:
			transient = errors.Join(transient, &targetError{o.target, o.err})
		}
	}
	return final, transient
}

// targetError is what went wrong with one target.
type targetError struct {
	target Target
	err    error
}

func (e *targetError) Error() string { return e.target.String() + ": " + e.err.Error() }
func (e *targetError) Unwrap() error { return e.err }

// ack acknowledges the delivery and ends the flight.
func (f *flight) ack(v verdict) {
	f.count(v)
	f.delivery.Settler.Ack(f.delivery.Tag)
	f.free(v)
}

// count counts the flight as ended. It comes before the delivery is settled: a
// listener that has nothing left to settle returns, and the counters must say so
// by then.
func (f *flight) count(v verdict) {
	st := &f.lane.route.stat
	st.settled[v].Add(1)
	st.inflight.Add(-1)
	st.duration.Observe(time.Since(f.delivery.Envelope.Origin.Received))
}

// free ends the trace of a flight and frees it; nothing may use it afterwards.
func (f *flight) free(v verdict) {
	if f.trace != nil {
		if v == verdictRequeue || v == verdictStale {
			f.outcome = Outcome{} // nothing became of it: it comes again
		}
		f.outcome.Verdict, f.outcome.Attempts = VerdictNames[v], f.attempts
		f.trace.Done(f.outcome)
		f.trace = nil
	}
	f.outcome = Outcome{}
	f.clearOutputs()
	if cap(f.outputs) > keptOutputs {
		f.outputs = nil
	}
	f.lane, f.delivery, f.env, f.letter, f.id = nil, nil, Envelope{}, nil, ""
	f.pending.Store(0)
	f.attempts, f.seq, f.due, f.forward = 0, 0, time.Time{}, verdictForward
	flights.Put(f)
}
