package matrix

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

const keys = 8

// byKey are the lines of a route that keeps the order of each key.
var byKey = []string{`order = "key"`, `order_by = "header:key"`, fmt.Sprintf("parallel = %d", keys/2)}

// begin fills a queue with so many messages of a few keys; both queues of the trial
// have these arguments.
func begin(t *testing.T, n *rabbitnode.Node, messages int, arguments amqp091.Table) *harness.Trial {
	t.Helper()
	load := harness.Load{Seed: harness.Seed(t), Count: harness.Messages(t, messages), Keys: keys, Pad: 64}
	tr := harness.NewTrialIn(t, n, load, arguments)
	tr.Broker = fmt.Sprintf("connection_name = %q\n", t.Name())
	return tr
}

// each calls strike so many times, at a random place of each part of the load.
func each(tr *harness.Trial, times int, strike func(i int)) {
	tr.T.Helper()
	step := tr.Load.Count / (times + 1)
	for i := range times {
		tr.Until(i*step + tr.Rand.IntN(step) + 1)
		strike(i)
	}
}

// TestF01RouterKilled kills the router under load, again and again, and starts it
// again.
func TestF01RouterKilled(t *testing.T) {
	t.Parallel()
	tr := begin(t, rabbitnode.Shared(t), 10_000, nil)
	tr.Begin(tr.Node.URL(), byKey...)
	each(tr, harness.Times(20, 5), func(int) {
		tr.Struck("router killed")
		at := time.Now()
		tr.Router.Kill()
		tr.Restart(at)
	})
	tr.End()
}

// TestF02RouterStopped stops the router with SIGTERM under load, again and again. It
// ends with code 0, and no message arrives twice.
func TestF02RouterStopped(t *testing.T) {
	t.Parallel()
	tr := begin(t, rabbitnode.Shared(t), 10_000, nil)
	tr.Window = 0
	tr.Begin(tr.Node.URL(), byKey...)
	var took []time.Duration
	each(tr, harness.Times(20, 5), func(int) {
		tr.Struck("router stopped")
		at := time.Now()
		took = append(took, tr.Router.Terminate())
		tr.Restart(at)
	})
	slices.Sort(took)
	tr.Note("stopped in", "%.2f s (median), %.2f s (longest)", took[len(took)/2].Seconds(), took[len(took)-1].Seconds())
	tr.End()
}

// TestF03RouterPaused pauses the router for one and a half and for three heartbeats.
// After the longer the broker has given it up, and what it acknowledges is of a
// session that is gone: it must not send that, or the broker would close the next
// session for it, and so on.
func TestF03RouterPaused(t *testing.T) {
	t.Parallel()
	const heartbeat = 2 * time.Second
	tr := begin(t, rabbitnode.Shared(t), 10_000, nil)
	tr.Broker += fmt.Sprintf("heartbeat = %q\n", heartbeat)
	tr.Begin(tr.Node.URL(), byKey...)
	router := tr.Router
	pauses := []time.Duration{heartbeat * 3 / 2, heartbeat * 3}
	tr.Rand.Shuffle(len(pauses), func(i, j int) { pauses[i], pauses[j] = pauses[j], pauses[i] })
	each(tr, len(pauses), func(i int) {
		tr.Struck(fmt.Sprintf("router paused for %v", pauses[i]))
		router.Signal(syscall.SIGSTOP)
		time.Sleep(pauses[i]) // the fault itself
		router.Signal(syscall.SIGCONT)
		tr.Recovered()
	})
	harness.AwaitEmpty(t, tr.Node, tr.In)
	reconnects := router.Metric("router_amqp_reconnects_total", "listen")
	tr.Note("consumer reconnected", "%v times", reconnects)
	if reconnects < 1 || reconnects > float64(len(pauses)) {
		t.Errorf("the consumer reconnected %v times in %d pauses, one of which outlasts the broker's patience", reconnects, len(pauses))
	}
	for _, line := range router.Lines() {
		if strings.Contains(line.Raw, "(406)") || strings.Contains(line.Raw, "panic") {
			t.Errorf("the router logs %s", line.Raw)
		}
	}
	tr.End()
}

// TestF30RoutersKilled has three routers on one queue, one of which is killed again
// and again.
func TestF30RoutersKilled(t *testing.T) {
	t.Parallel()
	tr := begin(t, rabbitnode.Shared(t), 30_000, nil)
	tr.Mixed = true
	tr.Begin(tr.Node.URL())
	others := []*harness.Process{harness.Start(t, tr.Config), harness.Start(t, tr.Config)}
	each(tr, harness.Times(15, 5), func(int) {
		i := tr.Rand.IntN(len(others))
		tr.Struck("one of three routers killed")
		others[i].Kill()
		tr.Recovered() // the others go on
		others[i] = harness.Start(t, tr.Config)
	})
	harness.AwaitEmpty(t, tr.Node, tr.In)
	for _, p := range others {
		p.Terminate()
	}
	tr.End()
}
