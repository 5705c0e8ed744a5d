package matrix

import (
	"fmt"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// The source is deleted under its consumer, with all that is in it, and declared again:
// by somebody else, or by the router whose configuration it is in. Its sender sends
// again what has not arrived. What the router had taken and sent on before is not
// among that, so that nothing is there twice.
func TestF17SourceDeleted(t *testing.T) {
	t.Parallel()
	for name, configured := range map[string]bool{"declared by others": false, "in the configuration": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := rabbitnode.Shared(t)
			tr := harness.NewTrial(t, n, harness.Load{Seed: harness.Seed(t), Count: harness.Messages(t, 10_000), Keys: 8, Pad: 64})
			tr.Window = 0
			more := ""
			if configured {
				more = fmt.Sprintf("[queues.%q]\n", tr.In)
			}
			tr.BeginWith(n.URL(), more+plain("trial", tr.In, "queue:"+tr.Out))
			c := harness.Dial(t, n)
			arrived := make([]bool, tr.Load.Count)
			left := tr.Load.Count
			for range 3 {
				tr.Until(min(tr.Load.Count, tr.Load.Count-left+left/4))
				tr.Struck("source deleted")
				if _, err := c.Ch.QueueDelete(tr.In, false, false, false); err != nil {
					t.Fatal(err)
				}
				if !configured {
					tr.Router.AwaitUnready(`queue \"` + tr.In + `\": it does not exist`)
					c.Declare(tr.In)
				}
				harness.Await(t, "the source to be there again", func() (bool, string) {
					_, err := n.QueueLen(t.Context(), tr.In)
					return err == nil, fmt.Sprint(err)
				})
				tr.Router.AwaitReady()
				harness.Await(t, "what was in hand to be settled", func() (bool, string) {
					got := tr.Metric("inflight_messages")
					return got == 0, fmt.Sprint(got)
				})
				c.Drain(tr.Out, func(d amqp091.Delivery) {
					id := harness.IDOf(d)
					tr.Audit.Delivered(tr.Out, id, d.Body)
					if id >= 0 && id < len(arrived) {
						arrived[id] = true
					}
				})
				var again []amqp091.Publishing
				for id, yes := range arrived {
					if !yes {
						again = append(again, harness.Numbered(tr.Load, id))
					}
				}
				left = len(again)
				c.Publish(tr.In, again...)
				tr.Recovered()
			}
			if got := tr.Router.Metric("router_amqp_reconnects_total"); got != 0 {
				t.Errorf("%v connections were made again, want none", got)
			}
			tr.End()
		})
	}
}
