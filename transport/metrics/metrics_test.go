package metrics_test

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

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
