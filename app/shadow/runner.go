package shadow

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/router"
)

// What waits to be compared is bounded in number and bytes, and comparing may
// take one part in cpuShare of a processor: what is more is not compared, which
// is counted.
const (
	maxQueue   = 256
	maxBytes   = 8 << 20
	cpuShare   = 4
	napOf      = 10 * time.Millisecond // the least that is worth a rest
	warnsEvery = int64(time.Minute)
)

// call is one call of the old version, to be repeated with the new one.
type call struct {
	lane  *lane
	of    *tried
	first bool // of the message
	stage router.Stage
	env   router.Envelope // as it was given to the old version
	d     router.Decision // the same
	made  outcome         // by the old version
	size  int64
}

// tried is one message of which copies are given to the new version. It is counted
// once: as compared, or as left out if it was cut before they came out differently.
type tried struct {
	cut atomic.Bool // not all of its calls are handed over

	// What follows is the lane's, whose mu protects it.
	counted bool
	differs bool
}

// room reports whether another message may be compared, and counts it if not.
func (t *Trial) room() bool {
	if len(t.queue) < maxQueue-router.NumStages && t.bytes.Load() < maxBytes {
		return true
	}
	t.count.shed.Add(1)
	return false
}

// observe notes what the old version is given.
func (l *lane) observe(stage router.Stage, env *router.Envelope, d *router.Decision) *call {
	return &call{lane: l, of: l.watched, first: l.first, stage: stage, env: env.Clone(), d: cloneDecision(d)}
}

// submit hands a call over, if there is room for it. If not, no call of its
// message may follow.
func (t *Trial) submit(c *call) bool {
	c.size = int64(len(c.env.Body) + len(c.made.env.Body))
	for i := range c.made.d.Emitted {
		c.size += int64(len(c.made.d.Emitted[i].Envelope.Body))
	}
	t.bytes.Add(c.size)
	select {
	case t.queue <- c:
		return true
	default:
		t.bytes.Add(-c.size)
		if c.of.cut.Store(true); c.first {
			t.count.shed.Add(1) // else it is counted with what was handed over
		}
		return false
	}
}

// run compares until ctx ends. It rests after its work, for cpuShare-1 times as
// long as that took.
func (t *Trial) run(ctx context.Context) {
	rest := time.NewTimer(time.Hour)
	defer rest.Stop()
	owed := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-t.queue:
			began := time.Now()
			t.bytes.Add(-c.size)
			t.compare(ctx, c)
			owed += (cpuShare - 1) * time.Since(began)
		}
		if owed < napOf {
			continue
		}
		rest.Reset(owed)
		owed = 0
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
		}
	}
}

// compare repeats one call with the new version.
func (t *Trial) compare(ctx context.Context, c *call) {
	l := c.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || !t.State().watching() {
		return
	}
	if c.first {
		t.finish(l)
		l.open = c.of
	}
	if l.open == nil {
		return // the message's beginning was left out
	}
	if l.shadow == nil {
		f, err := t.cfg.New.Instance(ctx)
		if err != nil {
			t.rollBack("it cannot be started: " + err.Error())
			return
		}
		l.shadow = f
		l.shaded.Store(true)
	}
	given := c.env.Clone()
	began := time.Now()
	err := run(ctx, t.cfg.New, l.shadow, c.stage, &c.env, &c.d)
	if resting(err) {
		l.open.cut.Store(true)
		t.finish(l)
		return
	}
	t.timed(time.Since(began))
	got := outcomeOf(&c.env, &c.d, err)
	if err != nil {
		t.count.failures.Add(1)
	}
	if t.differs(c.stage, &given, c.made, got) {
		if !l.open.differs {
			l.open.differs = true
			t.count.differences.Add(1)
			if l.open.counted {
				t.judge()
			}
		}
		if broken(err) && !broken(c.made.err) {
			t.tally(l.open)
			l.open = nil
			t.rollBack(fmt.Sprintf("it failed on a message that the old version took: %v", err))
			return
		}
	}
	switch {
	case (err == nil) != (c.made.err == nil):
		t.finish(l) // from here on the two have different messages
	case c.stage == t.last || err != nil:
		// The last stages are passed once for each target: more may come.
		if t.tally(l.open) {
			t.judge()
		}
	}
}

// finish ends the comparison of the lane's message.
func (t *Trial) finish(l *lane) {
	if l.open != nil && t.tally(l.open) {
		t.judge()
	}
	l.open = nil
}

// tally counts a message, and reports whether it was not counted before.
func (t *Trial) tally(m *tried) bool {
	if m.counted {
		return false
	}
	m.counted = true
	if m.cut.Load() && !m.differs {
		t.count.shed.Add(1)
	} else {
		t.count.compared.Add(1)
	}
	return true
}

// timed notes how long a call of the new version took.
func (t *Trial) timed(took time.Duration) {
	t.count.calls.Add(1)
	if limit := t.cfg.Rule.MaxLatency; limit > 0 && took > limit {
		t.count.slow.Add(1)
	}
}

// differs notes in what two outcomes differ, and reports whether they do.
func (t *Trial) differs(stage router.Stage, given *router.Envelope, old, fresh outcome) bool {
	parts := difference(old, fresh)
	if len(parts) == 0 {
		return false
	}
	d := Difference{
		At: time.Now(), Queue: given.Origin.Queue, MessageID: given.MessageID, Stage: stage.String(),
		Parts: parts, Body: excerpt(given.Body, 0),
	}
	t.mu.Lock()
	t.kept.add(d)
	n := t.count.load().minus(t.base)
	t.mu.Unlock()
	now, before := d.At.UnixNano(), t.warns.Load()
	if now-before >= warnsEvery && t.warns.CompareAndSwap(before, now) {
		t.log.Warn("the new version of a filter treats a message differently; `router filter shadow` shows how", slog.String("id", given.MessageID),
			slog.String("stage", d.Stage), slog.Any("what", d.whats()), slog.Uint64("compared", n.Compared), slog.Uint64("differences", n.Differences))
	}
	return true
}
