package matrix

import (
	"fmt"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// alert are settings of [broker] with which a dead peer is noticed within 4 s. With
// shorter heartbeats a busy machine would pass for dead.
const alert = "heartbeat = \"2s\"\ndial_timeout = \"2s\"\nwrite_timeout = \"2s\"\n"

// lasting is how long a fault lasts that has a length.
var lasting = time.Duration(harness.Times(60, 5)) * time.Second

// single are arguments of queues that have one consumer at a time. A broker that has
// not noticed yet that a connection is dead keeps what it has sent there, and a next
// consumer would overtake that; with these it waits.
var single = amqp091.Table{"x-single-active-consumer": true}

// eval evaluates Erlang inside the broker.
func eval(t *testing.T, n *rabbitnode.Node, expression string) {
	t.Helper()
	if _, err := n.Eval(t.Context(), expression); err != nil {
		t.Fatal(err)
	}
}

// purpose is the label of metrics of that side's connections.
func purpose(side harness.Side) string { return fmt.Sprintf(`purpose="%s`, side) }

// awaitConnections waits until the router says that so many of its connections are up,
// all or those of one side, and returns how long it waited.
func awaitConnections(tr *harness.Trial, up float64, side ...harness.Side) time.Duration {
	tr.T.Helper()
	begin := time.Now()
	var labels []string
	for _, s := range side {
		labels = append(labels, purpose(s))
	}
	harness.Await(tr.T, fmt.Sprintf("%v of the router's connections %v", up, side), func() (bool, string) {
		n := tr.Router.Metric("router_amqp_connected", labels...)
		return n == up, fmt.Sprintf("there are %v", n)
	})
	return time.Since(begin)
}

func reconnects(tr *harness.Trial) float64 {
	tr.T.Helper()
	return tr.Router.Metric("router_amqp_reconnects_total")
}

// nothingGone fails the test unless every message is in the source or the target
// queue: none has been acknowledged that did not arrive. It needs no connection.
func nothingGone(tr *harness.Trial) {
	tr.T.Helper()
	in, err := tr.Node.QueueLen(tr.T.Context(), tr.In) // first, for what moves meanwhile is then counted twice
	if err != nil {
		tr.T.Fatal(err)
	}
	out, err := tr.Node.QueueLen(tr.T.Context(), tr.Out)
	if err != nil {
		tr.T.Fatal(err)
	}
	if in+out < tr.Load.Count {
		tr.T.Errorf("%d messages are in the source and %d in the target, %d together: some were acknowledged and have not arrived", in, out, in+out)
	}
}

// seconds is a time as notes show it.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
