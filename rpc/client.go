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

	mu       sync.Mutex             // protects the fields below
	declared map[router.Target]bool // what ensure need not declare again
	closed   bool                   // Close was called

	ctx    context.Context    // ends when Close no longer waits for what is on its way
	cancel context.CancelFunc // called with mu held
	open   sync.WaitGroup     // operations
	ran    sync.WaitGroup     // goroutines of deliveries

	calls, casts, notified, retried, gaveUp atomic.Uint64
	retrying                                atomic.Int64
}

// NewClient returns a client. It does not connect; the first operation does.
func NewClient(cfg ClientConfig) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, out: newOutbox(cfg.Sender), replies: newReplies(cfg), declared: map[router.Target]bool{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Cast sends a request that nobody answers, and returns when a queue has it.
// An error that wraps [ErrNoListener] means that there is none. The end of
// ctx, or the client's Timeout, bounds connecting, publishing and the broker's
// answer; after it the message may be sent or not.
func (c *Client) Cast(ctx context.Context, target router.Target, req Request) error {
	return c.cast(ctx, target, req, nil)
}

func (c *Client) cast(ctx context.Context, target router.Target, req Request, retry *int) error {
	if target.Kind == router.TargetNotify {
		return fmt.Errorf("cast to %s: %w: use Notify", target, router.ErrTarget)
	}
	c.casts.Add(1)
	env, err := c.cfg.Format.EncodeRequest(req, Ticket{UniqueID: oslo.NewID()})
	if err != nil {
		return fmt.Errorf("cast to %s: %w", target, err)
	}
	return c.deliver(ctx, "cast to", target, env, retry)
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
	return c.deliver(ctx, "notify", target, env, nil)
}

// Send sends a message as it is, in no format. It returns as Cast does. The
// client owns env until then.
func (c *Client) Send(ctx context.Context, target router.Target, env *router.Envelope) error {
	return c.deliver(ctx, "send to", target, env.Clone(), nil)
}

// deliver publishes env and waits for the broker's answer.
func (c *Client) deliver(ctx context.Context, verb string, target router.Target, env router.Envelope, retry *int) (err error) {
	ctx, work, leave, err := c.enter(ctx)
	if err != nil {
		return c.explain(verb, target, err)
	}
	defer leave()
	end := publishing(ctx, c.cfg.Tracer, "publish", target, &env)
	defer func() { end(err) }()
	settled := make(chan error, 1)
	d := c.delivery(work, target, env, retry, func(err error) { settled <- err })
	d.try()
	select {
	case err = <-settled:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil && work.Err() != nil && !errors.Is(err, router.ErrUnconfirmed) {
		err = c.stopped(ctx, d)
	}
	return c.explain(verb, target, err)
}

// stopped says why a delivery ended before its end: the operation's time was
// up, or the client was closed.
func (c *Client) stopped(ctx context.Context, d *delivery) error {
	if err := ctx.Err(); err != nil {
		return d.timeout(err)
	}
	return ErrClosed
}

// delivery returns a message that is to be published until ctx ends.
func (c *Client) delivery(ctx context.Context, target router.Target, env router.Envelope, retry *int, end func(error)) *delivery {
	d := &delivery{c: c, ctx: ctx, target: target, env: env, end: end, left: -1, pause: firstPause}
	d.until, _ = ctx.Deadline()
	if retry == nil {
		retry = c.cfg.Retry
	}
	if retry != nil && *retry >= 0 {
		d.left = *retry
	}
	return d
}

// enter begins an operation. It returns a ctx that certainly has a deadline, one
// for the work which Close ends too, and a function that ends the operation.
func (c *Client) enter(ctx context.Context) (op, work context.Context, leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, nil, ErrClosed
	}
	c.open.Add(1)
	stopOp := func() {}
	if _, ok := ctx.Deadline(); !ok {
		ctx, stopOp = context.WithTimeout(ctx, c.cfg.Timeout)
	}
	work, cancel := context.WithCancel(ctx)
	detach := context.AfterFunc(c.ctx, cancel)
	return ctx, work, func() {
		detach()
		cancel()
		stopOp()
		c.open.Done()
	}, nil
}

// spawn runs f in a goroutine that Close waits for, unless the client no longer
// waits for what is on its way.
func (c *Client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return false
	}
	c.ran.Go(f)
	return true
}

// maxDeclared bounds the memory of targets; a program that uses more declares
// some of them again.
const maxDeclared = 4096

// ensure declares what the target needs, unless that has been done: what
// vanished meanwhile, as a fanout exchange does with its last listener, makes
// the publish fail, which forgets it.
func (c *Client) ensure(ctx context.Context, target router.Target) error {
	if err := target.Validate(); err != nil {
		return err
	}
	t := c.cfg.Layout.Target(target)
	if t.Empty() {
		return nil
	}
	c.mu.Lock()
	known := c.declared[target]
	c.mu.Unlock()
	if known {
		return nil
	}
	if c.cfg.Declare != nil {
		if err := c.cfg.Declare(ctx, t); err != nil {
			return fmt.Errorf("declare: %w", err)
		}
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

// ReplyQueue returns the name of the queue that the client's replies come to.
// It is empty as long as a queue with a stable name has no number.
func (c *Client) ReplyQueue() string { return c.replies.name() }

// Close ends waiting calls with [ErrClosed], waits until ctx ends for what is
// being published, and closes the Sender and the reply queue's listener. It
// may be called again.
func (c *Client) Close(ctx context.Context) {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.replies.close()
	idle := make(chan struct{})
	go func() {
		c.open.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	c.mu.Lock()
	c.cancel()
	c.mu.Unlock()
	c.out.close(ctx)
	c.ran.Wait()
	<-idle
}
