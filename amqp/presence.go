package amqp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/router"
)

// idleCheck is how long nothing has come before a listener asks whether its
// queue and consumer are still there; up to as much again is added by chance.
const idleCheck = time.Minute

// checkTimeout bounds one such question.
const checkTimeout = 10 * time.Second

var (
	errGone   = errors.New("the queue is gone")
	errUnseen = errors.New("the broker knows of no consumer of the queue, although it has not cancelled ours")
)

func idle() time.Duration { return idleCheck + rand.N(idleCheck) }

// tell passes news of the consumer on; of a loss once.
func (l *listener) tell(kind router.SourceEventKind, queue string, err error) {
	switch {
	case kind == router.SourceConsuming:
		l.lost = false
	case kind == router.SourceLost && l.lost:
		return
	case kind == router.SourceLost:
		l.lost = true
		l.log.to.Warn("queue lost", "queue", queue, "err", err)
	}
	if l.source.Watch != nil {
		l.source.Watch(router.SourceEvent{Kind: kind, Queue: queue, Err: err})
	}
}

// prepare makes what the queue needs before it is consumed.
func (l *listener) prepare(ctx context.Context, c *conn) error {
	if l.source.Numbered {
		if err := l.lease(ctx, c); err != nil {
			return err
		}
	}
	if l.consumed {
		messages, err := l.present(ctx, c)
		switch {
		case errors.Is(err, errGone):
			l.tell(router.SourceLost, l.queue, err)
			l.place = "first" // of the next one, in which all is new
		case l.cancelled && err == nil && messages <= l.offset:
			l.place = "next" // another one, whose messages are counted anew
		}
		l.cancelled = false
	}
	own := l.source.Topology
	if l.source.Numbered {
		own = renamed(own, l.source.Queue, l.queue)
	}
	return l.b.declare(ctx, c, of(*l.b.topology.Load(), l.queue).Join(own))
}

// renamed returns t with another name for one queue.
func renamed(t Topology, from, to string) Topology {
	out := Topology{Exchanges: t.Exchanges}
	for _, q := range t.Queues {
		if q.Name == from {
			q.Name = to
		}
		out.Queues = append(out.Queues, q)
	}
	for _, b := range t.Bindings {
		if b.Queue == from {
			b.Queue = to
		}
		out.Bindings = append(out.Bindings, b)
	}
	return out
}

// present asks the broker for the queue, how many messages it holds, and its
// consumers. Only errGone and
// errUnseen say that one of them is missing.
func (l *listener) present(ctx context.Context, c *conn) (messages int64, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout, fmt.Errorf("no answer within %v", checkTimeout))
	defer cancel()
	held := make(chan int, 1) // the call may outlive ctx
	err = c.call(ctx, func() error {
		ch, err := c.lib.Channel()
		if err != nil {
			return err
		}
		defer func() { _ = ch.Close() }() // an error means that it is closed already
		q, err := ch.QueueDeclarePassive(l.queue, false, false, false, false, nil)
		var e *amqp091.Error
		switch {
		case errors.As(err, &e) && e.Server && e.Code == amqp091.NotFound:
			return errGone
		case err != nil:
			return err
		case q.Consumers == 0 && l.source.Arguments[streamOffset] == nil: // streams count none
			return errUnseen
		}
		held <- q.Messages
		return nil
	})
	if err != nil {
		return 0, err
	}
	return int64(<-held), nil
}

// streamOffset is the consumer argument, and the header of each delivery, that
// holds a place in a stream.
const streamOffset = "x-stream-offset"

// arguments returns the consumer's.
func (l *listener) arguments() (amqp091.Table, error) {
	args, err := typedArguments(l.source.Arguments)
	if err != nil {
		return nil, err
	}
	if l.source.Priority != 0 {
		args["x-priority"] = int32(l.source.Priority)
	}
	if _, ok := args[streamOffset]; ok && l.place != nil {
		args[streamOffset] = l.place
	}
	return args, nil
}
