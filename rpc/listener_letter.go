package rpc

import (
	"context"
	"errors"
	"strconv"

	"github.com/wasmrouter/router/router"
)

// Reasons of dead letters of notifications, in [router.HeaderReason].
const (
	reasonMalformed = "malformed"
	reasonAttempts  = router.ReasonAttempts
)

// giveUp settles a notification that nobody will handle: with a dead letter, or
// by dropping it if there is no queue for one. It is called by a worker.
func (it *notice) giveUp(ctx, work context.Context, reason string, err error) {
	l := it.run.l
	it.reason, it.err = reason, err
	if l.cfg.DeadLetter != "" {
		it.bury(ctx, work)
		return
	}
	l.counters.dropped.Add(1)
	if reason != reasonMalformed { // of which take has told
		l.cfg.Logger.Error("notification dropped", "queue", it.n.Origin.Queue, "event_type", it.n.EventType, "message_id", it.n.MessageID, "reason", reason, "err", err)
	}
	it.settle(router.Settler.Ack)
}

// bury sends the dead letter, and again after a rest until the broker has it.
func (it *notice) bury(ctx, work context.Context) {
	l := it.run.l
	env := it.letter()
	target := router.Target{Kind: router.TargetQueue, Queue: l.cfg.DeadLetter}
	err := l.cfg.Client.Send(work, target, &env)
	if errors.Is(err, ErrNoListener) && l.cfg.Declare != nil && l.cfg.Declare(work, l.letterBox()) == nil {
		err = l.cfg.Client.Send(work, target, &env) // somebody had deleted the queue
	}
	if err == nil {
		l.counters.deadLetters.Add(1)
		it.settle(router.Settler.Ack)
		return
	}
	l.cfg.Logger.Warn("dead letter not taken; the notification stays in its queue and is tried again", "queue", env.Origin.Queue, "err", err)
	it.rest(ctx, func() {
		it.byWorker(ctx, func(work context.Context) { it.bury(ctx, work) })
	})
}

// byWorker has a worker do what is to be done with the notification.
func (it *notice) byWorker(ctx context.Context, do func(work context.Context)) {
	if !it.run.crew.do(ctx, do) {
		it.giveBack()
	}
}

const maxLetterError = 256 // bytes of an error in a header

// letter returns the message as it came, with the reason. What would destroy or
// multiply it, or what the broker refuses of another's message, is kept in
// headers.
func (it *notice) letter() router.Envelope {
	origin := it.delivery.Envelope.Origin
	e := it.delivery.Envelope.Clone()
	if e.Expiration != "" {
		e.SetHeader(router.HeaderExpiration, e.Expiration)
		e.Expiration = ""
	}
	if e.UserID != "" {
		e.SetHeader(router.HeaderUserID, e.UserID)
		e.UserID = ""
	}
	if cc, ok := e.Header("CC"); ok {
		e.SetHeader(router.HeaderCC, cc)
		e.DelHeader("CC")
	}
	e.DelHeader("BCC")
	e.SetHeader(router.HeaderReason, it.reason)
	e.SetHeader(router.HeaderError, shortText(it.err.Error()))
	e.SetHeader(router.HeaderAttempts, int64(it.tries))
	e.SetHeader(router.HeaderFirstSeen, it.since)
	e.SetHeader(router.HeaderQueue, origin.Queue)
	e.SetHeader(router.HeaderExchange, origin.Exchange)
	e.SetHeader(router.HeaderRoutingKey, origin.RoutingKey)
	return e
}

// shortText escapes what is not printable, and keeps the beginning.
func shortText(s string) string {
	q := strconv.QuoteToASCII(s[:min(len(s), maxLetterError)])
	return q[1:min(len(q)-1, maxLetterError)]
}
