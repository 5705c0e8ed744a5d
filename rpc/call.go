package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/waiter"
)

// Call sends a request and returns its reply. The end of ctx, or else the
// client's Timeout, bounds all of it: connecting, publishing and waiting; the
// broker drops a request that no server took by then.
//
// The error is, or wraps, a *[RemoteError] if the server answered with a
// failure; [ErrNoListener], at once, if no queue took the request;
// [ErrSilent] if the request's monitor ran out; [ErrReplyQueueLost];
// [ErrClosed]; or ctx's own error, which says how far the call came.
func (c *Client) Call(ctx context.Context, target router.Target, req Request) (Reply, error) {
	return c.call(ctx, target, req, nil)
}

func (c *Client) call(ctx context.Context, target router.Target, req Request, retry *int) (_ Reply, err error) {
	switch target.Kind {
	case router.TargetFanout, router.TargetNotify:
		return Reply{}, fmt.Errorf("call %s: %w: a call goes to one server", target, router.ErrTarget)
	}
	c.calls.Add(1)
	ctx, work, leave, err := c.enter(ctx)
	if err != nil {
		return Reply{}, c.explain("call", target, err)
	}
	defer leave()
	ticket := Ticket{ID: oslo.NewID(), UniqueID: oslo.NewID()}
	if ticket.ReplyTo, err = c.replies.address(work); err != nil {
		return Reply{}, c.explain("call", target, fmt.Errorf("reply queue: %w", err))
	}
	env, err := c.cfg.Format.EncodeRequest(req, ticket)
	if err != nil {
		return Reply{}, fmt.Errorf("call %s: %w", target, err)
	}
	end := publishing(ctx, c.cfg.Tracer, "call", target, &env)
	defer func() { end(err) }()

	var call *waiter.Call[outcome]
	var unsent error // why nothing is waited for
	var confirmed atomic.Bool
	d := c.delivery(work, target, env, retry, func(err error) {
		switch {
		case err == nil:
			confirmed.Store(true)
		case work.Err() != nil: // which the wait notices by itself
		case call == nil:
			unsent = err
		default:
			c.replies.waiting.Deliver(ticket.ID, outcome{err: err})
		}
	})
	d.expire = true
	d.ready = func(ctx context.Context) (err error) {
		if err := c.replies.ready(ctx); err != nil {
			return fmt.Errorf("reply queue: %w", err)
		}
		if call == nil {
			if call, err = c.replies.waiting.Register(ticket.ID); err != nil {
				return fmt.Errorf("%w: %w", ErrClosed, err)
			}
		}
		if c.replies.name() != ticket.ReplyTo { // looked at once registered, so that its loss is not missed
			return fmt.Errorf("%w: another process has taken its number", ErrReplyQueueLost)
		}
		return nil
	}
	d.try()
	if call == nil {
		if unsent == nil {
			unsent = c.stopped(ctx, d)
		}
		return Reply{}, c.explain("call", target, unsent)
	}
	defer call.Close()
	got, err := call.Wait(ctx, req.Monitor)
	switch {
	case err == nil && got.err == nil && got.answer.Failure == nil:
		return got.answer.Reply, nil
	case err == nil && got.err == nil:
		err = got.answer.Failure
	case err == nil:
		err = got.err
	case errors.Is(err, waiter.ErrSilent):
		err = fmt.Errorf("%w: %w", ErrSilent, err)
	case errors.Is(err, waiter.ErrClosed):
		err = ErrClosed
	case errors.Is(err, ErrReplyQueueLost):
	case confirmed.Load():
		c.replies.doubt()
		err = fmt.Errorf("no reply: %w", err)
	default:
		err = d.timeout(err)
	}
	return Reply{}, c.explain("call", target, err)
}
