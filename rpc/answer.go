package rpc

import (
	"context"
	"errors"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/router"
)

// reply sends the answer to the caller. It waits for its turn to publish, not
// for what becomes of it: a reply whose queue is missing is tried again off
// the worker's path.
func (j *job) reply(ctx context.Context, answer Answer) {
	s := j.server
	env, err := s.cfg.Format.EncodeAnswer(answer, j.in.Ticket)
	if err != nil {
		s.counters.failed.Add(1)
		s.cfg.Logger.Error("answer cannot be sent", "method", j.in.Method, "err", err)
		env, err = s.cfg.Format.EncodeAnswer(Answer{Failure: failureOf(err)}, j.in.Ticket)
	}
	target := router.Target{Kind: router.TargetQueue, Queue: j.in.Ticket.ReplyTo}
	if err == nil {
		err = target.Validate()
	}
	if err == nil && s.gone.has(target.Queue) {
		s.counters.toGone.Add(1)
		j.finish()
		return
	}
	until := time.Now().Add(s.cfg.ReplyRetry)
	if !j.patience.IsZero() && j.patience.Before(until) {
		until = j.patience
	}
	if err == nil {
		p := &post{target: target, env: env, until: until, again: replyAgain, done: j.replied}
		if direct(target.Queue) {
			p.again = transient
		}
		sending, cancel := context.WithDeadline(ctx, until)
		defer cancel()
		if err = s.out.send(sending, p); err == nil {
			return
		}
	}
	j.replied(err)
}

func replyAgain(err error) bool {
	return transient(err) || errors.Is(err, router.ErrUnroutable)
}

// direct reports whether the queue is RabbitMQ's pseudo-queue for replies. The
// broker may return a message to it that it has delivered.
func direct(queue string) bool { return strings.HasPrefix(queue, directReplies) }

// replied learns what became of the reply.
func (j *job) replied(err error) {
	s, queue := j.server, j.in.Ticket.ReplyTo
	switch {
	case err == nil || direct(queue) && errors.Is(err, router.ErrUnroutable):
		s.counters.replies.Add(1)
	default:
		s.counters.gaveUp.Add(1)
		if !errors.Is(err, router.ErrUnroutable) || s.gone.add(queue) { // one line for each queue
			s.cfg.Logger.Warn("reply given up", "queue", queue, "method", j.in.Method, "err", err)
		}
	}
	j.finish()
}

// maxUnsettledBeats is how many keep-alives of one call may wait for the
// broker's confirm. The caller may well have got them.
const maxUnsettledBeats = 3

// keepAlive tells the caller every so often that the handler runs, until the
// returned function is called, or one cannot be sent.
func (j *job) keepAlive(every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var ran sync.WaitGroup
	ran.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		var unsettled atomic.Int32
		var failed atomic.Bool
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			switch {
			case failed.Load():
				return
			case unsettled.Load() >= maxUnsettledBeats: // the broker does not answer, and more would not help
				continue
			}
			env, err := j.server.cfg.Format.EncodeAnswer(Answer{KeepAlive: true}, j.in.Ticket)
			if err != nil {
				return
			}
			unsettled.Add(1)
			p := &post{
				target: router.Target{Kind: router.TargetQueue, Queue: j.in.Ticket.ReplyTo},
				env:    env,
				done: func(err error) {
					if err != nil && !direct(j.in.Ticket.ReplyTo) {
						failed.Store(true)
					}
					unsettled.Add(-1)
				},
			}
			if p.target.Validate() != nil || j.server.out.send(ctx, p) != nil {
				return
			}
			j.server.counters.keepAlives.Add(1)
		}
	})
	return func() {
		cancel()
		ran.Wait()
	}
}

func stack() string { return string(debug.Stack()) }
