package e2e

import (
	"fmt"
	"slices"
	"testing"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

const faultKeys = 8

// byKey are the lines of a route that keeps the order of each key.
var byKey = []string{`order = "key"`, `order_by = "header:key"`, fmt.Sprintf("parallel = %d", faultKeys/2)}

// TestFaults moves numbered messages while connections, broker and router die
// again and again, and then counts what became of each message.
func TestFaults(t *testing.T) {
	n, err := rabbitnode.Start(t.Context(), rabbitnode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Stop)
	runFaults(t, n, 100_000, map[string]int{"connections closed": 10, "sender closed": 4, "app restarted": 2, "router killed": 3})
}

// TestOutboundFaults loses the sending connection alone, again and again: what
// was not confirmed must be sent again before what follows it, and a router that
// acknowledges too early is seen to lose messages.
func TestOutboundFaults(t *testing.T) {
	runFaults(t, rabbitnode.Shared(t), 50_000, map[string]int{"sender closed": 20})
}

// runFaults takes one load through faults that strike at random places of it.
func runFaults(t *testing.T, n *rabbitnode.Node, messages int, faults map[string]int) {
	t.Helper()
	tr := harness.NewTrial(t, n, harness.Load{Seed: harness.Seed(t), Count: harness.Messages(t, messages), Keys: faultKeys, Pad: 64})
	var plan []string
	for f, times := range faults {
		plan = append(plan, slices.Repeat([]string{f}, times)...)
	}
	slices.Sort(plan)
	tr.Rand.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	tr.Begin(n.URL(), byKey...)
	step := tr.Load.Count / (len(plan) + 1)
	for i, f := range plan {
		tr.Until(i*step + tr.Rand.IntN(step) + 1) // somewhere in the i-th part of the load
		tr.Struck(f)
		strike(tr, f)
		tr.Recovered()
	}
	tr.End()
}

// strike injects one fault and returns when it is over.
func strike(tr *harness.Trial, fault string) {
	tr.T.Helper()
	ctx, n := tr.T.Context(), tr.Node
	var err error
	switch fault {
	case "connections closed":
		err = n.CloseAllConnections(ctx, "fault")
	case "sender closed":
		// A fault that follows another may come before the router is back.
		harness.Await(tr.T, "a connection named router/send@HOST", func() (bool, string) {
			closed, err := n.CloseConnections(ctx, "router/send", "fault")
			return closed > 0, fmt.Sprint(err)
		})
	case "app restarted":
		if err = n.StopApp(ctx); err == nil {
			err = n.StartApp(ctx)
		}
	case "router killed":
		tr.Router.Kill()
		tr.Router = harness.Start(tr.T, tr.Config)
	default:
		tr.T.Fatalf("no fault %q", fault)
	}
	if err != nil {
		tr.T.Fatalf("%s: %v", fault, err)
	}
}
