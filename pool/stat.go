package pool

import "time"

// Stat is a pool at one moment. Counters count since New.
type Stat struct {
	Max     int // as configured
	Idle    int // ready to be lent
	Lent    int
	Making  int // slots whose New is to run or running
	Closing int // items whose Close is to run or running; they hold no slot
	Waiting int // borrowers in line

	Acquires      uint64        // leases given
	Waits         uint64        // Acquires that had to wait in line, ended or not by a lease
	WaitTime      time.Duration // sum of the time spent in line by those who left it
	Canceled      uint64        // Waits that ended with their ctx
	Made          uint64        // News that succeeded
	MakeFailures  uint64        // News that failed
	Discards      uint64        // items closed by Discard or since Reset failed
	ResetFailures uint64        // Resets that failed, also counted in Discards
	Expired       uint64        // items closed after IdleTTL
	Invalidated   uint64        // items closed since Invalidate or Close ended their life
	LateUses      uint64        // calls of Item after the lease's end: a mistake in the caller
}

// Stat returns the pool's state and counters, of the same moment except for
// WaitTime and LateUses, which may be of a slightly later one.
func (p *Pool[T]) Stat() Stat {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stat
	s.Max = p.cfg.Max
	s.Idle = len(p.idle)
	s.Waiting = p.waiters.Len()
	s.WaitTime = time.Duration(p.waited.Load())
	s.LateUses = p.lateUses.Load()
	return s
}
