// Package offline passes messages through the routes of a configuration without a
// broker, and says what becomes of each.
package offline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/router"
)

// Options say what the routes are made of.
type Options struct {
	// Modules are used in place of those of the configuration, by the filter's
	// name.
	Modules map[string][]byte
	Logger  *slog.Logger // gets what filters log; nil discards
}

// Router has the routes of a configuration. Its methods are safe for concurrent
// use; messages of one route wait for each other, so that each finds the filters
// as the one before has left them.
type Router struct {
	offline *app.Offline
	routes  map[string]*route
	end     context.CancelFunc
	running sync.WaitGroup
}

// Open loads a configuration and starts its routes; the caller closes them. The
// error holds all problems of the file, warnings come with and without one.
func Open(ctx context.Context, path string, o Options) (*Router, []config.Warning, error) {
	r := &Router{routes: make(map[string]*route)}
	var warnings []config.Warning
	var err error
	r.offline, warnings, err = app.NewOffline(ctx, path, app.OfflineOptions{Modules: o.Modules, Join: r.join, Logger: o.Logger})
	if err != nil {
		return nil, warnings, err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	r.end = end
	for name, built := range r.offline.Routes() {
		r.running.Go(func() { r.routes[name].ended <- built.Run(life) })
	}
	return r, warnings, nil
}

// join gives a route its end of the messages.
func (r *Router) join(rc *router.RouteConfig) {
	one := &route{
		queue: rc.Source.Queue, turn: make(chan struct{}, 1),
		in: make(chan *router.Delivery), out: make(chan *record.Record, 1), ended: make(chan error, 1),
	}
	r.routes[rc.Name] = one
	rc.Logger = nil // what becomes of messages is the caller's to say
	rc.Listener, rc.NewSender = one, func(string) router.Sender { return sender{rc.AllowCC} }
	rc.Tracer = &record.Watch{
		Want: func(string, *router.Envelope) bool { return true },
		Done: func(done *record.Record) { one.out <- done },
	}
}

// Config returns what the routes were built from.
func (r *Router) Config() *config.Config { return r.offline.Config() }

// Proxied reports whether a route is in mode proxy when a router runs it.
func (r *Router) Proxied(route string) bool { return r.offline.Proxied(route) }

// Routes returns the routes' names, in order.
func (r *Router) Routes() []string { return slices.Sorted(maps.Keys(r.routes)) }

// Run passes a message through a route, and returns what became of it when it is
// settled. It fails if there is no such route or ctx ends before; if that was in
// the middle of a message, the Router has ended, too. Env may be used afterwards,
// but not changed in place.
func (r *Router) Run(ctx context.Context, name string, env router.Envelope) (*record.Record, error) {
	one, ok := r.routes[name]
	if !ok {
		return nil, r.NoRoute(name)
	}
	select {
	case one.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-one.turn }()
	if env.Origin.Queue == "" {
		env.Origin.Queue = one.queue
	}
	if env.Origin.Received.IsZero() {
		env.Origin.Received = time.Now()
	}
	select {
	case one.in <- &router.Delivery{Envelope: env.Clone(), Settler: settler{}}:
	case err := <-one.ended:
		one.ended <- err
		return nil, fmt.Errorf("route %s has ended: %w", name, errors.Join(err, router.ErrClosed))
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case done := <-one.out:
		return done, nil
	case <-ctx.Done():
		r.end() // or the next one would be told what became of this
		return nil, context.Cause(ctx)
	}
}

// NoRoute returns the error for a route that there is not.
func (r *Router) NoRoute(name string) error {
	return fmt.Errorf("there is no route %q; there are: %s", name, strings.Join(r.Routes(), ", "))
}

// Close ends the routes and frees everything.
func (r *Router) Close(ctx context.Context) error {
	r.end()
	r.running.Wait()
	return r.offline.Close(ctx)
}

// route is one route's end of the messages. It is the [router.Listener].
type route struct {
	queue string
	turn  chan struct{} // full while a message is on its way
	in    chan *router.Delivery
	out   chan *record.Record
	ended chan error // holds the error of a route that has ended
}

// Listen implements [router.Listener].
func (r *route) Listen(ctx context.Context, _ router.Source, handle func(*router.Delivery)) error {
	for {
		select {
		case d := <-r.in:
			handle(d)
		case <-ctx.Done():
			return nil
		}
	}
}

// settler settles nothing: the trace tells when a message is done.
type settler struct{}

func (settler) Ack(uint64)     {}
func (settler) Requeue(uint64) {}
func (settler) Live() bool     { return true }

// sender is a broker that takes all that can be sent.
type sender struct{ allowCC bool }

// Send implements [router.Sender].
func (s sender) Send(_ context.Context, to router.Target, env *router.Envelope, receipt router.Receipt) error {
	if _, dead := env.Header(router.HeaderReason); !dead {
		if err := amqp.Sendable(to, env, s.allowCC); err != nil {
			return err
		}
	}
	receipt.Settle(nil)
	return nil
}

// Close implements [router.Sender].
func (sender) Close() {}
