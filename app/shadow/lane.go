package shadow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/router"
)

// lane is the two versions in one lane: it implements [router.Filter]. A message
// has one version in all of its stages.
type lane struct {
	trial *Trial
	old   router.Filter
	new   router.Filter // nil until the lane first needs it

	begun    bool         // the rest is about the message that was
	received time.Time    // it, which tells it from others
	first    bool         // no stage of it has been passed
	stage    router.Stage // the last that was passed, if not first
	serving  bool         // the new version decides it
	watched  *tried       // it, if copies of it are given to the new version

	shaded atomic.Bool // shadow may be there
	mu     sync.Mutex  // protects what follows, which the trial's goroutine uses
	shadow router.Filter
	open   *tried // the message that has begun
	closed bool
}

// Run implements [router.Filter].
func (l *lane) Run(ctx context.Context, stage router.Stage, env *router.Envelope, d *router.Decision) error {
	if l.another(stage, env) {
		l.begin(env.Origin.Received)
	}
	if l.serving {
		return l.serve(ctx, stage, env, d)
	}
	if l.watched == nil {
		return run(ctx, l.trial.cfg.Old, l.old, stage, env, d)
	}
	c := l.observe(stage, env, d)
	err := run(ctx, l.trial.cfg.Old, l.old, stage, env, d)
	if resting(err) {
		return err
	}
	l.first, l.stage = false, stage
	c.made = outcomeOf(env, d, err)
	if !l.trial.submit(c) {
		l.watched = nil
	}
	return err
}

// another reports whether a message begins. Two may have come at the same moment,
// for a coarse clock; but the first stages are passed once each.
func (l *lane) another(stage router.Stage, env *router.Envelope) bool {
	return !l.begun || env.Origin.Received != l.received || !l.first && stage <= router.Decide && stage <= l.stage
}

// run runs an instance of one of the versions, which may have no part in the
// stage.
func run(ctx context.Context, of router.FilterSource, f router.Filter, stage router.Stage, env *router.Envelope, d *router.Decision) error {
	if !of.Stages().Has(stage) {
		return nil
	}
	return f.Run(ctx, stage, env, d)
}

func resting(err error) bool {
	_, ok := errors.AsType[*router.RestError](err)
	return ok
}

// begin chooses the version for the next message. A message that is tried again
// gets the same one, unless the state has changed.
func (l *lane) begin(received time.Time) {
	state := l.trial.State()
	l.begun, l.received, l.first = true, received, true
	l.serving = state == Promoted || state == Canary && draw(received) < uint64(l.trial.cfg.Rule.Share)
	l.watched = nil
	if !l.serving && state.watching() && l.trial.room() {
		l.watched = new(tried)
	}
	l.tidy(state)
}

// draw returns a number below 100, for a message the same each time.
func draw(received time.Time) uint64 {
	x := uint64(received.UnixNano())
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9 // the finalizer of SplitMix64
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return (x ^ x>>31) % 100
}

// tidy frees what the state has no use for, if that is to be had at once.
func (l *lane) tidy(state State) {
	if l.new != nil && state == RolledBack {
		l.new.Close()
		l.new = nil
	}
	wanted := state.watching() || state == Promoted && l.new == nil
	if !wanted && l.shaded.Load() && l.mu.TryLock() {
		l.dismiss()
		l.mu.Unlock()
	}
}

// dismiss frees the instance that has the copies; mu is held.
func (l *lane) dismiss() {
	if l.shadow != nil {
		l.shadow.Close()
		l.shadow = nil
	}
	l.open = nil
	l.shaded.Store(false)
}

// serve has the new version decide. What it fails on the old version gets.
func (l *lane) serve(ctx context.Context, stage router.Stage, env *router.Envelope, d *router.Decision) error {
	t := l.trial
	if l.new == nil {
		f, err := l.instance(ctx)
		if err != nil {
			t.rollBack("it cannot be started: " + err.Error())
			l.serving = false
			return run(ctx, t.cfg.Old, l.old, stage, env, d)
		}
		l.new = f
	}
	began := time.Now()
	err := run(ctx, t.cfg.New, l.new, stage, env, d)
	if resting(err) {
		if !l.first {
			return err
		}
		l.serving = false // the old version need not rest
		return run(ctx, t.cfg.Old, l.old, stage, env, d)
	}
	t.timed(time.Since(began))
	if err == nil {
		l.passed(stage)
		return nil
	}
	t.count.failures.Add(1)
	if !l.first {
		return l.failedLate(err)
	}
	got := outcomeOf(env, d, err)
	given := *env
	oldErr := run(ctx, t.cfg.Old, l.old, stage, env, d)
	if resting(oldErr) {
		return oldErr // the message begins anew afterwards
	}
	if classOf(err) == classOf(oldErr) {
		l.passed(stage) // it is the message
		return oldErr
	}
	t.differs(stage, &given, outcomeOf(env, d, oldErr), got)
	t.count.differences.Add(1)
	if broken(err) && !broken(oldErr) {
		t.rollBack(fmt.Sprintf("it failed on a message that the old version took: %v", err))
	}
	l.serving = false // the old version has begun with it
	l.passed(stage)
	return oldErr
}

// instance returns one of the new version: the one that had the copies, which has
// started and knows the traffic, or another.
func (l *lane) instance(ctx context.Context) (router.Filter, error) {
	if l.mu.TryLock() {
		f := l.shadow
		l.shadow, l.open = nil, nil
		l.shaded.Store(false)
		l.mu.Unlock()
		if f != nil {
			return f, nil
		}
	}
	return l.trial.cfg.New.Instance(ctx)
}

// passed counts a message once, and notes how far it has come.
func (l *lane) passed(stage router.Stage) {
	l.stage = stage
	if l.first {
		l.first = false
		l.trial.count.served.Add(1)
	}
	l.trial.judge()
}

// failedLate is about a message of which the new version has changed something in
// an earlier stage, so that the old one cannot go on with it. If the new version
// is to blame, the message is tried again as it came, with the old version.
func (l *lane) failedLate(err error) error {
	fe, ok := errors.AsType[*router.FilterError](err)
	if !ok || !broken(err) {
		return err
	}
	l.trial.rollBack(fmt.Sprintf("it failed: %v", err))
	l.begun = false
	again := *fe
	again.Retryable = true
	return &again
}

// broken reports whether an error is a failure of the filter's, and not its word
// on the message.
func broken(err error) bool {
	class := classOf(err)
	return class != "" && class != wordOf
}

// wordOf is the class of the errors that a filter reports by itself, as
// wasmhost has it.
const wordOf = "error"

// classOf returns the class of a filter's error, "" for none.
func classOf(err error) string {
	if err == nil {
		return ""
	}
	if fe, ok := errors.AsType[*router.FilterError](err); ok {
		return fe.Class
	}
	return "host"
}

// Close implements [router.Filter]. It waits while the trial's goroutine uses the
// lane, at most for the time limit of one call.
func (l *lane) Close() {
	l.old.Close()
	if l.new != nil {
		l.new.Close()
		l.new = nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.dismiss()
}
