package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/router"
)

const (
	firstPause = 100 * time.Millisecond // before a message is sent again; doubles
	maxPause   = 2 * time.Second

	maxRetries     = 4096     // messages that wait to be sent again
	maxRetryBytes  = 64 << 20 // and the sum of their bodies
	minimumTimeout = time.Millisecond
)

// outbox publishes through one Sender for many goroutines, and publishes again
// what failed and may be repeated, off its callers' path. A message whose
// retries are over, or of which there are too many, is given up. Of those that
// are for one missing queue only one is tried; see breaker.
type outbox struct {
	sender router.Sender
	turn   chan struct{} // holds a token while no one is in Sender.Send

	retried, gaveUp atomic.Uint64

	mu       sync.Mutex // protects the fields below
	waiting  []*post    // to be sent again, in no order
	parked   int        // how many wait in breakers
	breakers map[string]*breaker
	bytes    int // of the bodies of all that wait
	open     int // posts that are not done
	draining bool
	idle     chan struct{} // made by drain, closed when open falls to 0
	wake     chan struct{} // tells run of a change; holds one token

	ctx    context.Context // of the second and later tries, ends in close
	cancel context.CancelFunc
	ran    sync.WaitGroup
}

// post is one message on its way out. It is the Receipt of its own publish.
type post struct {
	box    *outbox
	target router.Target
	env    router.Envelope
	until  time.Time // no try begins later
	expire bool      // the broker is to drop it at until
	again  func(error) bool
	done   func(error) // called once, if send returned nil; must not block

	// breaker names the queue that p and others wait for together while it is
	// missing; "" is none. Missing, if set, is called when p begins to wait for
	// it, perhaps more than once; it must not block.
	breaker string
	missing func()

	abandoned atomic.Bool // nobody wants it any more
	pause     time.Duration
	due       time.Time
	err       error // of the last try
}

func newOutbox(sender router.Sender) *outbox {
	b := &outbox{sender: sender, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), breakers: map[string]*breaker{}}
	b.turn <- struct{}{}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.ran.Go(b.run)
	return b
}

// send publishes p, for the first time. If it returns nil, p.done will be
// called; else it never is. It waits for its turn and for the Sender. A message
// for a queue that is missing is not published now: it waits with the others.
func (b *outbox) send(ctx context.Context, p *post) error {
	p.box, p.pause = b, firstPause
	b.mu.Lock()
	if b.draining {
		b.mu.Unlock()
		return ErrClosed
	}
	parked, err := b.park(p, nil)
	if err != nil {
		b.mu.Unlock()
		return err
	}
	b.open++
	b.mu.Unlock()
	if parked {
		p.isMissing()
		return nil
	}
	if err := b.publish(ctx, p); err != nil {
		b.finished()
		return err
	}
	return nil
}

// sendSoon is send that never waits: p is published by the outbox itself, if
// there is room.
func (b *outbox) sendSoon(p *post) error {
	p.box, p.pause, p.due, p.err = b, firstPause, time.Now(), router.ErrUnconfirmed
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.draining:
		return ErrClosed
	case !b.room(p):
		return errCrowded
	}
	b.open++
	b.waiting = append(b.waiting, p)
	b.bytes += len(p.env.Body)
	b.signal()
	return nil
}

func (b *outbox) publish(ctx context.Context, p *post) error {
	select {
	case <-b.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { b.turn <- struct{}{} }()
	if p.expire {
		p.env.Expiration = strconv.FormatInt(max(time.Until(p.until), minimumTimeout).Milliseconds(), 10)
	}
	return b.sender.Send(ctx, p.target, &p.env, p)
}

// Settle implements [router.Receipt].
func (p *post) Settle(err error) {
	if err != nil {
		var again bool
		if again, err = p.box.retry(p, err); again {
			return
		}
	}
	p.end(err)
}

// end tells what became of p, and of those that waited for it and no longer
// do.
func (p *post) end(err error) {
	ended := p.box.leave(p, err)
	p.over(err)
	for _, other := range ended {
		other.over(other.err)
	}
}

func (p *post) over(err error) {
	if err != nil {
		p.box.gaveUp.Add(1)
	}
	p.done(err)
	p.box.finished()
}

func (p *post) isMissing() {
	if p.missing != nil {
		p.missing()
	}
}

// retry takes p to be sent again, if that is worth it and there is room. If not
// it returns the error to end with.
func (b *outbox) retry(p *post, err error) (bool, error) {
	if p.again == nil || !p.again(err) || p.abandoned.Load() {
		return false, err
	}
	missing := p.breaker != "" && errors.Is(err, router.ErrUnroutable)
	again, ended, err := b.keep(p, err, missing)
	for _, other := range ended {
		other.over(other.err)
	}
	if again && missing {
		p.isMissing()
	}
	return again, err
}

// keep is the part of retry that holds mu.
func (b *outbox) keep(p *post, err error, missing bool) (again bool, ended []*post, _ error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() != nil || b.hopeless(err) {
		return false, nil, err
	}
	if missing {
		switch parked, full := b.park(p, err); {
		case parked:
			return true, nil, nil
		case full != nil:
			return false, nil, fmt.Errorf("%w: %w", full, err)
		}
	}
	due := time.Now().Add(p.pause)
	switch {
	case due.After(p.until):
		return false, nil, err
	case !b.room(p):
		return false, nil, fmt.Errorf("%w: %w", errCrowded, err)
	}
	if missing {
		br := b.breakers[p.breaker]
		if br == nil {
			br = &breaker{probe: p}
			b.breakers[p.breaker] = br
		}
		ended = b.expire(br)
	}
	p.err, p.due, p.pause = err, due, min(2*p.pause, maxPause)
	b.waiting = append(b.waiting, p)
	b.bytes += len(p.env.Body)
	b.signal()
	return true, ended, nil
}

// hopeless reports whether a message with that error is not waited for when
// stopping: it goes nowhere, whereas a lost connection comes back. The caller
// holds mu.
func (b *outbox) hopeless(err error) bool {
	return b.draining && errors.Is(err, router.ErrUnroutable)
}

func (b *outbox) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// run sends again what is due, until the outbox is closed.
func (b *outbox) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		due, next := b.collect()
		for _, p := range due {
			b.resend(p)
		}
		if len(due) > 0 {
			continue
		}
		timer.Reset(next)
		select {
		case <-b.wake:
		case <-timer.C:
		case <-b.ctx.Done():
			due, _ := b.collect() // everything, now that the context has ended
			for _, p := range due {
				p.end(p.err)
			}
			return
		}
	}
}

// collect takes out what is due, and tells how long it is until more is.
func (b *outbox) collect() (due []*post, next time.Duration) {
	next = time.Hour
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = slices.DeleteFunc(b.waiting, func(p *post) bool {
		if p.due.After(now) && !p.abandoned.Load() && !b.hopeless(p.err) && b.ctx.Err() == nil {
			next = min(next, p.due.Sub(now))
			return false
		}
		b.bytes -= len(p.env.Body)
		due = append(due, p)
		return true
	})
	slices.SortStableFunc(due, func(x, y *post) int { return x.due.Compare(y.due) })
	return due, next
}

func (b *outbox) resend(p *post) {
	b.mu.Lock()
	hopeless := b.hopeless(p.err)
	b.mu.Unlock()
	if hopeless || p.abandoned.Load() {
		p.end(p.err)
		return
	}
	ctx, cancel := context.WithDeadline(b.ctx, p.until)
	defer cancel()
	b.retried.Add(1)
	if err := b.publish(ctx, p); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w; trying again: %w", p.err, err)
		}
		p.end(err)
	}
}

func (b *outbox) finished() {
	b.mu.Lock()
	b.open--
	idle := b.idle
	if b.open > 0 {
		idle = nil
	}
	b.mu.Unlock()
	if idle != nil {
		close(idle)
	}
}

// close refuses new messages, waits for those on their way until ctx ends,
// gives up the rest and closes the Sender. Only the first call does anything.
func (b *outbox) close(ctx context.Context) {
	b.mu.Lock()
	if b.draining {
		b.mu.Unlock()
		return
	}
	b.draining = true
	idle := make(chan struct{})
	if b.open == 0 {
		close(idle)
	} else {
		b.idle = idle
	}
	b.signal()
	b.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	b.cancel()
	b.sender.Close() // settles what is still open
	b.ran.Wait()
}

func (b *outbox) pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting) + b.parked
}

// missing returns how many queues messages wait for.
func (b *outbox) missing() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.breakers)
}

// transient reports whether a publish that failed with err may succeed when it
// is repeated. The broker may have the message already when it is unconfirmed:
// the copy carries the same ids.
func transient(err error) bool {
	return errors.Is(err, router.ErrUnconfirmed) || errors.Is(err, router.ErrNacked)
}
