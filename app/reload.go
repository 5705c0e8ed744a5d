package app

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/config"
)

// reloadState is what became of the last reload.
type reloadState struct {
	failed atomic.Bool
	at     atomic.Int64 // unix nanoseconds of the last success
}

// Reload reads the configuration again and runs by it. Everything that can fail
// is done first: any error leaves what runs as it is. Routes that did not
// change keep their consumers; a changed one drains before its successor
// starts, so that order is kept and nothing is sent twice.
func (a *App) Reload(ctx context.Context) (err error) {
	a.busy <- struct{}{}
	defer func() { <-a.busy }()
	defer func() {
		a.reloads.failed.Store(err != nil)
		if err != nil {
			return
		}
		a.reloads.at.Store(time.Now().UnixNano())
	}()
	if a.draining.Load() {
		return errors.New("the router is stopping")
	}
	old := a.table.Load()
	cfg, warnings, err := config.Load(a.opts.ConfigPath, config.Options{})
	if err != nil {
		return err
	}
	for _, w := range warnings {
		a.log.Warn("configuration", "warning", w.String())
	}
	if a.opts.Admin == nil && cfg.Admin.Listen != old.cfg.Admin.Listen {
		return cfg.Errorf([]string{"admin", "listen"}, "restart the router", "a reload cannot move the admin listener from %q to %q", old.cfg.Admin.Listen, cfg.Admin.Listen)
	}
	next, broker, err := a.build(ctx, cfg)
	if err != nil {
		return err
	}
	current := a.broker.Load()
	if broker != current {
		err = broker.Connect(ctx)
	} else {
		b := builder{cfg: cfg}
		err = current.SetTopology(ctx, b.topology())
	}
	if err != nil {
		next.discard(old)
		if broker != current {
			err = errors.Join(err, broker.Close(ctx))
		}
		return err
	}
	return a.swap(ctx, old, next, broker)
}

// ReloadAndLog reloads and logs the outcome; for signals, which have no caller
// to tell.
func (a *App) ReloadAndLog(ctx context.Context) {
	if err := a.Reload(ctx); err != nil {
		a.log.Error("configuration not reloaded; the router goes on as it was", "err", err)
	}
}

// swap makes next what runs. Nothing in it can fail but closing the old.
func (a *App) swap(ctx context.Context, old, next *table, broker *brokerPart) error {
	if a.opts.LogLevel == "" {
		_ = a.level.UnmarshalText([]byte(next.cfg.Log.Level)) // config checked it
	}
	for name, r := range old.routes {
		if next.routes[name] != r {
			r.cancel()
		}
	}
	a.table.Store(next)
	changed := 0
	for name, r := range next.routes {
		if old.routes[name] == r {
			continue
		}
		changed++
		if before, ok := old.routes[name]; ok {
			before.wait()
		}
		r.start(a.log)
	}
	for name, r := range old.routes {
		if next.routes[name] != r {
			r.wait()
		}
	}
	var errs []error
	for name, f := range old.filters {
		if next.filters[name].Filter != f.Filter {
			errs = append(errs, f.Close(ctx))
		}
	}
	if before := a.broker.Swap(broker); before != broker {
		errs = append(errs, before.Close(ctx))
	}
	a.log.Info("reloaded", "routes", len(next.routes), "changed", changed)
	return errors.Join(errs...)
}

// build makes the table and broker of a configuration, reusing what runs and did
// not change. On an error nothing new is left behind.
func (a *App) build(ctx context.Context, cfg *config.Config) (*table, *brokerPart, error) {
	old := a.table.Load()
	if old == nil {
		old = &table{}
	}
	b := &builder{cfg: cfg, host: a.host, log: a.log}
	t := &table{cfg: cfg, filters: b.filters(ctx, old.filters), routes: make(map[string]*routePart)}

	brokerConfig := b.broker()
	print := brokerFingerprint(brokerConfig)
	broker := a.broker.Load()
	if broker == nil || broker.fingerprint != print {
		made, err := amqp.New(brokerConfig)
		if err != nil {
			b.errorf([]string{"broker"}, "", "%s", err)
		}
		broker = &brokerPart{made, print}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Routes)) {
		rc := b.route(name, t.filters)
		if b.err() != nil {
			continue // all problems are reported, nothing more is built
		}
		parts := []any{print, cfg.Routes[name], cfg.Process.DrainTimeout}
		for _, use := range cfg.Routes[name].Filters {
			parts = append(parts, t.filters[use].fingerprint)
		}
		routePrint := fingerprint(parts...)
		if r, ok := old.routes[name]; ok && r.fingerprint == routePrint {
			t.routes[name] = r
			continue
		}
		rc.Listener, rc.NewSender = broker, broker.Sender
		r, err := newRoutePart(ctx, rc, routePrint)
		if err != nil {
			b.errorf([]string{"routes", name}, "", "%s", err)
			continue
		}
		t.routes[name] = r
	}
	if err := b.err(); err != nil {
		t.discard(old)
		if broker.Broker != nil && broker != a.broker.Load() {
			err = errors.Join(err, broker.Close(ctx))
		}
		return nil, nil, err
	}
	return t, broker, nil
}

// discard frees what is in t and not in old.
func (t *table) discard(old *table) {
	for name, r := range t.routes {
		if old.routes[name] != r {
			r.discard()
		}
	}
	for name, f := range t.filters {
		if old.filters[name].Filter != f.Filter {
			_ = f.Close(context.Background()) // never used, nothing to wait for
		}
	}
}
