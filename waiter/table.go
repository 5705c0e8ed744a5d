// Package waiter joins answers to the calls that wait for them, by the call's
// id. A waiting call costs a few hundred bytes and nothing else: no goroutine,
// no polling, and no timer unless its Wait watches for keep-alives.
package waiter

import (
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// Errors that callers test for.
var (
	// ErrDuplicate is wrapped by Register's error for an id that waits already.
	ErrDuplicate = errors.New("a call with this id is waiting")
	// ErrClosed ends calls that were closed, or whose table was; Register
	// returns it after Close.
	ErrClosed = errors.New("closed")
	// ErrSilent ends a Wait that saw neither an answer nor a keep-alive for as
	// long as its monitor allows.
	ErrSilent = errors.New("no keep-alive in time")
	// ErrBusy is returned by Wait while another Wait of the same call runs.
	ErrBusy = errors.New("another Wait of this call is running")
)

const (
	numShards = 64   // bounds how long Fail and Close keep Deliver out
	remember  = 4096 // ended calls that are told from unknown ones, about
	roomy     = 4096 // a shard that held so many gives its memory back when empty
)

// Table holds the calls that wait for an answer of type T. It is safe for
// concurrent use.
type Table[T any] struct {
	seed     maphash.Seed
	shards   [numShards]shard[T]
	ended    [remember]atomic.Uint64 // id hashes of calls that ended lately; see note
	counters counters
}

type shard[T any] struct {
	mu     sync.Mutex          // protects the fields below and those of calls that say so
	calls  map[uint64]*Call[T] // by id hash; ids of equal hash are chained by next
	n      int                 // calls in it
	peak   int                 // most calls since the map was made
	closed bool

	_ [96]byte // keeps neighbours' locks out of this cache line
}

// New returns an empty table. Its size is bounded only by who registers.
func New[T any]() *Table[T] {
	t := &Table[T]{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].calls = make(map[uint64]*Call[T])
	}
	return t
}

// at returns the shard of id and the hash of it.
func (t *Table[T]) at(id string) (*shard[T], uint64) {
	h := maphash.String(t.seed, id)
	return &t.shards[h%numShards], h
}

// Register starts a call, before the request is sent, so that no answer can be
// too early. It returns ErrClosed or an error that wraps ErrDuplicate. The
// caller must end the call with Wait or Close. Id is kept until then.
func (t *Table[T]) Register(id string) (*Call[T], error) {
	s, h := t.at(id)
	c := &Call[T]{table: t, id: id}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if s.find(h, id) != nil {
		return nil, fmt.Errorf("waiter: %w: %q", ErrDuplicate, id)
	}
	s.insert(h, c)
	t.counters.registered.Add(1)
	return c, nil
}

// Deliver ends the call of that id with its answer and reports whether one was
// waiting. An answer to none is counted and dropped.
func (t *Table[T]) Deliver(id string, v T) bool {
	s, h := t.at(id)
	s.mu.Lock()
	c := s.find(h, id)
	if c == nil {
		s.mu.Unlock()
		t.dropped(h)
		return false
	}
	s.remove(h, c)
	c.value, c.ended = v, true
	done := c.done
	s.mu.Unlock()

	t.note(h, true)
	t.counters.delivered.Add(1)
	if done != nil {
		close(done)
	}
	return true
}

// Beat takes a keep-alive for the call of that id: if its Wait has a monitor,
// the monitor's time starts anew. It reports whether the call is waiting.
func (t *Table[T]) Beat(id string) bool {
	s, h := t.at(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.find(h, id)
	if c == nil {
		t.counters.lateBeats.Add(1)
		return false
	}
	t.counters.beats.Add(1)
	if c.monitor != nil {
		c.monitor.rearm()
	}
	return true
}

// Fail ends every call that waits now with err; later ones are not affected.
// Call it when answers to what waits can no longer come.
func (t *Table[T]) Fail(err error) {
	if err == nil {
		err = ErrClosed
	}
	t.endAll(err, false)
}

// Close ends every call with ErrClosed and refuses new ones. It may be called
// again.
func (t *Table[T]) Close() { t.endAll(ErrClosed, true) }

func (t *Table[T]) endAll(err error, final bool) {
	for i := range t.shards {
		s := &t.shards[i]
		var wake []chan struct{}
		s.mu.Lock()
		s.closed = s.closed || final
		n := s.n
		for h, c := range s.calls {
			t.note(h, false)
			for ; c != nil; c = c.next {
				c.err, c.ended = err, true
				if c.done != nil {
					wake = append(wake, c.done)
				}
			}
		}
		s.empty()
		s.mu.Unlock()
		t.counters.failed.Add(uint64(n))
		for _, done := range wake {
			close(done)
		}
	}
}

// find returns the call of that id, whose hash is h, or nil. The caller holds
// mu.
func (s *shard[T]) find(h uint64, id string) *Call[T] {
	c := s.calls[h]
	for c != nil && c.id != id {
		c = c.next
	}
	return c
}

// insert adds c, whose id's hash is h. The caller holds mu.
func (s *shard[T]) insert(h uint64, c *Call[T]) {
	c.next = s.calls[h]
	s.calls[h] = c
	s.n++
	s.peak = max(s.peak, s.n)
}

// remove takes c, whose id's hash is h, out. The caller holds mu.
func (s *shard[T]) remove(h uint64, c *Call[T]) {
	switch first := s.calls[h]; {
	case first != c:
		for first.next != c {
			first = first.next
		}
		first.next = c.next
	case c.next != nil:
		s.calls[h] = c.next
	default:
		delete(s.calls, h)
	}
	c.next = nil
	s.n--
	if s.n == 0 && s.peak >= roomy {
		s.empty() // maps never shrink
	}
}

// empty forgets all calls and gives their memory back. The caller holds mu.
func (s *shard[T]) empty() {
	s.calls, s.n, s.peak = make(map[uint64]*Call[T]), 0, 0
}

// note remembers how the call with id hash h ended, in the place of some
// older one: the lowest bit says whether it was answered.
func (t *Table[T]) note(h uint64, answered bool) {
	mark := h &^ 1
	if answered {
		mark |= 1
	}
	t.ended[h>>1%remember].Store(mark)
}

// dropped counts an answer that nothing waits for.
func (t *Table[T]) dropped(h uint64) {
	switch mark := t.ended[h>>1%remember].Load(); {
	case mark == h|1:
		t.counters.duplicate.Add(1)
	case mark == h&^1 && mark != 0:
		t.counters.late.Add(1)
	default:
		t.counters.unknown.Add(1)
	}
}

// Len is how many calls wait.
func (t *Table[T]) Len() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += s.n
		s.mu.Unlock()
	}
	return n
}
