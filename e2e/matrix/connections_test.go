package matrix

import (
	"fmt"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestF04ConnectionsClosed has the broker close every connection of the router, again
// and again.
func TestF04ConnectionsClosed(t *testing.T) {
	t.Parallel()
	tr := begin(t, rabbitnode.Shared(t), 10_000, nil)
	tr.Begin(tr.Node.URL(), byKey...)
	each(tr, harness.Times(50, 10), func(int) {
		tr.Struck("connections closed")
		// A fault that follows another may come before the router is back.
		harness.Await(t, "the router's connections", func() (bool, string) {
			closed, err := tr.Node.CloseConnections(t.Context(), t.Name(), "fault")
			return closed > 0, fmt.Sprint(err)
		})
		tr.Recovered()
	})
	tr.End()
}

// TestF05BrokerStopped stops the broker's application and starts it again, again and
// again.
func TestF05BrokerStopped(t *testing.T) {
	t.Parallel()
	tr := begin(t, ownNode(t), 20_000, nil)
	tr.Begin(tr.Node.URL(), byKey...)
	each(tr, harness.Times(10, 2), func(int) {
		tr.Struck("broker stopped and started")
		if err := tr.Node.StopApp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := tr.Node.StartApp(t.Context()); err != nil {
			t.Fatal(err)
		}
		tr.Recovered()
	})
	tr.End()
}

// crashSafe are the arguments of queues that keep the window and the order through a
// crash of their broker. A classic queue keeps acknowledgements in memory for a while,
// and afterwards delivers again what was settled long before; a quorum queue gives its
// new consumer what comes next before it notices that the old consumer is gone, unless
// it has a single active one. No client can prevent either.
var crashSafe = amqp091.Table{"x-queue-type": "quorum", "x-single-active-consumer": true}

// TestF06BrokerKilled kills the broker and starts it again, again and again.
func TestF06BrokerKilled(t *testing.T) {
	t.Parallel()
	tr := begin(t, ownNode(t), 20_000, crashSafe)
	tr.Begin(tr.Node.URL(), byKey...)
	each(tr, harness.Times(5, 1), func(int) {
		tr.Struck("broker killed")
		if err := tr.Node.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		tr.Recovered()
	})
	tr.End()
}

// ownNode starts a broker for this test alone.
func ownNode(t *testing.T) *rabbitnode.Node {
	t.Helper()
	n, err := rabbitnode.Start(t.Context(), rabbitnode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Stop)
	return n
}
