package mutants

import (
	"fmt"
	"testing"
	"time"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// early acknowledges a message when it was published, not when that was confirmed.
var early = []edit{
	{"amqp/sender.go", "p := pending{receipt: receipt, env: env}", "kept := *env\n\tp := pending{receipt: receipt, env: &kept}"},
	{"amqp/sender.go", "\tl.finish(dc)\n", "\tl.finish(dc)\n\tp.receipt.Settle(nil)\n"},
	{"amqp/link_settle.go", "\treceipt.Settle(err)\n", "\t_ = receipt\n"},
}

// deaf takes a returned message for one that has arrived.
var deaf = []edit{{"amqp/link_settle.go", `case p.returned != "":`, "case false:"}}

// stubborn takes a refused message for one that has arrived.
var stubborn = []edit{{"amqp/link_settle.go", "case !acked:", "case false:"}}

// stale acknowledges on the channel that it has now what came by an earlier one.
var stale = append([]edit{
	{"amqp/settler.go", "\tdead atomic.Bool\n", "\tdead atomic.Bool\n\tnext atomic.Pointer[settler]\n"},
	{"amqp/settler.go", "// Live implements", "var newest atomic.Pointer[settler]\n\n// Live implements"},
	{"amqp/settler.go", "return !s.dead.Load()", "return true"},
	{"amqp/settler.go", "\t\ts.count.acksDropped.Add(1)\n\t\treturn\n", "\t\tif n := s.next.Load(); n != nil {\n\t\t\tn.settle(tag, as)\n\t\t}\n\t\treturn\n"},
	{"amqp/session.go", "\ts := newSettler(ch, &l.b.count, prefetch)\n", "\ts := newSettler(ch, &l.b.count, prefetch)\n\tif old := newest.Swap(s); old != nil {\n\t\told.next.Store(s)\n\t}\n"},
}, slow...)

// slow takes 20 ms for each message and makes no mistake. A stale acknowledgement costs
// a message only if the router dies before that has been sent, so there must be time.
var slow = []edit{{"amqp/sender.go", "\tp.at = l.conn.gate.clock()\n", "\ttime.Sleep(20 * time.Millisecond)\n\tp.at = l.conn.gate.clock()\n"}}

// TestMutants takes a load through a fault with the router as it is, which loses
// nothing, and with a mistake in it, which must be seen to lose messages.
func TestMutants(t *testing.T) {
	sound := harness.Binary
	t.Cleanup(func() { harness.Binary = sound })
	for _, tc := range []struct {
		name   string
		mutant []edit
		beside []edit // what the sound router is built with
		play   func(t *testing.T) *harness.Trial
	}{
		{"acknowledges before the confirm", early, nil, cutOff},
		{"ignores returns", deaf, nil, unbound},
		{"ignores nacks", stubborn, nil, refused},
		{"acknowledges stale tags", stale, slow, forgotten},
	} {
		play := func(t *testing.T) harness.Report {
			tr := tc.play(t)
			harness.AwaitEmpty(t, tr.Node, tr.In)
			tr.Router.Terminate()
			return tr.Account()
		}
		t.Run("sound, where a mutant "+tc.name, func(t *testing.T) {
			harness.Binary = sound
			if tc.beside != nil {
				harness.Binary = build(t, tc.beside...)
			}
			if r := play(t); r.Lost > 0 {
				t.Errorf("the router loses %d messages", r.Lost)
			}
		})
		t.Run(tc.name, func(t *testing.T) {
			harness.Binary = build(t, tc.mutant...)
			r := play(t)
			t.Logf("%d of %d messages lost", r.Lost, r.Acknowledged)
			if r.Lost == 0 {
				t.Error("the mutant survives: the harness does not see what it exists to see")
			}
		})
	}
}

func trial(t *testing.T, messages int) *harness.Trial {
	t.Helper()
	tr := harness.NewTrial(t, rabbitnode.Shared(t), harness.Load{Seed: harness.Seed(t), Count: messages, Keys: 8})
	tr.Broker = fmt.Sprintf("connection_name = %q\n", t.Name())
	return tr
}

// cutOff has what the router sends vanish on the way, and then ends that connection.
// Faults that hit both of its sides at once do not show a router that acknowledges too
// early: it cannot acknowledge then either.
func cutOff(t *testing.T) *harness.Trial {
	tr := trial(t, 5000)
	relay := harness.NewRelay(t, tr.Node.Addr())
	tr.Begin(relay.URL())
	for i := range 3 {
		tr.Until(i*1500 + tr.Rand.IntN(500))
		tr.Struck("sending connection cut off")
		relay.Swallow(harness.Sending)
		time.Sleep(300 * time.Millisecond) // the fault itself
		relay.Reset(harness.Sending)
		tr.Recovered()
	}
	return tr
}

// unbound takes the target's binding away until some messages have met that.
func unbound(t *testing.T) *harness.Trial {
	tr := trial(t, 5000)
	c := harness.Dial(t, tr.Node)
	exchange := rabbitnode.Queue(t, "exchange")
	if err := c.Ch.ExchangeDeclare(exchange, "direct", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	bind := func() {
		if err := c.Ch.QueueBind(tr.Out, "key", exchange, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	bind()
	tr.BeginWith(tr.Node.URL(), fmt.Sprintf("[routes.trial]\nlisten = %q\nsend = [%q]\n", tr.In, "exchange:"+exchange+"/key"))
	for i := range 2 {
		from := i*2000 + tr.Rand.IntN(500)
		tr.Until(from)
		tr.Struck("target unbound")
		if err := c.Ch.QueueUnbind(tr.Out, "key", exchange, nil); err != nil {
			t.Fatal(err)
		}
		tr.Until(from + 500)
		bind()
		tr.Recovered()
	}
	return tr
}

// refused has the target refuse messages until that was seen.
func refused(t *testing.T) *harness.Trial {
	tr := trial(t, 5000)
	room := func(messages int) {
		if err := tr.Node.SetPolicy(t.Context(), tr.Out, map[string]any{"max-length": messages, "overflow": "reject-publish"}); err != nil {
			t.Fatal(err)
		}
	}
	// A queue that is told of its greatest length first, and of what to do then later,
	// drops what it has.
	room(2 * tr.Load.Count)
	tr.Begin(tr.Node.URL())
	for i := range 2 {
		tr.Until(i*2000 + tr.Rand.IntN(500))
		tr.Struck("target full")
		room(0)
		settled := tr.Metric("messages_settled_total")
		harness.Await(t, "a refused message", func() (bool, string) {
			more, retries := tr.Metric("messages_settled_total")-settled, tr.Metric("retries_total")
			return retries > 0 || more > 500, fmt.Sprintf("%v more settled, %v retries", more, retries)
		})
		room(2 * tr.Load.Count)
		tr.Recovered()
	}
	return tr
}

// forgotten ends the consumer's connection while messages are in hand, and kills the
// router when it has gone on for a little.
func forgotten(t *testing.T) *harness.Trial {
	tr := trial(t, 600)
	tr.Begin(tr.Node.URL(), `order = "key"`, `order_by = "header:key"`, "parallel = 4")
	for i := range 2 {
		from := i*250 + 50 + tr.Rand.IntN(50)
		tr.Until(from)
		tr.Struck("consumer's connection closed, then killed")
		closed, err := tr.Node.CloseConnections(t.Context(), t.Name()+"/listen", "fault")
		if err != nil || closed == 0 {
			t.Fatalf("%d connections closed: %v", closed, err)
		}
		tr.Until(from + 100)
		at := time.Now()
		tr.Router.Kill()
		tr.Restart(at)
	}
	return tr
}
