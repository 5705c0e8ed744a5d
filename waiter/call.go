package waiter

import (
	"context"
	"sync/atomic"
	"time"
)

// Call waits for one answer. Wait and Close may be called concurrently.
type Call[T any] struct {
	table *Table[T]
	id    string

	// All below are protected by the lock of the id's shard. What Wait returns
	// does not change once ended is set.
	next    *Call[T] // another call whose id has the same hash
	value   T
	err     error
	done    chan struct{} // made by Wait, closed once the call has ended
	monitor *monitor
	ended   bool
}

// monitor is the timer of one Wait.
type monitor struct {
	timer   *time.Timer
	allowed time.Duration
}

// rearm starts the time anew. A timer that has fired but was not yet seen is
// taken back by Reset.
func (m *monitor) rearm() { m.timer.Reset(m.allowed) }

// ID returns the id that the call was registered with.
func (c *Call[T]) ID() string { return c.id }

// Wait returns the answer, or the error of what came first: ctx's own, ErrSilent
// if limit is above 0 and passes without a keep-alive, the one given to Fail,
// or ErrClosed. Each of them ends the call; Wait then returns the same again.
// An answer that came at the same time as an error wins. While a Wait runs,
// another of the same call returns ErrBusy.
func (c *Call[T]) Wait(ctx context.Context, limit time.Duration) (T, error) {
	var done chan struct{}
	var m *monitor
	var silent <-chan time.Time

	s, _ := c.table.at(c.id)
	s.mu.Lock()
	switch {
	case c.ended:
		s.mu.Unlock()
		return c.value, c.err
	case c.done != nil:
		s.mu.Unlock()
		var zero T
		return zero, ErrBusy
	}
	done = make(chan struct{})
	c.done = done
	if limit > 0 {
		m = &monitor{time.NewTimer(limit), limit}
		c.monitor, silent = m, m.timer.C
	}
	s.mu.Unlock()

	select {
	case <-done:
	case <-ctx.Done():
		c.end(ctx.Err(), &c.table.counters.canceled)
	case <-silent:
		c.end(ErrSilent, &c.table.counters.silent)
	}
	if m != nil {
		m.timer.Stop()
	}
	return c.value, c.err
}

// Close ends the call if it still waits: its answer, should it come, is dropped,
// and a running Wait returns ErrClosed. It may be called again.
func (c *Call[T]) Close() { c.end(ErrClosed, &c.table.counters.abandoned) }

// end ends a call that still waits with err and counts it.
func (c *Call[T]) end(err error, count *atomic.Uint64) {
	s, h := c.table.at(c.id)
	s.mu.Lock()
	if c.ended {
		s.mu.Unlock()
		return
	}
	s.remove(h, c)
	c.err, c.ended = err, true
	done := c.done
	s.mu.Unlock()

	c.table.note(h, false)
	count.Add(1)
	if done != nil {
		close(done)
	}
}
