package app

import (
	"slices"
	"testing"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/broker"
	"github.com/wasmrouter/router/internal/testkit"
	"github.com/wasmrouter/router/telemetry"
	"github.com/wasmrouter/router/transport/metrics"
	"github.com/wasmrouter/router/wasmhost"
)

// A figure that a package counts and nobody hands on is seen by no operator. That
// what is handed on becomes a metric a test of package telemetry sees to.
func TestEveryFigureIsHandedOn(t *testing.T) {
	histogram := "router.HistogramStat" // tested on its own
	for name, test := range map[string]struct {
		of      func() (want map[float64]string, got any)
		without []string // is shown elsewhere: by /readyz, or as a sum
	}{
		"a filter": {of: func() (map[float64]string, any) {
			var st wasmhost.Stat
			want := testkit.Fill(&st, histogram)
			return want, filterStat(st)
		}, without: []string{".Failing.InARow", ".Failing.Next", ".Metrics.Kind"}},
		"the connections": {of: func() (map[float64]string, any) {
			var st amqp.Stat
			want := testkit.Fill(&st)
			var s telemetry.Snapshot
			metrics.AddBroker(&s, "", st)
			return want, s
		}},
		"the embedded broker": {of: func() (map[float64]string, any) {
			var st broker.Stat
			want := testkit.Fill(&st)
			return want, embeddedFigures(st)
		}, without: []string{ // which /api/broker tells, for each connection, exchange and queue
			".Connections.Since", ".Connections.Channels", ".Connections.Unacked", ".Exchanges.Bindings",
			".Queues.Published", ".Queues.Bytes", ".Queues.Delivered", ".Queues.Consumers", ".Queues.Bindings",
			".Queues.Consumed.Channel", ".Queues.Consumed.Since",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			want, st := test.of()
			got := testkit.Numbers(st)
			for n, path := range want {
				if !got[n] && !slices.Contains(test.without, path) {
					t.Errorf("%s is handed on to nobody", path)
				}
			}
		})
	}
}
