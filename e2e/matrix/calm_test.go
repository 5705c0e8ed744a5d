package matrix

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// calmRoute is a route that works, in a process in which others are in trouble.
type calmRoute struct {
	t          *testing.T
	client     *harness.Client
	in, out    string
	deliveries <-chan amqp091.Delivery
	body       []byte
}

func newCalmRoute(t *testing.T, n *rabbitnode.Node) *calmRoute {
	t.Helper()
	c := &calmRoute{
		t: t, client: harness.Dial(t, n), in: rabbitnode.Queue(t, "calm"), out: rabbitnode.Queue(t, "calm.out"),
		body: harness.Load{Count: 1, Keys: 1}.Body(0),
	}
	c.client.Declare(c.in, c.out)
	var err error
	if c.deliveries, err = c.client.Ch.Consume(c.out, "", true, true, false, false, nil); err != nil {
		t.Fatal(err)
	}
	return c
}

// config is the route with its filters.
func (c *calmRoute) config() string { return harness.Chain("calm", c.in, c.out) }

// probe sends one message after the other through the route until busy says no, and
// returns how long each was on its way.
func (c *calmRoute) probe(p *harness.Process, busy func(i int) bool) (took []time.Duration) {
	c.t.Helper()
	for i := 0; busy(i); i++ {
		begin := time.Now()
		c.client.Publish(c.in, amqp091.Publishing{Body: c.body})
		select {
		case _, ok := <-c.deliveries:
			if !ok {
				c.t.Fatal("the tests' own connection was lost")
			}
			took = append(took, time.Since(begin))
		case <-p.Done():
			c.t.Fatalf("the router ended:\n%s", p.Tail(20))
		case <-time.After(harness.Patience):
			c.t.Fatalf("the calm route stands still:\n%s", p.Tail(20))
		}
	}
	return took
}

// alone is what a message takes while nothing else happens.
func (c *calmRoute) alone(p *harness.Process) []time.Duration {
	c.t.Helper()
	return c.probe(p, func(i int) bool { return i < 200 })
}

// spread describes durations by their median, 99th percentile and maximum.
func spread(all []time.Duration) string {
	slices.Sort(all)
	var parts []string
	for _, q := range []struct {
		name string
		at   int
	}{{"median", len(all) / 2}, {"p99", len(all) * 99 / 100}, {"worst", len(all) - 1}} {
		parts = append(parts, fmt.Sprintf("%s %s", q.name, all[q.at].Round(10*time.Microsecond)))
	}
	return strings.Join(parts, ", ")
}
