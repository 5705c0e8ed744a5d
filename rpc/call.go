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
	switch target.Kind {
	case router.TargetFanout, router.TargetNotify:
		return Reply{}, fmt.Errorf("call %s: %w: a call goes to one server", target, router.ErrTarget)
	}
	c.calls.Add(1)
	ctx, cancel, deadline := c.deadline(ctx)
	defer cancel()

	ticket := Ticket{ID: oslo.NewID(), ReplyTo: c.replies.queue, UniqueID: oslo.NewID()}
	env, err := c.cfg.Format.EncodeRequest(req, ticket)
	if err != nil {
		return Reply{}, fmt.Errorf("call %s: %w", target, err)
	}
	if err := c.replies.ready(ctx); err != nil {
		return Reply{}, c.explain("call", target, fmt.Errorf("reply queue: %w", err))
	}
	if err := c.ensure(ctx, target); err != nil {
		return Reply{}, c.explain("call", target, err)
	}
	call, err := c.replies.waiting.Register(ticket.ID)
	if err != nil {
		return Reply{}, c.explain("call", target, fmt.Errorf("%w: %w", ErrClosed, err))
	}
	defer call.Close()

	var confirmed atomic.Bool
	p := c.post(target, env, deadline, func(err error) {
		if err == nil {
			confirmed.Store(true)
			return
		}
		c.replies.waiting.Deliver(ticket.ID, outcome{err: err})
	})
	p.expire = true
	defer p.abandoned.Store(true)
	if err := c.out.send(ctx, p); err != nil {
		return Reply{}, c.explain("call", target, fmt.Errorf("not sent: %w", err))
	}
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
		err = fmt.Errorf("%w: %w", router.ErrUnconfirmed, err)
	}
	return Reply{}, c.explain("call", target, err)
}
