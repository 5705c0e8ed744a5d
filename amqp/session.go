package amqp

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/router"
)

var errCancelled = errors.New("the broker has cancelled the consumer: its queue was deleted or has moved, or a delivery was not settled within the consumer timeout")

// consume opens a channel, consumes until that or the consumer is lost or ctx
// ends, and drains in the latter case.
func (l *listener) consume(ctx context.Context, c *conn) error {
	prefetch := l.source.Prefetch
	if l.quarantine {
		prefetch = 1
	}
	tag := l.consumerTag()
	args, err := l.arguments()
	if err != nil {
		return explain(err, l.object())
	}
	closes := make(chan *amqp091.Error, 1)
	var deliveries <-chan amqp091.Delivery
	ch, err := c.channel(ctx, func(ch *amqp091.Channel) (err error) {
		ch.NotifyClose(closes)
		if err := ch.Qos(prefetch, 0, false); err != nil {
			return err
		}
		deliveries, err = ch.Consume(l.queue, tag, false, l.source.Exclusive, false, false, args)
		return err
	})
	if err != nil {
		return explain(err, l.object())
	}
	l.consumed = true
	l.line.consuming(true, nil)
	l.log.to.Info("consuming", "host", c.host, "prefetch", prefetch)
	l.log.reset()
	l.tell(router.SourceConsuming, l.queue, nil)

	s := newSettler(ch, &l.b.count, prefetch)
	if l.source.Ordered {
		s.leaves = l.ending
	}
	lost, stop := make(chan struct{}), make(chan struct{})
	var cause error
	if !c.tasks.run(func() {
		if e := <-closes; e != nil {
			cause = e
		}
		close(lost)
	}) {
		return errDead
	}
	settled := make(chan struct{})
	if !c.tasks.run(func() { s.run(stop, lost); close(settled) }) {
		return errDead
	}
	err = l.receive(ctx, c, s, deliveries)
	switch {
	case ctx.Err() != nil:
		l.drain(c, ch, tag, s, deliveries, lost, l.source.DrainTimeout)
	case errors.Is(err, errOversized):
		l.drain(c, ch, tag, s, deliveries, lost, min(narrowTimeout, l.source.DrainTimeout))
	}
	// What still comes goes back to the queue with the channel. It may be much,
	// and the library would keep all of it until somebody takes it.
	c.tasks.run(func() {
		for range deliveries {
		}
	})
	close(stop)
	<-settled
	if err == nil { // the deliveries have ended
		if ch.IsClosed() {
			<-lost
			err = errDead
			if cause != nil {
				err = fmt.Errorf("channel lost: %w", cause)
			}
		} else {
			err, l.cancelled = errCancelled, true
		}
	}
	s.dead.Store(true)
	// Deliveries that came meanwhile go back to the queue with the channel, or with the
	// connection if that ends now: a broker that is silent is not waited for twice.
	if own := l.b.shared == nil; !ch.IsClosed() && (ctx.Err() == nil || !own) {
		limit, cancel := context.WithTimeout(l.b.hardCtx, closeTimeout)
		defer cancel()
		_ = c.call(limit, ch.Close) // an error means that the connection is lost or stuck
	}
	return err
}

// receive hands deliveries over until they end, or ctx does, or the broker
// knows no more of queue or consumer.
func (l *listener) receive(ctx context.Context, c *conn, s *settler, deliveries <-chan amqp091.Delivery) error {
	good := 0
	enough := min(max(2*l.source.Prefetch, 10), 200)
	wait := idle()
	still := time.NewTimer(wait)
	defer still.Stop()
	heard := false // since the timer was set
	for {
		var err error
		select {
		case <-still.C:
			if !heard {
				_, err = l.present(ctx, c)
			}
			heard = false
			still.Reset(wait)
		case <-l.source.Check:
			_, err = l.present(ctx, c)
		case d, ok := <-deliveries:
			heard = true
			if !ok {
				return nil
			}
			if ctx.Err() != nil {
				s.delivered(d.DeliveryTag)
				s.Requeue(d.DeliveryTag)
				return nil
			}
			large := l.oversized(&d)
			if l.quarantine {
				if good++; large {
					good = 0
				}
				if good > enough {
					return errRestore // d goes back with the channel
				}
			}
			l.hand(s, &d)
			if large && !l.quarantine && l.source.Prefetch > 1 {
				l.noteOversized(&d)
				return errOversized
			}
		case <-ctx.Done():
			return nil
		}
		if errors.Is(err, errGone) || errors.Is(err, errUnseen) {
			return err
		}
	}
}

// errTwice is what a broker has done that sends one delivery two times.
var errTwice = errors.New("the broker sent two deliveries with one tag")

// hand hands a delivery to the route.
func (l *listener) hand(s *settler, d *amqp091.Delivery) {
	l.stuck = 0
	if !s.delivered(d.DeliveryTag) {
		l.log.warn("ignored a delivery that came before", errTwice, "tag", d.DeliveryTag)
		return
	}
	out := new(router.Delivery)
	fill(&out.Envelope, d, l.queue, time.Now())
	if offset, ok := d.Headers[streamOffset].(int64); ok {
		l.offset, l.place = offset, offset+1
	}
	out.Settler, out.Tag = s, d.DeliveryTag
	l.b.count.delivered.Add(1)
	l.handle(out)
}

// narrowTimeout is how long what is in hand may take when a session ends because
// of a large body: some of it may wait to be tried again.
const narrowTimeout = 5 * time.Second

// drain stops the consumer, gives back what was not handed over, and waits
// for the rest to be settled, at most for limit. Of an ordered source the consumer
// stops only with the channel, and so does the rest go back.
func (l *listener) drain(c *conn, ch *amqp091.Channel, tag string, s *settler, deliveries <-chan amqp091.Delivery, lost <-chan struct{}, limit time.Duration) {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	if l.source.Ordered {
		if !awaitSettled(s.drain(), deliveries, lost, timeout.C) {
			l.log.to.Warn(unsettled, "drain_timeout", limit.String())
		}
		return
	}
	cancelled := make(chan struct{})
	if !c.tasks.run(func() {
		defer close(cancelled)
		_ = ch.Cancel(tag, false) // an error means that the channel is gone
	}) {
		return
	}
	for deliveries != nil {
		select {
		case d, ok := <-deliveries:
			if !ok {
				deliveries = nil
				break
			}
			s.delivered(d.DeliveryTag)
			s.Requeue(d.DeliveryTag)
		case <-timeout.C:
			return
		}
	}
	if !awaitSettled(s.drain(), nil, lost, timeout.C) {
		l.log.to.Warn(unsettled, "drain_timeout", limit.String())
	}
}

const unsettled = "stopped before all deliveries were settled; the broker delivers them again"

// awaitSettled waits until everything is settled or cannot be any more, and ignores what
// is still delivered. It reports false when its time is up.
func awaitSettled(drained <-chan struct{}, deliveries <-chan amqp091.Delivery, lost <-chan struct{}, timeout <-chan time.Time) bool {
	for {
		select {
		case _, ok := <-deliveries:
			if !ok {
				deliveries = nil
			}
		case <-drained:
			return true
		case <-lost:
			return true
		case <-timeout:
			return false
		}
	}
}
