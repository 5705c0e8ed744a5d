package wasmhost

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/router"
)

const (
	// freeRestarts is how many failures more than successes a filter may have
	// before it rests.
	freeRestarts = 8

	// Starting instances anew may take one part in startShare of a processor's
	// time in the long run, and at once startCredit or the time of freeRestarts
	// starts.
	startShare  = 4
	startCredit = time.Second
)

// gate says when a filter may have another instance. It is safe for concurrent
// use.
//
// A filter never has more than its limit. One that keeps failing rests before
// each start, and the longer the more often it has failed: what it is sent would
// only fail too. And whatever instances are lost for, the time that making new
// ones takes is bounded, so that a few bad messages among many good ones, or
// memory that is full after each call, do not keep processors busy with starting.
type gate struct {
	filter string
	limits Limits
	free   int // freeRestarts, except in tests
	logger *slog.Logger

	troubled atomic.Bool // level is not 0: successes matter

	mu      sync.Mutex // protects what follows
	over    chan struct{}
	room    int       // for further instances
	level   int       // failures that no success has made up for
	inARow  int       // failures since the last success
	since   int       // failures since level was 0
	failing bool      // level has passed free and has not been 0 since
	cause   string    // of the last failure
	last    time.Time // when that was
	until   time.Time // when the rest ends; zero when there is none

	debt    time.Duration // that starts took and time has not paid for
	longest time.Duration // of all starts
	counted time.Time     // when debt was brought up to date
}

func newGate(filter string, limits Limits, logger *slog.Logger) *gate {
	return &gate{
		filter: filter, limits: limits, free: freeRestarts, logger: logger,
		over: make(chan struct{}), room: limits.Instances, counted: time.Now(),
	}
}

// enter takes room for an instance that a lane begins with.
func (g *gate) enter() bool {
	defer g.locked()()
	if g.room == 0 {
		return false
	}
	g.room--
	return true
}

// leave gives the room of an instance back.
func (g *gate) leave() {
	defer g.locked()()
	g.room++
	if g.room == 1 {
		g.wake()
	}
}

// spare tells those who wait for room that there is a spare for one of them: the
// keeper may have been given the room that they were woken for.
func (g *gate) spare() {
	defer g.locked()()
	g.wake()
}

// replace takes room for an instance in place of one that was lost, or returns
// how long to wait. If trial is true, nobody else gets one before it is known
// what comes of this one, which failed and worked are told. There are no trials
// with a spare.
func (g *gate) replace(spare bool) (rest *router.RestError, trial bool) {
	defer g.locked()()
	now := time.Now()
	g.forget(now)
	g.pay(now)
	wait, over := g.until.Sub(now), g.debt-max(startCredit, freeRestarts*g.longest)
	suspect := g.level > g.free
	switch {
	case wait > 0, suspect && spare:
		return g.rest(max(wait, g.length()), g.failures()), false
	case over > 0:
		return g.rest(over*startShare, errors.New("it was started too often")), false
	case g.room == 0:
		return g.rest(g.limits.MaxBackoff, fmt.Errorf("all %d instances that limits.instances allows are in use", g.limits.Instances)), false
	}
	g.room--
	if suspect {
		g.until = now.Add(g.length())
	}
	return nil, suspect
}

// resting returns how long the filter still rests, nil if it does not. A spare that
// was made before the rest began is no reason to go on without one.
func (g *gate) resting() *router.RestError {
	defer g.locked()()
	now := time.Now()
	g.forget(now)
	if wait := g.until.Sub(now); wait > 0 {
		return g.rest(wait, g.failures())
	}
	return nil
}

// failures says why the filter rests.
func (g *gate) failures() error {
	return fmt.Errorf("it keeps failing (%s; %d in a row)", g.cause, g.inARow)
}

func (g *gate) rest(wait time.Duration, why error) *router.RestError {
	return &router.RestError{Filter: g.filter, After: wait, Over: g.over, Err: why}
}

// started notes what a start has cost.
func (g *gate) started(took time.Duration) {
	defer g.locked()()
	g.pay(time.Now())
	g.longest = max(g.longest, took)
	g.debt += took
}

// pay brings the debt up to date.
func (g *gate) pay(now time.Time) {
	g.debt = max(0, g.debt-now.Sub(g.counted)/startShare)
	g.counted = now
}

// length is how long the filter rests, 0 when it need not.
func (g *gate) length() time.Duration {
	shift, d := g.level-g.free-1, g.limits.MaxBackoff
	if shift < 0 {
		return 0
	}
	if shift < 63 && g.limits.RestartBackoff <= d>>shift {
		return g.limits.RestartBackoff << shift
	}
	return d
}

// failed notes that an instance was lost to a failure, or could not be started.
func (g *gate) failed(trial bool, cause string) {
	defer g.locked()()
	now := time.Now()
	g.forget(now)
	resting := g.until.After(now)
	g.inARow++
	g.since++
	g.cause, g.last = cause, now
	g.troubled.Store(true)
	if resting && !trial {
		// An instance from before the rest. All lanes may fail at once, which
		// must not make the rest longer.
		return
	}
	if g.level <= g.free || g.length() < g.limits.MaxBackoff {
		g.level++
	}
	if g.level > g.free {
		g.failing = true
		g.until = now.Add(g.length())
	}
}

// worked notes a call that did not cost the instance. The first one ends the
// rest, further ones end the suspicion.
func (g *gate) worked() {
	if !g.troubled.Load() {
		return
	}
	defer g.locked()()
	g.inARow = 0
	g.level = max(0, min(g.level, g.free+1)-1)
	if g.level == 0 {
		g.calm()
	}
	if !g.until.IsZero() {
		g.until = time.Time{}
		g.wake()
	}
}

// forget ends the suspicion when nothing has failed for long.
func (g *gate) forget(now time.Time) {
	if g.level > 0 && now.Sub(g.last) > 2*g.limits.MaxBackoff {
		g.calm()
	}
}

func (g *gate) calm() {
	g.level, g.inARow, g.failing = 0, 0, false
	g.troubled.Store(false)
}

// wake lets those who rest ask again.
func (g *gate) wake() {
	close(g.over)
	g.over = make(chan struct{})
}

// locked locks, and returns what unlocks and tells the log if failing began or
// ended meanwhile.
func (g *gate) locked() (unlock func()) {
	g.mu.Lock()
	before := g.failing
	return func() {
		after, cause, since, rest := g.failing, g.cause, g.since, g.length()
		if g.level == 0 {
			g.since = 0
		}
		g.mu.Unlock()
		switch {
		case after && !before:
			g.logger.Warn("the filter keeps failing; it rests before each start", slog.Int("failures", since),
				slog.String("cause", cause), slog.String("rest", rest.String()))
		case before && !after:
			g.logger.Info("the filter has stopped failing", slog.Int("failures", since))
		}
	}
}

// Failing is the state of a filter that keeps failing.
type Failing struct {
	Cause  string        // of the last failure, with its class
	InARow int           // failures since the last success
	Rest   time.Duration // the filter's rests before a start, at the moment
	Next   time.Duration // until the next start; 0 when it waits for a message
}

// stat returns nil when the filter does not keep failing.
func (g *gate) stat() *Failing {
	defer g.locked()()
	now := time.Now()
	g.forget(now)
	if !g.failing {
		return nil
	}
	return &Failing{Cause: g.cause, InARow: g.inARow, Rest: g.length(), Next: max(0, g.until.Sub(now))}
}
