package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/oslo"
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
	queue   string
	waiting *waiter.Table[outcome]

	fresh     atomic.Bool   // the queue was declared and nothing speaks against it
	losses    atomic.Uint64 // how often it was lost
	malformed atomic.Uint64
	warned    seldom // of what is unreadable

	gate chan struct{} // holds a token while no one declares

	mu        sync.Mutex // protects the fields below
	listening bool
	closed    bool

	ctx    context.Context // of the listener
	cancel context.CancelFunc
	ran    sync.WaitGroup
}

func newReplies(cfg ClientConfig) *replies {
	r := &replies{cfg: cfg, queue: oslo.NewReplyQueue(), waiting: waiter.New[outcome](), gate: make(chan struct{}, 1)}
	r.gate <- struct{}{}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// ready returns when the reply queue exists. Its listener may still be
// connecting: replies wait in the queue.
func (r *replies) ready(ctx context.Context) error {
	if r.fresh.Load() {
		return nil
	}
	select {
	case <-r.gate:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { r.gate <- struct{}{} }()
	switch {
	case r.fresh.Load():
		return nil
	case r.cfg.Listener == nil:
		return errors.New("the client has no Listener")
	case r.cfg.Declare == nil:
		return errNoDeclare
	}
	losses := r.losses.Load()
	if err := r.cfg.Declare.ensure(ctx, r.cfg.Layout.Reply(r.queue)); err != nil {
		return err
	}
	if err := r.listen(); err != nil {
		return err
	}
	r.fresh.Store(true)
	if r.losses.Load() != losses { // lost again before it was marked
		r.fresh.Store(false)
	}
	return nil
}

// listen starts the listener unless it runs.
func (r *replies) listen() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	if r.listening {
		return nil
	}
	r.listening = true
	r.ran.Go(func() {
		source := router.Source{Queue: r.queue, Prefetch: DefaultReplyPrefetch, DrainTimeout: time.Second}
		err := r.cfg.Listener.Listen(r.ctx, source, r.handle)
		r.mu.Lock()
		r.listening = false
		r.mu.Unlock()
		if r.ctx.Err() == nil {
			if err == nil {
				err = errors.New("its listener ended")
			}
			r.lose(err)
		}
	})
	return nil
}

// handle takes one message of the reply queue. It is acknowledged whatever it
// is: nobody else could want it.
func (r *replies) handle(d *router.Delivery) {
	id, answer, err := r.cfg.Format.DecodeAnswer(&d.Envelope)
	d.Settler.Ack(d.Tag)
	switch {
	case err != nil:
		n := r.malformed.Add(1)
		if r.warned.now() {
			r.cfg.Logger.Warn("unreadable reply", "queue", r.queue, "count", n, "err", err)
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
	r.fresh.Store(false)
	r.waiting.Fail(fmt.Errorf("%w: %w", ErrReplyQueueLost, cause))
}

// doubt makes the next call declare the queue again: a call whose reply did
// not come may be the only sign that the queue is gone.
func (r *replies) doubt() { r.fresh.Store(false) }

func (r *replies) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.waiting.Close()
	r.cancel()
	r.ran.Wait()
}
