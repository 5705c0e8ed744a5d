// Package app is the router as a process: it builds the parts that a
// configuration names, starts them, reloads, drains and stops.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/admin"
	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/telemetry"
	"github.com/wasmrouter/router/wasmhost"
)

// Options say where and how to run; what to run is in the configuration file.
type Options struct {
	ConfigPath string
	LogLevel   string    // overrides log.level when not empty
	Admin      *string   // overrides admin.listen when not nil
	LogOutput  io.Writer // default standard error
	Build      telemetry.Build
}

// App is a running router. Start and Stop are called once each; Reload may be
// called in between, from any goroutine.
type App struct {
	opts   Options
	log    *slog.Logger
	level  *slog.LevelVar
	host   *wasmhost.Host
	admin  *admin.Server
	broker atomic.Pointer[brokerPart]
	table  atomic.Pointer[table]

	busy     chan struct{} // holds one token: Start, Reload or Stop is at work
	draining atomic.Bool
	reloads  reloadState
	teardown []func(context.Context) error // run last to first by Stop
}

type brokerPart struct {
	*amqp.Broker
	fingerprint string
}

// New loads the configuration and builds everything that needs no broker.
func New(ctx context.Context, opts Options) (*App, error) {
	if opts.LogOutput == nil {
		opts.LogOutput = os.Stderr
	}
	cfg, warnings, err := config.Load(opts.ConfigPath, config.Options{})
	if err != nil {
		return nil, err
	}
	a := &App{opts: opts, level: new(slog.LevelVar), busy: make(chan struct{}, 1)}
	level := cfg.Log.Level
	if opts.LogLevel != "" {
		level = opts.LogLevel
	}
	if err := a.level.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: it is one of debug, info, warn, error", level)
	}
	a.log = telemetry.NewLogger(a.level, cfg.Log.Format, opts.LogOutput)
	for _, w := range warnings {
		a.log.Warn("configuration", "warning", w.String())
	}
	if a.host, err = NewHost(ctx, cfg, a.log); err != nil {
		return nil, err
	}
	a.onStop(a.host.Close)
	t, broker, err := a.build(ctx, cfg)
	if err != nil {
		return nil, errors.Join(err, a.Stop(ctx))
	}
	a.table.Store(t)
	a.broker.Store(broker)
	a.onStop(func(ctx context.Context) error { return a.broker.Load().Close(ctx) })
	return a, nil
}

// NewHost returns the filter host that a configuration asks for.
func NewHost(ctx context.Context, cfg *config.Config, log *slog.Logger) (*wasmhost.Host, error) {
	dir := cfg.Process.CacheDir
	if dir == "" {
		if user, err := os.UserCacheDir(); err == nil {
			dir = filepath.Join(user, "wasmrouter")
		}
	}
	return wasmhost.New(ctx, wasmhost.Config{CacheDir: dir, Logger: log})
}

func (a *App) onStop(f func(context.Context) error) { a.teardown = append(a.teardown, f) }

// Start connects, declares and begins to consume. A broker that cannot be
// reached is no error: routes wait for it, and Ready says so. A declaration
// that the broker refuses is.
func (a *App) Start(ctx context.Context) error {
	a.busy <- struct{}{}
	defer func() { <-a.busy }()
	t := a.table.Load()
	if err := a.startAdmin(ctx, t.cfg); err != nil {
		return err
	}
	if err := a.broker.Load().Connect(ctx); err != nil {
		if amqp.IsRefusal(err) {
			return err
		}
		a.log.Warn("the broker cannot be reached; routes wait for it", "err", err)
	}
	a.reloads.at.Store(time.Now().UnixNano())
	for _, r := range t.routes {
		r.start(a.log)
	}
	a.log.Info("started", "routes", len(t.routes), "filters", len(t.filters))
	return nil
}

func (a *App) startAdmin(ctx context.Context, cfg *config.Config) error {
	listen := cfg.Admin.Listen
	if a.opts.Admin != nil {
		listen = *a.opts.Admin
	}
	if listen == "" {
		return nil
	}
	metrics, err := telemetry.New(telemetry.Config{Source: a, Build: a.opts.Build})
	if err != nil {
		return err
	}
	a.admin, err = admin.New(admin.Config{
		Listen: listen, Token: cfg.Admin.Token.Reveal(), Pprof: cfg.Admin.Pprof,
		Ready: a.Ready, Metrics: metrics.Handler(), Reload: a.Reload, Logger: a.log,
	})
	if err != nil {
		return err
	}
	if err := a.admin.Start(ctx); err != nil {
		return err
	}
	a.log.Info("admin listener", "addr", a.admin.Addr())
	return nil
}

// AdminAddr returns the address of the admin listener, "" when there is none.
func (a *App) AdminAddr() string {
	if a.admin == nil {
		return ""
	}
	return a.admin.Addr()
}

// Stop drains the routes, at most for the drain timeout, closes everything and
// waits for it, at most until ctx ends. What was not finished goes back to the
// broker. Stop of a stopped App does nothing.
func (a *App) Stop(ctx context.Context) error {
	a.draining.Store(true)
	a.busy <- struct{}{}
	defer func() { <-a.busy }()
	var errs []error
	if t := a.table.Load(); t != nil {
		began := time.Now()
		t.stop()
		a.log.Info("drained", "took_ms", time.Since(began).Milliseconds())
	}
	for i := len(a.teardown) - 1; i >= 0; i-- {
		errs = append(errs, a.teardown[i](ctx))
	}
	a.teardown = nil
	if a.admin != nil { // last, so that /readyz says "draining" to the end
		errs = append(errs, a.admin.Close(ctx))
		a.admin = nil
	}
	return errors.Join(errs...)
}

// DrainTimeout returns how long Stop lets the routes finish.
func (a *App) DrainTimeout() time.Duration {
	return a.table.Load().cfg.Process.DrainTimeout.Std()
}
