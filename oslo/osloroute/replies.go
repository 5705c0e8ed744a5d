package osloroute

import (
	"context"
	"errors"
	"fmt"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

// Replies is the format of the route that brings replies back to the callers of
// [Calls]. It is safe for concurrent use.
type Replies struct {
	calls   *Calls
	maxBody int
	bare    bool
}

var _ router.FormatSource = (*Replies)(nil)

// NewReplies returns the format of the route that listens to the queue of calls.
// Bodies may have at most maxBody bytes, also after decompression. Bare says that
// no filter looks at them.
func NewReplies(calls *Calls, maxBody int, bare bool) *Replies { return &Replies{calls, maxBody, bare} }

// Name implements [router.FilterSource].
func (r *Replies) Name() string { return Name }

// Stages implements [router.FilterSource].
func (r *Replies) Stages() router.StageSet {
	return router.StageSet(0).With(router.Decode).With(router.Decide).With(router.Encode)
}

// Instance implements [router.FilterSource].
func (r *Replies) Instance(ctx context.Context) (router.Filter, error) { return r.Format(ctx) }

// Format implements [router.FormatSource].
func (r *Replies) Format(context.Context) (router.Format, error) {
	return &replies{Replies: r}, nil
}

// replies is the format in one lane.
type replies struct {
	*Replies
	m  message
	id string // of the call, as the route made it
	to caller
}

// Run implements [router.Filter].
func (r *replies) Run(_ context.Context, stage router.Stage, env *router.Envelope, d *router.Decision) error {
	switch stage {
	case router.Decode:
		return r.decode(env, d)
	case router.Decide:
		d.Action = router.Forward
		d.Targets = append(d.Targets[:0], router.Target{Kind: router.TargetQueue, Queue: r.to.queue})
	case router.Encode:
		return r.encode(env, d)
	}
	return nil
}

// decode finds the caller. A reply that nobody waits for is dropped.
func (r *replies) decode(env *router.Envelope, d *router.Decision) error {
	if err := r.m.open(env, r.maxBody, r.bare); err != nil {
		return invalid(router.Decode, err)
	}
	var ok bool
	r.id = r.m.given.CorrelationID
	if r.to, ok = r.calls.find(r.id, env.Origin.Redelivered); !ok {
		r.calls.late.Add(1)
		d.Action, d.Reason = router.Drop, "no call waits for it"
		return nil
	}
	r.m.given.CorrelationID = r.to.id
	env.CorrelationID = r.to.id
	return nil
}

// errElsewhere: replies go to their callers alone.
var errElsewhere = errors.New("a filter of replies chose another target than the caller")

func (r *replies) encode(env *router.Envelope, d *router.Decision) error {
	to := router.Target{Kind: router.TargetQueue, Queue: r.to.queue}
	if d.Emission > 0 || len(d.Targets) != 1 || d.Targets[0] != to {
		return invalid(router.Encode, errElsewhere)
	}
	last := false
	err := r.m.seal(env, 0, func(o *oslo.Object) bool {
		ending, _ := o.Get("ending")
		last = string(ending) == "true"
		o.Set(keyMsgID, oslo.String(r.to.id))
		return true
	})
	if err != nil {
		return invalid(router.Encode, err)
	}
	r.calls.replied(r.id, last)
	return nil
}

// Close implements [router.Filter].
func (r *replies) Close() {}

// Answer implements [router.Format]: nobody waits for an answer to a reply.
func (r *replies) Answer(*router.Envelope) (string, error) { return "", nil }

// Lost implements [router.Format]: the call has failed.
func (r *replies) Lost(received *router.Envelope, loss router.Loss) {
	var m message
	env := received.Clone()
	if m.open(&env, r.maxBody, true) != nil {
		return
	}
	id := m.given.CorrelationID
	to, ok := r.calls.find(id, false)
	if ending, _ := m.read.Message().Get("ending"); !ok || string(ending) != "true" || !r.calls.forget(id) {
		return
	}
	f := failureFor(r.calls.cfg.Route, loss)
	f.Message = fmt.Sprintf("%s (it was the reply)", f.Message)
	r.calls.cfg.Post.send(to, f)
}
