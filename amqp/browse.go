package amqp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/router"
)

// Bounds of a [Browsing].
const (
	maxBatch = 256 // messages asked for at once
	// countedBatch is what is asked for at once of a queue that counts, until much
	// stays; then it doubles so often.
	countedBatch     = 32
	countedDoublings = 7        // which is 4,096
	batchBytes       = 16 << 20 // of the largest message seen so far, times the batch
	headerWeight     = 4        // bytes of memory for one of a header on the wire, about
	silence          = 500 * time.Millisecond
	patience         = 2 // silences until a queue is given up that has messages and gives none
)

// ErrNotServed is wrapped by [Browsing.Next]'s error when the queue has messages and
// the broker delivers none.
var ErrNotServed = errors.New("the queue has more, and the broker delivers none of it: another consumer is its single active one")

// Browsing is a walk along the messages that are in a queue, from its head to what
// was its end when the walk began. A message that is not acknowledged goes back to
// its place at the end, all of them together: in a classic queue it is then only
// marked as redelivered, and in a quorum queue it has besides been counted as
// delivered once more ([router.HeaderDeliveryCount]). The same becomes of it when the
// process dies. Meanwhile nobody else gets it.
//
// Not more than 256 messages are in memory that Next has not returned, or 4,096 of a
// queue that counts. Of large ones there are as many as have 16 MiB, by the size of the
// largest that has been seen so far: what is larger than all before it may take more,
// until the next batch. It is not safe for concurrent use.
//
// A quorum queue gives back what consumers have in the order of their names, as long as
// they are 32 at most, and forgets to tell what it was about to deliver to one that
// ends. So each batch of it has a consumer, which ends when all of the batch has come,
// and only then is acknowledged what is to go; batches grow with what stays. Up to
// 50,000 small messages then have their order afterwards.
type Browsing struct {
	b     *Broker
	queue string
	conn  *conn
	ch    *amqp091.Channel
	ready int               // when the walk began
	most  int               // to be returned
	taken int               // those that came
	got   *amqp091.Delivery // asked for by itself and not returned yet
	// counts: the queue counts deliveries. One that is asked for by itself then always
	// says so, with a count of 0 the first time.
	counts bool
	alone  []uint64 // tags of those that were asked for so

	closes     chan *amqp091.Error
	deliveries <-chan amqp091.Delivery // of the present consumer; nil if there is none
	consumers  int                     // so many there were
	batch      int                     // how many the present one may have unacknowledged
	first      uint64                  // its first tag
	open       int                     // its unacknowledged
	last       uint64                  // the highest tag delivered
	late       []uint64                // tags to acknowledge when it has ended
	keepers    int                     // consumers before it with messages that stay
	largest    int                     // message so far, in bytes of memory, about
	stopped    bool                    // no more is asked for
	unhook     func() bool
	closed     bool
	end        sync.Once // of the connection
}

// Browse begins a walk along at most so many messages of a queue, 0 being all, on a
// connection of its own. The queue must exist. The caller closes what it returns, and
// until then [Broker.Close] waits.
func (b *Broker) Browse(ctx context.Context, queue string, most int) (*Browsing, error) {
	if !b.listening.enter() {
		return nil, fmt.Errorf("amqp: browse %q: %w", queue, router.ErrClosed)
	}
	s := &Browsing{b: b, queue: queue, most: most, closes: make(chan *amqp091.Error, 1)}
	err := s.begin(ctx)
	if err != nil {
		b.listening.wg.Done()
		return nil, fmt.Errorf("amqp: browse: %w", err)
	}
	return s, nil
}

func (s *Browsing) begin(ctx context.Context) error {
	c, err := s.b.dial(ctx, &line{purpose: "browse " + s.queue})
	if err != nil {
		return err
	}
	s.conn = c
	s.ch, err = c.channel(ctx, func(ch *amqp091.Channel) error {
		ch.NotifyClose(s.closes)
		return nil
	})
	if err == nil {
		// What comes with the first message is exact. What a quorum queue says when
		// it is declared is some seconds old.
		if s.got, err = s.get(ctx); s.got != nil {
			s.ready = 1 + int(s.got.MessageCount)
			_, s.counts = s.got.Headers[router.HeaderDeliveryCount]
		}
	}
	if err != nil {
		c.closeUnless(s.b.hardCtx)
		return err
	}
	if s.most <= 0 || s.most > s.ready {
		s.most = s.ready
	}
	s.unhook = context.AfterFunc(s.b.hardCtx, s.release)
	return nil
}

// Ready returns how many messages were ready when the walk began. Those that were in
// others' hands then are not among them.
func (s *Browsing) Ready() int { return s.ready }

// Counts reports whether the queue counts deliveries, as quorum queues do. It is known
// when there is a message.
func (s *Browsing) Counts() bool { return s.counts }

// Next returns the next message, and the tag to acknowledge it by. At the end of what
// was there when the walk began it returns [io.EOF], also if others have taken some of
// it. Any other error ends the walk. Received is when it came here.
func (s *Browsing) Next(ctx context.Context) (router.Envelope, uint64, error) {
	env, tag, err := s.next(ctx)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("amqp: browse queue %q, behind %d messages: %w", s.queue, s.taken, err)
	}
	return env, tag, err
}

func (s *Browsing) next(ctx context.Context) (env router.Envelope, tag uint64, err error) {
	switch {
	case s.got != nil:
		return s.hand(s.got)
	case s.stopped && s.deliveries == nil, !s.stopped && s.taken >= s.most:
		return env, 0, io.EOF
	case s.stopped && s.counts && s.open >= s.batch: // all that was asked for has come
		return env, 0, io.EOF
	case !s.stopped && (s.deliveries == nil || s.open >= s.batch):
		if err := s.consume(ctx); err != nil {
			return env, 0, err
		}
	}
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	for silences, empty := 1, false; ; silences++ {
		select {
		case d, ok := <-s.deliveries:
			switch {
			case !ok && s.stopped && !s.ch.IsClosed():
				return env, 0, io.EOF
			case !ok:
				return env, 0, s.lost()
			}
			s.open++
			return s.hand(&d)
		case <-ctx.Done():
			return env, 0, context.Cause(ctx)
		case <-s.b.ctx.Done():
			return env, 0, router.ErrClosed
		case <-quiet.C:
		}
		if s.stopped && !s.counts { // what has come comes at once
			return env, 0, io.EOF
		}
		left, err := s.look(ctx)
		switch {
		case err != nil:
			return env, 0, err
		case s.got != nil:
			return s.hand(s.got)
		case left == 0 && empty: // and nothing was on its way
			return env, 0, io.EOF
		case left > 0 && silences >= patience:
			return env, 0, ErrNotServed
		}
		empty = left == 0
		quiet.Reset(silence)
	}
}

// look returns whether there is more. It asks for one message of a queue that counts,
// whose count of messages is some seconds old, and else does not: what is on its way
// has to come before.
func (s *Browsing) look(ctx context.Context) (left int, err error) {
	if s.counts {
		s.got, err = s.get(ctx)
		return 0, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout, fmt.Errorf("no answer within %v", checkTimeout))
	defer cancel()
	ch, queue, ready := s.ch, s.queue, make(chan int, 1)
	err = s.conn.call(ctx, func() error {
		q, err := ch.QueueDeclarePassive(queue, false, false, false, false, nil)
		ready <- q.Messages
		return err
	})
	if err != nil {
		return 0, explain(s.conn.why(err), fmt.Sprintf("queue %q", queue))
	}
	return <-ready, nil
}

// hand returns a delivery.
func (s *Browsing) hand(d *amqp091.Delivery) (env router.Envelope, tag uint64, err error) {
	s.got = nil
	fill(&env, d, s.queue, time.Now())
	s.taken++
	s.last = max(s.last, d.DeliveryTag)
	headers, _ := tableSize(env.Headers(), 0) // an error is of what cannot be received
	s.largest = max(s.largest, len(d.Body)+headerWeight*headers)
	return env, d.DeliveryTag, nil
}

// get asks for one message by itself; it is nil if there is none.
func (s *Browsing) get(ctx context.Context) (*amqp091.Delivery, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout, fmt.Errorf("no answer within %v", checkTimeout))
	defer cancel()
	ch, queue, answer := s.ch, s.queue, make(chan *amqp091.Delivery, 1)
	err := s.conn.call(ctx, func() error {
		d, ok, err := ch.Get(queue, false)
		if !ok {
			answer <- nil
		} else {
			answer <- &d
		}
		return err
	})
	if err != nil {
		return nil, explain(s.conn.why(err), fmt.Sprintf("queue %q", queue))
	}
	d := <-answer
	if d != nil {
		s.alone = append(s.alone, d.DeliveryTag)
	}
	return d, nil
}

// Stop has the broker send no more than was asked for. Next goes on with that, of which
// there is little, and then returns [io.EOF].
func (s *Browsing) Stop(ctx context.Context) error {
	if s.stopped {
		return nil
	}
	s.stopped = true
	if s.deliveries == nil || s.counts {
		return nil
	}
	ch, tag := s.ch, s.consumerTag()
	if err := s.conn.call(ctx, func() error { return ch.Cancel(tag, false) }); err != nil {
		return fmt.Errorf("amqp: browse queue %q: %w", s.queue, err)
	}
	return nil
}

// lost returns why there are no more deliveries.
func (s *Browsing) lost() error {
	if !s.ch.IsClosed() {
		return errCancelled
	}
	err := errDead
	if e := <-s.closes; e != nil {
		err = fmt.Errorf("channel lost: %w", e)
	}
	if err = s.conn.why(err); undecodable(err) {
		return fmt.Errorf("the next one cannot be decoded: %w", err)
	}
	return err
}

// Lost reports whether the walk's channel or connection has ended before Close: all that
// was not acknowledged goes back to the queue then, or has gone back.
func (s *Browsing) Lost() bool { return s.ch.IsClosed() || s.conn.lib.IsClosed() }

// release ends the connection and lets the broker go.
func (s *Browsing) release() {
	s.end.Do(func() {
		s.conn.closeUnless(s.b.hardCtx)
		s.b.listening.wg.Done()
	})
}

// Close gives back what was not acknowledged and ends the connection. An error means
// that acknowledgements may have been lost: then those messages are still in the
// queue. It may be called again.
func (s *Browsing) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	if deliveries := s.deliveries; deliveries != nil {
		// They go back with the channel, and the library would keep them until somebody takes them.
		s.conn.tasks.run(func() {
			for range deliveries {
			}
		})
	}
	err := errDead
	if !s.ch.IsClosed() {
		ctx, cancel := context.WithTimeoutCause(s.b.hardCtx, checkTimeout, fmt.Errorf("no answer within %v", checkTimeout))
		defer cancel()
		ch, tag, late := s.ch, s.consumerTag(), s.takeLate()
		err = s.conn.call(ctx, func() error {
			if len(late) > 0 {
				if err := ch.Cancel(tag, false); err != nil {
					return err
				}
			}
			return errors.Join(acknowledge(ch, late), ch.Close())
		})
	}
	s.unhook()
	s.release()
	if err != nil {
		return fmt.Errorf("amqp: browse queue %q: what was acknowledged last may still be there: %w", s.queue, err)
	}
	return nil
}
