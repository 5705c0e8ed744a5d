package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"time"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/pool"
	"github.com/wasmrouter/router/router"
)

// FilterHook makes a router's filter, such as one that package wasmhost has
// loaded, a [Serializer] and a [ContextHook]: its stages encode and decode are
// the one, its stages pack and unpack the other. A stage that it lacks changes
// nothing.
//
// The filter sees the payload as the body, the content type, and the context as
// headers: JSON values as their AMQP counterparts, an integer that AMQP has no
// room for as the nearest float. A value of the context that it leaves as it
// was stays as it was, digit for digit. Where the message goes it does not see.
// If it rejects or drops the message, that is an error with its reason; if it
// wants it again later, one that wraps [ErrAgain].
//
// It is safe for concurrent use.
type FilterHook struct {
	name      string
	stages    router.StageSet
	instances *pool.Pool[router.Filter]
}

var (
	_ Serializer  = (*FilterHook)(nil)
	_ ContextHook = (*FilterHook)(nil)
)

// NewFilterHook returns a hook that runs at most so many instances of the
// filter at once; 0 is as many as there are processors. They are made when they
// are needed. Close the hook before the filter.
func NewFilterHook(source router.FilterSource, instances int) (*FilterHook, error) {
	h := &FilterHook{name: source.Name(), stages: source.Stages()}
	hooks := false
	for _, stage := range []router.Stage{router.Decode, router.Unpack, router.Pack, router.Encode} {
		hooks = hooks || h.stages.Has(stage)
	}
	if !hooks {
		return nil, fmt.Errorf("rpc: filter %s takes no part in decode, unpack, pack or encode, and would change nothing", h.name)
	}
	if instances == 0 {
		instances = runtime.GOMAXPROCS(0)
	}
	var err error
	h.instances, err = pool.New(pool.Config[router.Filter]{
		New: source.Instance, Close: router.Filter.Close, Max: instances, IdleTTL: time.Minute,
	})
	if err != nil {
		return nil, fmt.Errorf("rpc: filter %s: instances: %w", h.name, err)
	}
	return h, nil
}

// Encode implements [Serializer].
func (h *FilterHook) Encode(ctx context.Context, p *Part) error { return h.run(ctx, router.Encode, p) }

// Decode implements [Serializer].
func (h *FilterHook) Decode(ctx context.Context, p *Part) error { return h.run(ctx, router.Decode, p) }

// Pack implements [ContextHook].
func (h *FilterHook) Pack(ctx context.Context, p *Part) error { return h.run(ctx, router.Pack, p) }

// Unpack implements [ContextHook].
func (h *FilterHook) Unpack(ctx context.Context, p *Part) error { return h.run(ctx, router.Unpack, p) }

// Close frees the instances. It waits until ctx ends for those at work.
func (h *FilterHook) Close(ctx context.Context) error { return h.instances.Close(ctx) }

func (h *FilterHook) run(ctx context.Context, stage router.Stage, p *Part) error {
	if !h.stages.Has(stage) {
		return nil
	}
	shown, err := contextHeaders(p.Context)
	if err != nil {
		return fmt.Errorf("filter %s: %w", h.name, err)
	}
	lease, err := h.instances.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("filter %s: an instance: %w", h.name, err)
	}
	defer lease.Release()
	env := router.NewEnvelope(shown, p.Payload)
	before := env.Clone()
	env.ContentType = p.ContentType
	var d router.Decision
	if err := runFilter(ctx, lease.Item(), stage, &env, &d); err != nil {
		if failed, ok := errors.AsType[*router.FilterError](err); ok && failed.Retryable {
			err = fmt.Errorf("%w: %w", ErrAgain, err)
		}
		return err
	}
	switch d.Action {
	case router.Undecided, router.Forward:
	case router.Retry:
		return fmt.Errorf("filter %s: %w: %s", h.name, ErrAgain, d.Reason)
	default:
		return fmt.Errorf("filter %s: %s: %s", h.name, d.Action, d.Reason)
	}
	p.Payload, p.ContentType = env.Body, env.ContentType
	p.Context = changedContext(p.Context, before.Headers(), env.Headers())
	return nil
}

// runFilter waits for a filter that rests.
func runFilter(ctx context.Context, f router.Filter, stage router.Stage, env *router.Envelope, d *router.Decision) error {
	for {
		err := f.Run(ctx, stage, env, d)
		rest, rests := errors.AsType[*router.RestError](err)
		if !rests {
			return err
		}
		if !rest.Wait(ctx) {
			return fmt.Errorf("%w: %w", ErrAgain, err)
		}
	}
}

// contextHeaders shows a context as headers.
func contextHeaders(values map[string]any) (map[string]any, error) {
	headers := make(map[string]any, len(values))
	for name, v := range values {
		h, err := contextHeader(v)
		if err != nil {
			return nil, fmt.Errorf("context %q: %w", name, err)
		}
		headers[name] = h
	}
	return headers, nil
}

func contextHeader(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string, int64, float64:
		return v, nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		f, err := v.Float64()
		if err != nil {
			f = math.Inf(1) // the only error that a number's text can have
		}
		return f, nil
	case []any:
		list := make([]any, len(v))
		for i := range v {
			var err error
			if list[i], err = contextHeader(v[i]); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		return contextHeaders(v)
	}
	raw, err := oslo.Marshal(v)
	if err != nil {
		return nil, err
	}
	if v, err = raw.Value(); err != nil {
		return nil, err
	}
	return contextHeader(v)
}

// changedContext returns the context with what differs between the headers
// before and after.
func changedContext(context, before, after map[string]any) map[string]any {
	if len(after) == 0 && len(context) == 0 {
		return context
	}
	changed := make(map[string]any, len(after))
	for name, v := range after {
		old, had := before[name]
		if original, ok := context[name]; ok && had && reflect.DeepEqual(old, v) {
			v = original
		}
		changed[name] = v
	}
	return changed
}
