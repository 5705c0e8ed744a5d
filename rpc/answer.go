package rpc

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

// reply sends the answer to the caller. It waits for its turn to publish, not
// for what becomes of it: a reply whose queue is missing is tried again off
// the worker's path.
func (j *job) reply(ctx context.Context, answer Answer) {
	s, queue := j.server, j.in.Ticket.ReplyTo
	target := router.Target{Kind: router.TargetQueue, Queue: queue}
	env, err := j.encode(answer)
	if err == nil {
		err = target.Validate()
	}
	if err == nil && s.gone.has(queue) {
		s.counters.toGone.Add(1)
		j.finish()
		return
	}
	r := &replying{job: j, began: time.Now(), target: target, good: answer.Failure == nil}
	if err != nil {
		r.settled(err)
		return
	}
	r.end = publishing(ctx, s.cfg.Tracer, "publish", target, &env)
	p := r.post(env)
	sending, cancel := context.WithDeadline(ctx, p.until)
	defer cancel()
	if err := s.out.send(sending, p); err != nil {
		r.settled(err)
	}
}

// encode writes the answer, or if that cannot be done a failure that says so.
func (j *job) encode(answer Answer) (router.Envelope, error) {
	env, err := j.encodeFitting(answer)
	if err == nil {
		return env, nil
	}
	j.unfit(answer.Failure == nil, err)
	return j.encodeFitting(Answer{Failure: insteadOf(answer, err)})
}

// unfit tells of an answer that cannot be sent; good is whether it would have
// been a result.
func (j *job) unfit(good bool, err error) {
	j.server.counters.unfit.Add(1)
	if good {
		j.server.counters.failed.Add(1)
	}
	j.server.cfg.Logger.Error("answer cannot be sent, a failure is sent instead", "method", j.in.Method, "err", err)
}

func (j *job) encodeFitting(answer Answer) (router.Envelope, error) {
	env, err := j.server.cfg.Format.EncodeAnswer(answer, j.in.Ticket)
	if size, most := len(env.Body), j.server.cfg.MaxReply; err == nil && size > most {
		err = fmt.Errorf("the reply: %w: %d bytes, the limit is %d", oslo.ErrTooLarge, size, most)
	}
	return env, err
}

// insteadOf returns a failure that can be sent for an answer that cannot: what
// failed keeps its class, and what is essential of its text.
func insteadOf(answer Answer, err error) *RemoteError {
	f := answer.Failure
	if f == nil || len(f.Class)+len(f.Module) > minReply/4 {
		return failureOf(err)
	}
	return &RemoteError{Class: f.Class, Module: f.Module, Message: fmt.Sprintf("%.256s", f.Message)}
}

// replying is one reply on its way.
type replying struct {
	job     *job
	target  router.Target
	began   time.Time
	good    bool        // a result
	instead bool        // of one that cannot be sent
	end     func(error) // of following it; nil if that did not begin
}

func (r *replying) post(env router.Envelope) *post {
	j, queue := r.job, r.target.Queue
	until := r.began.Add(j.server.cfg.ReplyRetry)
	if !j.patience.IsZero() && j.patience.Before(until) {
		until = j.patience
	}
	p := &post{target: r.target, env: env, until: until, again: replyAgain, done: r.settled, breaker: queue, missing: j.finish}
	if direct(queue) {
		p.again, p.breaker, p.missing = transient, "", nil
	}
	return p
}

func replyAgain(err error) bool {
	return transient(err) || errors.Is(err, router.ErrUnroutable)
}

// direct reports whether the queue is RabbitMQ's pseudo-queue for replies. The
// broker may return a message to it that it has delivered.
func direct(queue string) bool { return strings.HasPrefix(queue, directReplies) }

// settled learns what became of the reply.
func (r *replying) settled(err error) {
	s, j, queue := r.job.server, r.job, r.target.Queue
	if r.end != nil {
		r.end(err)
	}
	switch {
	case err == nil || direct(queue) && errors.Is(err, router.ErrUnroutable):
		s.counters.replies.Add(1)
		j.finish()
		return
	case errors.Is(err, router.ErrUnsendable) && r.unsendable(err):
		return
	}
	if errors.Is(err, router.ErrUnroutable) && !errors.Is(err, errCrowded) && time.Since(r.began) >= s.cfg.ReplyRetry-maxPause {
		s.gone.add(queue)
	}
	n := s.counters.gaveUp.Add(1)
	if s.givenUp.now() {
		s.cfg.Logger.Warn("reply given up", "queue", queue, "method", j.in.Method, "count", n, "err", err)
	}
	j.finish()
}

// unsendable answers with a failure instead of what the Sender or the broker
// refuses to take. It reports whether that is on its way.
func (r *replying) unsendable(err error) bool {
	j := r.job
	if r.instead {
		return false
	}
	env, encoding := j.encodeFitting(Answer{Failure: failureOf(fmt.Errorf("the reply: %w", err))})
	instead := &replying{job: j, target: r.target, began: r.began, instead: true}
	if encoding != nil || j.server.out.sendSoon(instead.post(env)) != nil {
		return false
	}
	j.unfit(r.good, err)
	return true
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
