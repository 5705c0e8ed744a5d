package porttest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wasmrouter/router/router"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSender(t *testing.T) {
	Sender(t, func(testing.TB) SenderRig {
		b := &memory{}
		return SenderRig{
			Sender:   &memorySender{b: b},
			Routable: router.Target{Kind: router.TargetQueue, Queue: "q"}, Unroutable: router.Target{Kind: router.TargetQueue, Queue: "none"},
			Arrived: func() []string { b.mu.Lock(); defer b.mu.Unlock(); return b.arrived },
			Mute:    func() { b.mu.Lock(); defer b.mu.Unlock(); b.mute = true },
		}
	})
}

func TestListener(t *testing.T) {
	Listener(t, func(testing.TB) ListenerRig {
		b := &memory{}
		return ListenerRig{
			Listener: b, Queue: "q",
			Publish: func(body string) { b.mu.Lock(); defer b.mu.Unlock(); b.queue = append(b.queue, item{body: body}) },
			Ready:   func() int { b.mu.Lock(); defer b.mu.Unlock(); return len(b.queue) },
			Lose:    func() { b.mu.Lock(); defer b.mu.Unlock(); b.session.end() },
		}
	})
}

// memory is a broker with one queue.
type memory struct {
	mu      sync.Mutex
	arrived []string
	mute    bool
	queue   []item
	session *session
}

type item struct {
	body  string
	again bool
}

type memorySender struct {
	b      *memory
	open   []router.Receipt
	closed bool
}

func (s *memorySender) Send(ctx context.Context, t router.Target, e *router.Envelope, r router.Receipt) error {
	switch {
	case s.closed:
		return router.ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	case len(e.CorrelationID) > 255:
		return fmt.Errorf("%w: too long", router.ErrUnsendable)
	}
	s.b.mu.Lock()
	mute := s.b.mute
	if t.Queue == "q" {
		s.b.arrived = append(s.b.arrived, string(e.Body))
	}
	s.b.mu.Unlock()
	switch {
	case mute:
		s.open = append(s.open, r)
	case t.Queue == "q":
		r.Settle(nil)
	default:
		r.Settle(router.ErrUnroutable)
	}
	return nil
}

func (s *memorySender) Close() {
	s.closed = true
	for _, r := range s.open {
		r.Settle(router.ErrUnconfirmed)
	}
	s.open = nil
}

// session is one consumer; the broker's lock protects it.
type session struct {
	b    *memory
	open map[uint64]item
	tag  uint64
	dead bool
}

func (s *session) end() {
	if s.dead {
		return
	}
	s.dead = true
	for tag := s.tag; tag > 0; tag-- {
		if i, ok := s.open[tag]; ok {
			s.b.queue = append([]item{{i.body, true}}, s.b.queue...)
		}
	}
}

func (s *session) Live() bool { s.b.mu.Lock(); defer s.b.mu.Unlock(); return !s.dead }
func (s *session) Ack(tag uint64) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	delete(s.open, tag)
}

func (s *session) Requeue(tag uint64) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if i, ok := s.open[tag]; ok && !s.dead {
		delete(s.open, tag)
		s.b.queue = append([]item{{i.body, true}}, s.b.queue...)
	}
}

func (b *memory) Listen(ctx context.Context, source router.Source, handle func(*router.Delivery)) error {
	for ctx.Err() == nil {
		s := &session{b: b, open: make(map[uint64]item)}
		b.mu.Lock()
		b.session = s
		b.mu.Unlock()
		var drain <-chan time.Time
		for s.Live() {
			if ctx.Err() != nil && drain == nil {
				drain = time.After(source.DrainTimeout)
			}
			d, open := s.take(source, drain == nil)
			if d != nil {
				handle(d)
				continue
			}
			if drain != nil && open == 0 {
				break
			}
			select {
			case <-drain:
				b.mu.Lock()
				s.end()
				b.mu.Unlock()
			case <-time.After(time.Millisecond):
			}
		}
		b.mu.Lock()
		s.end()
		b.mu.Unlock()
	}
	return nil
}

func (s *session) take(source router.Source, more bool) (*router.Delivery, int) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if !more || s.dead || len(s.b.queue) == 0 || len(s.open) >= source.Prefetch {
		return nil, len(s.open)
	}
	i := s.b.queue[0]
	s.b.queue = s.b.queue[1:]
	s.tag++
	s.open[s.tag] = i
	d := &router.Delivery{Envelope: router.NewEnvelope(nil, []byte(i.body)), Settler: s, Tag: s.tag}
	d.Envelope.Origin = router.Origin{Queue: source.Queue, Redelivered: i.again, Received: time.Now()}
	return d, len(s.open)
}
