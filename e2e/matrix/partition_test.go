//go:build partition

package matrix

import (
	"testing"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestF21Partition cuts the leader off from its peers while the router still reaches
// it, and then from everybody. It takes more than a minute and is not among the tests that
// every change must pass.
func TestF21Partition(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)

	leader, other := c.leader()
	c.trial.Stage("the leader cut off from its peers", other, func() { c.Isolate(leader) })
	c.heal(leader)

	leader, other = c.leader()
	silence := harness.Toxic{Name: "in", Type: "timeout", Stream: "upstream", Attributes: map[string]any{"timeout": 0}}
	back := silence
	back.Name, back.Stream = "out", "downstream"
	c.trial.Stage("the leader cut off from everybody", other, func() {
		c.Isolate(leader)
		c.ways[leader].Add(silence)
		c.ways[leader].Add(back)
	})
	c.ways[leader].Remove(silence.Name)
	c.ways[leader].Remove(back.Name)
	c.heal(leader)

	c.trial.End()
}

// heal ends a partition. RabbitMQ does not always find back by itself: one side may go on
// without the other until it is restarted.
func (c *cluster) heal(n *rabbitnode.Node) {
	c.t.Helper()
	c.Mend(n)
	c.must(n.Restart(c.t.Context()))
	c.whole()
}
