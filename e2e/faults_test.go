package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

const (
	faultPrefetch = 256
	faultKeys     = 8
)

// chain is a route through two filters, a Go guest and a C guest, whose target
// the second chooses by the body.
func chain(route, listen, out string, more ...string) string {
	return fmt.Sprintf(`
[filters.context]
path = "stock:context-packer"
config = { tenant = { from = ["body:tenant"], header = "tenant" }, trace = { mode = "off" } }
[filters.by_kind]
path = "stock:content-router"
config = { field = "body:order.kind", routes = { order = "queue:%[3]s", nowhere = "queue:%[3]s.nowhere" } }
[routes.%[1]s]
listen = "%[2]s"
filters = ["context", "by_kind"]
allow = ["queue:%[3]s*"]
prefetch = %[4]d
%[5]s
`, route, listen, out, faultPrefetch, strings.Join(more, "\n"))
}

// seed returns the seed of a run: ROUTER_E2E_SEED, or a new one.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := rand.Uint64N(1 << 32)
	if text := os.Getenv("ROUTER_E2E_SEED"); text != "" {
		var err error
		if s, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("ROUTER_E2E_SEED: %v", err)
		}
	}
	t.Logf("ROUTER_E2E_SEED=%d", s)
	return s
}

// messages returns how many messages the fault run moves: ROUTER_E2E_MESSAGES,
// or full, or 5,000 with -short.
func messages(t *testing.T, full int) int {
	t.Helper()
	if testing.Short() {
		full = 5000
	}
	if text := os.Getenv("ROUTER_E2E_MESSAGES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 100 {
			t.Fatalf("ROUTER_E2E_MESSAGES=%q: it is a number of at least 100", text)
		}
		full = n
	}
	return full
}

type fault string

const (
	closeAll    fault = "close every connection"
	closeSender fault = "close the sending connection"
	restartApp  fault = "stop and start the broker's app"
	killRouter  fault = "kill and restart the router"
)

// faultRun is what a run of faults writes as JSON.
type faultRun struct {
	Report
	Faults   map[fault]int `json:"faults"`
	InFlow   int           `json:"faults_in_flow"` // while messages were left
	Senders  int           `json:"senders_closed"`
	Window   int           `json:"window"`
	Took     string        `json:"took"`
	PerFault []string      `json:"per_fault"`
}

// TestFaults moves numbered messages while connections, broker and router die
// again and again, and then counts what became of each message.
func TestFaults(t *testing.T) {
	n, err := rabbitnode.Start(t.Context(), rabbitnode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Stop)
	load := Load{Seed: seed(t), Count: messages(t, 100_000), Keys: faultKeys, Pad: 64}
	runFaults(t, n, load, map[fault]int{closeAll: 10, closeSender: 4, restartApp: 2, killRouter: 3})
}

// TestOutboundFaults loses the sending connection alone, again and again: what
// was not confirmed must be sent again before what follows it, and a router that
// acknowledges too early is seen to lose messages.
func TestOutboundFaults(t *testing.T) {
	load := Load{Seed: seed(t), Count: messages(t, 50_000), Keys: faultKeys, Pad: 64}
	runFaults(t, rabbitnode.Shared(t), load, map[fault]int{closeSender: 20})
}

// runFaults runs one route through a load while faults strike, spread over the
// load by a random number of the load's seed. The messages are in the source
// queue before the first fault and are counted after the last, so that neither
// the publisher nor the auditor adds to what goes wrong.
func runFaults(t *testing.T, n *rabbitnode.Node, load Load, faults map[fault]int) {
	t.Helper()
	in, out := rabbitnode.Queue(t, "in"), rabbitnode.Queue(t, "out")
	audit := NewAudit(load)
	c := dial(t, n)
	c.declare(in, out)
	if err := c.fill(in, load, audit); err != nil {
		t.Fatal(err)
	}
	c.close()

	var plan []fault
	for _, f := range []fault{closeAll, closeSender, restartApp, killRouter} {
		for range faults[f] {
			plan = append(plan, f)
		}
	}
	rnd := rand.New(rand.NewPCG(load.Seed, 0))
	rnd.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })

	config := configFile(t, n.URL(), chain("faults", in, out,
		`order = "key"`, `order_by = "header:key"`, fmt.Sprintf("parallel = %d", faultKeys/2)))
	run := faultRun{Faults: faults, Window: faultPrefetch}
	begin := time.Now()
	p := start(t, config)
	step := load.Count / (len(plan) + 1)
	for i, f := range plan {
		// Somewhere in the i-th part of the load.
		at := load.Count - (i*step + rnd.IntN(step) + 1)
		awaitLen(t, n, in, at)
		left, err := n.QueueLen(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if left > 0 {
			run.InFlow++
		}
		run.PerFault = append(run.PerFault, fmt.Sprintf("%d left: %s", left, f))
		p = strike(t, n, p, config, f, &run)
	}
	awaitEmpty(t, n, in)
	run.Took = time.Since(begin).Round(time.Millisecond).String()
	p.terminate()

	c = dial(t, n)
	c.drain(out, func(d amqp091.Delivery) { audit.Delivered(out, idOf(d), d.Body) })
	c.drain(in+".dead", func(d amqp091.Delivery) { audit.Dead(idOf(d), reasonOf(d), d.Body) })
	run.Report = audit.Report()
	publishReport(t, run)
	for _, line := range run.Check(faultPrefetch * len(plan)) {
		t.Error(line)
	}
	if len(run.DeadLetters) != 0 {
		t.Errorf("dead letters %v, want none: every fault passes", run.DeadLetters)
	}
	if run.InFlow < len(plan)/2 {
		t.Errorf("only %d of %d faults met messages on their way: the run proves little", run.InFlow, len(plan))
	}
	if t.Failed() {
		t.Logf("the faults, with what was left in the source queue:\n%s", strings.Join(run.PerFault, "\n"))
	}
}

// strike injects one fault and returns the router that runs afterwards.
func strike(t *testing.T, n *rabbitnode.Node, p *process, config string, f fault, run *faultRun) *process {
	t.Helper()
	ctx := t.Context()
	var err error
	switch f {
	case closeAll:
		err = n.CloseAllConnections(ctx, "fault")
	case closeSender:
		// A fault that follows another may come before the router is back.
		await(t, "a connection named router/send@HOST", func() (bool, string) {
			closed, err := closeNamed(t, n, "router/send")
			run.Senders += closed
			return closed > 0, fmt.Sprint(err)
		})
	case restartApp:
		if err = n.StopApp(ctx); err == nil {
			err = n.StartApp(ctx)
		}
	case killRouter:
		p.kill()
		return start(t, config)
	}
	if err != nil {
		t.Fatalf("%s: %v", f, err)
	}
	return p
}

// closeNamed closes the connections whose name begins with prefix and returns
// how many there were.
func closeNamed(t *testing.T, n *rabbitnode.Node, prefix string) (int, error) {
	t.Helper()
	out, err := n.Eval(t.Context(), fmt.Sprintf(`Named = fun(P) ->
		case catch rabbit_networking:connection_info(P, [client_properties]) of
			[{client_properties, L}] when is_list(L) -> case lists:keyfind(<<"connection_name">>, 1, L) of
				{_, _, Name} -> string:prefix(Name, <<%q>>) =/= nomatch;
				false -> false
			end;
			_ -> false
		end
	end,
	length([catch rabbit_networking:close_connection(P, <<"fault">>) || P <- rabbit_networking:connections(), Named(P)])`, prefix))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out)
}

// publishReport logs a run's report and writes it as JSON into the folder that
// ROUTER_E2E_REPORTS names.
func publishReport(t *testing.T, run faultRun) {
	t.Helper()
	var text strings.Builder
	run.WriteText(&text)
	t.Logf("%d faults, %d while messages were on their way, %d sending connections closed alone, in %s, at most %d duplicates for each fault\n%s", len(run.PerFault), run.InFlow, run.Senders, run.Took, run.Window, text.String())
	dir := os.Getenv("ROUTER_E2E_REPORTS")
	if dir == "" {
		return
	}
	doc, err := json.MarshalIndent(run, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, t.Name()+".json"), append(doc, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
