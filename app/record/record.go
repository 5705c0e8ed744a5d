// Package record takes down messages with what became of them, in files that
// `router replay` reads; docs/RECORDING.md describes them.
package record

import (
	"slices"
	"sync"
	"time"

	"github.com/wasmrouter/router/router"
)

// The actions of a [Decision].
const (
	ActionForward    = "forward"
	ActionReply      = "reply"
	ActionDrop       = "drop"
	ActionDeadLetter = "dead-letter"
	ActionRetry      = "retry" // a filter asked for it, until nothing was left to try
)

// Record is one message with what became of it.
type Record struct {
	At       time.Time // when it was settled
	Route    string
	Received router.Envelope // without router headers of its own, which the route takes off
	Decision Decision
}

// Decision is what became of a message.
type Decision struct {
	Action   string
	Reason   string // of a dead letter: as in the header x-router-reason
	Filter   string // whose word it was that the message goes no further; may be empty
	Stage    string // in which Filter said it; may be empty
	Error    string // why it goes no further, for people; may be empty
	Attempts int    // tries in all, the first included
	Sent     []Sent // what the filters made of it, also where the broker did not take it; no dead letter
}

// Sent is one message as it is published.
type Sent struct {
	Target   router.Target
	Envelope router.Envelope
	Reply    bool // it is a filter's answer to whoever sent what was received
}

// Watch is a [router.Tracer] that follows messages to their end.
type Watch struct {
	// Want says whether to follow a message. It must not block.
	Want func(route string, received *router.Envelope) bool
	// Done is given each message that was followed and settled, and owns it. It
	// is called by many goroutines at once and must not block.
	Done func(*Record)
}

// Trace implements [router.Tracer].
func (w *Watch) Trace(route string, received *router.Envelope) router.Trace {
	if !w.Want(route, received) {
		return nil
	}
	return &watched{done: w.Done, record: Record{Route: route, Received: received.Clone()}}
}

// watched follows one message. Its methods but Sent, which does nothing, are
// called in turn, though by more than one goroutine.
type watched struct {
	done func(*Record)

	mu     sync.Mutex
	record Record
	reply  bool // the first output is one
}

// Filtered implements [router.Trace]. All filters have their turn before
// anything is sent, so that what was sent before belongs to an earlier try.
func (w *watched) Filtered(step router.Step) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.record.Decision.Sent = nil
	if step.Stage <= router.Decide { // those behind it are about copies
		w.reply = step.Decision.Action == router.Reply
	}
}

// Sending implements [router.Trace].
func (w *watched) Sending(nth int, to router.Target, env *router.Envelope) {
	if _, dead := env.Header(router.HeaderReason); dead { // only the router sets it
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	d := &w.record.Decision
	for len(d.Sent) <= nth {
		d.Sent = append(d.Sent, Sent{})
	}
	d.Sent[nth] = Sent{to, env.Clone(), nth == 0 && w.reply}
}

// Sent implements [router.Trace].
func (w *watched) Sent(int, error) {}

// Done implements [router.Trace].
func (w *watched) Done(o router.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := &w.record.Decision
	switch o.Verdict {
	case "forward":
		d.Action = ActionForward
	case "reply":
		d.Action = ActionReply
	case "drop":
		d.Action = ActionDrop
	case "reject":
		d.Action = ActionDeadLetter
		if o.Loss.Reason == router.ReasonAttempts {
			d.Action = ActionRetry
		}
	default: // it went back to the broker, and comes again
		return
	}
	// Duplicates that were not sent again leave gaps.
	d.Sent = slices.DeleteFunc(d.Sent, func(s Sent) bool { return s.Target == router.Target{} })
	d.Filter, d.Stage, d.Error, d.Attempts = o.Loss.Filter, o.Loss.Stage, o.Loss.Text, o.Attempts
	if o.Loss.Reason != router.ReasonDropped {
		d.Reason = o.Loss.Reason
	}
	if o.Err != nil {
		d.Error = o.Err.Error()
	}
	w.record.At = time.Now()
	w.done(&w.record)
}
