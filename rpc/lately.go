package rpc

import (
	"sync"
	"time"

	"github.com/wasmrouter/router/router"
)

// lately remembers a bounded number of names for a bounded time. It is safe for
// concurrent use.
type lately struct {
	max int
	ttl time.Duration

	mu    sync.Mutex // protects the fields below
	since map[string]time.Time
	order []entry // in the order in which they came; some are forgotten by now
}

type entry struct {
	name string
	at   time.Time
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
		known := l.since[first.name].Equal(first.at)
		if known && len(l.order) < l.max && now.Sub(first.at) < l.ttl {
			break
		}
		if known {
			delete(l.since, first.name)
		}
		l.order = l.order[1:]
	}
	if _, known := l.since[name]; known {
		return false
	}
	l.since[name] = now
	l.order = append(l.order, entry{name, now})
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

// together keeps, for each request that is being answered, all deliveries of
// it: one that comes again meanwhile is settled with the first. It is safe for
// concurrent use.
type together struct {
	mu   sync.Mutex // protects held
	held map[string][]*router.Delivery
}

// join adds d to those of id, and reports whether it is the first.
func (t *together) join(id string, d *router.Delivery) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held == nil {
		t.held = map[string][]*router.Delivery{}
	}
	t.held[id] = append(t.held[id], d)
	if len(t.held[id]) > 1 {
		d.Envelope = router.Envelope{} // only to be settled
		return false
	}
	return true
}

// leave removes and returns those of id.
func (t *together) leave(id string) []*router.Delivery {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.held[id]
	delete(t.held, id)
	return all
}
