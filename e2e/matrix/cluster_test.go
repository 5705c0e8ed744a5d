package matrix

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// Three nodes hold every queue three times; the router knows all three and reaches
// each through a way of its own, so that a node can be cut off from it, too.
type cluster struct {
	*rabbitnode.Cluster
	t     *testing.T
	trial *harness.Staged
	ways  map[*rabbitnode.Node]*harness.Proxy
	began time.Time
}

func newCluster(t *testing.T, stages int) *cluster {
	t.Helper()
	begin := time.Now()
	nodes, err := rabbitnode.StartCluster(t.Context(), rabbitnode.Config{}, 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nodes.Stop)
	c := &cluster{Cluster: nodes, t: t, ways: map[*rabbitnode.Node]*harness.Proxy{}, began: begin}
	var urls []string
	for _, n := range c.Nodes {
		c.ways[n] = harness.NewProxy(t, n.Addr())
		urls = append(urls, c.ways[n].URL())
	}
	load := harness.Load{Seed: harness.Seed(t), Count: harness.Messages(t, 1000*stages), Keys: 7, Pad: 200}
	c.trial = harness.NewStaged(t, c.Nodes[0], load, stages)
	for _, queue := range []string{c.trial.In, c.trial.Out} {
		if err := c.AwaitMembers(t.Context(), queue); err != nil {
			t.Fatal(err)
		}
	}
	// RabbitMQ refuses what it is given while a queue has no leader, so that attempts
	// and their pauses must last longer than an election.
	c.trial.Broker = "heartbeat = \"1s\"\ndial_timeout = \"2s\"\nconfirm_timeout = \"10s\"\n"
	c.trial.Begin(strings.Join(urls, ","), "[routes.trial.retry]", "max_attempts = 60", `max_backoff = "1s"`)
	t.Logf("the cluster and the router were ready after %s", time.Since(begin).Round(time.Second))
	return c
}

// leader returns the node that leads the source queue, and one that does not.
func (c *cluster) leader() (leader, other *rabbitnode.Node) {
	c.t.Helper()
	harness.Await(c.t, "a leader", func() (bool, string) {
		var err error
		leader, err = c.Leader(c.t.Context(), c.Nodes[0], c.trial.In)
		return err == nil, "no leader"
	})
	if leader == c.Nodes[0] {
		return leader, c.Nodes[1]
	}
	return leader, c.Nodes[0]
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// whole waits until the cluster is what it was before the fault.
func (c *cluster) whole() {
	c.t.Helper()
	begin := time.Now()
	c.must(c.AwaitWhole(c.t.Context()))
	c.t.Logf("%s since the start; the cluster was whole again after %s", time.Since(c.began).Round(time.Second), time.Since(begin).Round(100*time.Millisecond))
}

// TestF21Cluster kills the leader and then another node, with a majority left each
// time, then two at once, with none left. Then the leader is stopped without a word.
// Last, each node is restarted in turn, as an upgrade does.
func TestF21Cluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 8)

	leader, other := c.leader()
	c.trial.Stage("kill -9 of the leader", other, func() { c.must(leader.Kill()) })
	c.must(leader.Restart(t.Context()))
	c.whole()

	c.trial.Stage("kill -9 of another node", leader, func() { c.must(other.Kill()) })
	c.must(other.Restart(t.Context()))
	c.whole()

	leader, other = c.leader()
	c.trial.Stage("kill -9 of two nodes", leader, func() {
		c.must(leader.Kill())
		c.must(other.Kill())
		restarted := make(chan error)
		go func() { restarted <- other.Restart(t.Context()) }()
		c.must(errors.Join(leader.Restart(t.Context()), <-restarted))
	})
	c.whole()

	leader, other = c.leader()
	c.trial.Stage("SIGSTOP of the leader", other, func() { c.must(leader.Pause()) })
	c.trial.Stage("SIGCONT of the old leader", other, func() { c.must(leader.Continue()) })
	// RabbitMQ may leave a node that was silent for so long out until it is restarted.
	c.must(leader.Restart(t.Context()))
	c.whole()

	for i, n := range c.Nodes {
		c.trial.Stage("restart of each node in turn", c.Nodes[(i+1)%3], func() {
			c.must(n.Shutdown(t.Context()))
			c.must(n.Restart(t.Context()))
		})
		c.whole()
	}
	c.trial.End()
}
