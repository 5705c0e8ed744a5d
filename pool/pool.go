// Package pool lends a bounded number of things that are dear to make, such as
// AMQP channels, one borrower at a time each.
//
// Borrowers are served in the order in which they asked. Items are made when
// they are needed, outside the lock; the item returned last is lent first, and
// items that lie idle too long are closed by the next Acquire or return, so a
// pool needs no goroutine of its own.
package pool

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Errors that callers test for.
var (
	// ErrClosed is returned by Acquire once Close has been called.
	ErrClosed = errors.New("pool is closed")
	// ErrReturned is what [Lease.Err] says of a lease that was given back.
	ErrReturned = errors.New("lease was returned")
)

// item is something that New made.
type item[T any] struct {
	value T
	gen   uint64 // the pool's generation when New was called
}

type idleItem[T any] struct {
	item[T]
	since time.Time // only set if items expire
}

// grant is what a borrower gets: an item, permission to make one, or an error.
type grant[T any] struct {
	item item[T]
	make bool
	err  error
}

// waiter is a borrower in the queue. The grant is written before ready is
// closed.
type waiter[T any] struct {
	grant[T]
	ready chan struct{}
}

// Pool lends items of type T. It is safe for concurrent use.
type Pool[T any] struct {
	cfg      Config[T]
	stopped  context.Context // ends when Close is called, to end running News
	stop     context.CancelFunc
	drained  chan struct{} // closed when the pool is closed and nothing is left
	waited   atomic.Int64  // nanoseconds spent in line
	lateUses atomic.Uint64

	mu      sync.Mutex    // protects all below; held for short sections without calls out
	idle    []idleItem[T] // the last is the one returned last
	waiters list.List     // of *waiter[T], first come first; empty while a slot is free
	gen     uint64
	closed  bool
	stat    Stat // counters, and Lent, Making and Closing
}

// New returns an empty pool, or an error that names the field at fault.
func New[T any](cfg Config[T]) (*Pool[T], error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Close == nil {
		cfg.Close = func(T) {}
	}
	p := &Pool[T]{cfg: cfg, drained: make(chan struct{})}
	p.stopped, p.stop = context.WithCancel(context.Background())
	return p, nil
}

// Acquire lends an idle item, or makes one while there are fewer than Max, or
// waits in line for one to come back. It returns ctx's error if ctx ends first,
// ErrClosed if the pool is or gets closed, and New's error, wrapped, if New
// fails; in none of these cases is a slot lost. The caller must end the lease
// with Release or Discard.
func (p *Pool[T]) Acquire(ctx context.Context) (*Lease[T], error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	now := p.now()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, ErrClosed
	}
	expired := p.expire(now)
	g, ok := p.grant()
	if ok {
		p.mu.Unlock()
		p.closeItems(expired)
	} else { // and so nothing expired
		w := &waiter[T]{ready: make(chan struct{})}
		place := p.waiters.PushBack(w)
		p.stat.Waits++
		p.mu.Unlock()
		g = p.wait(ctx, w, place)
	}
	switch {
	case g.err != nil:
		return nil, g.err
	case g.make:
		return p.create(ctx)
	}
	return p.lease(g.item), nil
}

// wait returns what w is granted. If ctx ends first, w leaves the queue; if
// both happen, the grant stands, since it already took a slot.
func (p *Pool[T]) wait(ctx context.Context, w *waiter[T], place *list.Element) grant[T] {
	start := time.Now()
	defer func() { p.waited.Add(int64(time.Since(start))) }()
	select {
	case <-w.ready:
		return w.grant
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-w.ready:
	default:
		p.waiters.Remove(place)
		p.stat.Canceled++
		w.err = ctx.Err()
	}
	return w.grant
}

// grant takes an idle item or permission to make one, and reports whether
// there was either. The caller holds mu.
func (p *Pool[T]) grant() (g grant[T], ok bool) {
	switch n := len(p.idle); {
	case n > 0:
		g.item = p.idle[n-1].item
		p.idle[n-1] = idleItem[T]{}
		p.idle = p.idle[:n-1]
		p.stat.Lent++
		p.stat.Acquires++
	case p.stat.Lent+p.stat.Making < p.cfg.Max:
		g.make = true
		p.stat.Making++
	default:
		return g, false
	}
	return g, true
}

// settle ends a section that freed something: it serves the queue, and tells
// Close when nothing is left. The caller holds mu.
func (p *Pool[T]) settle() {
	for front := p.waiters.Front(); front != nil; front = p.waiters.Front() {
		g, ok := p.grant()
		if !ok {
			break
		}
		w := p.waiters.Remove(front).(*waiter[T])
		w.grant = g
		close(w.ready)
	}
	if p.closed && p.stat.Lent+p.stat.Making+p.stat.Closing == 0 {
		select {
		case <-p.drained:
		default:
			close(p.drained)
		}
	}
}

// create makes an item in the slot that the caller was granted.
func (p *Pool[T]) create(ctx context.Context) (*Lease[T], error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.stopped, func() { cancel(ErrClosed) })()

	for {
		p.mu.Lock()
		gen := p.gen
		p.mu.Unlock()
		value, err := p.callNew(ctx)
		if err != nil {
			if p.stopped.Err() != nil {
				return nil, fmt.Errorf("%w: %w", ErrClosed, err)
			}
			return nil, fmt.Errorf("pool: make an item: %w", err)
		}

		p.mu.Lock()
		p.stat.Made++
		if gen == p.gen && !p.closed {
			p.stat.Making--
			p.stat.Lent++
			p.stat.Acquires++
			p.mu.Unlock()
			return p.lease(item[T]{value: value, gen: gen}), nil
		}
		// What was made belongs to what Invalidate or Close has ended.
		closed := p.closed
		p.stat.Invalidated++
		p.stat.Closing++
		if closed {
			p.stat.Making--
		}
		p.mu.Unlock()
		p.closeItems([]T{value})
		if closed {
			return nil, ErrClosed
		}
	}
}

// callNew calls New and gives the slot back if that does not succeed, be it
// by an error, a panic or runtime.Goexit.
func (p *Pool[T]) callNew(ctx context.Context) (value T, err error) {
	made := false
	defer func() {
		if made {
			return
		}
		p.mu.Lock()
		p.stat.Making--
		p.stat.MakeFailures++
		p.settle()
		p.mu.Unlock()
	}()
	if err := ctx.Err(); err != nil {
		return value, err
	}
	value, err = p.cfg.New(ctx)
	made = err == nil
	return value, err
}

// giveBack ends a lease of it. A fit item is lent on or lies idle, another is
// closed.
func (p *Pool[T]) giveBack(it item[T], fit bool) {
	now := p.now()
	p.mu.Lock()
	p.stat.Lent--
	switch {
	case !fit:
		p.stat.Discards++
	case it.gen != p.gen || p.closed:
		p.stat.Invalidated++
		fit = false
	}
	var gone []T
	if fit {
		p.idle = append(p.idle, idleItem[T]{it, now})
	} else {
		p.stat.Closing++
		gone = []T{it.value}
	}
	p.settle()
	gone = append(gone, p.expire(now)...)
	p.mu.Unlock()
	p.closeItems(gone)
}

// now returns the time if anything depends on it.
func (p *Pool[T]) now() time.Time {
	if p.cfg.IdleTTL == 0 {
		return time.Time{}
	}
	return time.Now()
}

// expire takes out the items that lay idle too long, the coldest first, down
// to MinIdle; the caller holds mu and closes them after.
func (p *Pool[T]) expire(now time.Time) []T {
	n := 0
	if p.cfg.IdleTTL > 0 {
		for n < len(p.idle)-p.cfg.MinIdle && now.Sub(p.idle[n].since) >= p.cfg.IdleTTL {
			n++
		}
	}
	p.stat.Expired += uint64(n)
	return p.takeIdle(n)
}

// takeIdle takes the n coldest items out to be closed; the caller holds mu.
func (p *Pool[T]) takeIdle(n int) []T {
	if n == 0 {
		return nil
	}
	out := make([]T, n)
	for i := range out {
		out[i] = p.idle[i].value
	}
	p.idle = slices.Delete(p.idle, 0, n)
	p.stat.Closing += n
	return out
}

// closeItems closes items that Closing already counts.
func (p *Pool[T]) closeItems(values []T) {
	for _, v := range values {
		p.closeItem(v)
	}
}

func (p *Pool[T]) closeItem(v T) {
	defer func() {
		p.mu.Lock()
		p.stat.Closing--
		p.settle()
		p.mu.Unlock()
	}()
	p.cfg.Close(v)
}

// Invalidate ends the life of every item made so far: idle ones are closed
// before it returns, lent ones when they come back, and one being made is
// closed and made again. Call it when what the items belong to was lost.
func (p *Pool[T]) Invalidate() {
	p.mu.Lock()
	p.gen++
	p.stat.Invalidated += uint64(len(p.idle))
	gone := p.takeIdle(len(p.idle))
	p.mu.Unlock()
	p.closeItems(gone)
}

// Close lends nothing more: waiting borrowers get ErrClosed, running News see
// their ctx end, idle items are closed, lent ones when they come back. It
// returns nil when every item is closed, or, when ctx ends before that, an
// error that wraps ctx's and says what is missing; the items still lent are
// closed on return all the same. It may be called again, also concurrently.
func (p *Pool[T]) Close(ctx context.Context) error {
	p.mu.Lock()
	var gone []T
	if !p.closed {
		p.closed = true
		for front := p.waiters.Front(); front != nil; front = p.waiters.Front() {
			w := p.waiters.Remove(front).(*waiter[T])
			w.err = ErrClosed
			close(w.ready)
		}
		p.stat.Invalidated += uint64(len(p.idle))
		gone = p.takeIdle(len(p.idle))
		p.settle()
	}
	p.mu.Unlock()
	p.stop()
	if len(gone) > 0 {
		// An item's Close takes no ctx and may hang with a stuck peer. The
		// goroutine is waited for through drained.
		go p.closeItems(gone)
	}
	select {
	case <-p.drained:
		return nil
	default:
	}
	select {
	case <-p.drained:
		return nil
	case <-ctx.Done():
		s := p.Stat()
		return fmt.Errorf("pool: close: %d lent, %d being made, %d being closed: %w", s.Lent, s.Making, s.Closing, ctx.Err())
	}
}
