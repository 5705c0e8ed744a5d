package e2e

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestDuplicates lets a deduplicator see the same message again in every way in
// which that happens: as a copy, which is a duplicate, and as itself, which is
// none.
func TestDuplicates(t *testing.T) {
	const count = 20
	n := rabbitnode.Shared(t)
	in, slow := rabbitnode.Queue(t, "in"), rabbitnode.Queue(t, "slow")
	dead := in + ".dead"
	c := harness.Dial(t, n)
	c.Declare(in, slow)
	var msgs, copies []amqp091.Publishing
	for i := range count {
		m := amqp091.Publishing{DeliveryMode: amqp091.Persistent, MessageId: fmt.Sprint(i), Headers: amqp091.Table{"id": int64(i)}}
		msgs = append(msgs, m)
		copies = append(copies, m, m)
	}

	// After the deduplicator every message fails, for it has no body, and is tried
	// again: at once, and
	// in the other route after a longer time than the test has.
	p := harness.Start(t, harness.ConfigFile(t, n.URL(), fmt.Sprintf(`
[filters.once]
path = "stock:deduplicator"
grants = { kv = true }
config = { key = "property:message_id", again = "header:put-back" }
[filters.fails]
path = "stock:content-router"
config = { field = "body:type", routes = { order = "queue:nowhere" } }
[routes.fast]
listen = %q
filters = ["once", "fails"]
allow = ["queue:nowhere"]
on_error = "retry"
retry = { max_attempts = 3, backoff = "1ms", max_backoff = "1ms" }
[routes.slow]
listen = %q
filters = ["once", "fails"]
allow = ["queue:nowhere"]
order = "none"
on_error = "retry"
retry = { max_attempts = 3, backoff = "1h", max_backoff = "1h" }
`, in, slow)))
	drops := func(route string) float64 {
		t.Helper()
		return p.Metric("router_messages_settled_total", fmt.Sprintf("route=%q", route), `verdict="drop"`)
	}
	// failed takes the dead letters, which must be each message once, after all
	// its attempts.
	failed := func(what string) []amqp091.Publishing {
		t.Helper()
		harness.AwaitEmpty(t, n, in)
		got := make([]int64, count)
		var letters []amqp091.Publishing
		c.Drain(dead, func(d amqp091.Delivery) {
			attempts, _ := d.Headers["x-router-attempts"].(int64)
			got[harness.IDOf(d)] += attempts
			letters = append(letters, amqp091.Publishing{DeliveryMode: amqp091.Persistent, MessageId: d.MessageId, Headers: d.Headers})
		})
		want := make([]int64, count)
		for i := range want {
			want[i] = 3
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: attempts of each message (-want +got):\n%s", what, diff)
		}
		return letters
	}

	c.Publish(in, copies...)
	letters := failed("copies")
	if got := drops("fast"); got != count {
		t.Errorf("of %d copies %v were dropped", count, got)
	}

	for i := range letters {
		letters[i].Headers["put-back"] = true
	}
	c.Publish(in, letters...) // as an operator does who tries them again
	failed("dead letters")
	if got := drops("fast"); got != count {
		t.Errorf("%v messages were dropped after the dead letters came back, want %d", got, count)
	}

	// Messages whose connection is lost while they are under way are delivered
	// again to the same process, which has seen them.
	c.Publish(slow, msgs...)
	retries := func(atLeast float64) {
		t.Helper()
		harness.Await(t, "the messages to be held", func() (bool, string) {
			got := p.Metric("router_retries_total", `route="slow"`)
			return got >= atLeast, fmt.Sprintf("%v retries", got)
		})
	}
	retries(count)
	if closed, err := n.CloseConnections(t.Context(), "router", "fault"); err != nil || closed == 0 {
		t.Fatalf("%d connections closed: %v", closed, err)
	}
	retries(2 * count)
	if got := drops("slow"); got != 0 {
		t.Errorf("%v redelivered messages were dropped", got)
	}
	p.Terminate()
	seen := make(map[string]int)
	c.Drain(slow, func(d amqp091.Delivery) { seen[d.MessageId]++ })
	if len(seen) != count {
		t.Errorf("%d of %d messages are left", len(seen), count)
	}
}
