package amqp_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/router/porttest"
)

func TestASenderKeepsTheContractOfItsPort(t *testing.T) {
	testbroker.Both(t, testASenderKeepsTheContractOfItsPort)
}

func testASenderKeepsTheContractOfItsPort(t *testing.T, at *testbroker.Broker) {
	porttest.Sender(t, func(t testing.TB) porttest.SenderRig {
		name := rabbitnode.Queue(t)
		ch := channel(t, at.URL())
		declareQueue(t, ch, name, nil)
		f := newFaults()
		b := newBroker(t, at, amqp.Config{Dial: f.Dial})
		return porttest.SenderRig{
			Sender: b.Sender("contract"), Routable: queue(name), Unroutable: queue(name + ".none"),
			Arrived: func() []string { return bodies(t, ch, name) },
			Mute:    func() { f.Stall(); t.Cleanup(f.Resume) },
		}
	})
}

// bodies takes what the queue holds.
func bodies(t testing.TB, ch *amqp091.Channel, name string) (list []string) {
	t.Helper()
	for {
		d, ok, err := ch.Get(name, true)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return list
		}
		list = append(list, string(d.Body))
	}
}

func TestAListenerKeepsTheContractOfItsPort(t *testing.T) {
	testbroker.Both(t, testAListenerKeepsTheContractOfItsPort)
}

func testAListenerKeepsTheContractOfItsPort(t *testing.T, at *testbroker.Broker) {
	porttest.Listener(t, func(t testing.TB) porttest.ListenerRig {
		name := rabbitnode.Queue(t)
		ch := channel(t, at.URL())
		declareQueue(t, ch, name, nil)
		if err := ch.Confirm(false); err != nil {
			t.Fatal(err)
		}
		f := newFaults()
		b := newBroker(t, at, amqp.Config{Dial: f.Dial})
		return porttest.ListenerRig{
			Listener: b, Queue: name, Lose: f.Cut,
			Publish: func(body string) {
				dc, err := ch.PublishWithDeferredConfirm("", name, false, false, amqp091.Publishing{Body: []byte(body)})
				if err != nil || !dc.Wait() {
					t.Error("not published: ", err)
				}
			},
			Ready: func() int {
				q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
				if err != nil {
					t.Fatal(err)
				}
				return q.Messages
			},
		}
	})
}

// A declaration may cost the connection. What is told is the declaration, once,
// and a listener does not dial for ever because of it.
func TestADeclarationThatCostsTheConnectionIsNamed(t *testing.T) {
	testbroker.Both(t, testADeclarationThatCostsTheConnectionIsNamed)
}

func testADeclarationThatCostsTheConnectionIsNamed(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	b := newBroker(t, at, amqp.Config{Topology: amqp.Topology{
		Exchanges: []amqp.Exchange{{Name: name, Type: "x-nosuch"}, {Name: name + ".2", Type: "topic"}},
		Queues:    []amqp.Queue{{Name: name, Durable: true}},
		Bindings:  []amqp.Binding{{Queue: name, Exchange: name}},
	}})
	for who, err := range map[string]error{
		"listen":  b.Listen(ctx, router.Source{Queue: name, Prefetch: 1}, nil),
		"connect": b.Connect(ctx),
	} {
		if !amqp.IsRefusal(err) {
			t.Errorf("%s = %v, want a refusal", who, err)
		} else if text := err.Error(); !strings.Contains(text, `exchange "`+name+`": `) || !strings.Contains(text, "x-nosuch") || strings.Contains(text, "not open") {
			t.Errorf("%s = %v, want it to name the exchange and its type, and no consequence", who, err)
		}
	}
}

// A Send that gives up tells what it has waited for.
func TestASendThatGivesUpSaysWhy(t *testing.T) { testbroker.Both(t, testASendThatGivesUpSaysWhy) }

func testASendThatGivesUpSaysWhy(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	f := newFaults()
	down := errors.New("network is down")
	f.Refuse(down)
	b := newBroker(t, at, amqp.Config{Dial: f.Dial})
	if err := b.Connect(ctx); !errors.Is(err, down) {
		t.Fatalf("connect = %v", err)
	}
	s := b.Sender("test")
	defer s.Close()
	ending, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	env := message("x")
	err := s.Send(ending, queue("any"), &env, newReceipt())
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, down) {
		t.Errorf("send = %v, want the deadline and %v", err, down)
	}
}
