package shadow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/router"
)

// State is how far a new version has come.
type State int32

// The states, each a step above the one before it.
const (
	RolledBack State = iota // it gets no messages
	Shadow                  // it gets copies, without effect
	Canary                  // it decides a share of the messages
	Promoted                // it decides all of them
)

var stateNames = [...]string{"rolled-back", "shadow", "canary", "promoted"}

// String returns the state's name as it appears in status and metrics.
func (s State) String() string { return stateNames[s] }

// Rule says when a new version goes a step up by itself, and when it is rolled
// back.
type Rule struct {
	// PromoteAfter is how many messages it must have been tried with before each
	// step; 0 leaves the steps to [Trial.Promote].
	PromoteAfter uint64
	// MaxDifferences is how many messages it may treat differently; one more and
	// it is rolled back. Without PromoteAfter there is no bound.
	MaxDifferences uint64
	// MaxLatency is what 99 of 100 calls may take at most; when more take longer
	// it is rolled back. 0 is no bound.
	MaxLatency time.Duration
	// Share is which part of the messages it decides, in percent, before it
	// decides all; 0 leaves that step out.
	Share int
}

// Config is what a [Trial] needs.
type Config struct {
	Name     string // of the filter
	Old, New router.FilterSource
	Rule     Rule
	Logger   *slog.Logger // nil discards
}

// ErrStep is wrapped by the errors of [Trial.Promote] and [Trial.Rollback] when
// there is no such step.
var ErrStep = errors.New("no such step")

// Trial is a filter's two versions. It implements [router.FilterSource] and is
// safe for concurrent use.
type Trial struct {
	cfg  Config
	log  *slog.Logger
	last router.Stage // that either version takes part in

	state atomic.Int32
	queue chan *call
	bytes atomic.Int64 // that queue holds
	count counters
	warns atomic.Int64 // unix nanoseconds of the last warning of a difference

	stop   context.CancelFunc
	runner sync.WaitGroup

	mu     sync.Mutex // protects what follows, and changes of state
	since  time.Time
	reason string
	base   Counts // when the trial began, or began again
	kept   kept
}

// New begins a trial. It is ended by Close.
func New(cfg Config) *Trial {
	t := &Trial{cfg: cfg, log: cfg.Logger, queue: make(chan *call, maxQueue), since: time.Now()}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	t.log = t.log.With(slog.String("component", "shadow"), slog.String("filter", cfg.Name))
	for s := range router.Stage(router.NumStages) {
		if t.Stages().Has(s) {
			t.last = s
		}
	}
	t.state.Store(int32(Shadow))
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	t.runner.Go(func() { t.run(ctx) })
	return t
}

// Close ends the trial and waits until the new version is not called by it any
// more, at most for the time limit of one call. Lanes may go on with the version
// they have; the caller closes both versions.
func (t *Trial) Close() {
	t.stop()
	t.runner.Wait()
}

// Name returns the filter's name.
func (t *Trial) Name() string { return t.cfg.Name }

// Stages returns the stages that either version takes part in.
func (t *Trial) Stages() router.StageSet { return t.cfg.Old.Stages() | t.cfg.New.Stages() }

// Instance makes an instance of the old version for one lane; one of the new
// version is made when the lane first needs it.
func (t *Trial) Instance(ctx context.Context) (router.Filter, error) {
	old, err := t.cfg.Old.Instance(ctx)
	if err != nil {
		return nil, err
	}
	return &lane{trial: t, old: old}, nil
}

// State returns how far the new version has come.
func (t *Trial) State() State { return State(t.state.Load()) }

// watching reports whether the new version is given copies.
func (s State) watching() bool { return s == Shadow || s == Canary }

// Promote takes the new version one step up, and returns where it is then: one
// that was rolled back becomes a shadow, and its counts begin anew; a shadow
// decides its share, or everything if it has none; then it decides everything.
func (t *Trial) Promote() (State, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from := t.State()
	if from == Promoted {
		return from, fmt.Errorf("%w: the new version of filter %s decides everything already; write it into the configuration", ErrStep, t.cfg.Name)
	}
	if from == RolledBack {
		t.base, t.kept = t.count.load(), kept{}
	}
	return t.move(t.above(from), "by command"), nil
}

// Continue takes a new version that was promoted in another trial of the same two
// to where it was.
func (t *Trial) Continue() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.move(Promoted, "promoted before the reload")
}

// above returns the state that is a step up.
func (t *Trial) above(s State) State {
	if s == Shadow && t.cfg.Rule.Share == 0 {
		return Promoted
	}
	return s + 1
}

// Rollback takes the new version out of use, wherever it is.
func (t *Trial) Rollback() (State, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.State() == RolledBack {
		return RolledBack, fmt.Errorf("%w: the new version of filter %s is not in use: %s", ErrStep, t.cfg.Name, t.reason)
	}
	return t.move(RolledBack, "by command"), nil
}

// rollBack takes the new version out of use because of a fault of its own.
func (t *Trial) rollBack(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.State() != RolledBack {
		t.move(RolledBack, reason)
	}
}

// move changes the state; mu is held.
func (t *Trial) move(to State, reason string) State {
	from := t.State()
	t.since, t.reason = time.Now(), reason
	t.state.Store(int32(to))
	n := t.count.load().minus(t.base)
	log := t.log.With(slog.String("from", from.String()), slog.String("reason", reason), slog.Uint64("compared", n.Compared),
		slog.Uint64("differences", n.Differences), slog.Uint64("served", n.Served))
	switch to {
	case RolledBack:
		log.Warn("the new version of a filter was rolled back; the old one decides")
	case Shadow:
		log.Info("the new version of a filter is tried as a shadow")
	case Canary:
		log.Warn("the new version of a filter decides a share of the messages", slog.Int("share", t.cfg.Rule.Share))
	case Promoted:
		log.Warn("the new version of a filter decides everything until the router stops; write it into the configuration")
	}
	return to
}

// judgedFrom is how many calls there must be before their times are judged,
// unless PromoteAfter asks for fewer messages.
const judgedFrom = 100

// judge applies the rule.
func (t *Trial) judge() {
	if r := t.cfg.Rule; r.PromoteAfter == 0 && r.MaxLatency == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	state, r := t.State(), t.cfg.Rule
	if state == RolledBack {
		return
	}
	n := t.count.load().minus(t.base)
	tried := n.Compared
	if state != Shadow {
		tried = n.Served
	}
	enough := r.PromoteAfter > 0 && tried >= r.PromoteAfter
	switch {
	case r.PromoteAfter > 0 && n.Differences > r.MaxDifferences:
		t.move(RolledBack, fmt.Sprintf("%d of %d messages came out differently; at most %d may", n.Differences, n.Compared+n.Served, r.MaxDifferences))
	case r.MaxLatency > 0 && (enough || n.Calls >= judgedFrom) && n.Slow*100 > n.Calls:
		t.move(RolledBack, fmt.Sprintf("%d of %d calls took longer than %s; at most 1 in 100 may", n.Slow, n.Calls, r.MaxLatency))
	case enough && state != Promoted:
		t.move(t.above(state), fmt.Sprintf("%d messages, %d differences", tried, n.Differences))
	}
}

var _ router.FilterSource = (*Trial)(nil)
