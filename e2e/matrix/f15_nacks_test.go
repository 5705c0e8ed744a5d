package matrix

import (
	"fmt"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// The target queue refuses everything for a while: messages wait and are tried no
// more often than the backoff allows.
func TestF15NacksForAWhile(t *testing.T) {
	t.Parallel()
	const backoff, longest = 20 * time.Millisecond, 100 * time.Millisecond
	for name, tc := range map[string]struct {
		window int
		order  string
	}{
		"one at a time": {1, "queue"},
		"window":        {64, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := rabbitnode.Shared(t)
			count := harness.Messages(t, 5000)
			if tc.window == 1 {
				count /= 10
			}
			tr := harness.NewTrial(t, n, harness.Load{Seed: harness.Seed(t), Count: count, Keys: 8, Pad: 64})
			tr.Window, tr.Mixed = 0, tc.order == "none"
			target := newDoor(t, n, tr.Out)
			tr.BeginWith(n.URL(), plain("trial", tr.In, "queue:"+tr.Out, fmt.Sprintf(
				"order = %q\nprefetch = %d\nretry = { max_attempts = 1000000, backoff = %q, max_backoff = %q }", tc.order, tc.window, backoff, longest)))
			const faults = 3
			nacked := func() float64 { return tr.Metric("messages_sent_total", `result="nacked"`) }
			for i := range faults {
				tr.Until(i * count / (faults + 1))
				tr.Struck("target refuses")
				before, begin := nacked(), time.Now()
				target.shut()
				awaitMetric(tr, before+float64(8*tc.window), "messages_sent_total", `result="nacked"`)
				sends := nacked() - before
				took := time.Since(begin)
				if most := float64(tc.window) * mostAttempts(took, backoff, longest); sends > most {
					t.Errorf("%v sends in %v with at most %d messages in hand, the backoff allows %v", sends, took, tc.window, most)
				}
				tr.Note(fmt.Sprintf("sends while refused, time %d", i+1), "%.1f a second and message", sends/took.Seconds()/float64(tc.window))
				target.open()
				tr.Recovered()
			}
			tr.End()
		})
	}
}

// The target queue refuses for ever: every message is tried as often as the route
// says, no more and no less, and is then a dead letter that says so.
func TestF15NacksForEver(t *testing.T) {
	t.Parallel()
	const attempts = 4
	n := rabbitnode.Shared(t)
	tr := harness.NewTrial(t, n, harness.Load{Seed: harness.Seed(t), Count: harness.Messages(t, 2000), Keys: 8, Pad: 64})
	tr.Window, tr.Letter = 0, true
	newDoor(t, n, tr.Out).shut()
	tr.Begin(n.URL(), fmt.Sprintf(`retry = { max_attempts = %d, backoff = "1ms" }`, attempts))
	tr.Struck("target refuses for ever")
	harness.AwaitEmpty(t, n, tr.In)
	count := float64(tr.Load.Count)
	checkMetrics(tr,
		check{"messages_sent_total", []string{`result="nacked"`}, attempts * count},
		check{"messages_sent_total", []string{`result="unconfirmed"`}, 0},
		check{"retries_total", nil, (attempts - 1) * count},
		check{"redelivered_total", nil, 0},
	)
	deadLetters(tr, func(id int, d amqp091.Delivery) {
		if d.Headers["x-router-attempts"] != int64(attempts) {
			t.Errorf("message %d was tried %v times, want %d", id, d.Headers["x-router-attempts"], attempts)
		}
	})
	if r := tr.End(); r.DeadLetters["nacked"] != tr.Load.Count {
		t.Errorf("dead letters %v, want all %d for the reason nacked", r.DeadLetters, tr.Load.Count)
	}
}
