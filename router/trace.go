package router

import "time"

// Tracer follows messages on their way through a route. Its methods are called
// concurrently and must not block.
type Tracer interface {
	// Trace is asked for each message that a lane begins with; nil does not
	// follow it. The envelope is the message as it was received. It must not be
	// changed, and must be cloned to be kept.
	Trace(route string, received *Envelope) Trace
}

// Trace follows one message until it is settled. What it is given stays the
// route's, unless said otherwise. Filtered and Sending are called by one goroutine;
// Sent may be called by another one meanwhile. No method may block.
type Trace interface {
	// Filtered says that a filter has had the message in one stage.
	Filtered(step Step)
	// Sending says that the nth output, counted from 0, is about to be published,
	// or to be published again. Headers of env may be set: it belongs to this
	// output alone. A dead letter is an output, too.
	Sending(nth int, to Target, env *Envelope)
	// Sent says what became of the nth output: nil, or an error as in
	// [Receipt.Settle] or of [Sender.Send].
	Sent(nth int, err error)
	// Done says that the message is settled. It is called once, after all others.
	Done(Outcome)
}

// Step is one filter's turn with a message.
type Step struct {
	Filter   string
	Stage    Stage
	Began    time.Time
	Took     time.Duration
	Decision *Decision // as the filters have left it so far; not to be kept
	Err      error
}

// Outcome is what became of a message.
type Outcome struct {
	Verdict  string // one of [VerdictNames]
	Attempts int    // tries in all, the first included
	Loss     Loss   // of one that was dropped or became a dead letter
	Err      error  // why, of a dead letter or of a failure after which it was dropped
}

// Tracers returns a Tracer that follows what any of those does; nil ones are left
// out. It returns nil if none is left.
func Tracers(all ...Tracer) Tracer {
	var some tracers
	for _, t := range all {
		if t != nil {
			some = append(some, t)
		}
	}
	switch len(some) {
	case 0:
		return nil
	case 1:
		return some[0]
	}
	return some
}

type tracers []Tracer

func (all tracers) Trace(route string, received *Envelope) Trace {
	var some traces
	for _, t := range all {
		if trace := t.Trace(route, received); trace != nil {
			some = append(some, trace)
		}
	}
	switch len(some) {
	case 0:
		return nil
	case 1:
		return some[0]
	}
	return some
}

type traces []Trace

func (all traces) Filtered(step Step) {
	for _, t := range all {
		t.Filtered(step)
	}
}

func (all traces) Sending(nth int, to Target, env *Envelope) {
	for _, t := range all {
		t.Sending(nth, to, env)
	}
}

func (all traces) Sent(nth int, err error) {
	for _, t := range all {
		t.Sent(nth, err)
	}
}

func (all traces) Done(o Outcome) {
	for _, t := range all {
		t.Done(o)
	}
}
