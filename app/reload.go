package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/config"
)

// declareTimeout bounds how long a reload waits for the broker to declare what
// is new.
const declareTimeout = 15 * time.Second

// reloadState is what became of the last reload.
type reloadState struct {
	failed atomic.Bool
	at     atomic.Int64 // unix nanoseconds of the last success
}

// Reload reads the configuration again and runs by it. Everything that can fail
// is done first: any error leaves what runs as it is. Routes that did not
// change keep their consumers; a changed one drains before its successor
// starts, so that order is kept and nothing is sent twice. Reload gives up when
// ctx ends or Stop begins, until what is new takes over.
func (a *App) Reload(ctx context.Context) error { return a.renew(ctx, a.prepare) }

// ReloadFilter reads the module of one filter again and runs it, everything else
// staying as it is, as Reload does.
func (a *App) ReloadFilter(ctx context.Context, name string) error {
	return a.renew(ctx, func(ctx context.Context, old *table) (*table, *brokerPart, error) {
		return a.build(ctx, old.cfg, name)
	})
}

// renew makes what prepare returns what runs. An error of prepare's changes nothing.
func (a *App) renew(ctx context.Context, prepare func(context.Context, *table) (*table, *brokerPart, error)) (err error) {
	ctx, cancel := a.whileAlive(ctx)
	defer cancel()
	if err := a.enter(ctx); err != nil {
		return err
	}
	defer a.leave()
	switch a.state {
	case built:
		return errors.New("the router has not started yet")
	case stopped:
		return ErrStopped
	}
	a.enters(Reloading)
	defer a.enters(Running)
	began := time.Now()
	old := a.table.Load()
	defer func() { a.tellReload(err) }()
	next, broker, err := prepare(ctx, old)
	a.reloads.failed.Store(err != nil)
	if err != nil {
		return err
	}
	changed, removed := a.swap(ctx, old, next, broker)
	a.reloads.at.Store(time.Now().UnixNano())
	a.log.Info("reloaded", "routes", len(next.cfg.Routes), "changed", changed, "removed", removed, "took_ms", time.Since(began).Milliseconds())
	return nil
}

// ReloadAndLog reloads and logs a failure besides returning it, since who
// reloads is rarely who reads the log.
func (a *App) ReloadAndLog(ctx context.Context) error {
	err := a.Reload(ctx)
	if err != nil {
		a.log.Error("configuration not reloaded; the router goes on as it was", "err", err)
	}
	return err
}

// prepare does all of a reload that can fail. After an error nothing new is
// left behind but what was declared on the broker.
func (a *App) prepare(ctx context.Context, old *table) (*table, *brokerPart, error) {
	cfg, warnings, err := config.Load(a.opts.ConfigPath, config.Options{Env: a.opts.Env})
	if err != nil {
		return nil, nil, err
	}
	a.warn(warnings)
	if err := a.fixed(old.cfg, cfg); err != nil {
		return nil, nil, err
	}
	next, broker, err := a.build(ctx, cfg, "")
	if err != nil {
		return nil, nil, err
	}
	if err := a.declare(ctx, broker, topology(old.cfg), topology(cfg)); err != nil {
		next.discard(old)
		if broker != a.broker.Load() {
			err = errors.Join(err, broker.Close(ctx))
		}
		return nil, nil, err
	}
	return next, broker, nil
}

// fixed refuses changes of what a reload cannot change.
func (a *App) fixed(old, cfg *config.Config) error {
	var errs config.Errors
	refuse := func(changed bool, keys ...string) {
		if changed {
			errs = append(errs, cfg.Errorf(keys, "restart the router", "a reload cannot change it"))
		}
	}
	refuse(a.opts.Admin == nil && cfg.Admin.Listen != old.Admin.Listen, "admin", "listen")
	if a.admin != nil {
		refuse(cfg.Admin.Token != old.Admin.Token, "admin", "token")
		refuse(cfg.Admin.Pprof != old.Admin.Pprof, "admin", "pprof")
		refuse(cfg.Admin.CertFile != old.Admin.CertFile, "admin", "cert_file")
		refuse(cfg.Admin.KeyFile != old.Admin.KeyFile, "admin", "key_file")
		refuse(cfg.Admin.ClientCAFile != old.Admin.ClientCAFile, "admin", "client_ca_file")
	}
	refuse(cfg.Log.Format != old.Log.Format, "log", "format")
	refuse(cfg.Telemetry != old.Telemetry, "telemetry")
	refuse(cfg.Process.CacheDir != old.Process.CacheDir, "process", "cache_dir")
	refuse(cfg.Process.CacheSize != old.Process.CacheSize, "process", "cache_size")
	if errs == nil {
		return nil
	}
	return errs
}

// declare connects a new broker, or declares on the present one what changed.
func (a *App) declare(ctx context.Context, broker *brokerPart, old, next amqp.Topology) error {
	if broker != a.broker.Load() {
		return broker.Connect(ctx)
	}
	if reflect.DeepEqual(old, next) {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, declareTimeout, fmt.Errorf("no answer within %s", declareTimeout))
	defer cancel()
	return broker.SetTopology(ctx, next)
}

// swap makes next what runs, and closes what only old needed. It cannot fail:
// when Stop begins meanwhile, old and new routes drain together.
func (a *App) swap(ctx context.Context, old, next *table, broker *brokerPart) (changed, removed int) {
	if a.opts.LogLevel == "" && next.cfg.Log.Level != old.cfg.Log.Level {
		_ = a.level.UnmarshalText([]byte(next.cfg.Log.Level)) // config checked it
	}
	var leaving []*routePart
	for _, name := range slices.Sorted(maps.Keys(old.routes)) {
		r := old.routes[name]
		if next.routes[name] == r {
			continue
		}
		r.leave(!next.has(r.origin.calls))
		leaving = append(leaving, r)
		if next.routes[name] == nil && !r.replies {
			removed++
		}
	}
	a.table.Store(next)
	if !next.cfg.Admin.Bodies {
		a.endRecordings()
	}
	a.takeOver(old, next)
	oldBroker := a.broker.Swap(broker)
	a.samples.reloaded(next.routes, next.cfg.Admin.Bodies)
	drain := context.WithoutCancel(ctx) // a drain has its own bound
	var starting sync.WaitGroup
	for name, r := range next.routes {
		if old.routes[name] == r {
			continue
		}
		if !r.replies {
			changed++
		}
		starting.Go(func() {
			for _, before := range leaving {
				// Whoever consumed this queue ends first, under whatever name.
				if before.cfg.Name == name && !r.replies || before.cfg.Source.Queue == r.cfg.Source.Queue {
					_ = before.wait(drain)
				}
			}
			r.start(a.log)
		})
	}
	starting.Wait()
	for _, r := range leaving {
		_ = r.wait(drain)
	}
	a.closeOld(drain, old, next, oldBroker)
	return changed, removed
}

// closeOld closes the calls, the filters and the broker that nothing uses any more.
func (a *App) closeOld(ctx context.Context, old, next *table, oldBroker *brokerPart) {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	for name, c := range old.calls {
		if next.calls[name] != c {
			c.close(ctx)
		}
	}
	for name, f := range old.filters {
		if err := f.closeUnless(ctx, next.filters[name]); err != nil {
			a.log.Warn("an old filter is not closed yet", "filter", name, "err", err)
		}
	}
	if oldBroker != a.broker.Load() {
		if err := oldBroker.Close(ctx); err != nil {
			a.log.Warn("the connections to the old broker were cut", "err", err)
		}
	}
}
