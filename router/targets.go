package router

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// What [TargetStat.Target] is for sends that are not counted by their target.
const (
	OtherTargets = "other"   // of more targets than MaxTargets
	ReplyTargets = "replies" // queues that callers wait at, of which there are new ones all the time
)

// MaxTargets is how many targets of one route are told apart: those of the
// configuration first, and then those that filters choose, in the order in which they
// do. If the route itself sends to more, it is so many.
const MaxTargets = 64

// TargetStat is what became of a route's sends to one target at one moment.
type TargetStat struct {
	Target string              // as [Target.String] writes it, or OtherTargets or ReplyTargets
	Named  bool                // that name is the configuration's or the router's own, and no filter's
	Sent   [sentResults]uint64 // by SentNames
}

// targetCounts counts the sends to one target. It is safe for concurrent use.
type targetCounts struct {
	named bool
	sent  [sentResults]atomic.Uint64
}

func (c *targetCounts) load() (sent [sentResults]uint64) {
	for i := range sent {
		sent[i] = c.sent[i].Load()
	}
	return sent
}

// targets counts a route's sends by target. It is safe for concurrent use; to find a
// target takes no lock.
type targets struct {
	send       []*targetCounts // of RouteConfig.Send
	letters    *targetCounts   // of RouteConfig.DeadLetter
	deadLetter string          // its name, if it is not in known
	replies    targetCounts
	other      targetCounts

	// known holds targets that the route sends to or that a filter may choose, and
	// nothing else: who is in it needs no permission. It is replaced, never changed.
	known atomic.Pointer[map[Target]*targetCounts]
	mu    sync.Mutex // held to replace it
}

// init gives the targets of the configuration their counts.
func (ts *targets) init(cfg *RouteConfig) {
	ts.replies.named = true
	known := make(map[Target]*targetCounts)
	of := func(t Target) *targetCounts {
		if known[t] == nil {
			known[t] = &targetCounts{named: true}
		}
		return known[t]
	}
	for _, t := range cfg.Send {
		ts.send = append(ts.send, of(t))
	}
	if t := cfg.DeadLetter; known[t] != nil || cfg.Allow.Permits(t) {
		ts.letters = of(t)
	} else {
		ts.letters, ts.deadLetter = &targetCounts{named: true}, t.String()
	}
	for _, p := range cfg.Allow.Patterns() {
		if t, err := ParseTarget(p); err == nil && !strings.Contains(p, "*") && len(known) < MaxTargets && cfg.Allow.Permits(t) {
			of(t)
		}
	}
	ts.known.Store(&known)
}

// add returns the counts of a target that a filter may choose.
func (ts *targets) add(t Target) *targetCounts {
	if len(*ts.known.Load()) >= MaxTargets || t.Validate() != nil {
		return &ts.other
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	known := *ts.known.Load()
	if c := known[t]; c != nil {
		return c
	}
	if len(known) >= MaxTargets {
		return &ts.other
	}
	c := new(targetCounts)
	known = maps.Clone(known)
	known[t] = c
	ts.known.Store(&known)
	return c
}

// stat returns the counts by target, sorted, and their sum: those of the
// configuration, and what else was sent to.
func (ts *targets) stat() (list []TargetStat, sum [sentResults]uint64) {
	for t, c := range *ts.known.Load() {
		list = append(list, TargetStat{t.String(), c.named, c.load()})
	}
	if ts.deadLetter != "" {
		list = append(list, TargetStat{ts.deadLetter, true, ts.letters.load()})
	}
	list = append(list, TargetStat{OtherTargets, false, ts.other.load()}, TargetStat{ReplyTargets, true, ts.replies.load()})
	list = slices.DeleteFunc(list, func(s TargetStat) bool {
		return s.Sent == [sentResults]uint64{} && (!s.Named || s.Target == ReplyTargets)
	})
	slices.SortFunc(list, func(a, b TargetStat) int { return cmp.Compare(a.Target, b.Target) })
	for _, s := range list {
		for i, n := range s.Sent {
			sum[i] += n
		}
	}
	return list, sum
}

// counts returns the counts of a target, and false if a message must not go there:
// neither does the route itself name it, nor may a filter choose it.
func (r *Route) counts(t Target) (*targetCounts, bool) {
	if i := slices.Index(r.cfg.Send, t); i >= 0 {
		return r.targets.send[i], true
	}
	if c := (*r.targets.known.Load())[t]; c != nil {
		return c, true
	}
	if !r.cfg.Allow.Permits(t) {
		return nil, false
	}
	return r.targets.add(t), true
}

// result returns what became of a send, of which err says what its Receipt was told or
// Send returned.
func result(err error) int {
	switch {
	case err == nil:
		return sentOK
	case errors.Is(err, ErrUnroutable):
		return sentUnroutable
	case errors.Is(err, ErrUnsendable):
		return sentUnsendable
	case errors.Is(err, ErrNacked):
		return sentNacked
	}
	return sentUnconfirmed
}
