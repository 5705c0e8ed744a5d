package pool

import "sync/atomic"

// Lease is the right to use one item. Exactly one of Release and Discard ends
// it; calls after the first do nothing. Its methods are safe for concurrent
// use, its item is as safe as T is.
type Lease[T any] struct {
	pool     *Pool[T]
	item     item[T]
	returned atomic.Bool
}

func (p *Pool[T]) lease(it item[T]) *Lease[T] {
	return &Lease[T]{pool: p, item: it}
}

// Item returns what was lent. After Release or Discard it returns T's zero
// value, and the mistake is counted in [Stat.LateUses]; see also [Lease.Err].
// A value kept from an earlier call must not be used after the lease's end.
func (l *Lease[T]) Item() T {
	if l.returned.Load() {
		l.pool.lateUses.Add(1)
		var zero T
		return zero
	}
	return l.item.value
}

// Err returns ErrReturned once the lease has ended, else nil.
func (l *Lease[T]) Err() error {
	if l.returned.Load() {
		return ErrReturned
	}
	return nil
}

// Release gives the item back. It is reset and lent on; it is closed instead
// if Reset fails, the pool was closed, or Invalidate was called since the item
// was made. Release runs Reset and Close before it returns.
func (l *Lease[T]) Release() {
	if l.returned.Swap(true) {
		return
	}
	p := l.pool
	fit := false
	defer func() { p.giveBack(l.item, fit) }() // also if Reset panics
	if p.cfg.Reset == nil || p.stale(l.item) {
		fit = true // giveBack looks for itself whether the item is stale
		return
	}
	fit = p.cfg.Reset(l.item.value) == nil
	if !fit {
		p.countResetFailure()
	}
}

// Discard gives the slot back and closes the item, which may be broken.
func (l *Lease[T]) Discard() {
	if l.returned.Swap(true) {
		return
	}
	l.pool.giveBack(l.item, false)
}

// stale reports whether it will be closed anyway, so need not be reset.
func (p *Pool[T]) stale(it item[T]) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return it.gen != p.gen || p.closed
}

func (p *Pool[T]) countResetFailure() {
	p.mu.Lock()
	p.stat.ResetFailures++
	p.mu.Unlock()
}
