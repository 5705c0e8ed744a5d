package rabbitnode

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Cluster is several nodes that form one RabbitMQ cluster, each with the powers of a
// [Node]. A node that sees less than half of the others pauses itself, as RabbitMQ's
// guide to partitions advises. Its methods are safe for concurrent use.
type Cluster struct {
	Nodes  []*Node
	fabric *fabric
}

// StartCluster starts so many nodes and returns when they form one cluster. Each has
// its files in a temporary folder of its own and a free port; Config's Dir and Port
// must be unset. It takes 10 to 20 s.
func StartCluster(ctx context.Context, cfg Config, size int) (*Cluster, error) {
	if cfg.Dir != "" || cfg.Port != 0 {
		return nil, errors.New("start a RabbitMQ cluster: its nodes choose their folders and ports")
	}
	found, err := find()
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		c, err := startCluster(ctx, cfg, found, size)
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil || try == 3 || !errors.Is(err, errExited) {
			return nil, err
		}
	}
}

func startCluster(ctx context.Context, cfg Config, found tools, size int) (*Cluster, error) {
	names := make([]string, size)
	conf := []string{cfg.Conf, "cluster_partition_handling = pause_minority", "cluster_formation.peer_discovery_backend = classic_config"}
	for i := range names {
		names[i] = "rabbit" + strconv.Itoa(i+1)
		conf = append(conf, fmt.Sprintf("cluster_formation.classic_config.nodes.%d = %s@localhost", i+1, names[i]))
	}
	cfg.Conf = strings.Join(conf, "\n")
	fabric, err := newFabric(names)
	if err != nil {
		return nil, fmt.Errorf("prepare a RabbitMQ cluster: %w", err)
	}
	c := &Cluster{fabric: fabric}
	cookie := rand.Text()
	for _, name := range names {
		n := newNode(cfg, found, name+"@localhost")
		n.cookie, n.clustered, n.epmdPort = cookie, true, fabric.mapperPort(name)
		c.Nodes = append(c.Nodes, n)
		if err := n.prepare(); err != nil {
			c.Stop()
			return nil, fmt.Errorf("prepare a RabbitMQ cluster: %w", err)
		}
	}
	if err := c.each(func(n *Node) error { return n.run(ctx) }); err != nil {
		c.Stop()
		return nil, err
	}
	if err := c.AwaitWhole(ctx); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// each does something with all nodes at once.
func (c *Cluster) each(do func(*Node) error) error {
	errs := make([]error, len(c.Nodes))
	var wg sync.WaitGroup
	for i, n := range c.Nodes {
		wg.Go(func() { errs[i] = do(n) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// AwaitWhole returns when every node runs, accepts connections and sees all others.
// It is to be called when each node has been started.
func (c *Cluster) AwaitWhole(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return c.each(func(n *Node) error {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			// A call can hang in a node that stops or starts just then.
			short, cancel := context.WithTimeout(ctx, 5*time.Second)
			seen, err := n.Eval(short, "{length(rabbit_nodes:all_running()), rabbit_boot_state:get()}")
			cancel()
			if err == nil && seen == fmt.Sprintf("{%d,ready}", len(c.Nodes)) && answers(n.Addr()) {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s does not see %d nodes: %q, %w: %s", n.name, len(c.Nodes), seen, errors.Join(err, context.Cause(ctx)), n.tail())
			case <-tick.C:
			}
		}
	})
}

// AwaitMembers returns when each node has a living member of a quorum queue. A majority
// is enough to declare one, and the rest of it may come later.
func (c *Cluster) AwaitMembers(ctx context.Context, queue string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		online, err := c.Nodes[0].Eval(ctx, fmt.Sprintf(`{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<%q>>)),
	[{online, L}] = rabbit_quorum_queue:info(Q, [online]), length(L)`, queue))
		if err == nil && online == strconv.Itoa(len(c.Nodes)) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("queue %s has %q living members of %d: %w", queue, online, len(c.Nodes), errors.Join(err, context.Cause(ctx)))
		case <-tick.C:
		}
	}
}

// Leader returns the node that leads a quorum queue of the default virtual host, as
// witness, one of the nodes, has it.
func (c *Cluster) Leader(ctx context.Context, witness *Node, queue string) (*Node, error) {
	name, err := witness.Eval(ctx, fmt.Sprintf(`{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<%q>>)),
	{Name, _} = amqqueue:get_pid(Q),
	case ra_leaderboard:lookup_leader(Name) of {_, Node} -> Node; none -> none end`, queue))
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(c.Nodes, func(n *Node) bool { return n.name == name })
	if i < 0 {
		return nil, fmt.Errorf("queue %s has no leader: %s", queue, name)
	}
	return c.Nodes[i], nil
}

// Isolate cuts a node off from all others: nothing that it says reaches them, and
// the other way round, and no connection ends of it. Clients still reach it.
func (c *Cluster) Isolate(n *Node) { c.fabric.setCut(n.short(), true) }

// Mend ends what Isolate began. What was held up arrives then.
func (c *Cluster) Mend(n *Node) { c.fabric.setCut(n.short(), false) }

// Stop ends all nodes at once and for good, see [Node.Stop].
func (c *Cluster) Stop() {
	_ = c.each(func(n *Node) error {
		n.Stop()
		return nil
	})
	c.fabric.close()
}

func (n *Node) short() string { return strings.TrimSuffix(n.name, "@localhost") }
