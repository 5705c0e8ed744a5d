package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/router"
)

// delivery is one message on its way, over all its tries. A try connects,
// declares and publishes; the first runs in the operation's own goroutine, one
// after a publish that failed in one of the client's.
type delivery struct {
	c      *Client
	ctx    context.Context // ends with the operation, and when the client stops waiting for it
	target router.Target
	env    router.Envelope
	until  time.Time
	expire bool                        // the broker is to drop it at until
	ready  func(context.Context) error // what else a try needs; nil is nothing
	end    func(error)                 // called once; must not block

	left       int // tries after this one; below 0 without bound
	pause      time.Duration
	redeclared bool        // for a vanished exchange, which is done once
	published  atomic.Bool // the broker may have it, or a part of its queues

	mu   sync.Mutex // protects last
	last error      // of the last try that failed
}

// try publishes, again and again until that went well or the tries are used up.
func (d *delivery) try() {
	for {
		err := d.once()
		if err == nil {
			return // settled goes on
		}
		if !d.again(err) {
			return
		}
	}
}

func (d *delivery) once() error {
	if err := d.ctx.Err(); err != nil {
		return err
	}
	if d.c.cfg.Connect != nil {
		if err := d.c.cfg.Connect(d.ctx); err != nil {
			return fmt.Errorf("%w: %w", router.ErrDisconnected, err)
		}
	}
	if d.ready != nil {
		if err := d.ready(d.ctx); err != nil {
			return err
		}
	}
	if err := d.c.ensure(d.ctx, d.target); err != nil {
		return err
	}
	return d.c.out.send(d.ctx, &post{target: d.target, env: d.env, until: d.until, expire: d.expire, done: d.settled})
}

// settled takes the broker's answer to a publish.
func (d *delivery) settled(err error) {
	if err == nil {
		d.published.Store(true)
		d.end(nil)
		return
	}
	d.c.forget(d.target) // what it goes to may have vanished
	if transient(err) {
		d.published.Store(true) // to some queue at least, perhaps
	}
	if !d.c.spawn(func() {
		if d.again(err) {
			d.try()
		}
	}) {
		d.end(err)
	}
}

// again reports, after the pause, whether to try once more after err. If not it
// has ended the delivery.
func (d *delivery) again(err error) bool {
	d.mu.Lock()
	d.last = err
	d.mu.Unlock()
	switch {
	case d.ctx.Err() != nil:
	case errors.Is(err, router.ErrNoExchange) && !d.redeclared:
		d.redeclared = true
		d.c.retried.Add(1)
		return true
	case d.left == 0 || !d.transient(err):
	default:
		d.left--
		if d.rest() {
			d.c.retried.Add(1)
			return true
		}
	}
	d.c.gaveUp.Add(1)
	d.end(err)
	return false
}

// rest waits before the next try. It returns false if that is not to be.
func (d *delivery) rest() bool {
	d.c.retrying.Add(1)
	defer d.c.retrying.Add(-1)
	timer := time.NewTimer(d.pause)
	defer timer.Stop()
	d.pause = min(2*d.pause, maxPause)
	select {
	case <-timer.C:
		return true
	case <-d.ctx.Done():
		return false
	}
}

// transient reports whether a try that failed with err may succeed when it is
// repeated. The broker may have the message already when it is unconfirmed: the
// copy carries the same ids.
func (d *delivery) transient(err error) bool {
	if d.published.Load() && d.c.cfg.AtMostOnce {
		return false
	}
	return transient(err) || errors.Is(err, router.ErrDisconnected)
}

// timeout says how far the delivery has come when its time was up.
func (d *delivery) timeout(err error) error {
	d.mu.Lock()
	last := d.last
	d.mu.Unlock()
	state := errNotSent
	if d.published.Load() {
		state = router.ErrUnconfirmed
	}
	switch {
	case last == nil:
		return fmt.Errorf("%w: %w", state, err)
	case errors.Is(last, err): // and so it says what was waited for
		return fmt.Errorf("%w: %w", state, last)
	}
	return fmt.Errorf("%w: %w; the last try: %w", state, err, last)
}

var errNotSent = errors.New("not sent")
