package rpc

import (
	"sync"
	"time"
)

// seldom lets the first of many like events through, and then one a minute:
// anybody who may publish could fill the log otherwise. The zero value is ready
// for use, and safe for concurrent use.
type seldom struct {
	mu   sync.Mutex // protects last
	last time.Time
}

func (s *seldom) now() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.last.IsZero() && time.Since(s.last) < time.Minute {
		return false
	}
	s.last = time.Now()
	return true
}
