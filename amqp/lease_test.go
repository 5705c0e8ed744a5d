package amqp_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

// numbered is a source of a numbered queue.
func numbered(stem string, arguments map[string]any, told events) router.Source {
	return router.Source{
		Queue: stem, Numbered: true, Prefetch: 10, Watch: told.watch,
		Topology: router.Topology{
			Exchanges: []router.Exchange{{Name: stem, Type: "fanout", Shared: true}},
			Queues:    []router.Queue{{Name: stem, Durable: true, Shared: true, Arguments: arguments}},
			Bindings:  []router.Binding{{Exchange: stem, Queue: stem}},
		},
	}
}

func TestNoTwoListenersHaveTheSameNumber(t *testing.T) {
	testbroker.Both(t, testNoTwoListenersHaveTheSameNumber)
}

func testNoTwoListenersHaveTheSameNumber(t *testing.T, at *testbroker.Broker) {
	for kind, arguments := range map[string]map[string]any{
		"classic": {"x-expires": int32(600000)},
		"quorum":  {"x-expires": int32(600000), "x-queue-type": "quorum"},
	} {
		t.Run(kind, func(t *testing.T) {
			ctx := testContext(t)
			stem := rabbitnode.Queue(t) + ":"
			t.Cleanup(func() { _ = channel(t, at.URL()).ExchangeDelete(stem, false, false) })
			faults := newFaults()
			first := newBroker(t, at, amqp.Config{OneListenConnection: true, Dial: faults.Dial})
			second := newBroker(t, at, amqp.Config{})
			var consumers []*consumer
			var told []events
			for i, b := range []*amqp.Broker{first, first, second, second} {
				told = append(told, newEvents())
				consumers = append(consumers, listen(t, b, numbered(stem, arguments, told[i])))
				if ev := told[i].next(ctx, t, router.SourceConsuming); ev.Queue != stem+string(rune('1'+i)) {
					t.Fatalf("listener %d has %s", i+1, ev.Queue)
				}
			}
			s := first.Sender("test")
			t.Cleanup(s.Close)
			if err := send(ctx, t, s, router.Target{Kind: router.TargetExchange, Exchange: stem}, message("x")); err != nil {
				t.Fatal(err)
			}
			for i, c := range consumers {
				d := c.next(ctx, t)
				if d.Envelope.Origin.Queue != stem+string(rune('1'+i)) {
					t.Errorf("listener %d: %+v", i+1, d.Envelope.Origin)
				}
				d.Settler.Ack(d.Tag)
			}
			for _, b := range []*amqp.Broker{first, second} {
				waitFor(ctx, t, "the acks are sent", func() bool { return b.Stat().Acked == 2 })
			}
			// One that ends gives its number back, on a connection that goes on.
			if err := consumers[0].end(); err != nil {
				t.Fatal(err)
			}
			other := newEvents()
			listen(t, second, numbered(stem, arguments, other))
			if ev := other.next(ctx, t, router.SourceConsuming); ev.Queue != stem+"1" {
				t.Errorf("the freed number: %+v", ev)
			}
			// A lost connection finds its number again.
			faults.Cut()
			told[1].next(ctx, t, router.SourceStopped)
			if ev := told[1].next(ctx, t, router.SourceConsuming); ev.Queue != stem+"2" {
				t.Errorf("after the loss: %+v", ev)
			}
		})
	}
}

// While a connection is down, its number may be taken. Who comes back is told,
// since what was sent to the old queue is another's now.
func TestATakenNumberIsTold(t *testing.T) { testbroker.Both(t, testATakenNumberIsTold) }

func testATakenNumberIsTold(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	stem := rabbitnode.Queue(t) + ":"
	t.Cleanup(func() { _ = channel(t, at.URL()).ExchangeDelete(stem, false, false) })
	args := map[string]any{"x-expires": int32(600000)}
	faults := newFaults()
	b := newBroker(t, at, amqp.Config{Dial: faults.Dial})
	told, other := newEvents(), newEvents()
	c := listen(t, b, numbered(stem, args, told))
	told.next(ctx, t, router.SourceConsuming)
	faults.Refuse(os.ErrDeadlineExceeded)
	faults.Cut()
	told.next(ctx, t, router.SourceStopped)
	waitFor(ctx, t, "the broker has noticed the loss", func() bool {
		var e *amqp091.Error
		_, err := channel(t, at.URL()).QueueDeclarePassive(stem+"1.lease", false, false, true, false, nil)
		return errors.As(err, &e) && e.Code == amqp091.NotFound
	})
	listen(t, newBroker(t, at, amqp.Config{}), numbered(stem, args, other))
	if ev := other.next(ctx, t, router.SourceConsuming); ev.Queue != stem+"1" {
		t.Fatalf("%+v", ev)
	}
	faults.Refuse(nil)
	if ev := told.next(ctx, t, router.SourceLost); ev.Queue != stem+"1" || ev.Err == nil {
		t.Errorf("%+v", ev)
	}
	if ev := told.next(ctx, t, router.SourceConsuming); ev.Queue != stem+"2" {
		t.Errorf("%+v", ev)
	}
	publish(t, channel(t, at.URL()), stem+"2", 0, 1)
	d := c.next(ctx, t)
	d.Settler.Ack(d.Tag)
}

// leaseHolder names the stem to the process that TestAKilledProcessLeavesItsNumber
// kills.
const leaseHolder = "ROUTER_TEST_LEASE"

func TestAKilledProcessLeavesItsNumber(t *testing.T) {
	testbroker.Both(t, testAKilledProcessLeavesItsNumber)
}

func testAKilledProcessLeavesItsNumber(t *testing.T, at *testbroker.Broker) {
	args := map[string]any{"x-expires": int32(600000)}
	told := newEvents()
	if url, stem, ok := strings.Cut(os.Getenv(leaseHolder), " "); ok { // the process to be killed
		b := newBroker(t, at, amqp.Config{URLs: []string{url}})
		listen(t, b, numbered(stem, args, told))
		ev := told.next(testContext(t), t, router.SourceConsuming)
		os.Stdout.WriteString("holds " + ev.Queue + "\n")
		select {}
	}
	ctx := testContext(t)
	stem := rabbitnode.Queue(t) + ":"
	url := at.URL()
	t.Cleanup(func() { _ = channel(t, url).ExchangeDelete(stem, false, false) })
	start := func() (*exec.Cmd, string) {
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v=false")
		cmd.Env = append(os.Environ(), leaseHolder+"="+url+" "+stem)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(line, err)
		}
		return cmd, strings.TrimSpace(line)
	}
	one, held := start()
	if held != "holds "+stem+"1" {
		t.Fatal(held)
	}
	if _, held := start(); held != "holds "+stem+"2" {
		t.Fatal(held)
	}
	if err := one.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = one.Wait() // its state says that it was killed
	b := newBroker(t, at, amqp.Config{})
	waitFor(ctx, t, "the killed process's number is free", func() bool {
		told := newEvents()
		c := listen(t, b, numbered(stem, args, told))
		ev := told.next(ctx, t, router.SourceConsuming)
		if err := c.end(); err != nil {
			t.Fatal(err)
		}
		return ev.Queue == stem+"1"
	})
}
