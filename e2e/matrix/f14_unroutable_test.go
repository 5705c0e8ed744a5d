package matrix

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// The binding of the target is taken away and comes back: messages wait for it, in
// order, and none becomes a dead letter. With one message in hand the order is exact;
// of several, those that the broker takes while others of the same window are on
// their way back overtake these, as README.md says.
func TestF14UnroutableForAWhile(t *testing.T) {
	t.Parallel()
	for name, more := range map[string][]string{
		"one at a time": {"prefetch = 1"},
		"window":        {"prefetch = 256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := rabbitnode.Shared(t)
			count := harness.Messages(t, 5000)
			if name == "one at a time" {
				count /= 10
			}
			tr := harness.NewTrial(t, n, harness.Load{Seed: harness.Seed(t), Count: count, Keys: 8, Pad: 64})
			tr.Window, tr.Mixed = 0, name == "window"
			x := newExchange(t, n, tr.Out)
			x.declare()
			tr.BeginWith(n.URL(), plain("trial", tr.In, x.target(),
				append(more, `retry = { unroutable = true, max_attempts = 1000000, backoff = "10ms", max_backoff = "100ms" }`)...))
			const faults = 4
			for i := range faults {
				tr.Until(i * count / (faults + 1))
				tr.Struck("binding deleted")
				before := tr.Metric("messages_sent_total", `result="unroutable"`)
				x.unbind()
				awaitMetric(tr, before+5, "messages_sent_total", `result="unroutable"`)
				x.bind()
				tr.Recovered()
			}
			tr.End()
		})
	}
}

// Half of 64 keys go where no queue is. Exactly theirs become dead letters, with the
// reason and after as many attempts as the route says, while 64 channels are at it.
func TestF14UnroutableForEver(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		retry    string
		attempts int64
	}{
		"at once": {"{}", 1},
		"at last": {`{ unroutable = true, max_attempts = 3, backoff = "10ms" }`, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const keys = 64
			n := rabbitnode.Shared(t)
			tr := harness.NewTrial(t, n, harness.Load{Seed: harness.Seed(t), Count: harness.Messages(t, 5000), Keys: keys, Pad: 64})
			tr.Window, tr.Letter = 0, true
			nowhere := tr.Out + ".nowhere"
			var table strings.Builder
			for i := range keys {
				to := tr.Out
				if i%2 == 1 {
					to = nowhere
				}
				fmt.Fprintf(&table, "%q = \"queue:%s\"\n", tr.Load.Key(i), to)
			}
			tr.BeginWith(n.URL(), fmt.Sprintf(`
[filters.by_key]
path = "stock:content-router"
config = { field = "header:key" }
[filters.by_key.config.routes]
%s
[routes.trial]
listen = %q
filters = ["by_key"]
allow = ["queue:%s*"]
prefetch = 256
order = "key"
order_by = "header:key"
parallel = %d
retry = %s
`, table.String(), tr.In, tr.Out, keys, tc.retry))
			tr.Struck("no queue")
			harness.AwaitEmpty(t, n, tr.In)
			bad := float64(tr.Load.Count / 2)
			checkMetrics(tr,
				check{"messages_sent_total", []string{`result="unroutable"`}, bad * float64(tc.attempts)},
				check{"messages_sent_total", []string{`result="unconfirmed"`}, 0},
				check{"retries_total", nil, bad * float64(tc.attempts-1)},
				check{"dead_letters_total", []string{`reason="unroutable"`}, bad},
				check{"redelivered_total", nil, 0},
			)
			deadLetters(tr, func(id int, d amqp091.Delivery) {
				h := d.Headers
				if id%2 != 1 || harness.ReasonOf(d) != "unroutable" || h["x-router-attempts"] != tc.attempts ||
					!strings.Contains(fmt.Sprint(h["x-router-error"]), nowhere) || !cmp.Equal(h["x-router-missing"], []any{"queue:" + nowhere}) {
					t.Errorf("message %d is a dead letter that says %v", id, h)
				}
			})
			if r := tr.End(); r.DeadLetters["unroutable"] != int(bad) || r.Delivered != int(bad) {
				t.Errorf("%d dead letters %v and %d delivered, want half each", len(r.DeadLetters), r.DeadLetters, r.Delivered)
			}
		})
	}
}

// A message to 32 targets of which half have no queue reaches the other half once,
// and its dead letter names those that it did not reach.
func TestF14HalfOfTheTargetsUnroutable(t *testing.T) {
	t.Parallel()
	const half = 16
	n := rabbitnode.Shared(t)
	in := rabbitnode.Queue(t, "in")
	c := harness.Dial(t, n)
	load := harness.Load{Seed: harness.Seed(t), Count: harness.Messages(t, 300), Keys: 1}
	var targets, there, missing []string
	for i := range half {
		q := fmt.Sprintf("%s.out.%d", in, i)
		there = append(there, q)
		missing = append(missing, "queue:"+q+".nowhere")
		targets = append(targets, fmt.Sprintf("%q, %q", "queue:"+q, missing[i]))
	}
	c.Declare(append(there, in)...)
	audits := map[string]*harness.Audit{}
	first := harness.NewAudit(load)
	if err := c.Fill(in, load, first); err != nil {
		t.Fatal(err)
	}
	p := harness.Start(t, harness.ConfigFile(t, n.URL(), fmt.Sprintf("[routes.trial]\nlisten = %q\nsend = [%s]\n", in, strings.Join(targets, ", "))))
	harness.AwaitEmpty(t, n, in)
	if got, want := p.Metric("router_messages_sent_total", `result="unroutable"`), float64(half*load.Count); got != want {
		t.Errorf("%v sends were unroutable, want %v", got, want)
	}
	p.Terminate()
	for _, q := range append(slices.Clone(there), in+".dead") {
		a := harness.NewAudit(load)
		audits[q] = a
		for id := range load.Count {
			a.Attempted(id)
			a.Acknowledged(id)
		}
		c.Drain(q, func(d amqp091.Delivery) {
			a.Delivered(q, harness.IDOf(d), d.Body)
			if q != in+".dead" {
				return
			}
			var names []string
			for _, m := range d.Headers["x-router-missing"].([]any) {
				names = append(names, m.(string))
			}
			if diff := cmp.Diff(missing, names); diff != "" || harness.ReasonOf(d) != "unroutable" {
				t.Errorf("reason %s, missing (-want +got):\n%s", harness.ReasonOf(d), diff)
			}
		})
		for _, line := range a.Report().Check(0) {
			t.Errorf("%s: %s", q, line)
		}
	}
}
