package rpc

import (
	"sync"
	"time"
)

// lately remembers a bounded number of names for a bounded time. It is safe for
// concurrent use.
type lately struct {
	max int
	ttl time.Duration

	mu    sync.Mutex // protects the fields below
	since map[string]time.Time
	order []string // names in the order in which they came, some gone by now
}

func newLately(most int, ttl time.Duration) *lately {
	return &lately{max: most, ttl: ttl, since: map[string]time.Time{}}
}

// add remembers name from now on, and reports whether it was not known.
func (l *lately) add(name string) bool {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.order) > 0 {
		first := l.order[0]
		at, ok := l.since[first]
		if ok && len(l.order) < l.max && now.Sub(at) < l.ttl {
			break
		}
		l.order = l.order[1:]
		delete(l.since, first)
	}
	if _, known := l.since[name]; known {
		return false
	}
	l.since[name] = now
	l.order = append(l.order, name)
	return true
}

// has reports whether name is remembered.
func (l *lately) has(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.since[name]
	return ok && time.Since(at) < l.ttl
}

// forget removes name.
func (l *lately) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.since, name)
}
