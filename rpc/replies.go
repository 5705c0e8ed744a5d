package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/waiter"
)

// outcome ends a call: with an answer, or because the request was not sent.
type outcome struct {
	answer Answer
	err    error
}

// replies is the client's reply queue, its listener and the calls that wait.
type replies struct {
	cfg     ClientConfig
	source  router.Source
	check   chan struct{} // makes the listener look whether the queue is there
	waiting *waiter.Table[outcome]

	fresh     atomic.Bool            // as far as known the queue exists and is listened to
	queue     atomic.Pointer[string] // its name; empty until a numbered one has its number
	heard     atomic.Bool            // something came since the last look
	losses    atomic.Uint64          // how often it was lost
	malformed atomic.Uint64
	warned    seldom // of what is unreadable

	mu        sync.Mutex    // protects the fields below
	changed   chan struct{} // closed and replaced when one of them or fresh changes
	err       error         // why it is not listened to
	listening bool
	ended     int // how often the listener did
	closed    bool

	ctx    context.Context // of the listener
	cancel context.CancelFunc
	ran    sync.WaitGroup
}

func newReplies(cfg ClientConfig) *replies {
	r := &replies{
		cfg: cfg, source: cfg.Layout.Reply(), check: make(chan struct{}, 1),
		waiting: waiter.New[outcome](), changed: make(chan struct{}),
	}
	name := ""
	if !r.source.Numbered {
		name = r.source.Queue
	}
	r.queue.Store(&name)
	r.source.Prefetch = cmp.Or(r.source.Prefetch, DefaultReplyPrefetch)
	r.source.DrainTimeout = time.Second
	r.source.Check, r.source.Watch = r.check, r.watch
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// address returns the queue's name, and waits for the number of a numbered one.
func (r *replies) address(ctx context.Context) (string, error) {
	if r.source.Numbered {
		if err := r.ready(ctx); err != nil {
			return "", err
		}
	}
	return r.name(), nil
}

func (r *replies) name() string { return *r.queue.Load() }

// ready returns when the reply queue exists and is listened to, as far as known: a
// call that began on one that is lost would fail with it. Replies to calls that
// wait already are kept by the queue while its listener connects anew.
func (r *replies) ready(ctx context.Context) error {
	if r.fresh.Load() {
		return nil
	}
	if r.cfg.Listener == nil {
		return errors.New("the client has no Listener")
	}
	r.mu.Lock()
	before := r.ended
	for {
		if r.closed {
			r.mu.Unlock()
			return ErrClosed
		}
		err := r.err
		if r.fresh.Load() || r.ended > before {
			r.mu.Unlock()
			return err
		}
		r.listen()
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			if err != nil {
				return fmt.Errorf("%w: %w", ctx.Err(), err)
			}
			return ctx.Err()
		}
		r.mu.Lock()
	}
}

// change notes what became of the queue; with mu held.
func (r *replies) change(fresh bool, err error) {
	r.fresh.Store(fresh)
	r.err = err
	close(r.changed)
	r.changed = make(chan struct{})
}

// listen starts the listener unless it runs; with mu held.
func (r *replies) listen() {
	if r.listening {
		return
	}
	r.listening = true
	r.ran.Go(func() {
		ctx, stop := context.WithCancel(r.ctx)
		var guard sync.WaitGroup
		guard.Go(func() { r.guard(ctx) })
		err := r.cfg.Listener.Listen(ctx, r.source, r.handle)
		stop()
		guard.Wait()
		if err == nil {
			err = errors.New("its listener ended")
		}
		r.mu.Lock()
		r.listening = false
		r.ended++
		r.change(false, err)
		r.mu.Unlock()
		if r.ctx.Err() == nil {
			r.lose(err)
		}
	})
}

// guard has the queue and its consumer looked at when calls wait and nothing
// comes: a connection that is well says nothing about them.
func (r *replies) guard(ctx context.Context) {
	tick := time.NewTicker(r.cfg.SelfCheck)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if !r.heard.Swap(false) && r.waiting.Len() > 0 {
				r.doubt()
			}
		case <-ctx.Done():
			return
		}
	}
}

// doubt has the listener look: a call whose reply did not come may be the only
// sign that the queue is gone.
func (r *replies) doubt() {
	select {
	case r.check <- struct{}{}:
	default: // it will look anyhow
	}
}

// watch follows the listener.
func (r *replies) watch(ev router.SourceEvent) {
	r.mu.Lock()
	switch ev.Kind {
	case router.SourceConsuming:
		r.queue.Store(&ev.Queue)
		r.change(true, nil)
	case router.SourceStopped:
		r.change(false, ev.Err) // what comes next may be that the queue is gone
	case router.SourceLost:
		r.change(false, ev.Err)
	}
	r.mu.Unlock()
	if ev.Kind == router.SourceLost {
		r.lose(ev.Err)
	}
}

// handle takes one message of the reply queue. It is acknowledged whatever it
// is: nobody else could want it.
func (r *replies) handle(d *router.Delivery) {
	if !r.heard.Load() {
		r.heard.Store(true)
	}
	id, answer, err := r.cfg.Format.DecodeAnswer(&d.Envelope)
	d.Settler.Ack(d.Tag)
	switch {
	case err != nil:
		n := r.malformed.Add(1)
		if r.warned.now() {
			r.cfg.Logger.Warn("unreadable reply", "queue", d.Envelope.Origin.Queue, "count", n, "err", err)
		}
	case answer.KeepAlive:
		r.waiting.Beat(id)
	default:
		r.waiting.Deliver(id, outcome{answer: answer})
	}
}

// lose fails every waiting call: what they wait for cannot come.
func (r *replies) lose(cause error) {
	r.losses.Add(1)
	r.waiting.Fail(fmt.Errorf("%w: %w", ErrReplyQueueLost, cause))
}

func (r *replies) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.waiting.Close()
	r.cancel()
	r.ran.Wait()
}
