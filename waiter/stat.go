package waiter

import "sync/atomic"

type counters struct {
	registered, delivered, failed, canceled, silent, abandoned atomic.Uint64
	late, duplicate, unknown, beats, lateBeats                 atomic.Uint64
}

// Stat is a table at one moment. Counters count since New.
type Stat struct {
	Waiting int

	Registered uint64
	Delivered  uint64 // calls that ended with their answer
	Failed     uint64 // calls that Fail or Close of the table ended
	Canceled   uint64 // calls that ended with the ctx of their Wait
	Silent     uint64 // calls that missed their keep-alives
	Abandoned  uint64 // calls that were closed while they waited

	// Answers that came to no waiting call and were dropped. The table
	// remembers a few thousand ended calls; what is older counts as unknown.
	Late      uint64 // the call had ended without an answer
	Duplicate uint64 // the call had its answer
	Unknown   uint64

	Beats     uint64 // keep-alives of waiting calls
	LateBeats uint64 // keep-alives of others
}

// Unmatched is how many answers came to no waiting call.
func (s Stat) Unmatched() uint64 { return s.Late + s.Duplicate + s.Unknown }

// Stat returns the table's state and counters. What happens meanwhile may be
// in some of them and not in others.
func (t *Table[T]) Stat() Stat {
	c := &t.counters
	return Stat{
		Waiting:    t.Len(),
		Registered: c.registered.Load(),
		Delivered:  c.delivered.Load(),
		Failed:     c.failed.Load(),
		Canceled:   c.canceled.Load(),
		Silent:     c.silent.Load(),
		Abandoned:  c.abandoned.Load(),
		Late:       c.late.Load(),
		Duplicate:  c.duplicate.Load(),
		Unknown:    c.unknown.Load(),
		Beats:      c.beats.Load(),
		LateBeats:  c.lateBeats.Load(),
	}
}
