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
	outputs  []output
	pending  atomic.Int32 // outputs not settled, and 1 while sending
	attempts int
	seq      uint64
	due      time.Time
	dead     bool    // outputs holds the dead letter
	forward  verdict // what the flight counts as when all went well
}

// output is one message to one target.
type output struct {
	flight *flight
	target Target
	env    *Envelope // the flight's, or own
	own    Envelope
	done   bool // with the broker
	final  bool // err cannot be mended by sending again
	err    error
}

var flights = sync.Pool{New: func() any { return new(flight) }}

func newFlight(l *lane, d *Delivery, seq uint64) *flight {
	f := flights.Get().(*flight)
	f.lane, f.delivery, f.seq = l, d, seq
	return f
}

// add appends an output; bind makes it ready to be sent.
func (f *flight) add(env *Envelope, t Target) {
	o := output{flight: f, target: t}
	if env == &f.env {
		o.env = env
	} else {
		o.own = *env
	}
	f.outputs = append(f.outputs, o)
}

// bind points outputs at their own envelopes, once no more are added and they
// stay where they are.
func (f *flight) bind() {
	for i := range f.outputs {
		if o := &f.outputs[i]; o.env == nil {
			o.env = &o.own
		}
	}
}

// Settle implements Receipt.
func (o *output) Settle(err error) {
	if err != nil {
		o.fail(err)
	} else {
		o.done = true
		o.flight.lane.route.stat.sent[sentOK].Add(1)
	}
	if f := o.flight; f.pending.Add(-1) == 0 {
		f.settled()
	}
}

func (o *output) fail(err error) {
	o.err = err
	result := sentUnconfirmed
	switch {
	case errors.Is(err, ErrUnroutable):
		result, o.final = sentUnroutable, true
	case errors.Is(err, ErrUnsendable):
		result, o.final = sentUnsendable, true
	case errors.Is(err, ErrNacked):
		result = sentNacked
	}
	o.flight.lane.route.stat.sent[result].Add(1)
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
	if f.dead {
		f.forward = verdictReject
	} else if seen := l.route.seen; seen != nil {
		now := time.Now()
		for i := range f.outputs {
			seen.add(&f.delivery.Envelope, f.outputs[i].target, now)
		}
	}
	f.ack(f.forward)
	if l.open.Add(-1) == 0 && l.waiting.Load() {
		l.signal()
	}
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
	f.delivery.Settler.Ack(f.delivery.Tag)
	f.finish(v)
}

// finish counts the flight and frees it; nothing may use it afterwards.
func (f *flight) finish(v verdict) {
	st := &f.lane.route.stat
	st.settled[v].Add(1)
	st.inflight.Add(-1)
	st.duration.Observe(time.Since(f.delivery.Envelope.Origin.Received))
	clear(f.outputs)
	f.lane, f.delivery, f.env, f.outputs = nil, nil, Envelope{}, f.outputs[:0]
	f.pending.Store(0)
	f.attempts, f.seq, f.due, f.dead, f.forward = 0, 0, time.Time{}, false, verdictForward
	flights.Put(f)
}
