package app

import (
	"context"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/telemetry/otlp"
)

// tracesConfig returns where spans go by a configuration, as far as it says so.
func tracesConfig(cfg *config.Config) otlp.Config {
	t := cfg.Telemetry
	return otlp.Config{
		Endpoint: t.Endpoint, Headers: t.Headers.Reveal(), CAFile: t.CAFile,
		ServiceName: t.ServiceName, SampleOneIn: t.SampleOneIn,
	}
}

// openTraces makes the exporter of traces, if anybody wants some.
func (a *App) openTraces(ctx context.Context, cfg *config.Config) error {
	c := tracesConfig(cfg)
	c.Version, c.Logger = a.opts.Build.Version, a.log
	traces, err := otlp.Open(ctx, c)
	if err != nil {
		return cfg.Errorf([]string{"telemetry"}, "mend the key, or the variable of the environment that is named", "%w", err)
	}
	if traces == nil {
		return nil
	}
	a.traces = traces
	a.teardown = append(a.teardown, traces.Close)
	return nil
}

// tracer is what follows the messages of all routes. The recorder comes first, to
// see what is sent without the marks of others.
func (a *App) tracer() router.Tracer {
	if a.traces == nil {
		return &a.recorder
	}
	return router.Tracers(&a.recorder, a.traces)
}
