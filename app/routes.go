package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/oslo/osloroute"
	"github.com/wasmrouter/router/router"
)

// table is what runs: one configuration's filters and routes.
type table struct {
	cfg     *config.Config
	filters map[string]loadedFilter
	routes  map[string]*routePart
	calls   map[string]*callsPart // of routes in proxy mode
}

// stop stops all routes and waits for them until ctx ends; filters stay loaded
// until the host closes.
func (t *table) stop(ctx context.Context) error {
	for _, r := range t.routes {
		r.leave(true)
	}
	var errs []error
	for _, r := range t.routes {
		errs = append(errs, r.wait(ctx))
	}
	for _, c := range t.calls {
		c.close(ctx)
	}
	for _, f := range t.filters {
		f.endTrial()
	}
	return errors.Join(errs...)
}

// discard frees what is in t and not in old.
func (t *table) discard(old *table) {
	for name, r := range t.routes {
		if old.routes[name] != r {
			r.cancel()
			_ = r.wait(context.Background()) // it never ran, there is nothing to wait for
		}
	}
	for name, c := range t.calls {
		if old.calls[name] != c {
			c.close(context.Background()) // the same
		}
	}
	for name, f := range t.filters {
		_ = f.closeUnless(context.Background(), old.filters[name]) // never used, nothing to wait for
	}
}

// origin is what a route was made of. A later configuration that comes to the
// same keeps the route as it is.
type origin struct {
	route        config.Route
	own          []string // the configuration's queues, which an oslo route must not reply to
	drainTimeout config.Duration
	filters      []router.FilterSource
	broker       *brokerPart
	calls        *callsPart // of proxy mode
}

func (o origin) equal(p origin) bool {
	return o.broker == p.broker && o.calls == p.calls && slices.Equal(o.filters, p.filters) && slices.Equal(o.own, p.own) &&
		o.drainTimeout == p.drainTimeout && reflect.DeepEqual(o.route, p.route)
}

// routePart is one route with the goroutine that runs it.
type routePart struct {
	cfg     router.RouteConfig
	origin  origin
	post    *osloroute.Post // of failures; nil for none
	replies bool            // it brings replies back to the callers of origin.calls
	gate    *gate           // closed while the route is paused; nil for replies, which nobody pauses
	current atomic.Pointer[router.Route]
	failure atomic.Pointer[string] // why it does not run; nil when it does

	ctx     context.Context // ends when the route is to drain
	cancel  context.CancelFunc
	started bool          // changed only by who holds App.busy
	done    chan struct{} // closed when the goroutine has ended
}

// newRoutePart makes the route, so that what can fail does so before anything
// that runs is touched. The route drains when life ends.
func newRoutePart(ctx, life context.Context, cfg router.RouteConfig, from origin, g *gate) (*routePart, error) {
	r := &routePart{origin: from, gate: g, done: make(chan struct{})}
	cfg.Listener = gated{cfg.Listener, g}
	if from.route.Format == "oslo" {
		if err := r.speakOslo(&cfg); err != nil {
			return nil, err
		}
	}
	return r, r.make(ctx, life, cfg)
}

// make makes the part's route.
func (r *routePart) make(ctx, life context.Context, cfg router.RouteConfig) error {
	r.cfg = cfg
	route, err := router.NewRoute(ctx, cfg)
	if err != nil {
		r.closePost()
		return err
	}
	r.ctx, r.cancel = context.WithCancel(life)
	r.current.Store(route)
	return nil
}

// leave has the part drain and end. One that brings replies back stays, if they
// are not for another to bring, until the last of them has come or the drain
// timeout has passed.
func (r *routePart) leave(last bool) {
	if !r.started || !r.replies || !last {
		r.cancel()
		return
	}
	go func() { // wait waits for it, as the part ends only then
		ctx, cancel := context.WithTimeout(context.Background(), r.origin.drainTimeout.Std())
		defer cancel()
		r.origin.calls.Drain(ctx)
		r.cancel()
	}()
}

// failuresTimeout bounds how long a route that has ended sends the failures that
// callers are still to get.
const failuresTimeout = 2 * time.Second

// restartPause is how long a route rests after an error that retrying inside
// the listener cannot mend.
const restartPause = 10 * time.Second

func (r *routePart) start(log *slog.Logger) {
	r.started = true
	go func() {
		defer close(r.done)
		r.run(log)
		r.closePost()
	}()
}

// closePost sends what failures are left, once the route has ended.
func (r *routePart) closePost() {
	if r.post == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), failuresTimeout)
	defer cancel()
	r.post.Close(ctx)
}

// run runs the route until ctx ends, and makes it anew when it has failed.
func (r *routePart) run(log *slog.Logger) {
	for {
		err := r.current.Load().Run(r.ctx)
		if r.ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("it ended by itself")
		}
		for err != nil {
			text := err.Error()
			r.failure.Store(&text)
			log.Error("route stopped; it is started again", "route", r.cfg.Name, "err", err, "retry_in", restartPause.String())
			select {
			case <-r.ctx.Done():
				return
			case <-time.After(restartPause):
			}
			var route *router.Route
			if route, err = router.NewRoute(r.ctx, r.cfg); err == nil {
				r.current.Store(route)
			}
		}
		r.failure.Store(nil)
	}
}

// wait returns when a cancelled route has drained, or ctx has ended. It frees a
// route that was never started.
func (r *routePart) wait(ctx context.Context) error {
	if !r.started {
		r.current.Load().Close()
		r.closePost()
		return nil
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("route %s has not drained: %w", r.cfg.Name, context.Cause(ctx))
	}
}
