package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/wasmrouter/router/filters/conformance"
	"github.com/wasmrouter/router/router"
)

// Engine returns the host as the conformance kit runs filters with it: module
// by module, export by export, with limits of its own. It compiles, meters and
// confines as [Host.Load] does. What it loads must be closed before the host.
func (h *Host) Engine(l Limits) conformance.Engine { return engine{h, l} }

// Port returns the host as the conformance kit tests it.
func (h *Host) Port(l Limits) conformance.Host { return port{h, l} }

func conformanceConfig(module []byte, config map[string]any, l Limits, o conformance.Options) FilterConfig {
	if o.Memory > 0 {
		l.Memory = o.Memory
	}
	cfg := FilterConfig{
		Name: o.Name, Module: module, Config: config, Limits: l,
		Grants: Grants{Clock: o.Clock, Random: o.Random, Metrics: o.Metrics, KV: o.KV},
	}
	if o.Log != nil {
		cfg.logger = slog.New(logTo(o.Log))
	}
	return cfg
}

// logTo hands what filters log to a function.
type logTo func(level int, text string)

func (logTo) Enabled(context.Context, slog.Level) bool { return true }
func (l logTo) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l logTo) WithGroup(string) slog.Handler          { return l }

func (l logTo) Handle(_ context.Context, r slog.Record) error {
	if r.Message != guestLogMessage {
		return nil
	}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != guestLogText {
			return true
		}
		l(int(r.Level-slog.LevelDebug)/4, a.Value.String())
		return false
	})
	return nil
}

// engine is a host whose modules are called export by export.
type engine struct {
	host   *Host
	limits Limits
}

func (e engine) Load(ctx context.Context, module []byte, o conformance.Options) (conformance.Program, error) {
	f, err := e.host.prepare(ctx, conformanceConfig(module, nil, e.limits, o))
	if err != nil {
		return nil, err
	}
	return &rawProgram{f}, nil
}

type rawProgram struct{ filter *Filter }

func (p *rawProgram) Start(context.Context) (conformance.Instance, error) {
	g, err := p.filter.instantiate()
	if err != nil {
		return nil, kitError(err)
	}
	return &rawInstance{g, make(map[string]*function)}, nil
}

func (p *rawProgram) Close() error {
	p.filter.program.close()
	return nil
}

// Metrics returns the values of the program's metrics.
func (p *rawProgram) Metrics() map[string]float64 {
	values := map[string]float64{}
	for _, m := range p.filter.metrics.stat() {
		values[m.Name] = m.Value
		if m.Kind == Duration {
			values[m.Name] = m.Histogram.Sum.Seconds()
		}
	}
	return values
}

type rawInstance struct {
	guest *guest
	funcs map[string]*function
}

func (in *rawInstance) Call(_ context.Context, m *conformance.Message, export string, args ...uint32) (uint64, error) {
	g, l := in.guest, &in.guest.filter.limits
	fn := in.funcs[export]
	if fn == nil {
		found := findFunction(g.mod, export)
		if found.Function == nil {
			return 0, fmt.Errorf("the module exports no function %s", export)
		}
		fn = &found
		in.funcs[export] = fn
	}
	if len(args) > len(g.stack) {
		return 0, fmt.Errorf("%d arguments for %s", len(args), export)
	}
	g.starting, g.env, g.logged, g.seeded = m == nil, nil, 0, false
	if m == nil {
		g.budget.start(l.StartTime, l.StartFuel)
	} else {
		env := envelopeOf(m)
		g.env = &env
		if kv := g.filter.kv; kv != nil {
			kv.see(env.Origin.Received)
		}
		g.budget.start(l.Time, l.Fuel)
	}
	clear(g.stack[:])
	for i, a := range args {
		g.stack[i] = uint64(a)
	}
	err := g.call(fn)
	g.env = nil
	if err != nil {
		return 0, kitError(err)
	}
	return g.stack[0], nil
}

func (in *rawInstance) Memory() []byte {
	view, _ := in.guest.mem.Read(0, in.guest.mem.Size()) // all of it is never out of range
	return view
}

func (in *rawInstance) Close() error {
	in.guest.discard()
	return nil
}

// port is a host whose filters get messages.
type port struct {
	host   *Host
	limits Limits
}

func (p port) Load(ctx context.Context, module []byte, config map[string]any, o conformance.Options) (conformance.Filter, error) {
	f, err := p.host.Load(ctx, conformanceConfig(module, config, p.limits, o))
	if err != nil {
		return nil, kitError(err)
	}
	lane, err := f.Instance(ctx)
	if err != nil {
		return nil, errors.Join(err, f.Close(ctx))
	}
	return &portFilter{f, lane}, nil
}

type portFilter struct {
	filter *Filter
	lane   router.Filter
}

func (p *portFilter) Run(ctx context.Context, stage conformance.Stage, m *conformance.Message) (conformance.Outcome, error) {
	env, d := envelopeOf(m), router.Decision{}
	shown := stage == conformance.Pack || stage == conformance.Encode
	if text := m.Props[conformance.TargetSlot]; shown && text != "" {
		t, err := router.ParseTarget(text)
		if err != nil {
			return conformance.Outcome{}, err
		}
		d.Targets = append(d.Targets, t)
	}
	err := p.lane.Run(ctx, router.Stage(stage), &env, &d)
	for {
		rest, ok := errors.AsType[*router.RestError](err)
		if !ok || !rest.Wait(ctx) {
			break
		}
		err = p.lane.Run(ctx, router.Stage(stage), &env, &d)
	}
	if shown {
		d.Targets = nil
	}
	return outcomeOf(m, &env, &d), kitError(err)
}

func (p *portFilter) Close() error {
	p.lane.Close()
	return p.filter.Close(context.Background())
}

// Metrics returns the values of the filter's metrics.
func (p *portFilter) Metrics() map[string]float64 {
	return (&rawProgram{p.filter}).Metrics()
}

// kitError gives the kit the class of an error that has one.
func kitError(err error) error {
	if fe, ok := errors.AsType[*router.FilterError](err); ok {
		return &conformance.Failure{Class: fe.Class, Text: fe.Err.Error(), Retryable: fe.Retryable}
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return &conformance.Failure{Class: f.class, Text: err.Error(), Retryable: f.retryable}
	}
	return err
}
