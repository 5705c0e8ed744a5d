package rpc_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

func TestARemoteSendsWhatItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop", "shop.a", "shop_fanout_1")
		var seen []rpc.Request
		_, _ = serve(t, b, func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
			seen = append(seen, in.Request)
			return rpc.Reply{Payload: []byte(`{"n": 5, "ratio": 1.5}`)}, nil
		})
		remote := rpc.Remote{
			Client: newClient(t, b),
			Target: rpc.Target{Topic: "shop", Namespace: new("ns"), Version: "1.3"}, VersionCap: "1.4",
			Context: map[string]any{"user": "u1", "n": int64(1)},
		}
		ctx := rpc.WithContext(t.Context(), map[string]any{"user": "u2", "tenant": "t"})
		ctx = rpc.WithContext(ctx, map[string]any{"tenant": "t2"})
		var result struct {
			N     int
			Ratio float64
		}
		args := struct {
			ID   int    `json:"id"`
			Name string `json:"name,omitempty"`
		}{ID: 7}
		if err := remote.Call(ctx, "price", args, &result); err != nil || result.N != 5 || result.Ratio != 1.5 {
			t.Errorf("%+v, %v", result, err)
		}
		want := []rpc.Request{{
			Method: "price", Payload: []byte(`{"id": 7}`), Namespace: new("ns"), Version: "1.3",
			Context: map[string]any{"user": "u2", "tenant": "t2", "n": seen[0].Context["n"]},
		}}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if err := remote.Call(t.Context(), "price", nil, nil); err != nil {
			t.Error(err)
		}
		if err := remote.At("a").Cast(t.Context(), "m", map[string]any{}); err != nil {
			t.Error(err)
		}
		if err := remote.At("a").Fanout(t.Context(), "m", nil); err != nil {
			t.Error(err)
		}
		for target, n := range map[string]int{"topic:shop": 2, "server:shop.a": 1, "fanout:shop": 1} {
			if got := len(b.messages(target)); got != n {
				t.Errorf("%d messages to %s, want %d", got, target, n)
			}
		}
	})
}

func TestResultsOfAllKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		serve(t, b, echo)
		remote := rpc.Remote{Client: newClient(t, b), Target: rpc.Target{Topic: "shop"}}
		args := map[string]any{"nan": math.NaN(), "big": oslo.Raw("123456789012345678901234567890")}
		var raw oslo.Raw
		if err := remote.Call(t.Context(), "m", args, &raw); err != nil || string(raw) != `{"big": 123456789012345678901234567890, "nan": NaN}` {
			t.Errorf("%s, %v", raw, err)
		}
		var v any
		if err := remote.Call(t.Context(), "m", args, &v); err != nil || !math.IsNaN(v.(map[string]any)["nan"].(float64)) {
			t.Errorf("%v, %v", v, err)
		}
		var text string
		if err := remote.Call(t.Context(), "m", args, &text); !errors.Is(err, rpc.ErrFormat) {
			t.Errorf("an object into a string: %v", err)
		}
		if err := remote.Call(t.Context(), "m", []int{1}, nil); !errors.Is(err, rpc.ErrFormat) {
			t.Errorf("a list of arguments: %v", err)
		}
		if err := remote.Call(t.Context(), "m", make(chan int), nil); !errors.Is(err, rpc.ErrFormat) {
			t.Errorf("a channel of arguments: %v", err)
		}
	})
}

func TestTheVersionCapIsLocal(t *testing.T) {
	b := newBroker("shop")
	c := newClient(t, b)
	for _, x := range []struct {
		limit, version string
		ok             bool
	}{
		{"", "9.9", true},
		{"1.4", "1.4", true},
		{"1.4", "1.5", false},
		{"2.0", "1.4", false},
		{"1.4", "", true},
		{"2.0", "", false},
		{"1.4", "x", false},
	} {
		r := rpc.Remote{Client: c, Target: rpc.Target{Topic: "shop", Version: x.version}, VersionCap: x.limit, Timeout: time.Nanosecond}
		if got := r.CanSendVersion(""); got != x.ok {
			t.Errorf("%q within %q: %v", x.version, x.limit, got)
		}
		if x.ok {
			continue
		}
		if err := r.Call(t.Context(), "m", nil, nil); !errors.Is(err, rpc.ErrVersionCap) {
			t.Errorf("call: %v", err)
		}
		if err := r.Cast(t.Context(), "m", nil); !errors.Is(err, rpc.ErrVersionCap) {
			t.Errorf("cast: %v", err)
		}
	}
	r := rpc.Remote{Client: c, VersionCap: "1.4"}
	if !r.CanSendVersion("1.2") || r.CanSendVersion("1.6") {
		t.Error("CanSendVersion with a version of its own")
	}
	if n := len(b.messages("topic:shop")); n != 0 {
		t.Errorf("%d were sent", n)
	}
}

func TestWhatARemoteRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		remote := rpc.Remote{Client: newClient(t, b), Target: rpc.Target{Topic: "shop"}}
		fanout := remote
		fanout.Target.Fanout = true
		if err := fanout.Call(t.Context(), "m", nil, nil); !errors.Is(err, router.ErrTarget) {
			t.Errorf("call with fanout: %v", err)
		}
		fanout.Target.Server = "a"
		if err := fanout.Cast(t.Context(), "m", nil); !errors.Is(err, router.ErrTarget) {
			t.Errorf("fanout to one server: %v", err)
		}
		if err := (rpc.Remote{}).Call(t.Context(), "m", nil, nil); err == nil {
			t.Error("a call without a client")
		}
		if err := remote.Cast(t.Context(), "m", nil); !errors.Is(err, rpc.ErrNoListener) {
			t.Errorf("cast to nobody: %v", err)
		}
		remote.Unheard = true
		if err := remote.Cast(t.Context(), "m", nil); err != nil {
			t.Errorf("cast to nobody, who need not hear it: %v", err)
		}
		if err := remote.Call(t.Context(), "m", nil, nil); !errors.Is(err, rpc.ErrNoListener) {
			t.Errorf("a call is heard or an error: %v", err)
		}
	})
}

// The monitor and the timeout of a remote end its calls; keep-alives only
// prolong the one of the two.
func TestARemotesTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		serve(t, b, func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
			time.Sleep(30 * time.Second)
			return rpc.Reply{}, nil
		})
		remote := rpc.Remote{Client: newClient(t, b), Target: rpc.Target{Topic: "shop"}, Timeout: 20 * time.Second, Monitor: 4 * time.Second}
		start := time.Now()
		if err := remote.Call(t.Context(), "slow", nil, nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 20*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		b.change(func() { b.queues["deaf"] = nil })
		remote.Target.Topic = "deaf"
		start = time.Now()
		if err := remote.Call(t.Context(), "slow", nil, nil); !errors.Is(err, rpc.ErrSilent) || time.Since(start) != 4*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
