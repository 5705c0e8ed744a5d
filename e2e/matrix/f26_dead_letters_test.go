package matrix

import (
	"fmt"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// Every eighth message has no queue, and the queue for dead letters takes none, or is
// not there. (What the broker has routed to a queue that is being deleted it confirms
// and destroys, so that a deletion under way would prove nothing.) Those messages stay in their source and fill the window; the router says
// so and tries no more often than the backoff allows; it is killed, and they are
// there; and when the queue takes them, each is there once.
func TestF26DeadLettersNotTaken(t *testing.T) {
	t.Parallel()
	const (
		keys, window     = 8, 64
		backoff, longest = 50 * time.Millisecond, 200 * time.Millisecond
	)
	for _, fault := range []string{"full", "missing"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			n := rabbitnode.Shared(t)
			tr := harness.NewTrial(t, n, harness.Load{Seed: harness.Seed(t), Count: harness.Messages(t, 4000), Keys: keys, Pad: 64})
			tr.Window, tr.Letter, tr.Mixed = 0, true, true
			c := harness.Dial(t, n)
			dead := newDoor(t, n, tr.Dead)
			begin := time.Now()
			more := ""
			if fault == "full" {
				c.Declare(tr.Dead)
				dead.shut()
			} else { // and the router is not to declare it
				more = fmt.Sprintf("[queues.%q]\ndeclare = \"passive\"\n", tr.Dead)
			}
			tr.Struck("dead letters not taken: " + fault)
			tr.Launch(n.URL(), more+fmt.Sprintf(`
[filters.by_key]
path = "stock:content-router"
config = { field = "header:key", routes = { key-7 = "queue:%[2]s.nowhere", "*" = "queue:%[2]s" } }
[routes.trial]
listen = %[1]q
filters = ["by_key"]
allow = ["queue:%[2]s*"]
prefetch = %[3]d
order = "none"
retry = { backoff = %[4]q, max_backoff = %[5]q }
`, tr.In, tr.Out, window, backoff, longest))
			judge := func(id int, d amqp091.Delivery) {
				t.Helper()
				if id%keys != keys-1 || harness.ReasonOf(d) != "unroutable" {
					t.Errorf("message %d is a dead letter for %s", id, harness.ReasonOf(d))
				}
			}
			full := func() {
				t.Helper()
				harness.Await(t, "the window to be full of messages that wait", func() (bool, string) {
					held := tr.Metric("held_messages")
					return held == window, fmt.Sprint(held)
				})
			}
			full()
			awaitMetric(tr, 8*window, "dead_letter_failures_total")
			failures, took := tr.Metric("dead_letter_failures_total"), time.Since(begin)
			bad := tr.Metric("dead_letters_total", `reason="unroutable"`)
			if most := bad * mostAttempts(took, backoff, longest); failures > most {
				t.Errorf("%v attempts in %v for %v dead letters, the backoff allows %v", failures, took, bad, most)
			}
			tr.Note("attempts while not taken", "%.1f a second and message", failures/took.Seconds()/window)
			tr.Router.AwaitUnready("route trial: dead letters are not taken by queue " + tr.Dead + "; the messages stay in their queue")
			tr.Router.Kill()
			left, err := n.QueueLen(t.Context(), tr.In)
			if err != nil {
				t.Fatal(err)
			}
			if left < window {
				t.Errorf("%d messages in the source, of which %d waited", left, window)
			}
			tr.Router = harness.Launch(t, tr.Config)
			full()
			if fault == "full" {
				dead.open()
			} else {
				c.Declare(tr.Dead)
			}
			tr.Recovered()
			harness.AwaitEmpty(t, n, tr.In)
			tr.Router.AwaitReady()
			deadLetters(tr, judge)
			want := tr.Load.Count / keys
			if r := tr.End(); r.DeadLetters["unroutable"] != want {
				t.Errorf("dead letters %v, want %d", r.DeadLetters, want)
			}
		})
	}
}
