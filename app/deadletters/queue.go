// Package deadletters looks at queues of dead letters, sends letters again and
// removes them. It works on any queue, whoever put the messages there.
//
// # What looking costs
//
// A letter that is looked at is in this process's hands until the walk along its
// queue ends, and nobody else gets it meanwhile: two who look at the same time each
// see what the other has not, and never the same. Then all go back to their places,
// also if the process is killed. A classic queue only marks them as redelivered. A
// quorum queue counts them as delivered, and beyond its delivery limit drops or
// dead-letters them; RabbitMQ 4 has a limit of 20 unless told otherwise. As no client
// can know the limit, a letter that has been counted before is renewed: a copy is
// published, and when that is confirmed the letter is removed, so that it is at the
// end of the queue and its count at zero. See [Queue.DeliveryLimit]. What is looked at
// and counted is exactly what a walk has come to, and at most a batch more: 32 letters,
// and up to 4,096 where many stay.
//
// # Bounds
//
// Memory holds at most 256 letters that have come, or 4,096 of a quorum queue, and 32
// that are on their way to a target. Of large ones it holds 16 MiB, by the size of the
// largest seen so far. The broker holds the unacknowledged ones of the
// walk, and RabbitMQ ends one that takes longer than its consumer timeout of 30
// minutes: a longer replay begins anew every ten, where it has left something.
package deadletters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/router"
)

// Broker is how a queue is reached; an [amqp.Broker] is one.
type Broker interface {
	Browse(ctx context.Context, queue string, most int) (*amqp.Browsing, error)
	Sender(name string) router.Sender
}

// Queue is a queue of dead letters. Its methods may be called concurrently, and then
// share the letters.
type Queue struct {
	Broker Broker
	Name   string

	// DeliveryLimit is what the queue's delivery limit is at least, if it is a quorum
	// queue; 0 is 1. Letters that have been delivered that often are renewed. -1 says
	// that there is no limit: then none is.
	DeliveryLimit int
	// Source returns the queue that a route listens to, "" if it does not know. It is
	// asked about letters without details. Nil knows none.
	Source func(route string) string
}

// Letter is a letter in its queue.
type Letter struct {
	router.Letter
	Position int // from 1, at the head

	received router.Envelope
	tag      uint64
}

// Age returns how old a letter is, and whether it says so: since a route received the
// message first, or else since the broker dead-lettered it or it was published.
func (l *Letter) Age(now time.Time) (time.Duration, bool) {
	at := l.FirstSeen
	if at.IsZero() && len(l.Deaths) > 0 {
		at = l.Deaths[0].Time
	}
	if at.IsZero() {
		at = l.Original.Timestamp
	}
	return now.Sub(at), !at.IsZero()
}

// Why returns the reason that a route or the broker gave; "" if there is none.
func (l *Letter) Why() string {
	if l.Reason == "" && len(l.Deaths) > 0 {
		return l.Deaths[0].Reason
	}
	return l.Reason
}

// fate is what becomes of a letter that was looked at.
type fate uint8

const (
	stays fate = iota
	goes       // for good
	held       // it is settled later
)

// walk is one walk along a queue.
type walk struct {
	queue  *Queue
	s      *amqp.Browsing
	sender router.Sender // made when it is needed

	seen    int
	kept    int // that go back to where they were
	renewed int
	atRisk  int   // that could not be renewed and go back all the same
	risk    error // why the last of those could not
	unsure  bool  // close could not tell whether letters that were settled are gone
}

func (q *Queue) walk(ctx context.Context, most int) (*walk, error) {
	s, err := q.Broker.Browse(ctx, q.Name, most)
	if err != nil {
		return nil, err
	}
	return &walk{queue: q, s: s}, nil
}

// next returns the next letter, or io.EOF.
func (w *walk) next(ctx context.Context) (*Letter, error) {
	env, tag, err := w.s.Next(ctx)
	if err != nil {
		return nil, err
	}
	w.seen++
	return &Letter{Letter: router.ReadLetter(&env), Position: w.seen, received: env, tag: tag}, nil
}

// leave lets a letter stay in the queue: renewed, if it might not stand going back. When
// the walk is lost, all of it goes back anyway, and a copy would only be one more.
func (w *walk) leave(ctx context.Context, l *Letter) error {
	limit := int64(w.queue.DeliveryLimit)
	if limit == 0 {
		limit = 1
	}
	if !w.s.Counts() || limit < 0 || l.DeliveryCount < limit || w.s.Lost() {
		w.kept++
		return nil
	}
	env := l.Renewed(&l.received)
	err := w.send(ctx, router.Target{Kind: router.TargetQueue, Queue: w.queue.Name}, &env)
	if err != nil {
		w.kept++
		w.atRisk++
		w.risk = err
		return nil
	}
	w.renewed++
	return w.s.Ack(l.tag)
}

func (w *walk) out() router.Sender {
	if w.sender == nil {
		w.sender = w.queue.Broker.Sender("dead letters of " + w.queue.Name)
	}
	return w.sender
}

// stopSending settles what the broker has not answered.
func (w *walk) stopSending() {
	if w.sender != nil {
		w.sender.Close()
		w.sender = nil
	}
}

// answer is a receipt of one message.
type answer chan error

// Settle implements [router.Receipt].
func (a answer) Settle(err error) { a <- err }

// send publishes a message and waits until it is confirmed.
func (w *walk) send(ctx context.Context, to router.Target, env *router.Envelope) error {
	got := make(answer, 1)
	if err := w.out().Send(ctx, to, env, got); err != nil {
		return err
	}
	select {
	case err := <-got:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// closeTimeout bounds what remains to be done when a walk ends. Only tests change it.
var closeTimeout = 10 * time.Second

// outlive returns a context that ends closeTimeout after ctx has, or when it is
// cancelled, as it has to be.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(closeTimeout):
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() {
		stop()
		cancel()
	}
}

// close leaves what has come and was not looked at, and gives back what stays. It notes
// whether letters that were settled may still be there.
func (w *walk) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	err := w.s.Stop(ctx)
	for err == nil {
		var l *Letter
		if l, err = w.next(ctx); err == nil {
			w.seen--
			err = w.leave(ctx, l)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	w.stopSending()
	closed := w.s.Close()
	w.unsure = closed != nil
	return errors.Join(err, closed)
}

// Scan is what a walk has come to.
type Scan struct {
	Ready   int `json:"ready"`   // letters when it began, without those in others' hands
	Scanned int `json:"scanned"` // letters that were looked at
	Matched int `json:"matched"` // of them, those that were selected
	Renewed int `json:"renewed"` // letters that are now at the end of the queue, so that a delivery limit does not take them
	AtRisk  int `json:"at_risk"` // letters that should have been renewed and could not be
}

// Walk shows the selected letters, in their order, until show returns false or, if
// limit is not 0, that many are shown. Nothing is removed. What show gets must not be
// kept, nor changed.
func (q *Queue) Walk(ctx context.Context, sel *Selection, limit int, show func(*Letter) bool) (Scan, error) {
	return q.scan(ctx, sel, limit, func(l *Letter) (fate, bool) { return stays, show(l) })
}

// Remove removes the selected letters for good, at most limit if that is not 0.
// What comes in after it has begun stays.
func (q *Queue) Remove(ctx context.Context, sel *Selection, limit int) (Scan, error) {
	return q.scan(ctx, sel, limit, func(*Letter) (fate, bool) { return goes, true })
}

func (q *Queue) scan(ctx context.Context, sel *Selection, limit int, visit func(*Letter) (fate, bool)) (scan Scan, err error) {
	most := 0
	if sel.All() {
		most = limit // no more is asked for
	}
	w, err := q.walk(ctx, most)
	if err != nil {
		return scan, err
	}
	scan.Ready = w.s.Ready()
	pick := sel.picker(time.Now())
	for err == nil {
		var l *Letter
		if l, err = w.next(ctx); err != nil {
			break
		}
		as, more := stays, true
		if pick.takes(l) {
			scan.Matched++
			as, more = visit(l)
		}
		if as == goes {
			err = w.s.Ack(l.tag)
		} else {
			err = w.leave(ctx, l)
		}
		if !more || pick.done() || limit > 0 && scan.Matched == limit {
			break
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	scan.Scanned = w.seen
	err = errors.Join(err, w.close(ctx))
	scan.Renewed, scan.AtRisk = w.renewed, w.atRisk
	if err == nil && w.atRisk > 0 {
		err = fmt.Errorf("%d letters of %s should have been renewed, as the queue may have a delivery limit, and could not be: %w", w.atRisk, q.Name, w.risk)
	}
	return scan, err
}
