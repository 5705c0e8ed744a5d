package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wasmrouter/router/router"
)

// stopGrace is how long handlers may take to return once their ctx has ended.
const stopGrace = 5 * time.Second

// ErrStuck is wrapped by the error of Serve and Listen when handlers did not
// return although their ctx had ended. Their goroutines are left behind.
var ErrStuck = errors.New("handlers do not return")

// crew is the workers of one Serve or Listen: a bounded number of goroutines
// that handle deliveries, and the order in which they stop.
type crew struct {
	listener router.Listener
	workers  int
	drain    time.Duration

	slots chan struct{}
	busy  sync.WaitGroup
	ctx   context.Context // of the handlers; ends drain after listening has
}

// run listens to all sources until ctx ends or one of them fails for good, and
// returns when every delivery was handled. Handle is given deliveries in the
// order of each source, and begins a worker's work with crew.do.
func (c *crew) run(ctx context.Context, sources []router.Source, handle func(context.Context, *router.Delivery)) error {
	if len(sources) == 0 {
		return errors.New("rpc: no source to listen to")
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	work, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	c.ctx, c.slots = work, make(chan struct{}, c.workers)

	var listening sync.WaitGroup
	errs := make([]error, len(sources))
	for i, source := range sources {
		source.Prefetch = max(source.Prefetch, 1)
		if source.DrainTimeout == 0 {
			source.DrainTimeout = c.drain + stopGrace
		}
		listening.Go(func() {
			errs[i] = c.listener.Listen(ctx, source, func(d *router.Delivery) { handle(ctx, d) })
			if errs[i] == nil && ctx.Err() == nil {
				errs[i] = errors.New("the listener ended")
			}
			if errs[i] != nil {
				stop()
				errs[i] = fmt.Errorf("listen to %s: %w", source.Queue, errs[i])
			}
		})
	}
	ended := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		listening.Wait()
		c.busy.Wait()
		close(ended)
	})
	<-ctx.Done()
	timer := time.NewTimer(c.drain)
	defer timer.Stop()
	select {
	case <-ended:
		return errors.Join(errs...)
	case <-timer.C:
	}
	abort()
	timer.Reset(stopGrace + time.Second)
	select {
	case <-ended:
		return errors.Join(errs...)
	case <-timer.C:
		return ErrStuck
	}
}

// do gives work to a free worker, and waits for one. It returns false if ctx
// ended first.
func (c *crew) do(ctx context.Context, work func(context.Context)) bool {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	if ctx.Err() != nil {
		<-c.slots
		return false
	}
	c.busy.Go(func() {
		defer func() { <-c.slots }()
		work(c.ctx)
	})
	return true
}
