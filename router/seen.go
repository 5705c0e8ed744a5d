package router

import (
	"hash/maphash"
	"sync"
	"time"
)

// seen remembers which message went to which target, so that what the broker
// delivers again after a lost acknowledgement is not sent twice. A message is
// entered after its confirm and asked for only when it is redelivered, and
// forgotten when one like it comes for the first time, so one that an
// application sends twice is not taken for a duplicate. The body counts too,
// because not every application makes its ids unique.
//
// Its methods do nothing on a nil seen, and are safe for concurrent use.
type seen struct {
	ttl  time.Duration
	seed maphash.Seed

	mu    sync.Mutex        // protects the fields below
	slots []seenKey         // in the order of entering
	next  int               // the oldest of slots
	known map[seenKey]entry // what is in slots and not forgotten
}

// seenKey is made of hashes: of the body, and of all else. The zero key is of a
// message that cannot be recognized.
type seenKey struct{ body, name uint64 }

type entry struct {
	slot int
	at   time.Time
}

// toDeadLetter stands for the place among outputs in the key of a dead letter.
const toDeadLetter = -1

func newSeen(window int, ttl time.Duration) *seen {
	return &seen{
		ttl: ttl, seed: maphash.MakeSeed(),
		slots: make([]seenKey, window), known: make(map[seenKey]entry, window),
	}
}

// key returns the key of e, as it was received and known by id, and the target that is the
// nth of its kind among those of the message.
func (s *seen) key(id string, e *Envelope, t Target, nth int) seenKey {
	if s == nil || id == "" {
		return seenKey{}
	}
	name := struct {
		id     string
		target Target
		nth    int
	}{id, t, nth}
	return seenKey{maphash.Bytes(s.seed, e.Body), maphash.Comparable(s.seed, name) | 1}
}

// add remembers a message that has arrived.
func (s *seen) add(k seenKey, now time.Time) {
	if s == nil || k == (seenKey{}) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.slots[s.next]; s.known[old].slot == s.next {
		delete(s.known, old)
	}
	s.slots[s.next] = k
	s.known[k] = entry{s.next, now}
	s.next = (s.next + 1) % len(s.slots)
}

// has reports whether the message is known to have arrived.
func (s *seen) has(k seenKey, now time.Time) bool {
	if s == nil || k == (seenKey{}) {
		return false
	}
	s.mu.Lock()
	e, ok := s.known[k]
	s.mu.Unlock()
	return ok && (s.ttl <= 0 || now.Sub(e.at) <= s.ttl)
}

// forget makes room for a message that is new, whatever came before.
func (s *seen) forget(k seenKey) {
	if s == nil || k == (seenKey{}) {
		return
	}
	s.mu.Lock()
	delete(s.known, k)
	s.mu.Unlock()
}
