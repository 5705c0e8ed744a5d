package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
)

// builder turns a configuration into parts. What it made before is reused where
// nothing changed.
type builder struct {
	cfg  *config.Config
	host *wasmhost.Host
	log  *slog.Logger

	tracer router.Tracer // of all routes; nil is none

	only    string            // the one filter whose module is read again; empty is all
	modules map[string][]byte // in place of the configuration's, by filter

	errs config.Errors
}

// fail notes a problem of a key. One that already has a position stays as it
// is.
func (b *builder) fail(keys []string, hint string, err error) {
	if e, ok := errors.AsType[*config.Error](err); ok {
		b.errs = append(b.errs, e)
		return
	}
	b.errs = append(b.errs, b.cfg.Errorf(keys, hint, "%w", oneLine{err}))
}

// err returns all problems found so far, in the order of their positions.
func (b *builder) err() error {
	if len(b.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(b.errs, func(x, y *config.Error) int {
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Col, y.Col))
	})
	return b.errs
}

// oneLine is an error whose text has no line breaks: each problem is a line.
type oneLine struct{ err error }

func (e oneLine) Error() string { return strings.ReplaceAll(e.err.Error(), "\n", "; ") }
func (e oneLine) Unwrap() error { return e.err }

// build makes the table and broker of a configuration, reusing what runs and did
// not change; with only, no filter but that is looked at. On an error nothing new is
// left behind.
func (a *App) build(ctx context.Context, cfg *config.Config, only string) (*table, *brokerPart, error) {
	old := a.table.Load()
	if old == nil {
		old = &table{}
	}
	b := &builder{cfg: cfg, host: a.host, log: a.log, tracer: a.tracer(), only: only}
	if a.offline != nil {
		b.modules = a.offline.Modules
	}
	t := &table{
		cfg: cfg, filters: b.filters(ctx, old.filters),
		routes: make(map[string]*routePart), calls: make(map[string]*callsPart),
	}
	current := a.broker.Load()
	broker := b.broker(current)
	for _, name := range slices.Sorted(maps.Keys(cfg.Routes)) {
		rc := b.route(name, t.filters)
		if b.err() != nil {
			continue // all problems are reported, nothing more is built
		}
		rc.Listener, rc.NewSender = broker, broker.Sender
		if a.offline != nil {
			a.offline.join(&rc)
		}
		if a.admin != nil {
			rc.Tracer = router.Tracers(rc.Tracer, a.samples.of(name))
		}
		if err := a.parts(ctx, t, old, rc, broker); err != nil {
			b.fail([]string{"routes", name}, "", err)
		}
	}
	if err := b.err(); err != nil {
		t.discard(old)
		if broker != nil && broker != current {
			err = errors.Join(err, broker.Close(ctx))
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx) // the rest only follows from it
		}
		return nil, nil, err
	}
	return t, broker, nil
}

// parts makes the parts of one route and puts them into t. Those of old are
// reused where nothing changed.
func (a *App) parts(ctx context.Context, t, old *table, rc router.RouteConfig, broker *brokerPart) error {
	name := rc.Name
	from := origin{route: t.cfg.Routes[name], drainTimeout: t.cfg.Process.DrainTimeout, broker: broker}
	if from.route.Format == "oslo" {
		from.own = ownQueues(t.cfg)
	}
	if from.route.Format == "oslo" && from.route.Mode == "proxy" {
		from.calls = old.calls[name]
		if from.calls == nil || from.calls.broker != broker {
			from.calls = newCalls(name, broker)
		}
		t.calls[name] = from.calls
	}
	from.filters = t.uses(from.route.Filters)
	if err := t.part(old, name, from, func() (*routePart, error) { return newRoutePart(ctx, a.life, rc, from, old.gateOf(name)) }); err != nil {
		return err
	}
	if from.calls == nil {
		return nil
	}
	from.filters = t.uses(from.route.ReplyFilters)
	return t.part(old, repliesName(name), from, func() (*routePart, error) { return newRepliesPart(ctx, t, rc, from) })
}

// part puts one part into t: that of old if it was made of the same.
func (t *table) part(old *table, name string, from origin, build func() (*routePart, error)) error {
	if r, ok := old.routes[name]; ok && r.origin.equal(from) {
		t.routes[name] = r
		return nil
	}
	r, err := build()
	if err == nil {
		t.routes[name] = r
	}
	return err
}

// uses returns the filters of those names.
func (t *table) uses(names []string) []router.FilterSource {
	var all []router.FilterSource
	for _, name := range names {
		all = append(all, t.filters[name].source())
	}
	return all
}

// filters loads every filter of the configuration, those of have that did not
// change excepted.
func (b *builder) filters(ctx context.Context, have map[string]loadedFilter) map[string]loadedFilter {
	names := slices.Sorted(maps.Keys(b.cfg.Filters))
	loaded := make([]loadedFilter, len(names))
	failed := make([]error, len(names))
	var group errgroup.Group
	group.SetLimit(4)
	for i, name := range names {
		if b.only != "" && b.only != name {
			loaded[i] = have[name]
			continue
		}
		f := b.cfg.Filters[name]
		var err error
		module, replaced := b.modules[name]
		if !replaced {
			module, err = b.module(f.Path, func() ([]byte, error) { return b.cfg.ReadFilter(name) })
		}
		if err != nil {
			b.fail([]string{"filters", name, "path"}, "", err)
			continue
		}
		var next []byte
		if f.HasShadow() {
			if next, err = b.module(f.Shadow.Path, func() ([]byte, error) { return b.cfg.ReadShadow(name) }); err != nil {
				b.fail([]string{"filters", name, "shadow", "path"}, "", err)
				continue
			}
		}
		group.Go(func() error {
			loaded[i], failed[i] = b.load(ctx, name, module, next, have[name])
			return nil
		})
	}
	_ = group.Wait() // none returns an error
	all := make(map[string]loadedFilter, len(names))
	for i, name := range names {
		if failed[i] != nil {
			b.refused(name, failed[i])
		}
		if loaded[i].Filter != nil {
			all[name] = loaded[i]
		}
	}
	return all
}

// module returns the bytes of the module at a filter's path: built in, or what
// read returns.
func (b *builder) module(path string, read func() ([]byte, error)) ([]byte, error) {
	if module, ok, err := BuiltIn(path); ok {
		return module, err
	}
	return read()
}

// route returns the configuration of one route, without listener and sender.
func (b *builder) route(name string, loaded map[string]loadedFilter) router.RouteConfig {
	r := b.cfg.Routes[name]
	at := func(key string) []string { return []string{"routes", name, key} }
	check := func(err error, keys ...string) {
		if err != nil {
			b.fail(append([]string{"routes", name}, keys...), "", err)
		}
	}
	rc := router.RouteConfig{
		Name: name,
		Source: router.Source{
			Queue: r.Queue(name), Prefetch: r.Prefetch, Priority: r.Priority,
			Exclusive: r.Exclusive, MaxBody: int(r.MaxMessage.Bytes()), DrainTimeout: b.cfg.Process.DrainTimeout.Std(),
		},
		Lanes: r.Parallel,
		Retry: router.RetryPolicy{
			MaxAttempts: r.Retry.MaxAttempts, Backoff: r.Retry.Backoff.Std(), MaxBackoff: r.Retry.MaxBackoff.Std(),
			Unroutable: r.Retry.Unroutable,
		},
		DeadLetter: router.Target{Kind: router.TargetQueue, Queue: r.DeadLetter},
		MaxMessage: int(r.MaxMessage.Bytes()), AllowCC: r.AllowCC,
		DedupWindow: r.Dedup.Window, DedupTTL: r.Dedup.TTL.Std(),
		Tracer: b.tracer, Logger: b.log,
	}
	var err error
	rc.OnError, err = router.ParsePolicy(r.OnError)
	check(err, "on_error")
	rc.Source.Topology, err = listenTopology(b.cfg, name)
	check(err, "listen")
	rc.Allow, err = router.NewAllow(r.Allow)
	check(err, "allow")
	switch r.Order {
	case "key":
		rc.Order = router.OrderKey
		rc.OrderBy, err = router.ParseOrderKey(r.OrderBy)
		check(err, "order_by")
	case "none":
		rc.Order = router.OrderNone
	}
	for i, s := range r.Send {
		t, err := router.ParseTarget(s)
		check(err, "send", fmt.Sprint(i))
		rc.Send = append(rc.Send, t)
	}
	decider, complete := "", true
	for _, use := range r.Filters {
		f, ok := loaded[use]
		if !ok {
			complete = false // reported where it is defined
			continue
		}
		policy, err := router.ParsePolicy(b.cfg.Filters[use].OnError)
		if err != nil {
			b.fail([]string{"filters", use, "on_error"}, "", err)
		}
		source := f.source()
		rc.Filters = append(rc.Filters, router.RouteFilter{Source: source, OnError: policy})
		if source.Stages().Has(router.Decide) && decider == "" {
			decider = use
		}
	}
	switch {
	case decider != "" && len(r.Allow) == 0:
		b.fail(at("filters"), `add allow = ["queue:NAME.*"]`, fmt.Errorf("filter %s decides where messages go, and nothing is allowed", decider))
	case decider == "" && complete && len(r.Send) == 0:
		b.fail([]string{"routes", name}, `add send = ["queue:NAME"], or a filter with a decide stage`, errors.New("nothing says where messages go"))
	}
	return rc
}
