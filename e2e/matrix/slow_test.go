package matrix

import (
	"fmt"
	"testing"
	"time"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestF12SlowLink has a link that is far, narrow, or cuts everything into pieces of a
// few bytes. That is no fault: nothing times out, nothing is sent again, and no
// connection is lost.
func TestF12SlowLink(t *testing.T) {
	t.Parallel()
	const there, jitter = 100, 20 // ms, in each direction
	for _, link := range []struct {
		name     string
		messages int
		toxic    harness.Toxic
		expected string // of the throughput
	}{
		{
			"far", 3_000,
			harness.Toxic{Type: "latency", Attributes: map[string]any{"latency": there, "jitter": jitter}},
			// A message is in hand while it crosses the link four times: to the
			// router, to the target, and as confirm and acknowledgement.
			fmt.Sprintf("%d messages in hand for %d ms each are %d/s", harness.Prefetch, 4*there, harness.Prefetch*1000/(4*there)),
		},
		{
			"narrow", 1_000,
			harness.Toxic{Type: "bandwidth", Attributes: map[string]any{"rate": 100}},
			"100 KB/s in each direction",
		},
		{
			"in pieces", 1_000,
			harness.Toxic{Type: "slicer", Attributes: map[string]any{"average_size": 7, "size_variation": 3}},
			"7 bytes at a time",
		},
	} {
		t.Run(link.name, func(t *testing.T) {
			t.Parallel()
			n := rabbitnode.Shared(t)
			tr := begin(t, n, link.messages, nil)
			tr.Window = 0
			tr.Broker += alert
			p := harness.NewProxy(t, n.Addr())
			for _, stream := range []string{"upstream", "downstream"} {
				toxic := link.toxic
				toxic.Name, toxic.Stream = stream, stream
				p.Add(toxic)
			}
			tr.Struck(link.name)
			tr.Begin(p.URL(), byKey...)
			tr.Until(tr.Load.Count / 10)
			begin := time.Now()
			harness.AwaitEmpty(t, n, tr.In)
			tr.Note("throughput", "%.0f/s; %s", float64(tr.Load.Count)*0.9/time.Since(begin).Seconds(), link.expected)
			if d := reconnects(tr); d != 0 {
				t.Errorf("%v connections were lost", d)
			}
			for _, result := range []string{"unconfirmed", "nacked", "refused"} {
				if d := tr.Metric("messages_sent_total", fmt.Sprintf("result=%q", result)); d != 0 {
					t.Errorf("%v messages %s", d, result)
				}
			}
			tr.End()
		})
	}
}
