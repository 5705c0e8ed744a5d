package shadow

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"
)

// Counts are what has become of a trial's messages. None ever falls.
type Counts struct {
	Compared    uint64 // messages that both versions have had
	Differences uint64 // of them and of Served, that the two treat differently
	Served      uint64 // messages that the new version was to decide
	Failures    uint64 // calls in which the new version failed
	Calls       uint64 // of the new version
	Slow        uint64 // of those, longer than the rule's MaxLatency
	Shed        uint64 // messages that were not compared, for want of room or time
}

func (c Counts) minus(b Counts) Counts {
	return Counts{
		c.Compared - b.Compared, c.Differences - b.Differences, c.Served - b.Served, c.Failures - b.Failures,
		c.Calls - b.Calls, c.Slow - b.Slow, c.Shed - b.Shed,
	}
}

type counters struct {
	compared, differences, served, failures, calls, slow, shed atomic.Uint64
}

// load reads the counters. Differences come first, so that there are never more
// of them than messages.
func (c *counters) load() Counts {
	n := Counts{Differences: c.differences.Load(), Failures: c.failures.Load(), Slow: c.slow.Load()}
	n.Compared, n.Served, n.Calls, n.Shed = c.compared.Load(), c.served.Load(), c.calls.Load(), c.shed.Load()
	return n
}

// Stat is a trial at one moment.
type Stat struct {
	State  State
	Since  time.Time
	Reason string // why it is in that state; empty at first
	Rule   Rule
	Trial  Counts            // since it began, or began again
	Total  Counts            // since the trial was made
	Kinds  map[string]uint64 // differences by what differs, which may be several things
}

// Stat returns the trial at this moment.
func (t *Trial) Stat() Stat {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.count.load()
	return Stat{
		State: t.State(), Since: t.since, Reason: t.reason, Rule: t.cfg.Rule,
		Trial: n.minus(t.base), Total: n, Kinds: maps.Clone(t.kept.kinds),
	}
}

// Differences returns the last differences, the newest first. Without values,
// what may be a message's content (of headers, properties and bodies) is hidden.
func (t *Trial) Differences(values bool) []Difference {
	t.mu.Lock()
	all := slices.Clone(t.kept.list)
	t.mu.Unlock()
	slices.Reverse(all)
	for i := range all {
		if !values {
			all[i] = all[i].hidden()
		}
	}
	return all
}

const (
	maxKept  = 50 // differences
	maxKinds = 64
	others   = "others" // the kind of those above maxKinds
)

// kept is what is remembered of differences.
type kept struct {
	list  []Difference // the oldest first
	kinds map[string]uint64
}

func (k *kept) add(d Difference) {
	if len(k.list) == maxKept {
		k.list = slices.Delete(k.list, 0, 1)
	}
	k.list = append(k.list, d)
	if k.kinds == nil {
		k.kinds = make(map[string]uint64)
	}
	for _, p := range d.Parts {
		kind := p.What
		if _, known := k.kinds[kind]; !known && len(k.kinds) >= maxKinds {
			kind = others
		}
		k.kinds[kind]++
	}
}
