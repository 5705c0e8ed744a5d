package filters_test

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
)

// lanes returns instances of one stock filter, as many lanes of a route have
// them, with the grants kv and clock.
func lanes(t *testing.T, name string, config map[string]any, n int) []router.Filter {
	t.Helper()
	ctx := context.Background()
	f, err := host.Load(ctx, wasmhost.FilterConfig{
		Name: name, Module: stock(t, name), Config: config, Grants: wasmhost.Grants{KV: true, Clock: true},
		Limits: wasmhost.Limits{Time: 10 * time.Second, StartTime: time.Minute},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	all := make([]router.Filter, n)
	for i := range all {
		if all[i], err = f.Instance(ctx); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(all[i].Close)
	}
	return all
}

// inAll runs a message in every lane at once and counts those that pass; change
// sets what distinguishes the lanes' copies.
func inAll(t *testing.T, lanes []router.Filter, env *router.Envelope, change func(lane int, env *router.Envelope)) int {
	t.Helper()
	var passed atomic.Int64
	var group sync.WaitGroup
	for i, in := range lanes {
		mine := env.Clone()
		change(i, &mine)
		group.Go(func() {
			var d router.Decision
			if err := in.Run(context.Background(), router.Unpack, &mine, &d); err != nil {
				t.Error(err)
			}
			if d.Action == router.Undecided {
				passed.Add(1)
			}
		})
	}
	group.Wait()
	return int(passed.Load())
}

// Of copies that come at the same time in different lanes one passes.
func TestDeduplicatorInLanes(t *testing.T) {
	all := lanes(t, "deduplicator", map[string]any{"key": "property:message_id"}, 4)
	for i := range 200 {
		env := router.NewEnvelope(nil, nil)
		env.MessageID = strconv.Itoa(i)
		at := time.Unix(1767225600, int64(i)*1000)
		if n := inAll(t, all, &env, func(lane int, env *router.Envelope) {
			env.Origin.Received = at.Add(time.Duration(lane))
		}); n != 1 {
			t.Fatalf("message %d passed %d times", i, n)
		}
	}
}

// The limit is one for all lanes.
func TestRateLimiterInLanes(t *testing.T) {
	const limit = 50
	all := lanes(t, "rate-limiter", map[string]any{"limit": int64(limit), "window": "1h", "key": "header:tenant"}, 4)
	passed := 0
	env := router.NewEnvelope(map[string]any{"tenant": "a"}, nil)
	now := time.Now()
	env.Origin.Received = now
	for range limit {
		passed += inAll(t, all, &env, func(int, *router.Envelope) {})
	}
	// The hour may have ended meanwhile.
	if passed != limit && now.Truncate(time.Hour).Equal(time.Now().Truncate(time.Hour)) {
		t.Errorf("%d messages passed, want %d", passed, limit)
	}
}

// A retry waits for the next window, by the real time: the message's own does
// not move.
func TestRateLimiterRetries(t *testing.T) {
	const window = 15 * time.Minute
	in := lanes(t, "rate-limiter", map[string]any{"limit": int64(1), "window": "15m", "over": "retry"}, 1)[0]
	for range 3 { // a window may end meanwhile, but not each time
		env := router.NewEnvelope(nil, nil)
		env.Origin.Received = time.Unix(1, 0)
		var first, second router.Decision
		before := time.Now()
		for _, d := range []*router.Decision{&first, &second} {
			if err := in.Run(context.Background(), router.Unpack, &env, d); err != nil {
				t.Fatal(err)
			}
		}
		after := time.Now()
		ends := before.Truncate(window).Add(window)
		if !after.Before(ends) {
			continue
		}
		if second.Action != router.Retry || second.Reason != "over the limit of 1 in 15m" {
			t.Fatalf("%+v", second)
		}
		// To the millisecond, and never too early.
		if least, most := ends.Sub(after), ends.Sub(before)+time.Millisecond; second.Delay < least || second.Delay > most {
			t.Fatalf("it waits for %s, want %s to %s", second.Delay, least, most)
		}
		return
	}
}

// The share that is kept is the share that was asked for, and samples with
// another seed have nothing to do with each other.
func TestSamplerKeepsItsShare(t *testing.T) {
	const n = 20000
	kept := func(keep float64, seed string) map[int]bool {
		t.Helper()
		f, err := loadFilter(t, "sampler", stock(t, "sampler"), map[string]any{"keep": keep, "seed": seed})
		if err != nil {
			t.Fatal(err)
		}
		all := map[int]bool{}
		for i := range n {
			env, d := router.NewEnvelope(nil, nil), router.Decision{}
			env.MessageID = fmt.Sprintf("order-%d", i)
			if err := f.Run(context.Background(), router.Decide, &env, &d); err != nil {
				t.Fatal(err)
			}
			if d.Action == router.Undecided {
				all[i] = true
			}
		}
		return all
	}
	// Five standard deviations: the hash is fixed, so this passes always or never.
	near := func(what string, got int, share float64) {
		t.Helper()
		if want := n * share; math.Abs(float64(got)-want) > 5*math.Sqrt(want*(1-share)) {
			t.Errorf("%s: %d of %d, want about %.0f", what, got, n, want)
		}
	}
	a, b, other := kept(0.3, ""), kept(0.1, ""), kept(0.3, "other")
	near("0.3", len(a), 0.3)
	near("0.1", len(b), 0.1)
	near("another seed", len(other), 0.3)
	both := 0
	for i := range a {
		if other[i] {
			both++
		}
	}
	near("both seeds", both, 0.09)
	for i := range b {
		if !a[i] {
			t.Fatalf("order-%d is in the smaller sample and not in the larger", i)
		}
	}
}
