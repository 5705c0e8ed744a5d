package app

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/router"
)

// table is what runs: one configuration's filters and routes.
type table struct {
	cfg     *config.Config
	filters map[string]loadedFilter
	routes  map[string]*routePart
}

// stop stops all routes and waits for them; filters stay loaded until the host
// closes.
func (t *table) stop() {
	for _, r := range t.routes {
		r.cancel()
	}
	for _, r := range t.routes {
		r.wait()
	}
}

// routePart is one route with the goroutine that runs it.
type routePart struct {
	cfg         router.RouteConfig
	fingerprint string
	current     atomic.Pointer[router.Route]
	failure     atomic.Pointer[string] // why it does not run; nil when it does

	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// newRoutePart makes the route, so that what can fail does so before anything
// that runs is touched.
func newRoutePart(ctx context.Context, cfg router.RouteConfig, print string) (*routePart, error) {
	r := &routePart{cfg: cfg, fingerprint: print}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	route, err := router.NewRoute(ctx, cfg)
	if err != nil {
		r.cancel()
		return nil, err
	}
	r.current.Store(route)
	return r, nil
}

// restartPause is how long a route rests after an error that retrying inside
// the listener cannot mend.
const restartPause = 10 * time.Second

func (r *routePart) start(log *slog.Logger) {
	r.done.Go(func() {
		for {
			err := r.current.Load().Run(r.ctx)
			if r.ctx.Err() != nil {
				return
			}
			for err != nil {
				text := err.Error()
				r.failure.Store(&text)
				log.Error("route stopped; it is started again", "route", r.cfg.Name, "err", err, "pause", restartPause)
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
	})
}

// wait returns when the route has drained; discard frees one that never ran.
func (r *routePart) wait() { r.done.Wait() }

func (r *routePart) discard() {
	r.cancel()
	r.current.Load().Close()
}
