package app

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/wasmrouter/router/admin"
	"github.com/wasmrouter/router/router"
)

// gate keeps a route from listening while it is paused. It stays with the route's
// name over reloads. Its methods are safe for concurrent use.
type gate struct {
	mu       sync.Mutex            // protects the fields below
	since    time.Time             // when it was closed; zero while it is open
	opened   chan struct{}         // closed when it opens; nil while it is open
	sessions map[*session]struct{} // those that have not ended
}

// session is one Listen behind a gate.
type session struct {
	leave context.CancelFunc
	ended chan struct{}
}

// enter begins a session, once the gate is open; nil if ctx ends before.
func (g *gate) enter(ctx context.Context) (context.Context, *session) {
	for {
		g.mu.Lock()
		opened := g.opened
		if opened == nil && ctx.Err() == nil {
			inside, leave := context.WithCancel(ctx)
			s := &session{leave, make(chan struct{})}
			if g.sessions == nil {
				g.sessions = make(map[*session]struct{})
			}
			g.sessions[s] = struct{}{}
			g.mu.Unlock()
			return inside, s
		}
		g.mu.Unlock()
		select {
		case <-opened:
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// end ends a session that enter began.
func (g *gate) end(s *session) {
	s.leave()
	g.mu.Lock()
	delete(g.sessions, s)
	g.mu.Unlock()
	close(s.ended)
}

// close closes the gate and returns when its sessions have ended, or ctx has; the
// gate stays closed.
func (g *gate) close(ctx context.Context) {
	var under []*session
	g.mu.Lock()
	if g.opened == nil {
		g.since, g.opened = time.Now(), make(chan struct{})
	}
	for s := range g.sessions {
		s.leave()
		under = append(under, s)
	}
	g.mu.Unlock()
	for _, s := range under {
		select {
		case <-s.ended:
		case <-ctx.Done():
			return
		}
	}
}

// open opens the gate.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != nil {
		close(g.opened)
		g.since, g.opened = time.Time{}, nil
	}
}

// closed returns since when the gate is closed, zero if it is open. A nil gate is.
func (g *gate) closed() time.Time {
	if g == nil {
		return time.Time{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.since
}

// gated is a Listener that leaves the queue when its gate closes, as if it were
// told to end, and listens again when it opens. The route behind it notices
// nothing: its lanes settle what they have.
type gated struct {
	router.Listener
	gate *gate
}

// Listen implements [router.Listener].
func (l gated) Listen(ctx context.Context, source router.Source, handle func(*router.Delivery)) error {
	for {
		inside, s := l.gate.enter(ctx)
		if s == nil {
			return nil
		}
		err := l.Listener.Listen(inside, source, handle)
		left := inside.Err() != nil
		l.gate.end(s)
		if err != nil || !left || ctx.Err() != nil {
			return err
		}
	}
}

// gateOf returns the gate of a route, which that of the same name had before.
func (t *table) gateOf(name string) *gate {
	if r := t.routes[name]; r != nil && r.gate != nil {
		return r.gate
	}
	return new(gate)
}

// RouteState says whether a route is paused.
type RouteState struct {
	Route    string     `json:"route"`
	Paused   bool       `json:"paused"`
	PausedAt *time.Time `json:"paused_at,omitempty"`
	Inflight int64      `json:"inflight"` // taken and not settled yet
}

// pauseTimeout bounds how long a request to pause waits until what is in hand is
// settled. The route goes on with that, and takes nothing new.
const pauseTimeout = 30 * time.Second

func (a *App) pauseRoute(ctx context.Context, r *admin.Request) (any, error) {
	part, err := a.routeNamed(r.Path("route"))
	if err != nil {
		return nil, err
	}
	before := part.gate.closed()
	ctx, cancel := context.WithTimeout(ctx, pauseTimeout)
	defer cancel()
	part.gate.close(ctx)
	if before.IsZero() {
		a.log.Info("route paused", "route", part.cfg.Name, "inflight", part.current.Load().Stat().Inflight)
	}
	return part.state(), nil
}

func (a *App) resumeRoute(_ context.Context, r *admin.Request) (any, error) {
	part, err := a.routeNamed(r.Path("route"))
	if err != nil {
		return nil, err
	}
	if !part.gate.closed().IsZero() {
		part.gate.open()
		a.log.Info("route resumed", "route", part.cfg.Name)
	}
	return part.state(), nil
}

// routeNamed returns the route of that name. The error is the client's.
func (a *App) routeNamed(name string) (*routePart, error) {
	if part := a.table.Load().routes[name]; part != nil && part.gate != nil {
		return part, nil
	}
	return nil, admin.Refuse(http.StatusNotFound, "there is no route %q", name)
}

func (r *routePart) state() RouteState {
	s := RouteState{Route: r.cfg.Name, Inflight: r.current.Load().Stat().Inflight}
	if at := r.gate.closed(); !at.IsZero() {
		s.Paused, s.PausedAt = true, &at
	}
	return s
}
