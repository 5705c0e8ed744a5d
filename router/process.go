package router

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Reasons why a message is dead-lettered, besides "filter-" and the class of a
// FilterError. They appear in the x-router-reason header and in metrics.
const (
	ReasonUnroutable  = "unroutable"
	ReasonUnsendable  = "unsendable"
	ReasonNacked      = "nacked"
	ReasonUnconfirmed = "unconfirmed"
	ReasonUndecided   = "undecided"
	ReasonRejected    = "rejected"
	ReasonNotAllowed  = "not-allowed"
	ReasonTooLarge    = "too-large"
	ReasonAttempts    = "attempts"

	// ReasonDropped is no reason for a dead letter, but for a [Loss].
	ReasonDropped = "dropped"
)

// failure says why a message cannot be sent on and what to do about it.
type failure struct {
	reason string
	filter string
	stage  string
	text   string // what callers may read of err; may be empty
	err    error
	policy Policy
	delay  time.Duration // of PolicyRetry; 0 is the route's backoff
}

// process runs the filters over a flight's message and fills its outputs. No
// failure and no outputs means that a filter dropped the message.
func (l *lane) process(ctx context.Context, f *flight) *failure {
	cfg := &l.route.cfg
	f.env = f.delivery.Envelope.Clone()
	f.forward = verdictForward
	if !cfg.AllowCC {
		// The broker would send copies to queues that the route never named.
		f.env.DelHeader("CC")
		f.env.DelHeader("BCC")
	}
	if n := len(f.env.Body); n > cfg.MaxMessage {
		return &failure{
			reason: ReasonTooLarge, policy: PolicyDeadLetter,
			err: fmt.Errorf("the body has %d bytes; max_message is %d", n, cfg.MaxMessage),
		}
	}
	l.now = f
	d := &l.decision
	d.Reset()
	for stage := Decode; stage <= Decide; stage++ {
		if fail := l.stage(ctx, stage, &f.env, d); fail != nil {
			return fail
		}
		if stage == Decode && l.format != nil {
			f.id = f.env.MessageID
		}
		if final(d.Action) {
			break
		}
	}
	switch d.Action {
	case Reject:
		return l.rejected(d)
	case Retry:
		return l.retry(d)
	}
	if fail := l.original(ctx, f, d); fail != nil {
		return fail
	}
	return l.emitted(ctx, f, d)
}

// original addresses the message itself, unless a filter dropped it.
func (l *lane) original(ctx context.Context, f *flight, d *Decision) *failure {
	targets := d.Targets
	switch d.Action {
	case Drop:
		return nil
	case Reply:
		return l.reply(f)
	case Undecided:
		targets = l.route.cfg.Send
	default:
		if len(targets) == 0 {
			targets = l.route.cfg.Send
		}
	}
	if len(targets) == 0 {
		return l.undecided() // never taken for a message that is to be dropped
	}
	return l.addressed(ctx, f, &f.env, targets, 0)
}

// emitted addresses the messages that filters made.
func (l *lane) emitted(ctx context.Context, f *flight, d *Decision) *failure {
	for i := range d.Emitted {
		m := &d.Emitted[i]
		if len(m.Targets) == 0 {
			return l.undecided()
		}
		if fail := l.addressed(ctx, f, &m.Envelope, m.Targets, i+1); fail != nil {
			return fail
		}
	}
	return nil
}

func final(a Action) bool {
	return a == Drop || a == Reject || a == Retry || a == Reply
}

// stage runs the filters of one stage until one has said the last word.
func (l *lane) stage(ctx context.Context, stage Stage, env *Envelope, d *Decision) *failure {
	for _, i := range l.route.chain[stage] {
		if err := l.filter(ctx, i, stage, env, d); err != nil {
			if fail := l.filterFailed(i, stage, err); fail != nil {
				return fail
			}
			continue
		}
		if final(d.Action) {
			l.said = Loss{Reason: ReasonDropped, Filter: l.route.cfg.Filters[i].Source.Name(), Stage: stage.String(), Text: d.Reason}
		}
		if final(d.Action) || d.Stop {
			break
		}
	}
	d.Stop = false
	return nil
}

// filter has one filter look at the message. While the filter rests the lane
// waits for it, and keeps the message: it is not the message's fault. A filter
// that the message may pass by is not waited for.
func (l *lane) filter(work context.Context, i int, stage Stage, env *Envelope, d *Decision) error {
	for {
		err := l.step(work, i, stage, env, d)
		if err == nil {
			return nil
		}
		rest, ok := errors.AsType[*RestError](err)
		if !ok || l.onError(i) == PolicyPass {
			return err
		}
		if !l.await(work, rest) {
			return errLeave
		}
	}
}

// step has one filter look at the message once, and the message's trace if there
// is one.
func (l *lane) step(work context.Context, i int, stage Stage, env *Envelope, d *Decision) error {
	trace := l.now.trace
	if trace == nil {
		return l.filters[i].Run(work, stage, env, d)
	}
	began := time.Now()
	err := l.filters[i].Run(work, stage, env, d)
	trace.Filtered(Step{
		Filter: l.route.cfg.Filters[i].Source.Name(), Stage: stage, Began: began, Took: time.Since(began), Decision: d, Err: err,
	})
	return err
}

// errLeave: the lane stopped waiting for a filter, the message stays with the
// broker.
var errLeave = errors.New("left to the broker")

// await waits until a filter that rests is to be asked again. It returns false
// if there is nothing to wait for any more: the lane is to stop, or the
// message's session has ended and the broker delivers it again.
func (l *lane) await(work context.Context, rest *RestError) bool {
	timer := time.NewTimer(rest.After)
	defer timer.Stop()
	woken := false
	defer func() {
		if woken {
			l.signal() // run has to look at what that was for
		}
	}()
	for {
		select {
		case <-l.stop:
			l.halt()
			return false
		case <-work.Done():
			return false
		default:
		}
		if !l.now.delivery.Settler.Live() {
			return false
		}
		select {
		case <-timer.C:
			return true
		case <-rest.Over:
			return true
		case <-l.stop:
		case <-work.Done():
		case <-l.wake:
			woken = true
		}
	}
}

// onError returns the policy that holds for a filter.
func (l *lane) onError(i int) Policy {
	if p := l.route.cfg.Filters[i].OnError; p != PolicyDefault {
		return p
	}
	return l.route.cfg.OnError
}

// filterFailed returns what a filter's error means for the message; nil when
// the message goes on without the filter.
func (l *lane) filterFailed(i int, stage Stage, err error) *failure {
	use, policy := l.route.cfg.Filters[i], l.onError(i)
	if errors.Is(err, errLeave) {
		return &failure{policy: policyLeave}
	}
	class := "host"
	if fe, ok := errors.AsType[*FilterError](err); ok {
		class = fe.Class
		if fe.Retryable && l.now.attempts < l.route.cfg.Retry.MaxAttempts {
			policy = PolicyRetry
		}
	}
	l.route.stat.filterFailures.Add(1)
	if policy == PolicyPass {
		return nil
	}
	fail := &failure{
		reason: "filter-" + class, filter: use.Source.Name(), stage: stage.String(),
		err: err, policy: policy,
	}
	if fe, ok := errors.AsType[*FilterError](err); ok && i == 0 && l.format != nil {
		fail.text = fe.Err.Error()
	}
	return fail
}

func (l *lane) rejected(d *Decision) *failure {
	return &failure{
		reason: ReasonRejected, filter: l.said.Filter, stage: l.said.Stage,
		text: d.Reason, err: errors.New(d.Reason), policy: PolicyDeadLetter,
	}
}

// maxRetryDelay bounds what a filter may ask for: the broker takes a message
// back that is not settled within its consumer timeout, half an hour.
const maxRetryDelay = 15 * time.Minute

func (l *lane) retry(d *Decision) *failure {
	return &failure{
		reason: ReasonAttempts, filter: l.said.Filter, stage: l.said.Stage, policy: PolicyRetry, delay: min(d.Delay, maxRetryDelay),
		text: d.Reason, err: fmt.Errorf("a filter asked to try again: %s", d.Reason),
	}
}

// reply addresses the envelope to its caller.
func (l *lane) reply(f *flight) *failure {
	answer := l.answer
	if l.format != nil {
		answer = l.format.Answer
	}
	queue, err := answer(&f.env)
	if err != nil {
		return l.filterFailed(0, Decide, err)
	}
	if queue == "" {
		return &failure{
			reason: ReasonRejected, stage: Decide.String(), policy: PolicyDeadLetter,
			err: errors.New("a filter answered a message that names no reply queue"),
		}
	}
	if !l.route.cfg.Allow.PermitsReply(queue) {
		return &failure{
			reason: ReasonNotAllowed, stage: Decide.String(), policy: PolicyDeadLetter,
			err: fmt.Errorf("replies to queue %q are not allowed; name it in the route's allow", queue),
		}
	}
	f.forward = verdictReply
	f.add(&f.env, Target{Kind: TargetQueue, Queue: queue}, &l.route.targets.replies)
	return nil
}

// answer addresses a reply in the way of plain AMQP.
func (l *lane) answer(env *Envelope) (queue string, err error) {
	request := &l.now.delivery.Envelope.Properties
	env.ReplyTo, env.Expiration = "", ""
	env.CorrelationID = request.CorrelationID
	if env.CorrelationID == "" {
		env.CorrelationID = request.MessageID
	}
	return request.ReplyTo, nil
}

func (l *lane) undecided() *failure {
	policy := l.route.cfg.OnError
	if policy == PolicyPass {
		policy = PolicyDeadLetter
	}
	return &failure{
		reason: ReasonUndecided, stage: Decide.String(), policy: policy,
		err: errors.New("no filter decided and the route names no target"),
	}
}

// addressed makes the outputs of one message: the one that was received, or the
// nth that filters made.
func (l *lane) addressed(ctx context.Context, f *flight, env *Envelope, targets []Target, nth int) *failure {
	chain := &l.route.chain
	for _, t := range targets {
		counts, ok := l.route.counts(t)
		if !ok {
			return &failure{
				reason: ReasonNotAllowed, stage: Decide.String(), policy: PolicyDeadLetter,
				err: fmt.Errorf("a filter chose %s, which the route's allow does not permit", t),
			}
		}
		if len(chain[Pack]) == 0 && len(chain[Encode]) == 0 {
			f.add(env, t, counts)
			continue
		}
		own := env.Clone()
		dropped, fail := l.pack(ctx, &own, t, nth)
		if fail != nil {
			return fail
		}
		if !dropped {
			f.add(&own, t, counts)
		}
	}
	return nil
}

// pack runs the stages that a message passes once for each target. A filter may
// drop the message for this target alone.
func (l *lane) pack(ctx context.Context, env *Envelope, t Target, nth int) (dropped bool, fail *failure) {
	d := &l.packing
	for stage := Pack; stage <= Encode; stage++ {
		d.Reset()
		d.Targets, d.Emission = append(d.Targets, t), nth
		if fail := l.stage(ctx, stage, env, d); fail != nil {
			return false, fail
		}
		switch d.Action {
		case Drop:
			return true, nil
		case Reject:
			return false, l.rejected(d)
		case Retry:
			return false, l.retry(d)
		}
	}
	return false, nil
}
