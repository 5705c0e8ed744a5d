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
)

// Client calls, casts and notifies. It is safe for concurrent use.
type Client struct {
	cfg     ClientConfig
	out     *outbox
	replies *replies

	mu       sync.Mutex             // protects declared
	declared map[router.Target]bool // what ensure need not declare again

	calls, casts, notified atomic.Uint64
}

// NewClient returns a client. It does not connect; the first operation does.
func NewClient(cfg ClientConfig) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Client{cfg: cfg, out: newOutbox(cfg.Sender), replies: newReplies(cfg), declared: map[router.Target]bool{}}, nil
}

// Cast sends a request that nobody answers, and returns when a queue has it.
// An error that wraps [ErrNoListener] means that there is none. The end of
// ctx, or the client's Timeout, bounds connecting, publishing and the broker's
// answer; after it the message may be sent or not.
func (c *Client) Cast(ctx context.Context, target router.Target, req Request) error {
	if target.Kind == router.TargetNotify {
		return fmt.Errorf("cast to %s: %w: use Notify", target, router.ErrTarget)
	}
	c.casts.Add(1)
	env, err := c.cfg.Format.EncodeRequest(req, Ticket{UniqueID: oslo.NewID()})
	if err != nil {
		return fmt.Errorf("cast to %s: %w", target, err)
	}
	return c.deliver(ctx, "cast", target, env)
}

// Fanout casts to every server of the topic.
func (c *Client) Fanout(ctx context.Context, topic string, req Request) error {
	return c.Cast(ctx, router.Target{Kind: router.TargetFanout, Topic: topic}, req)
}

// Notify sends a notification to a target, as a rule of kind
// [router.TargetNotify], whose queue is declared so that it waits there for a
// listener. It returns as Cast does.
func (c *Client) Notify(ctx context.Context, target router.Target, n Notification) error {
	c.notified.Add(1)
	if n.MessageID == "" {
		n.MessageID = oslo.NewMessageID()
	}
	if n.Timestamp.IsZero() {
		n.Timestamp = time.Now()
	}
	if target.Kind == router.TargetNotify {
		n.Priority = target.Priority
	}
	n.UniqueID = oslo.NewID()
	env, err := c.cfg.Format.EncodeNotification(n)
	if err != nil {
		return fmt.Errorf("notify %s: %w", target, err)
	}
	return c.deliver(ctx, "notify", target, env)
}

// Send sends a message as it is, in no format. It returns as Cast does. The
// client owns env until then.
func (c *Client) Send(ctx context.Context, target router.Target, env *router.Envelope) error {
	return c.deliver(ctx, "send to", target, env.Clone())
}

// deliver publishes env and waits for the broker's answer.
func (c *Client) deliver(ctx context.Context, verb string, target router.Target, env router.Envelope) error {
	ctx, cancel, deadline := c.deadline(ctx)
	defer cancel()
	if err := c.ensure(ctx, target); err != nil {
		return c.explain(verb, target, err)
	}
	settled := make(chan error, 1)
	p := c.post(target, env, deadline, func(err error) { settled <- err })
	defer p.abandoned.Store(true)
	if err := c.out.send(ctx, p); err != nil {
		return c.explain(verb, target, err)
	}
	select {
	case err := <-settled:
		return c.explain(verb, target, err)
	case <-ctx.Done():
		return c.explain(verb, target, fmt.Errorf("%w: %w", router.ErrUnconfirmed, ctx.Err()))
	}
}

func (c *Client) post(target router.Target, env router.Envelope, until time.Time, done func(error)) *post {
	p := &post{target: target, env: env, until: until}
	if !c.cfg.AtMostOnce {
		p.again = transient
	}
	p.done = func(err error) {
		if err != nil {
			c.forget(target) // what it goes to may have vanished
		}
		done(err)
	}
	return p
}

// deadline returns a ctx that certainly has one.
func (c *Client) deadline(ctx context.Context) (context.Context, context.CancelFunc, time.Time) {
	if at, ok := ctx.Deadline(); ok {
		return ctx, func() {}, at
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	at, _ := ctx.Deadline()
	return ctx, cancel, at
}

// maxDeclared bounds the memory of targets; a program that uses more declares
// some of them again.
const maxDeclared = 4096

// ensure declares what the target needs, once. A fanout exchange goes away
// with its last listener, so that it is declared each time.
func (c *Client) ensure(ctx context.Context, target router.Target) error {
	if err := target.Validate(); err != nil {
		return err
	}
	t := c.cfg.Layout.Target(target)
	if t.empty() {
		return nil
	}
	c.mu.Lock()
	known := c.declared[target]
	c.mu.Unlock()
	if known {
		return nil
	}
	if err := c.cfg.Declare.ensure(ctx, t); err != nil {
		return fmt.Errorf("declare: %w", err)
	}
	if target.Kind == router.TargetFanout {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.declared) >= maxDeclared {
		clear(c.declared)
	}
	c.declared[target] = true
	return nil
}

func (c *Client) forget(target router.Target) {
	c.mu.Lock()
	delete(c.declared, target)
	c.mu.Unlock()
}

// explain says which operation failed, and names an unroutable message.
func (c *Client) explain(verb string, target router.Target, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, router.ErrUnroutable):
		err = fmt.Errorf("%w: %w", ErrNoListener, err)
	case errors.Is(err, router.ErrClosed) && !errors.Is(err, ErrClosed):
		err = fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return fmt.Errorf("%s %s: %w", verb, target, err)
}

// ReplyQueueLost tells the client that its reply queue is gone, whose name is
// [Client.ReplyQueue]: every waiting call fails now, with an error that wraps
// [ErrReplyQueueLost] and cause, and the next call declares the queue again.
// Whoever watches the broker for the client calls it; a listener that only
// lost its connection is no reason, as the replies wait in the queue.
func (c *Client) ReplyQueueLost(cause error) { c.replies.lose(cause) }

// ReplyQueue returns the name of the queue that the client's replies come to.
func (c *Client) ReplyQueue() string { return c.replies.queue }

// Close ends waiting calls with [ErrClosed], waits until ctx ends for what is
// being published, and closes the Sender and the reply queue's listener. It
// may be called again.
func (c *Client) Close(ctx context.Context) {
	c.replies.close()
	c.out.close(ctx)
}
