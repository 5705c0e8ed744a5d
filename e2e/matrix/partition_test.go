//go:build partition

package matrix

import (
	"testing"

	"github.com/wasmrouter/router/e2e/harness"
)

// TestF21Partition cuts the leader off from its peers while the router still reaches
// it, and then from everybody. It has failed in one of two runs, with messages that stay
// in the source and nothing in the router's log, and why is not known: it is not among
// the tests that every change must pass.
func TestF21Partition(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)

	leader, other := c.leader()
	c.trial.Stage("the leader cut off from its peers", other, func() { c.Isolate(leader) })
	c.Mend(leader)
	c.whole()

	leader, other = c.leader()
	silence := harness.Toxic{Name: "in", Type: "timeout", Stream: "upstream", Attributes: map[string]any{"timeout": 0}}
	back := silence
	back.Name, back.Stream = "out", "downstream"
	c.trial.Stage("the leader cut off from everybody", other, func() {
		c.Isolate(leader)
		c.ways[leader].Add(silence)
		c.ways[leader].Add(back)
	})
	c.Mend(leader)
	c.ways[leader].Remove(silence.Name)
	c.ways[leader].Remove(back.Name)
	c.whole()

	c.trial.End()
}
