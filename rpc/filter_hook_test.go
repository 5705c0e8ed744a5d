package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// filter is a FilterSource and, for all of its instances, what they do.
type filter struct {
	stages router.StageSet
	run    func(stage router.Stage, env *router.Envelope, d *router.Decision) error

	made, closed, running, most atomic.Int32
}

func (f *filter) Name() string            { return "f" }
func (f *filter) Stages() router.StageSet { return f.stages }
func (f *filter) Instance(context.Context) (router.Filter, error) {
	f.made.Add(1)
	return filterInstance{f}, nil
}

type filterInstance struct{ *filter }

func (f filterInstance) Run(_ context.Context, stage router.Stage, env *router.Envelope, d *router.Decision) error {
	f.most.Store(max(f.most.Load(), f.running.Add(1)))
	defer f.running.Add(-1)
	return f.run(stage, env, d)
}
func (f filterInstance) Close() { f.closed.Add(1) }

func stages(list ...router.Stage) (set router.StageSet) {
	for _, s := range list {
		set = set.With(s)
	}
	return set
}

func newFilterHook(t *testing.T, f *filter, instances int) *rpc.FilterHook {
	t.Helper()
	h, err := rpc.NewFilterHook(f, instances)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := h.Close(ctx); err != nil || f.made.Load() != f.closed.Load() {
			t.Errorf("%d made, %d closed: %v", f.made.Load(), f.closed.Load(), err)
		}
	})
	return h
}

func TestAFilterSeesPayloadAndContext(t *testing.T) {
	given := map[string]any{
		"int": json.Number("7"), "float": json.Number("1.0"), "big": json.Number("1208925819614629174706176"), "huge": json.Number("1e999"),
		"nan": math.NaN(), "text": "x", "null": nil, "list": []any{json.Number("1"), map[string]any{"a": true}},
		"strings": []string{"a"}, "go": 5, "secret": "s", "changed": json.Number("1"),
	}
	var seen map[string]any
	f := &filter{stages: stages(router.Pack), run: func(stage router.Stage, env *router.Envelope, _ *router.Decision) error {
		seen = env.Headers()
		if stage != router.Pack || string(env.Body) != "body" || env.ContentType != "text/plain" {
			t.Errorf("%s of %s, %s", stage, env.ContentType, env.Body)
		}
		env.DelHeader("secret")
		env.SetHeader("changed", int64(2))
		env.SetHeader("new", "n")
		env.Body, env.ContentType = []byte("other"), "text/html"
		return nil
	}}
	h := newFilterHook(t, f, 0)
	p := rpc.Part{Payload: []byte("body"), Context: given, ContentType: "text/plain"}
	if err := h.Pack(t.Context(), &p); err != nil {
		t.Fatal(err)
	}
	delete(seen, "secret")
	wantSeen := map[string]any{
		"int": int64(7), "float": 1.0, "big": 1208925819614629174706176.0, "huge": math.Inf(1),
		"nan": math.NaN(), "text": "x", "null": nil, "list": []any{int64(1), map[string]any{"a": true}},
		"strings": []any{"a"}, "go": int64(5), "changed": int64(1),
	}
	if diff := cmp.Diff(wantSeen, seen, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("seen (-want +got):\n%s", diff)
	}
	want := rpc.Part{Payload: []byte("other"), ContentType: "text/html", Context: map[string]any{
		"int": json.Number("7"), "float": json.Number("1.0"), "big": json.Number("1208925819614629174706176"), "huge": json.Number("1e999"),
		"nan": math.NaN(), "text": "x", "null": nil, "list": []any{json.Number("1"), map[string]any{"a": true}},
		"strings": []string{"a"}, "go": 5, "changed": int64(2), "new": "n",
	}}
	if diff := cmp.Diff(want, p, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("made of it (-want +got):\n%s", diff)
	}
	if given["secret"] != "s" {
		t.Error("the caller's context was changed")
	}
	// The stages that it lacks change nothing.
	for _, stage := range []func(context.Context, *rpc.Part) error{h.Unpack, h.Encode, h.Decode} {
		q := rpc.Part{Payload: []byte("x")}
		if err := stage(t.Context(), &q); err != nil || string(q.Payload) != "x" {
			t.Errorf("%s, %v", q.Payload, err)
		}
	}
	p = rpc.Part{Context: map[string]any{"f": func() {}}}
	if err := h.Pack(t.Context(), &p); err == nil || err.Error() != `filter f: context "f": marshal: a func() has no JSON form` {
		t.Error(err)
	}
}

func TestWhatAFilterDecidesIsAnError(t *testing.T) {
	for name, x := range map[string]struct {
		d     router.Decision
		err   error
		want  string
		again bool
	}{
		"forward":       {d: router.Decision{Action: router.Forward}},
		"reject":        {d: router.Decision{Action: router.Reject, Reason: "no tenant"}, want: "filter f: reject: no tenant"},
		"drop":          {d: router.Decision{Action: router.Drop}, want: "filter f: drop: "},
		"retry":         {d: router.Decision{Action: router.Retry, Reason: "later"}, want: "filter f: to be delivered again: later", again: true},
		"failure":       {err: &router.FilterError{Filter: "f", Class: "trap", Err: errors.New("why")}, want: "filter f: decode: trap: why"},
		"may be better": {err: &router.FilterError{Filter: "f", Class: "error", Err: errors.New("why"), Retryable: true}, want: "to be delivered again: filter f: decode: error: why", again: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := &filter{stages: stages(router.Decode), run: func(_ router.Stage, env *router.Envelope, d *router.Decision) error {
				env.Body = []byte("changed")
				*d = x.d
				return x.err
			}}
			p := rpc.Part{Payload: []byte("x")}
			err := newFilterHook(t, f, 1).Decode(t.Context(), &p)
			if x.want == "" {
				if err != nil || string(p.Payload) != "changed" {
					t.Errorf("%s, %v", p.Payload, err)
				}
				return
			}
			if err == nil || err.Error() != x.want || errors.Is(err, rpc.ErrAgain) != x.again || string(p.Payload) != "x" {
				t.Errorf("%s: %v", p.Payload, err)
			}
		})
	}
}

func TestAFilterThatRestsIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rests := 2
		f := &filter{stages: stages(router.Encode), run: func(router.Stage, *router.Envelope, *router.Decision) error {
			if rests == 0 {
				return nil
			}
			rests--
			return &router.RestError{Filter: "f", After: time.Minute, Err: errors.New("it fails")}
		}}
		h := newFilterHook(t, f, 1)
		start := time.Now()
		if err := h.Encode(t.Context(), &rpc.Part{}); err != nil || time.Since(start) != 2*time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		rests = 1
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.Encode(ctx, &rpc.Part{}); !errors.Is(err, rpc.ErrAgain) || !strings.HasSuffix(err.Error(), "filter f rests: it fails") {
			t.Error(err)
		}
	})
}

func TestInstancesOfAFilterAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &filter{stages: stages(router.Encode), run: func(router.Stage, *router.Envelope, *router.Decision) error {
			time.Sleep(time.Second)
			return nil
		}}
		h := newFilterHook(t, f, 2)
		start := time.Now()
		results := make(chan error)
		for range 6 {
			go func() { results <- h.Encode(t.Context(), &rpc.Part{}) }()
		}
		for range 6 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if f.most.Load() != 2 || f.made.Load() != 2 || time.Since(start) != 3*time.Second {
			t.Errorf("%d at once, %d made, %v", f.most.Load(), f.made.Load(), time.Since(start))
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := h.Encode(t.Context(), &rpc.Part{}); err == nil {
			t.Error("used after Close")
		}
	})
}

func TestAFilterThatOnlyDecidesIsNoHook(t *testing.T) {
	_, err := rpc.NewFilterHook(&filter{stages: stages(router.Decide)}, 0)
	if want := "rpc: filter f takes no part in decode, unpack, pack or encode, and would change nothing"; err == nil || err.Error() != want {
		t.Error(err)
	}
	if _, err := rpc.NewFilterHook(&filter{stages: stages(router.Pack)}, -1); err == nil {
		t.Error("less than no instances")
	}
}
