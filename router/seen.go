package router

import (
	"hash/maphash"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// seen remembers which message went to which target, so that what the broker
// delivers again after a lost acknowledgement is not sent twice. A message is
// entered after its confirm and asked for only when it is redelivered, so one
// that an application sends twice is not taken for a duplicate; the body counts
// too, because not every application makes its ids unique.
type seen struct {
	ttl   time.Duration
	seed  maphash.Seed
	cache *lru.Cache[seenKey, time.Time]
}

type seenKey struct {
	id     string
	body   uint64
	target Target
}

func newSeen(window int, ttl time.Duration) *seen {
	cache, err := lru.New[seenKey, time.Time](window)
	if err != nil {
		panic(err) // only for window < 1, which the caller excludes
	}
	return &seen{ttl: ttl, seed: maphash.MakeSeed(), cache: cache}
}

func (s *seen) key(e *Envelope, t Target) seenKey {
	return seenKey{e.MessageID, maphash.Bytes(s.seed, e.Body), t}
}

// add remembers that e, as it was received, is with t.
func (s *seen) add(e *Envelope, t Target, now time.Time) {
	if s == nil || e.MessageID == "" {
		return
	}
	s.cache.Add(s.key(e, t), now)
}

// has reports whether e, as it was received, is known to be with t.
func (s *seen) has(e *Envelope, t Target, now time.Time) bool {
	if s == nil || e.MessageID == "" {
		return false
	}
	at, ok := s.cache.Get(s.key(e, t))
	return ok && (s.ttl <= 0 || now.Sub(at) <= s.ttl)
}
