package workbench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wasmrouter/router/router"
)

// Call is one call into a filter.
type Call struct {
	Stage router.Stage
	Took  time.Duration
	Fuel  int64 // 0 when the call failed before the filter ran
}

// Outcome is what a filter made of one message.
type Outcome struct {
	Before, After router.Envelope // of a message that failed both are the same
	Given         []router.Target // what pack and encode were told, not decided here
	Decision      router.Decision
	Copies        []Copy // in place of After, where there is more than one
	Calls         []Call
	Err           *router.FilterError // why it failed, or nil
}

// Copy is a message that was made in passing: one for each of several targets
// when they were packed, and what the filter emitted.
type Copy struct {
	Emitted  int // from 1; 0 is a copy of the message itself
	From     router.Envelope
	Envelope router.Envelope
	Decision router.Decision // Targets are its own
}

// fueled is an instance that knows what its last call has cost.
type fueled interface{ Fuel() int64 }

// trial takes one message through the stages as a route does: those up to
// decide, then pack and encode for each target.
type trial struct {
	filter router.Filter
	stages []router.Stage
	out    Outcome
}

// try passes a message through stages of a filter. The error is of the filter
// only if it is a defect of the host's.
func try(ctx context.Context, f router.Filter, stages []router.Stage, m *Message) (Outcome, error) {
	before, err := m.Envelope()
	if err != nil {
		return Outcome{}, err
	}
	targets, err := m.targets()
	if err != nil {
		return Outcome{}, err
	}
	t := &trial{filter: f, stages: stages}
	t.out.Before = before.Clone()
	t.out.After = before.Clone()
	t.out.Given, t.out.Decision.Targets = targets, slices.Clone(targets)
	err = t.run(ctx)
	if fe, ok := errors.AsType[*router.FilterError](err); ok {
		return Outcome{Before: before, After: before, Err: fe, Calls: t.out.Calls}, nil
	}
	return t.out, err
}

func (t *trial) run(ctx context.Context) error {
	out := &t.out
	if err := t.pass(ctx, &out.After, &out.Decision, router.Decode, router.Unpack, router.Decide); err != nil {
		return err
	}
	emitted := out.Decision.Emitted
	out.Decision.Emitted = nil
	packs := slices.ContainsFunc(t.stages, isPacking)
	switch action := out.Decision.Action; {
	case action == router.Reject || action == router.Retry:
		return nil
	case action == router.Drop || action == router.Reply: // the message itself goes no further
	case packs && len(out.Decision.Targets) > 1:
		for _, target := range out.Decision.Targets {
			c := Copy{From: out.After.Clone(), Envelope: out.After.Clone()}
			c.Decision.Targets = []router.Target{target}
			if err := t.pass(ctx, &c.Envelope, &c.Decision, router.Pack, router.Encode); err != nil {
				return err
			}
			out.Copies = append(out.Copies, c)
		}
	case packs:
		if err := t.pass(ctx, &out.After, &out.Decision, router.Pack, router.Encode); err != nil {
			return err
		}
	}
	for i := range emitted {
		c := Copy{Emitted: i + 1, From: out.Before.Clone(), Envelope: emitted[i].Envelope}
		c.Decision.Targets = emitted[i].Targets
		if err := t.pass(ctx, &c.Envelope, &c.Decision, router.Pack, router.Encode); err != nil {
			return err
		}
		out.Copies = append(out.Copies, c)
	}
	return nil
}

func isPacking(s router.Stage) bool { return s == router.Pack || s == router.Encode }

// final reports whether later stages do not see the message any more.
func final(a router.Action) bool {
	return a == router.Drop || a == router.Reject || a == router.Retry || a == router.Reply
}

// rests waits if the filter rests, and reports whether to try it again.
func rests(ctx context.Context, err error) bool {
	rest, ok := errors.AsType[*router.RestError](err)
	return ok && rest.Wait(ctx)
}

// pass runs those of the wanted stages that are among some.
func (t *trial) pass(ctx context.Context, env *router.Envelope, d *router.Decision, some ...router.Stage) error {
	for _, stage := range some {
		if !slices.Contains(t.stages, stage) {
			continue
		}
		start := time.Now()
		err := t.filter.Run(ctx, stage, env, d)
		for rests(ctx, err) {
			start = time.Now()
			err = t.filter.Run(ctx, stage, env, d)
		}
		c := Call{Stage: stage, Took: time.Since(start)}
		if f, ok := t.filter.(fueled); ok {
			c.Fuel = f.Fuel()
		}
		t.out.Calls = append(t.out.Calls, c)
		if err != nil {
			if _, ok := errors.AsType[*router.FilterError](err); !ok {
				err = fmt.Errorf("%s: %w", stage, err)
			}
			return err
		}
		if final(d.Action) {
			return nil
		}
	}
	return nil
}
