package recording

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/app/workbench"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
)

// redactor passes what is to be written through a filter.
type redactor struct {
	host   *wasmhost.Host
	filter router.Filter
	stages router.StageSet
}

// newRedactor loads the filter that arg names, as `router filter` takes it: a
// project's directory, a module, or stock:NAME.
func newRedactor(ctx context.Context, arg string, log *slog.Logger) (*redactor, error) {
	s, err := workbench.Open(arg, workbench.Options{})
	if err != nil {
		return nil, fmt.Errorf("--redact: %w", err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	host, err := app.NewHost(ctx, "", log)
	if err != nil {
		return nil, err
	}
	fc := app.FilterConfig(s.Name, s.Filter, s.Module)
	fc.Limits.RestartBackoff, fc.Limits.MaxBackoff = time.Millisecond, time.Millisecond
	filter, err := host.Load(ctx, fc)
	if err != nil {
		err = app.Refused(s.Name, s.File, err)
		return nil, errors.Join(fmt.Errorf("--redact: %w", err), host.Close(ctx))
	}
	instance, err := filter.Instance(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--redact: %w", err), host.Close(ctx))
	}
	return &redactor{host, instance, filter.Stages()}, nil
}

func (r *redactor) close(ctx context.Context) {
	r.filter.Close()
	_ = r.host.Close(ctx) // what is recorded is written
}

// redact passes a record's messages through the filter, and takes out the
// explanation, which may quote them. It returns false for a record that must not
// be written: the filter failed, or let one of its messages go no further.
func (r *redactor) redact(ctx context.Context, one *record.Record) bool {
	ctx = context.WithoutCancel(ctx) // what is recorded is written to the end
	one.Decision.Error = ""
	if !r.pass(ctx, &one.Received, router.Target{Kind: router.TargetQueue, Queue: one.Received.Origin.Queue}) {
		return false
	}
	for i := range one.Decision.Sent {
		s := &one.Decision.Sent[i]
		if !r.pass(ctx, &s.Envelope, s.Target) {
			return false
		}
	}
	return true
}

func (r *redactor) pass(ctx context.Context, env *router.Envelope, to router.Target) bool {
	var d router.Decision
	for stage := range router.Stage(router.NumStages) {
		if !r.stages.Has(stage) {
			continue
		}
		d.Reset()
		if stage >= router.Pack {
			d.Targets = append(d.Targets, to)
		}
		err := r.filter.Run(ctx, stage, env, &d)
		for rest, ok := errors.AsType[*router.RestError](err); ok && rest.Wait(ctx); rest, ok = errors.AsType[*router.RestError](err) {
			err = r.filter.Run(ctx, stage, env, &d)
		}
		if err != nil || d.Action == router.Drop || d.Action == router.Reject || d.Action == router.Retry {
			return false
		}
	}
	return true
}
