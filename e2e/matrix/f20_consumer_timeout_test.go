package matrix

import (
	"strings"
	"testing"

	"github.com/wasmrouter/router/e2e/harness"
)

// The target refuses, and the messages in hand wait for longer than the broker lets a
// consumer keep them: it takes the channel, they come once more, over the same
// connection, and pass.
func TestF20ConsumerTimeout(t *testing.T) {
	t.Parallel()
	const window = 64
	n := ownNode(t)
	tr := harness.NewTrial(t, n, harness.Load{Seed: harness.Seed(t), Count: harness.Messages(t, 5000), Keys: 8, Pad: 64})
	tr.Window = 0
	target := newDoor(t, n, tr.Out)
	// For channels that are opened from now on, in ms; it is looked at once a tick.
	if _, err := n.Eval(t.Context(), "application:set_env(rabbit, consumer_timeout, 3000), application:set_env(rabbit, channel_tick_interval, 500)"); err != nil {
		t.Fatal(err)
	}
	tr.BeginWith(n.URL(), plain("trial", tr.In, "queue:"+tr.Out, "prefetch = 64", `retry = { backoff = "1h", max_backoff = "1h" }`))
	tr.Until(tr.Load.Count / 4)
	tr.Struck("consumer timeout")
	target.shut()
	harness.Await(t, "everything in hand to wait", func() (bool, string) {
		held, inflight := tr.Metric("held_messages"), tr.Metric("inflight_messages")
		return held > 0 && held == inflight, "some is under way"
	})
	nacked := tr.Metric("messages_sent_total", `result="nacked"`)
	target.open()
	tr.Recovered()
	harness.AwaitEmpty(t, n, tr.In)
	count, again := float64(tr.Load.Count), tr.Metric("redelivered_total")
	if again < nacked || again > window {
		t.Errorf("%v messages came again, want the %v that waited and at most the window of %d", again, nacked, window)
	}
	tr.Note("delivered again", "%.0f, of a window of %d", again, window)
	checkMetrics(tr,
		check{"messages_received_total", nil, count + again},
		check{"messages_sent_total", []string{`result="ok"`}, count},
		check{"messages_sent_total", []string{`result="nacked"`}, nacked},
	)
	if got := tr.Router.Metric("router_amqp_reconnects_total"); got != 0 {
		t.Errorf("%v connections were made again, want none", got)
	}
	tr.Router.AwaitLine("the timeout", 0, func(l harness.LogLine) bool {
		return l.Msg == "not consuming" && strings.Contains(l.Raw, "timed out") && strings.Contains(l.Raw, tr.In)
	})
	tr.End()
}
