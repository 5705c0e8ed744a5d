package amqp

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// brokerSide is a channel as RabbitMQ sees it.
type brokerSide struct {
	t interface {
		Errorf(format string, args ...any)
	}
	mu       sync.Mutex // protects the fields below
	unacked  []uint64
	settled  map[uint64]uint8 // as the handler wanted it
	acks     int              // frames
	multiple int              // of them, for many
	err      error
}

func (b *brokerSide) take(tag uint64, want uint8) {
	i, ok := slices.BinarySearch(b.unacked, tag)
	if !ok {
		b.t.Errorf("tag %d is settled, and the broker does not wait for it: it would close the channel", tag)
		return
	}
	if b.settled[tag] != want {
		b.t.Errorf("tag %d is settled as %d, the handler wanted %d", tag, want, b.settled[tag])
	}
	b.unacked = slices.Delete(b.unacked, i, i+1)
}

func (b *brokerSide) Ack(tag uint64, multiple bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	b.acks++
	if multiple {
		b.multiple++
		if !slices.Contains(b.unacked, tag) {
			b.t.Errorf("tag %d, the last of many, is not waited for: the broker would acknowledge everything", tag)
		}
		for len(b.unacked) > 0 && b.unacked[0] < tag {
			b.take(b.unacked[0], tagAcked)
		}
	}
	b.take(tag, tagAcked)
	return nil
}

func (b *brokerSide) Nack(tag uint64, multiple, requeue bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	if multiple || !requeue {
		b.t.Errorf("nack of tag %d: multiple %v, requeue %v", tag, multiple, requeue)
	}
	b.take(tag, tagSent)
	return nil
}

func TestSettlerSendsWhatHandlersWantAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefetch := rapid.IntRange(1, 40).Draw(t, "prefetch")
		b := &brokerSide{t: t, settled: map[uint64]uint8{}}
		s := newSettler(b, &counters{}, prefetch)
		var next uint64
		var open []uint64 // delivered, and not settled by the handler
		t.Repeat(map[string]func(*rapid.T){
			"deliver": func(t *rapid.T) {
				if len(b.unacked) >= prefetch {
					t.Skip("the window is full")
				}
				next++
				b.unacked = append(b.unacked, next)
				open = append(open, next)
				s.delivered(next)
			},
			"settle": func(t *rapid.T) {
				if len(open) == 0 {
					t.Skip("nothing is open")
				}
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				tag := open[i]
				open = slices.Delete(open, i, i+1)
				if rapid.IntRange(0, 4).Draw(t, "how") == 0 {
					b.settled[tag] = tagSent
					s.Requeue(tag)
				} else {
					b.settled[tag] = tagAcked
					s.Ack(tag)
				}
			},
			"settle again": func(t *rapid.T) {
				if next == 0 {
					t.Skip("nothing was delivered")
				}
				tag := rapid.Uint64Range(1, next+2).Draw(t, "tag")
				if !slices.Contains(open, tag) {
					s.Ack(tag)
					s.Requeue(tag)
				}
			},
			"flush":      func(*rapid.T) { s.flush(false) },
			"flush gaps": func(*rapid.T) { s.flush(true) },
			"": func(t *rapid.T) {
				if s.open != len(open) {
					t.Errorf("open = %d, want %d", s.open, len(open))
				}
			},
		})
		s.flush(true)
		if !slices.Equal(b.unacked, open) {
			t.Errorf("the broker waits for %v, open are %v", b.unacked, open)
		}
	})
}

// seen returns how many acks were sent, how many of them for many, and how
// many deliveries are unacknowledged.
func (b *brokerSide) seen() [3]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return [3]int{b.acks, b.multiple, len(b.unacked)}
}

// startSettler runs a settler over a broker's side in a synctest bubble.
func startSettler(t *testing.T, prefetch, delivered int) (*settler, *brokerSide, func()) {
	b := &brokerSide{t: t, settled: map[uint64]uint8{}}
	s := newSettler(b, &counters{}, prefetch)
	for i := range uint64(delivered) {
		b.unacked = append(b.unacked, i+1)
		b.settled[i+1] = tagAcked
		s.delivered(i + 1)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { s.run(stop, nil); close(done) }()
	return s, b, func() { close(stop); <-done }
}

func TestAcksAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b, stop := startSettler(t, 256, 200)
		for tag := range uint64(10) {
			s.Ack(10 - tag) // in any order
		}
		check := func(when string, acks, multiple, unacked int) {
			t.Helper()
			synctest.Wait()
			if got, want := b.seen(), [3]int{acks, multiple, unacked}; got != want {
				t.Errorf("%s: acks, acks for many, unacknowledged: %v; want %v", when, got, want)
			}
		}
		check("before the delay", 0, 0, 200)
		time.Sleep(ackDelay)
		check("after the delay", 1, 1, 190)
		for tag := range uint64(ackBatch) {
			s.Ack(11 + tag)
		}
		check("after a batch", 2, 2, 190-ackBatch)
		s.Ack(100) // behind open ones
		time.Sleep(10 * ackDelay)
		check("behind a gap", 2, 2, 190-ackBatch)
		time.Sleep(ackGap)
		check("after the gap's time", 3, 2, 189-ackBatch)
		stop()
	})
}

func TestAHeadThatStaysDoesNotHoldTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b, stop := startSettler(t, 8, 8)
		for tag := uint64(2); tag <= 5; tag++ {
			s.Ack(tag)
		}
		synctest.Wait() // half the window: no time passes
		if n := b.seen()[2]; n != 4 {
			t.Errorf("%d are unacknowledged, want 4", n)
		}
		stop()
	})
}

func TestTheLastAcksAreSentAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b, stop := startSettler(t, 100, 3)
		drained := s.drain()
		for tag := uint64(3); tag >= 1; tag-- {
			select {
			case <-drained:
				t.Error("drained too early")
			default:
			}
			s.Ack(tag)
		}
		<-drained
		stop()
		if len(b.unacked) != 0 {
			t.Errorf("unacknowledged at the end: %v", b.unacked)
		}
	})
}

func TestAFailedAckEndsTheSession(t *testing.T) {
	b := &brokerSide{t: t, err: errors.New("closed")}
	n := &counters{}
	s := newSettler(b, n, 10)
	for tag := uint64(1); tag <= 5; tag++ {
		s.delivered(tag)
	}
	s.Ack(1)
	s.Ack(2)
	s.Requeue(4)
	s.flush(false)
	s.Ack(5)
	s.Requeue(3)
	if s.Live() || n.acksDropped.Load() != 5 {
		t.Errorf("live = %v, dropped = %d; want false and 5", s.Live(), n.acksDropped.Load())
	}
}
