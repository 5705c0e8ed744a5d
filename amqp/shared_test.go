package amqp_test

import (
	"errors"
	"strconv"
	"testing"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

func TestListenersShareOneConnectionAndOutliveItsLoss(t *testing.T) {
	testbroker.Both(t, testListenersShareOneConnectionAndOutliveItsLoss)
}

func testListenersShareOneConnectionAndOutliveItsLoss(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	b := newBroker(t, at, amqp.Config{ConnectionName: t.Name(), OneListenConnection: true})
	var names []string
	var topology amqp.Topology
	for range 5 {
		name := rabbitnode.Queue(t)
		names = append(names, name)
		topology.Queues = append(topology.Queues, amqp.Queue{Name: name, Durable: true})
	}
	if err := b.Declare(ctx, topology); err != nil {
		t.Fatal(err)
	}
	s := b.Sender("test")
	t.Cleanup(s.Close)
	var consumers []*consumer
	for _, name := range names {
		consumers = append(consumers, listen(t, b, router.Source{Queue: name}))
	}
	for round := range 2 {
		for i, name := range names {
			body := strconv.Itoa(round) + name
			if err := send(ctx, t, s, queue(name), message(body)); err != nil {
				t.Fatal(err)
			}
			d := consumers[i].next(ctx, t)
			if string(d.Envelope.Body) != body {
				t.Errorf("%s got %q", name, d.Envelope.Body)
			}
			d.Settler.Ack(d.Tag)
		}
		for _, name := range names {
			waitFor(ctx, t, name+" is empty", func() bool {
				n, err := at.QueueLen(ctx, name)
				return err == nil && n == 0
			})
		}
		if got, err := at.Connections(ctx, t.Name()+"/"); err != nil || got != 2 {
			t.Errorf("%d connections, %v; one to send and one to listen", got, err)
		}
		if round == 0 {
			if err := consumers[4].end(); err != nil {
				t.Fatal(err)
			}
			names, consumers = names[:4], consumers[:4]
			if n, err := at.CloseConnections(ctx, t.Name()+"/", "test"); err != nil || n != 2 {
				t.Fatal(n, err)
			}
			waitFor(ctx, t, "the loss is noticed", func() bool { return stat(b, "send").LastError != "" })
		}
	}
}

func TestWithNoWaitNothingWaitsForAConnection(t *testing.T) {
	testbroker.Both(t, testWithNoWaitNothingWaitsForAConnection)
}

func testWithNoWaitNothingWaitsForAConnection(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	b := newBroker(t, at, amqp.Config{URLs: []string{"amqp://127.0.0.1:1/"}})
	s := b.Sender("test")
	t.Cleanup(s.Close)
	env := message("m")
	if err := s.Send(amqp.NoWait(ctx), queue("q"), &env, newReceipt()); !errors.Is(err, router.ErrDisconnected) {
		t.Errorf("send: %v", err)
	}
	if err := b.Declare(amqp.NoWait(ctx), amqp.Topology{Queues: []amqp.Queue{{Name: "q"}}}); !errors.Is(err, router.ErrDisconnected) {
		t.Errorf("declare: %v", err)
	}
	up := newBroker(t, at, amqp.Config{})
	if err := up.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	name := rabbitnode.Queue(t)
	if err := up.Declare(amqp.NoWait(ctx), amqp.Topology{Queues: []amqp.Queue{{Name: name, Durable: true}}}); err != nil {
		t.Fatal(err)
	}
	now := up.Sender("test")
	t.Cleanup(now.Close)
	r := newReceipt()
	if err := now.Send(amqp.NoWait(ctx), queue(name), &env, r); err != nil {
		t.Fatal(err)
	}
	if err := r.wait(ctx, t); err != nil {
		t.Error(err)
	}
}
