package amqp

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// gate is shut while the broker has blocked a connection. Its clock stands
// still meanwhile, so that waiting for confirms and writes is not held against
// a broker that has said it will not read.
type gate struct {
	start time.Time
	shut  atomic.Bool // fast path of open

	// mu protects the fields below.
	mu     sync.Mutex
	since  time.Time // when it was shut
	total  time.Duration
	opened chan struct{} // closed when it opens; nil while open
}

func newGate() *gate { return &gate{start: time.Now()} }

// set shuts or opens the gate and reports whether that changed it.
func (g *gate) set(shut bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if shut == g.shut.Load() {
		return false
	}
	g.shut.Store(shut)
	if shut {
		g.since, g.opened = time.Now(), make(chan struct{})
	} else {
		g.total += time.Since(g.since)
		close(g.opened)
		g.opened = nil
	}
	return true
}

// wait returns when the gate is open, or with ctx's error, or nil when lost is
// closed.
func (g *gate) wait(ctx context.Context, lost <-chan struct{}) error {
	if !g.shut.Load() {
		return nil
	}
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	if opened == nil {
		return nil
	}
	select {
	case <-opened:
		return nil
	case <-lost:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// blocked returns how long the gate has been shut in total.
func (g *gate) blocked() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut.Load() {
		return g.total + time.Since(g.since)
	}
	return g.total
}

// clock returns the time that the gate has been open.
func (g *gate) clock() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut.Load() {
		return g.since.Sub(g.start) - g.total
	}
	return time.Since(g.start) - g.total
}
