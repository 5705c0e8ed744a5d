package scale

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestSteps measures how fast numbers of router processes empty numbers of queues, and
// what that costs router and broker, which share the machine. It asserts only that
// every message arrives; the table of docs/SCALING.md is its log of a run with many
// messages.
func TestSteps(t *testing.T) {
	node, err := rabbitnode.Start(t.Context(), rabbitnode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Stop)
	var table strings.Builder
	fmt.Fprintf(&table, "%d CPUs, RabbitMQ on the same\n| routers | queues | kind | route | messages/s | router CPU µs | broker CPU µs |\n|---|---|---|---|---|---|---|\n", runtime.NumCPU())
	for _, step := range []step{
		{1, 1, "classic", "plain"},
		{1, 1, "classic", "filters"},
		{1, 1, "classic", "4 lanes"},
		{2, 1, "classic", "plain"},
		{1, 2, "classic", "plain"},
		{2, 2, "classic", "plain"},
		{1, 4, "classic", "plain"},
		{4, 4, "classic", "plain"},
		{1, 1, "quorum", "plain"},
		{2, 2, "quorum", "plain"},
	} {
		t.Run(fmt.Sprintf("%d routers, %d %s queues, %s", step.routers, step.queues, step.kind, step.route), func(t *testing.T) {
			f := step.run(t, node)
			fmt.Fprintf(&table, "| %d | %d | %s | %s | %.0f | %.1f | %.1f |\n", step.routers, step.queues, step.kind, step.route, f.rate, f.router, f.broker)
		})
	}
	t.Log(table.String())
}

// step is one arrangement. Each queue has a target of its own; a router has the routes
// of its share of the queues, or all routers have the one queue.
type step struct {
	routers, queues int
	kind, route     string
}

type figures struct {
	rate           float64 // messages a second
	router, broker float64 // µs of processor time for a message
}

func (s step) run(t *testing.T, node *rabbitnode.Node) figures {
	t.Helper()
	count := harness.Messages(t, 2000)
	load := harness.Load{Seed: harness.Seed(t), Count: count / s.queues, Keys: 1, Pad: 100}
	client := harness.Dial(t, node)
	configs := make([]string, s.routers)
	var ins, outs []string
	for i := range s.queues {
		in, out := rabbitnode.Queue(t, "in"), rabbitnode.Queue(t, "out")
		ins, outs = append(ins, in), append(outs, out)
		for _, q := range []string{in, out} {
			if _, err := client.Ch.QueueDeclare(q, true, false, false, false, amqp091.Table{"x-queue-type": s.kind}); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.Fill(in, load, harness.NewAudit(load)); err != nil {
			t.Fatal(err)
		}
		for r := range configs {
			if s.queues == 1 || i%s.routers == r {
				configs[r] += s.text(i, in, out)
			}
		}
	}
	var routers []*harness.Process
	for _, text := range configs {
		routers = append(routers, harness.Launch(t, harness.ConfigFile(t, node.URL(), text)))
	}
	for _, p := range routers {
		p.AwaitReady()
	}
	f := measure(t, node, routers, s.queues*load.Count)
	for i, in := range ins {
		harness.AwaitEmpty(t, node, in)
		if n, err := node.QueueLen(t.Context(), outs[i]); err != nil || n != load.Count {
			t.Errorf("%d of %d messages arrived, %v", n, load.Count, err)
		}
		for _, q := range []string{in, outs[i]} {
			if _, err := client.Ch.QueueDelete(q, false, false, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, p := range routers {
		p.Terminate()
	}
	return f
}

func (s step) text(i int, in, out string) string {
	route := "part" + strconv.Itoa(i)
	if s.route == "filters" {
		return harness.Chain(route, in, out)
	}
	text := fmt.Sprintf("[routes.%s]\nlisten = %q\nsend = [\"queue:%s\"]\nprefetch = %d\n", route, in, out, harness.Prefetch)
	if s.route == "4 lanes" {
		text += "order = \"none\"\nparallel = 4\n"
	}
	return text
}

// measure watches the routers from now, when all of them work, until they have settled
// nineteen twentieths of all.
func measure(t *testing.T, node *rabbitnode.Node, routers []*harness.Process, all int) figures {
	t.Helper()
	total := func() (sum float64) {
		for _, p := range routers {
			sum += settled(p)
		}
		return sum
	}
	cpu := func() (router, broker time.Duration) {
		for _, p := range routers {
			router += processorTime(t, p.Pid())
		}
		return router, processorTime(t, node.Pid())
	}
	begin, done := time.Now(), total()
	routerBegan, brokerBegan := cpu()
	now := done
	tick := time.NewTicker(100 * time.Millisecond) // asking costs the routers time, too
	defer tick.Stop()
	for now < 0.95*float64(all) {
		<-tick.C
		if now = total(); time.Since(begin) > harness.Patience {
			t.Fatalf("%.0f of %d messages went through", now, all)
		}
	}
	took := time.Since(begin)
	router, broker := cpu()
	n := max(now-done, 1)
	return figures{
		rate:   n / took.Seconds(),
		router: float64((router - routerBegan).Microseconds()) / n,
		broker: float64((broker - brokerBegan).Microseconds()) / n,
	}
}

// processorTime is what a process has used so far, all of its threads together.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// User and system time are the 14th and 15th field; the second is a name in
	// parentheses. Linux counts in hundredths of a second here on every machine.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	var ticks time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(string(field))
		if err != nil {
			t.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond
}
