package deadletters

import (
	"context"
	"errors"
	"fmt"

	"github.com/wasmrouter/router/router"
)

// Editor changes messages by a filter, in all stages that the filter has. It is not
// safe for concurrent use; close it.
type Editor struct {
	name   string
	stages router.StageSet
	filter router.Filter
}

// NewEditor makes an instance of a filter to edit with.
func NewEditor(ctx context.Context, f router.FilterSource) (*Editor, error) {
	instance, err := f.Instance(ctx)
	if err != nil {
		return nil, err
	}
	return &Editor{f.Name(), f.Stages(), instance}, nil
}

// Close frees the instance.
func (e *Editor) Close() { e.filter.Close() }

// edit passes a message through the filter. Where it is sent is not the filter's to
// say here, and what it emits is not sent: only what it changes counts. Of a message that it does not let pass, and
// of one that it fails on, the error says so.
func (e *Editor) edit(ctx context.Context, env *router.Envelope, to router.Target) error {
	d := router.Decision{Targets: []router.Target{to}}
	for stage := range router.Stage(router.NumStages) {
		if !e.stages.Has(stage) {
			continue
		}
		if stage == router.Pack || stage == router.Encode {
			d = router.Decision{Targets: []router.Target{to}}
		}
		if err := e.run(ctx, stage, env, &d); err != nil {
			return err
		}
		switch d.Action {
		case router.Drop, router.Reject, router.Retry, router.Reply:
			return fmt.Errorf("filter %s does not let it pass: %s", e.name, describe(&d))
		}
	}
	return nil
}

// run runs one stage, and waits while the filter rests.
func (e *Editor) run(ctx context.Context, stage router.Stage, env *router.Envelope, d *router.Decision) error {
	for {
		err := e.filter.Run(ctx, stage, env, d)
		rest, ok := errors.AsType[*router.RestError](err)
		if !ok {
			return err
		}
		if !rest.Wait(ctx) {
			return context.Cause(ctx)
		}
	}
}

func describe(d *router.Decision) string {
	if d.Reason == "" {
		return d.Action.String()
	}
	return d.Action.String() + ", " + d.Reason
}
