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
	"slices"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/admin"
	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/telemetry"
	"github.com/wasmrouter/router/telemetry/otlp"
	"github.com/wasmrouter/router/wasmhost"
)

// closeTimeout bounds closing what nothing uses any more.
const closeTimeout = 10 * time.Second

// ErrStopped is returned by Start and Reload once Stop has been called.
var ErrStopped = errors.New("the router is stopping")

// Options say where and how to run; what to run is in the configuration file.
type Options struct {
	ConfigPath string
	LogLevel   string    // overrides log.level when not empty
	Admin      *string   // overrides admin.listen when not nil
	LogOutput  io.Writer // default standard error
	Build      telemetry.Build

	// Env looks up what the configuration interpolates; nil is os.LookupEnv.
	Env func(name string) (value string, ok bool)
}

// App is a running router. New is followed by Start, and always by Stop. Its
// methods are safe for concurrent use.
type App struct {
	opts   Options
	log    *slog.Logger
	lines  *telemetry.Sampler // of log
	phase  func(Phase)        // is told of each; may be nil
	level  *slog.LevelVar
	host   *wasmhost.Host
	admin  *admin.Server // nil when it is off
	events *admin.Events
	traces *otlp.Exporter // nil when nobody wants traces
	broker atomic.Pointer[brokerPart]
	table  atomic.Pointer[table]

	samples  samples // of what becomes of messages
	recorder record.Recorder
	offline  *OfflineOptions // nil but where routes are tried without a broker

	began time.Time
	life  context.Context // ends when Stop begins: routes drain, a reload gives up
	end   context.CancelFunc

	busy     chan struct{} // full while Start, Reload or Stop is at work; it protects the two below
	state    state
	teardown []func(context.Context) error // run last to first by Stop
	reloads  reloadState
}

// state is how far an App has come.
type state uint8

const (
	built state = iota
	started
	stopped
)

// brokerPart is a broker with what it was made of.
type brokerPart struct {
	*amqp.Broker
	cfg amqp.Config
	own *embedded // nil unless the router is the broker
}

// Connect connects as [amqp.Broker.Connect] does, to a broker of the router's own
// once that listens.
func (p *brokerPart) Connect(ctx context.Context) error {
	if err := p.own.listen(ctx); err != nil {
		return err
	}
	return p.Broker.Connect(ctx)
}

// Close disconnects as [amqp.Broker.Close] does, and then closes a broker of the
// router's own that nobody else uses.
func (p *brokerPart) Close(ctx context.Context) error {
	err := p.Broker.Close(ctx)
	p.own.release()
	return err
}

// New loads the configuration and builds everything that needs no broker. What
// it returns must be stopped, even if Start is never called or fails.
func New(ctx context.Context, opts Options) (*App, error) {
	if opts.LogOutput == nil {
		opts.LogOutput = os.Stderr
	}
	cfg, warnings, err := config.Load(opts.ConfigPath, config.Options{Env: opts.Env})
	if err != nil {
		return nil, err
	}
	a := &App{opts: opts, level: new(slog.LevelVar), began: time.Now(), busy: make(chan struct{}, 1)}
	level := cfg.Log.Level
	if opts.LogLevel != "" {
		level = opts.LogLevel
	}
	if err := a.level.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: it is one of debug, info, warn, error", level)
	}
	a.events = admin.NewEvents(func() any { return a.Status() })
	a.samples.tell = func(d Decision) { a.events.Publish(admin.EventDecision, d) }
	a.samples.bodies.Store(cfg.Admin.Bodies)
	a.log, a.lines = telemetry.NewLogger(a.level, cfg.Log.Format, opts.LogOutput)
	a.log = slog.New(slog.NewMultiHandler(a.log.Handler(), telemetry.NewSampler(newLogEvents(a.events))))
	a.warn(warnings)
	a.life, a.end = context.WithCancel(context.WithoutCancel(ctx))
	if err := a.make(ctx, cfg); err != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		return nil, errors.Join(err, a.Stop(stop))
	}
	return a, nil
}

// make builds the parts; what was made before an error is left to Stop.
func (a *App) make(ctx context.Context, cfg *config.Config) error {
	if err := a.openTraces(ctx, cfg); err != nil {
		return err
	}
	host, err := newHost(ctx, cfg, a.log)
	if err != nil {
		return err
	}
	a.host = host
	a.teardown = append(a.teardown, host.Close)
	if a.admin, err = a.newAdmin(cfg); err != nil {
		return err
	}
	t, broker, err := a.build(ctx, cfg, "")
	if err != nil {
		return err
	}
	a.table.Store(t)
	a.broker.Store(broker)
	a.teardown = append(a.teardown, func(ctx context.Context) error { return a.broker.Load().Close(ctx) })
	return nil
}

func (a *App) newAdmin(cfg *config.Config) (*admin.Server, error) {
	listen := cfg.Admin.Listen
	if a.opts.Admin != nil {
		listen = *a.opts.Admin
	}
	if listen == "" {
		return nil, nil
	}
	metrics, err := telemetry.New(telemetry.Config{Source: a, Build: a.opts.Build})
	if err != nil {
		return nil, err
	}
	return admin.New(admin.Config{
		Listen: listen, Token: cfg.Admin.Token.Reveal(), Pprof: cfg.Admin.Pprof,
		CertFile: cfg.Admin.CertFile, KeyFile: cfg.Admin.KeyFile, ClientCAFile: cfg.Admin.ClientCAFile,
		Ready: a.Ready, Metrics: metrics.Handler(), Reload: a.ReloadAndLog, Logger: a.log,
		Events: a.events, Endpoints: a.endpoints(),
	})
}

// enter waits for its turn to change what runs; leave ends the turn.
func (a *App) enter(ctx context.Context) error {
	select {
	case a.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (a *App) leave() { <-a.busy }

// whileAlive returns a context that ends with ctx and when Stop begins.
func (a *App) whileAlive(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(a.life, func() { cancel(ErrStopped) })
	return ctx, func() { stop(); cancel(nil) }
}

// Start connects, declares and begins to consume. A broker that cannot be
// reached is no error: routes wait for it, and Ready says so. A declaration or
// login that the broker refuses is.
func (a *App) Start(ctx context.Context) error {
	ctx, cancel := a.whileAlive(ctx)
	defer cancel()
	if err := a.enter(ctx); err != nil {
		return err
	}
	defer a.leave()
	switch a.state {
	case started:
		return errors.New("the router was started before")
	case stopped:
		return ErrStopped
	}
	t := a.table.Load()
	if err := a.startAdmin(ctx, t.cfg); err != nil {
		return err
	}
	if err := a.broker.Load().Connect(ctx); err != nil {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errEmbedded):
			return t.cfg.Errorf([]string{"broker", "url"}, "name a free port, or connect to what listens there with amqp://", "%w", err)
		case amqp.IsRefusal(err):
			return err
		}
		a.log.Warn("the broker is not as the configuration needs it; routes wait for what is missing", "err", err)
	}
	a.reloads.at.Store(time.Now().UnixNano())
	for _, r := range t.routes {
		r.start(a.log)
	}
	a.state = started
	a.enters(Running)
	a.log.Info("started", "routes", len(t.cfg.Routes), "filters", len(t.filters))
	return nil
}

func (a *App) startAdmin(ctx context.Context, cfg *config.Config) error {
	if a.admin == nil {
		return nil
	}
	if err := a.admin.Start(ctx); err != nil {
		if a.opts.Admin != nil {
			return err
		}
		return cfg.Errorf([]string{"admin", "listen"}, "name a free address, port 0 for any, or \"\" for none", "%w", err)
	}
	a.log.Info("admin listener", "addr", a.admin.Addr())
	return nil
}

// AdminAddr returns the address of the admin listener, "" when there is none or
// before Start.
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
	a.end()
	if err := a.enter(ctx); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	defer a.leave()
	if a.state == stopped {
		return nil
	}
	before := a.state
	a.state = stopped
	var errs []error
	if t := a.table.Load(); t != nil {
		began := time.Now()
		if before == started {
			a.enters(Stopping)
			a.log.Info("stopping", "drain_timeout", t.cfg.Process.DrainTimeout.String())
		}
		if err := t.stop(ctx); err != nil {
			errs = append(errs, err)
		} else if before == started {
			a.log.Info("drained", "took_ms", time.Since(began).Milliseconds())
		}
	}
	for _, stop := range slices.Backward(a.teardown) {
		errs = append(errs, stop(ctx))
	}
	if a.admin != nil { // last, so that /readyz says "draining" to the end
		errs = append(errs, a.admin.Close(ctx))
	}
	return errors.Join(errs...)
}

// DrainTimeout returns how long Stop lets the routes finish.
func (a *App) DrainTimeout() time.Duration {
	return a.table.Load().cfg.Process.DrainTimeout.Std()
}

func (a *App) warn(warnings []config.Warning) {
	for _, w := range warnings {
		a.log.Warn("configuration", "warning", w.String())
	}
}
