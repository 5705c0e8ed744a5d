package router

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// verdict is how a delivery was settled.
type verdict uint8

const (
	verdictForward verdict = iota
	verdictDrop
	verdictReject
	verdictReply
	verdictRequeue
	verdictStale // its session was lost; the broker delivers it again
	verdicts
)

// VerdictNames are the names of the counts in [RouteStat.Settled].
var VerdictNames = [verdicts]string{"forward", "drop", "reject", "reply", "requeue", "stale"}

const (
	sentOK = iota
	sentUnroutable
	sentNacked
	sentUnconfirmed
	sentUnsendable
	sentResults
)

// SentNames are the names of the counts in [RouteStat.Sent].
var SentNames = [sentResults]string{"ok", "unroutable", "nacked", "unconfirmed", "unsendable"}

type counters struct {
	received           atomic.Uint64
	redelivered        atomic.Uint64
	duplicates         atomic.Uint64
	retries            atomic.Uint64
	filterFailures     atomic.Uint64
	deadLetterFailures atomic.Uint64
	settled            [verdicts]atomic.Uint64
	inflight           atomic.Int64
	held               atomic.Int64
	duration           Histogram
	lastWarning        atomic.Pointer[time.Time]

	mu          sync.Mutex // protects deadLetters
	deadLetters map[string]uint64
}

func (c *counters) init() { c.deadLetters = make(map[string]uint64) }

func (c *counters) deadLettered(reason string) {
	c.mu.Lock()
	c.deadLetters[reason]++
	c.mu.Unlock()
}

// sampled reports whether a warning about a single message may be logged now:
// one a second for each route, the counters have the rest.
func (c *counters) sampled() bool {
	now := time.Now()
	last := c.lastWarning.Load()
	return (last == nil || now.Sub(*last) >= time.Second) && c.lastWarning.CompareAndSwap(last, &now)
}

// RouteStat is a route's counts at one moment.
type RouteStat struct {
	Received           uint64
	Redelivered        uint64
	Duplicates         uint64 // sends left out, the target already had the message
	Retries            uint64
	FilterFailures     uint64
	DeadLetterFailures uint64
	Settled            [verdicts]uint64    // by VerdictNames
	Sent               [sentResults]uint64 // by SentNames
	Targets            []TargetStat        // Sent by target, sorted; those of the configuration also before anything is sent
	DeadLetters        map[string]uint64   // by reason
	Inflight           int64               // taken and not settled
	Held               int64               // waiting to be tried again
	Duration           HistogramStat       // received to settled
}

// Stat returns the route's counts.
func (r *Route) Stat() RouteStat {
	c := &r.stat
	s := RouteStat{
		Received:           c.received.Load(),
		Redelivered:        c.redelivered.Load(),
		Duplicates:         c.duplicates.Load(),
		Retries:            c.retries.Load(),
		FilterFailures:     c.filterFailures.Load(),
		DeadLetterFailures: c.deadLetterFailures.Load(),
		Inflight:           c.inflight.Load(),
		Held:               c.held.Load(),
		Duration:           c.duration.Stat(),
		DeadLetters:        make(map[string]uint64),
	}
	for i := range s.Settled {
		s.Settled[i] = c.settled[i].Load()
	}
	s.Targets, s.Sent = r.targets.stat()
	c.mu.Lock()
	maps.Copy(s.DeadLetters, c.deadLetters)
	c.mu.Unlock()
	return s
}
