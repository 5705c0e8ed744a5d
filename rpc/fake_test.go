package rpc_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// broker is a Listener, a maker of Senders and a Declare in memory.
type broker struct {
	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at every change
	queues   map[string][]*router.Envelope
	declared []rpc.Topology
	sent     []sent
	unacked  int
	acked    int
	requeued int
	session  *fakeSession // of who listens, the last of them

	// answer, if set, is what the broker says to a publish; see the errors.
	answer func(t router.Target, env *router.Envelope) error
	// refuse, if set, is what it says to a declaration.
	refuse func(t rpc.Topology) error
	// deaf, if set, hides from listeners that their queue is gone, until one is
	// told to check.
	deaf bool
	// stall, if set, makes Send and Declare wait until it is closed.
	stall chan struct{}
}

type sent struct {
	Target string
	Env    router.Envelope
}

var (
	errHeld    = errors.New("never settle")  // until the Sender is closed
	errDropped = errors.New("queue dropped") // what a listener of one is told

	errLost = errors.New("deliver, but lose the confirm") // settled as unconfirmed
)

func newBroker(queues ...string) *broker {
	b := &broker{changed: make(chan struct{}), queues: map[string][]*router.Envelope{}}
	for _, q := range queues {
		b.queues[q] = nil
	}
	return b
}

// change runs f under the lock and wakes who waits for a change.
func (b *broker) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *broker) wait(ctx context.Context) error {
	b.mu.Lock()
	stall := b.stall
	b.mu.Unlock()
	if stall == nil {
		return ctx.Err()
	}
	select {
	case <-stall:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *broker) declare(ctx context.Context, t rpc.Topology) error {
	if err := b.wait(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	refuse := b.refuse
	b.mu.Unlock()
	if refuse != nil {
		if err := refuse(t); err != nil {
			return err
		}
	}
	b.change(func() {
		b.declared = append(b.declared, t)
		for _, q := range t.Queues {
			b.queues[q.Name] = append(b.queues[q.Name], []*router.Envelope{}...)
		}
	})
	return nil
}

// lose ends the session of the last who began to listen, as the loss of a
// connection does: what it has in hand is delivered again, to the next.
func (b *broker) lose() {
	b.change(func() {
		s := b.session
		s.dead = true
		var again []*router.Envelope
		for _, tag := range slices.Sorted(maps.Keys(s.held)) {
			s.held[tag].Origin.Redelivered = true
			again = append(again, s.held[tag])
			b.unacked--
		}
		clear(s.held)
		b.queues[s.queue] = append(again, b.queues[s.queue]...)
	})
}

func (b *broker) drop(queue string) { b.change(func() { delete(b.queues, queue) }) }

// deliver puts env into the queues of the target, and reports whether there
// are any. Queues are named as oslo.messaging names them.
func (b *broker) deliver(t router.Target, env *router.Envelope) (routed bool) {
	exchange, key := t.Address()
	b.change(func() {
		b.sent = append(b.sent, sent{t.String(), env.Clone()})
		for q := range b.queues {
			if q == key && t.Kind != router.TargetFanout || t.Kind == router.TargetFanout && strings.HasPrefix(q, exchange) {
				e := env.Clone()
				e.Origin = router.Origin{Queue: q, Exchange: exchange, RoutingKey: key}
				b.queues[q] = append(b.queues[q], &e)
				routed = true
			}
		}
	})
	return routed
}

// put delivers to one queue, as a foreign sender does.
func (b *broker) put(queue string, env router.Envelope) {
	b.deliver(router.Target{Kind: router.TargetQueue, Queue: queue}, &env)
}

func (b *broker) sender() router.Sender {
	s := &fakeSender{b: b, work: make(chan func(), 1024), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for f := range s.work {
			f()
		}
	}()
	return s
}

type fakeSender struct {
	b    *broker
	work chan func()
	done chan struct{}
	once sync.Once

	mu   sync.Mutex // protects the fields below
	held []router.Receipt
	shut bool
}

func (s *fakeSender) Send(ctx context.Context, t router.Target, env *router.Envelope, r router.Receipt) error {
	if err := s.b.wait(ctx); err != nil {
		return err
	}
	if err := t.Validate(); err != nil {
		return errors.Join(router.ErrUnsendable, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return router.ErrClosed
	}
	s.work <- func() {
		s.b.mu.Lock()
		answer := s.b.answer
		s.b.mu.Unlock()
		var err error
		if answer != nil {
			err = answer(t, env)
		}
		switch {
		case errors.Is(err, errHeld):
			s.mu.Lock()
			s.held = append(s.held, r)
			s.mu.Unlock()
			return
		case errors.Is(err, errLost):
			s.b.deliver(t, env)
			err = router.ErrUnconfirmed
		case err == nil && !s.b.deliver(t, env):
			err = router.ErrUnroutable
		}
		r.Settle(err)
	}
	return nil
}

func (s *fakeSender) Close() {
	s.once.Do(func() {
		s.mu.Lock()
		s.shut = true
		close(s.work)
		s.mu.Unlock()
		<-s.done
		for _, r := range s.held {
			r.Settle(router.ErrUnconfirmed)
		}
	})
}

func (b *broker) Listen(ctx context.Context, src router.Source, handle func(*router.Delivery)) error {
	var session *fakeSession
	var tag uint64
	tell := func(kind router.SourceEventKind, err error) {
		if src.Watch != nil {
			src.Watch(router.SourceEvent{Kind: kind, Queue: src.Queue, Err: err})
		}
	}
	begin := func() error {
		if !src.Topology.Empty() {
			if err := b.declare(ctx, src.Topology); err != nil {
				return err
			}
		}
		tell(router.SourceConsuming, nil)
		return nil
	}
	if err := begin(); err != nil && ctx.Err() == nil {
		return err
	}
	for ctx.Err() == nil {
		b.mu.Lock()
		if session == nil || session.dead {
			session = &fakeSession{b: b, held: map[uint64]*router.Envelope{}, queue: src.Queue}
			b.session = session
		}
		changed := b.changed
		_, there := b.queues[src.Queue]
		if !there && !b.deaf && !src.Topology.Empty() {
			b.mu.Unlock()
			tell(router.SourceLost, errDropped)
			if err := begin(); err != nil && ctx.Err() == nil {
				return err
			}
			continue
		}
		var env *router.Envelope
		if list := b.queues[src.Queue]; len(list) > 0 && len(session.held) < src.Prefetch {
			env, b.queues[src.Queue] = list[0], list[1:]
			tag++
			session.held[tag] = env
			b.unacked++
		}
		b.mu.Unlock()
		if env == nil {
			select {
			case <-changed:
			case <-src.Check:
				b.change(func() { b.deaf = false })
			case <-ctx.Done():
			}
			continue
		}
		handle(&router.Delivery{Envelope: env.Clone(), Settler: session, Tag: tag})
	}
	if session == nil {
		return nil
	}
	end := time.After(src.DrainTimeout)
	for {
		b.mu.Lock()
		changed, open := b.changed, len(session.held)
		b.mu.Unlock()
		if open == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-end:
			for tag := range session.held {
				session.Requeue(tag)
			}
			return nil
		}
	}
}

type fakeSession struct {
	b     *broker
	queue string
	held  map[uint64]*router.Envelope // protected by b.mu
	dead  bool                        // protected by b.mu
}

func (s *fakeSession) settle(tag uint64, f func(*router.Envelope)) {
	s.b.change(func() {
		if env, ok := s.held[tag]; ok {
			delete(s.held, tag)
			s.b.unacked--
			f(env)
		}
	})
}

func (s *fakeSession) Ack(tag uint64) { s.settle(tag, func(*router.Envelope) { s.b.acked++ }) }

func (s *fakeSession) Requeue(tag uint64) {
	s.settle(tag, func(env *router.Envelope) {
		s.b.requeued++
		env.Origin.Redelivered = true
		s.b.queues[s.queue] = append([]*router.Envelope{env}, s.b.queues[s.queue]...)
	})
}

func (s *fakeSession) Live() bool {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	return !s.dead
}

// count returns what was settled and what waits for that.
func (b *broker) count() (acked, requeued, unacked int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.acked, b.requeued, b.unacked
}

func (b *broker) messages(target string) (list []router.Envelope) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sent {
		if s.Target == target {
			list = append(list, s.Env)
		}
	}
	return list
}

func (b *broker) declarations(f func(rpc.Topology) bool) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.declared {
		if f(t) {
			n++
		}
	}
	return n
}
