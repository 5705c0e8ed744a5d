package app

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
)

// OfflineOptions say how routes are tried without a broker.
type OfflineOptions struct {
	// Modules are used in place of those of the configuration, by the filter's
	// name. Pins and signatures are not asked for them.
	Modules map[string][]byte
	// Join is called for each route and sets at least Listener and NewSender.
	Join   func(*router.RouteConfig)
	Logger *slog.Logger // gets what filters log; nil discards
}

// Offline are the routes of a configuration, built as [App] builds them but not
// joined to a broker. It is made for trying messages, so that it has more patience
// with filters and none with messages: time limits are those of a slow machine, a
// filter that fails does not rest, each route has one lane, and a message is tried
// once. Routes with format = "oslo" are taken for mode = "forward" without
// failures to callers, as what servers answer is no matter of one message. New
// versions in a filter's shadow take no part.
type Offline struct {
	host   *wasmhost.Host
	table  *table
	broker *brokerPart

	proxied map[string]bool // routes that the configuration has in mode proxy
}

// NewOffline loads a configuration and builds its routes; the caller closes them.
func NewOffline(ctx context.Context, path string, o OfflineOptions) (*Offline, []config.Warning, error) {
	cfg, warnings, err := config.Load(path, config.Options{})
	if err != nil {
		return nil, warnings, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Modules)) {
		if _, ok := cfg.Filters[name]; !ok {
			return nil, warnings, cfg.Errorf([]string{"filters"}, "", "there is no filter %q to replace", name)
		}
	}
	proxied := map[string]bool{}
	for name, r := range cfg.Routes {
		proxied[name] = r.Format == "oslo" && r.Mode == "proxy"
	}
	o.forTrying(cfg)
	host, err := newHost(ctx, cfg, o.Logger)
	if err != nil {
		return nil, warnings, err
	}
	a := &App{host: host, log: o.Logger, life: ctx, offline: &o}
	t, broker, err := a.build(ctx, cfg, "")
	if err != nil {
		return nil, warnings, errors.Join(err, host.Close(context.WithoutCancel(ctx)))
	}
	return &Offline{host, t, broker, proxied}, warnings, nil
}

// forTrying changes a configuration that nothing else uses.
func (o *OfflineOptions) forTrying(cfg *config.Config) {
	for name, f := range cfg.Filters {
		f.Shadow = config.Shadow{}
		if _, replaced := o.Modules[name]; replaced {
			f.SHA256 = ""
		}
		f.Limits.Time = config.Duration(max(f.Limits.Time.Std(), patience))
		f.Limits.StartTime = config.Duration(max(f.Limits.StartTime.Std(), startPatience))
		f.Limits.RestartBackoff, f.Limits.MaxBackoff = config.Duration(time.Millisecond), config.Duration(time.Millisecond)
		cfg.Filters[name] = f
	}
	for name, r := range cfg.Routes {
		r.Mode, r.ErrorReplies, r.ReplyFilters = "forward", false, nil
		cfg.Routes[name] = r
	}
}

// What a filter may take at least, where no result is to depend on the machine.
const (
	patience      = 10 * time.Second // for one call
	startPatience = time.Minute      // to start
)

// join makes a route's configuration one for trying messages.
func (o *OfflineOptions) join(rc *router.RouteConfig) {
	rc.Order, rc.OrderBy, rc.Lanes = router.OrderQueue, nil, 1
	rc.Retry.MaxAttempts = 1
	rc.DedupWindow = 0
	o.Join(rc)
}

// Routes returns the routes, by name.
func (o *Offline) Routes() map[string]*router.Route {
	all := make(map[string]*router.Route, len(o.table.routes))
	for name, r := range o.table.routes {
		all[name] = r.current.Load()
	}
	return all
}

// Proxied reports whether a route is in mode proxy, though it is not tried in it.
func (o *Offline) Proxied(route string) bool { return o.proxied[route] }

// Config returns what the routes were built from.
func (o *Offline) Config() *config.Config { return o.table.cfg }

// Close frees everything. Routes that were run have ended.
func (o *Offline) Close(ctx context.Context) error {
	o.table.discard(&table{})
	return errors.Join(o.broker.Close(ctx), o.host.Close(ctx))
}
