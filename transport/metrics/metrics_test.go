package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wasmrouter/router/broker"
	"github.com/wasmrouter/router/internal/testkit"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
	"github.com/wasmrouter/router/telemetry"
	"github.com/wasmrouter/router/transport"
	"github.com/wasmrouter/router/transport/metrics"
)

func TestTransportsHaveMetrics(t *testing.T) {
	source := metrics.Source{}
	for _, name := range []string{"orders", "prices"} {
		tr, err := transport.Open("rabbit://127.0.0.1:1/", transport.Options{Timeout: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := tr.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		source[name] = tr
	}
	if err := source["prices"].Client().Fanout(t.Context(), "topic", rpc.Request{Method: "m"}); err == nil || errors.Is(err, router.ErrUnroutable) {
		t.Error("there is a broker:", err)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(telemetry.NewCollector(source, telemetry.Build{}))
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := f.GetName()
			for _, l := range m.GetLabel() {
				key += " " + l.GetValue()
			}
			got[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for key, want := range map[string]float64{
		"router_rpc_sent_total cast orders": 0, "router_rpc_sent_total cast prices": 1,
		"router_rpc_publishes_given_up_total prices": 1,
		"router_amqp_connected orders send":          0, "router_pool_items prices channels idle": 0,
	} {
		if n, ok := got[key]; !ok || n != want {
			t.Errorf("%s: %v, %t; want %v", key, n, ok, want)
		}
	}
}

// A queue whose name is another each time brings no new time series.
func TestQueuesNamedAtRandomHaveOneName(t *testing.T) {
	embedded := broker.New(broker.Config{})
	defer embedded.Close()
	address, err := embedded.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	purposes := func() (named, stays []string) {
		tr, err := transport.Open("rabbit://guest:guest@"+address+"/", transport.Options{Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		defer func() {
			stop()
			if err := errors.Join(<-served, tr.Close(t.Context())); err != nil {
				t.Error(err)
			}
		}()
		go func() {
			handler := func(context.Context, *rpc.Incoming) (rpc.Reply, error) { return rpc.Reply{}, nil }
			s, err := tr.Server(rpc.Target{Topic: "t", Server: "s"}, rpc.ServerConfig{})
			if err == nil {
				err = s.Serve(ctx, handler)
			}
			served <- err
		}()
		client, err := tr.NewClient(tr.Format())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []*rpc.Client{tr.Client(), client} { // each has its queue for replies
			testkit.Await(t, time.Minute, "an answer", func() (bool, string) {
				_, err := c.Call(ctx, router.Target{Kind: router.TargetTopic, Topic: "t"}, rpc.Request{Method: "m"})
				return err == nil, fmt.Sprint(err)
			})
		}
		for _, c := range tr.Stat().Broker.Connections {
			named = append(named, c.Purpose)
		}
		for _, c := range (metrics.Source{"a": tr}).Snapshot().Connections {
			stays = append(stays, c.Purpose)
		}
		slices.Sort(stays)
		return named, stays
	}
	named, stays := purposes()
	if diff := cmp.Diff([]string{"listen reply", "listen t", "listen t.s", "listen t_fanout", "send"}, stays); diff != "" {
		t.Error(diff)
	}
	again, stay := purposes()
	if diff := cmp.Diff(stays, stay); diff != "" {
		t.Error(diff)
	}
	if cmp.Equal(named, again) || len(named) != 6 {
		t.Errorf("no name is another: %q", named)
	}
}
