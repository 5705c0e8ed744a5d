package calls_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/wasmrouter/router/app/bench/calls"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/wasmhost/compile"
)

func TestMain(m *testing.M) {
	compile.Main()
	calls.Main()
	testbroker.Main(m)
}

func TestABenchmarkOfAFewCalls(t *testing.T) {
	report, err := calls.Measure(t.Context(), calls.Options{
		URL: rabbitnode.Shared(t).URL(), Calls: 40, Callers: []int{1, 8}, Rounds: 1, Bytes: 100, Python: "/usr/bin/python3",
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Results) != 8 {
		t.Errorf("%d results: %+v", len(report.Results), report)
	}
	for _, r := range report.Results {
		for _, f := range []calls.Figure{r.Call, r.Cast} {
			if f.Failed != 0 || f.P50Micros <= 0 || f.P99Micros < f.P50Micros || f.PerSecond <= 0 || f.ClientMicros < 0 || f.ServerMicros < 0 {
				t.Errorf("%s with %d callers: %+v", r.Side, r.Callers, f)
			}
		}
		if r.ClientConnections < 1 || r.ServerConnections < 1 {
			t.Errorf("%s with %d callers: %d and %d connections", r.Side, r.Callers, r.ClientConnections, r.ServerConnections)
		}
		if (r.Side == calls.SideGo || r.Side == calls.SideProxy) && (r.ClientConnections > 2 || r.ServerConnections > 2) {
			t.Errorf("%s has %d and %d connections", r.Side, r.ClientConnections, r.ServerConnections)
		}
	}
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"p50 of a call, 8 callers: Go / bare amqp091-go = ", "CPU of a call, 1 callers: Go / Python = ", "p50 of a call, 1 callers: Go, router between / Go = ", "oslo.messaging 14.", "2 + 2"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
}
