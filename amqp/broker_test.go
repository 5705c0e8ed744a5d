package amqp_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

func TestARefusedMessageIsNacked(t *testing.T) { testbroker.Both(t, testARefusedMessageIsNacked) }

func testARefusedMessageIsNacked(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	declareQueue(t, channel(t, at.URL()), name, amqp091.Table{"x-max-length": int32(0), "x-overflow": "reject-publish"})
	b := newBroker(t, at, amqp.Config{})
	s := b.Sender("test")
	defer s.Close()
	if err := send(ctx, t, s, queue(name), message("x")); !errors.Is(err, router.ErrNacked) || !strings.Contains(err.Error(), name) {
		t.Errorf("receipt = %v, want nacked, with the queue's name", err)
	}
	if st := b.Stat(); st.Nacked != 1 || st.InFlight != 0 {
		t.Errorf("stat: %+v", st)
	}
}

func TestOnlyTheCulpritOfAChannelExceptionFails(t *testing.T) {
	testbroker.Both(t, testOnlyTheCulpritOfAChannelExceptionFails)
}

func testOnlyTheCulpritOfAChannelExceptionFails(t *testing.T, at *testbroker.Broker) {
	exchange := func(name string) router.Target { return router.Target{Kind: router.TargetExchange, Exchange: name} }
	tests := []struct {
		name   string
		bad    func(name string) (router.Target, router.Envelope)
		setUp  func(t *testing.T, ch *amqp091.Channel, name string)
		begun  func() // when the sender has a channel that has sent to the queue
		want   error
		words  string
		serial bool // found for certain only when published alone
	}{
		{
			name:  "missing exchange",
			bad:   func(name string) (router.Target, router.Envelope) { return exchange(name + ".missing"), message("bad") },
			want:  router.ErrUnroutable,
			words: "there is no exchange",
		},
		{
			name: "internal exchange",
			setUp: func(t *testing.T, ch *amqp091.Channel, name string) {
				if err := ch.ExchangeDeclare(name, "fanout", false, false, true, false, nil); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = ch.ExchangeDelete(name, false, false) })
			},
			bad:   func(name string) (router.Target, router.Envelope) { return exchange(name), message("bad") },
			want:  router.ErrUnsendable,
			words: "internal exchange",
		},
		{
			name: "broker's own rule",
			setUp: func(t *testing.T, _ *amqp091.Channel, _ string) {
				if at.Node == nil { // which has this limit always
					return
				}
				set := func(size int) {
					if _, err := at.Node.Eval(context.Background(), fmt.Sprintf("application:set_env(rabbit, max_message_size, %d)", size)); err != nil {
						t.Fatal(err)
					}
				}
				set(testbroker.MaxMessage) // for channels opened from now on
				t.Cleanup(func() { set(128 << 20) })
			},
			begun: func() {
				if at.Node == nil {
					at.Server.Faults().DropConfirms(1) // so that the culprit is not alone, quick as it is
				}
			},
			bad: func(name string) (router.Target, router.Envelope) {
				return queue(name), message(strings.Repeat("x", testbroker.MaxMessage+1))
			},
			want:   router.ErrUnsendable,
			words:  "larger than",
			serial: true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := testContext(t)
			name := rabbitnode.Queue(t)
			ch := channel(t, at.URL())
			declareQueue(t, ch, name, nil)
			if tt.setUp != nil {
				tt.setUp(t, ch, name)
			}
			b := newBroker(t, at, amqp.Config{MaxInFlightBytes: 2 * testbroker.MaxMessage})
			s := b.Sender("test")
			defer s.Close()
			if err := send(ctx, t, s, queue(name), message("first")); err != nil {
				t.Fatal(err)
			}
			if tt.begun != nil {
				tt.begun()
			}

			type entry struct {
				target router.Target
				env    router.Envelope
				err    error
				tries  int
			}
			target, bad := tt.bad(name)
			var todo []*entry
			for i := range 20 {
				e := &entry{target: queue(name), env: message("good")}
				if i == 10 {
					e.target, e.env = target, bad
				}
				todo = append(todo, e)
			}
			all := todo
			for len(todo) > 0 { // as a lane does: what is unconfirmed is sent again
				receipts := make([]*receipt, len(todo))
				for i, e := range todo {
					e.tries++
					receipts[i] = newReceipt()
					if err := s.Send(ctx, e.target, &e.env, receipts[i]); err != nil {
						receipts[i].Settle(err)
					}
				}
				var again []*entry
				for i, e := range todo {
					if e.err = receipts[i].wait(ctx, t); errors.Is(e.err, router.ErrUnconfirmed) {
						again = append(again, e)
					}
				}
				todo = again
				if all[10].tries > 5 {
					t.Fatalf("the culprit was not found after 5 tries: %v", all[10].err)
				}
			}
			for i, e := range all {
				switch {
				case i == 10 && (!errors.Is(e.err, tt.want) || !strings.Contains(e.err.Error(), tt.words)):
					t.Errorf("the culprit got %v, want %v with %q", e.err, tt.want, tt.words)
				case i != 10 && e.err != nil:
					t.Errorf("message %d got %v", i, e.err)
				}
			}
			// Whether something else was under way with the culprit is up to the broker.
			if !tt.serial && all[10].tries > 1 {
				t.Errorf("the culprit took %d tries", all[10].tries)
			}
		})
	}
}

func TestUnsendableMessagesCostNothing(t *testing.T) {
	testbroker.Both(t, testUnsendableMessagesCostNothing)
}

func testUnsendableMessagesCostNothing(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	declareQueue(t, channel(t, at.URL()), name, nil)
	b := newBroker(t, at, amqp.Config{})
	s := b.Sender("test")
	defer s.Close()
	if err := send(ctx, t, s, queue(name), message("first")); err != nil {
		t.Fatal(err)
	}
	deep := map[string]any{}
	for range 40 {
		deep = map[string]any{"d": deep}
	}
	wide := map[string]any{}
	for i := range 9000 {
		wide[string(rune(0x4e00+i))] = true
	}
	long := strings.Repeat("x", 256)
	with := func(f func(*router.Envelope)) router.Envelope {
		env := message("bad")
		f(&env)
		return env
	}
	for what, env := range map[string]router.Envelope{
		"expiration":    with(func(e *router.Envelope) { e.Expiration = "abc" }),
		"negative":      with(func(e *router.Envelope) { e.Expiration = "-1" }),
		"delivery mode": with(func(e *router.Envelope) { e.DeliveryMode = 77 }),
		"long property": with(func(e *router.Envelope) { e.CorrelationID = long }),
		"reply queue":   with(func(e *router.Envelope) { e.ReplyTo = "amq.rabbitmq.reply-to" }),
		"CC":            with(func(e *router.Envelope) { e.SetHeader("CC", []any{"other"}) }),
		"BCC":           with(func(e *router.Envelope) { e.SetHeader("BCC", "x") }),
		"depth":         with(func(e *router.Envelope) { e.SetHeader("deep", deep) }),
		"width":         with(func(e *router.Envelope) { e.SetHeader("wide", wide) }),
		"size":          with(func(e *router.Envelope) { e.SetHeader("big", strings.Repeat("x", 200<<10)) }),
		"header name":   with(func(e *router.Envelope) { e.SetHeader(long, 1) }),
		"type":          with(func(e *router.Envelope) { e.SetHeader("x", uint64(1)) }),
	} {
		err := send(ctx, t, s, queue(name), env)
		if !errors.Is(err, router.ErrUnsendable) {
			t.Errorf("%s: %v, want unsendable", what, err)
		}
	}
	for _, target := range []router.Target{queue(""), queue(long), queue("a\nb"), {}} {
		if err := send(ctx, t, s, target, message("x")); !errors.Is(err, router.ErrUnsendable) {
			t.Errorf("target %v: %v, want unsendable", target, err)
		}
	}
	if err := send(ctx, t, s, queue(name), message("last")); err != nil {
		t.Fatal(err)
	}
	st := b.Stat()
	if st.Channels.Made != 1 || stat(b, "send").Connects != 1 || st.Unsendable != 16 {
		t.Errorf("stat: %+v", st)
	}
}

func TestRepliesToDirectReplyConsumersAreNotMandatory(t *testing.T) {
	testbroker.Both(t, testRepliesToDirectReplyConsumersAreNotMandatory)
}

func testRepliesToDirectReplyConsumersAreNotMandatory(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	ch := channel(t, at.URL())
	name := rabbitnode.Queue(t)
	declareQueue(t, ch, name, nil)
	answers, err := ch.Consume("amq.rabbitmq.reply-to", "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.Publish("", name, true, false, amqp091.Publishing{ReplyTo: "amq.rabbitmq.reply-to"}); err != nil {
		t.Fatal(err)
	}
	b := newBroker(t, at, amqp.Config{})
	request := listen(t, b, router.Source{Queue: name}).next(ctx, t)
	s := b.Sender("test")
	defer s.Close()
	if err := send(ctx, t, s, queue(request.Envelope.ReplyTo), message("answer")); err != nil {
		t.Errorf("reply: %v", err)
	}
	request.Settler.Ack(request.Tag)
	select {
	case a := <-answers:
		if string(a.Body) != "answer" {
			t.Errorf("answer = %q", a.Body)
		}
	case <-ctx.Done():
		t.Fatal(context.Cause(ctx))
	}
}

func TestNotificationsAreKeptBeforeAnybodyListens(t *testing.T) {
	testbroker.Both(t, testNotificationsAreKeptBeforeAnybodyListens)
}

func testNotificationsAreKeptBeforeAnybodyListens(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	ch := channel(t, at.URL())
	name := rabbitnode.Queue(t)
	topic := strings.ReplaceAll(name, ".", "-")
	b := newBroker(t, at, amqp.Config{})
	s := b.Sender("test")
	defer s.Close()
	for _, durable := range []bool{true, false} { // the second exchange exists already
		x := name + map[bool]string{true: ".new", false: ".old"}[durable]
		target := router.Target{Kind: router.TargetNotify, Exchange: x, Topic: topic + x, Priority: "info"}
		key := topic + x + ".info"
		if !durable {
			if err := ch.ExchangeDeclare(x, "topic", false, false, false, false, nil); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			if err := send(ctx, t, s, target, message("news")); err != nil {
				t.Fatal(err)
			}
		}
		if q, err := ch.QueueDeclarePassive(key, true, false, false, false, nil); err != nil || q.Messages != 3 {
			t.Errorf("queue %q holds %d messages, %v; want 3", key, q.Messages, err)
		}
		_, _ = ch.QueueDelete(key, false, false, false)
		_ = ch.ExchangeDelete(x, false, false)
	}
}

func TestInFlightIsBounded(t *testing.T) { testbroker.Both(t, testInFlightIsBounded) }

func testInFlightIsBounded(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	declareQueue(t, channel(t, at.URL()), name, nil)
	f := newFaults()
	b := newBroker(t, at, amqp.Config{Dial: f.Dial, MaxInFlight: 3, MaxInFlightBytes: 100, WriteTimeout: time.Minute})
	s := b.Sender("test")
	defer s.Close()
	// Alone, a message may be larger than all may be together.
	if err := send(ctx, t, s, queue(name), message(strings.Repeat("x", 1000))); err != nil {
		t.Fatal(err)
	}
	f.Stall()
	for size, fits := range map[int]int{10: 3, 40: 2} {
		n := 0
		for {
			short, cancel := context.WithCancelCause(ctx)
			env := message(strings.Repeat("x", size))
			full := errors.New("full")
			if n == fits {
				cancel(full) // the next would wait: find that out without waiting
			}
			err := s.Send(short, queue(name), &env, newReceipt())
			cancel(nil)
			if err != nil {
				if !errors.Is(err, full) {
					t.Fatal(err)
				}
				break
			}
			n++
		}
		if st := b.Stat(); n != fits || st.InFlight != int64(fits) || st.InFlightBytes != int64(fits*size) {
			t.Errorf("%d messages of %d bytes were in flight; want %d; stat %d, %d", n, size, fits, st.InFlight, st.InFlightBytes)
		}
		f.Resume()
		waitFor(ctx, t, "all are confirmed", func() bool { return b.Stat().InFlight == 0 })
		f.Stall()
	}
	f.Resume()
}

func TestClosedBrokerRefuses(t *testing.T) { testbroker.Both(t, testClosedBrokerRefuses) }

func testClosedBrokerRefuses(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	b := newBroker(t, at, amqp.Config{})
	s := b.Sender("test")
	if err := b.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(ctx); err != nil {
		t.Fatal(err)
	}
	env := message("x")
	if err := s.Send(ctx, queue("q"), &env, newReceipt()); !errors.Is(err, router.ErrClosed) {
		t.Errorf("send = %v", err)
	}
	err := b.Listen(ctx, router.Source{Queue: "q", Prefetch: 1}, nil)
	if !errors.Is(err, router.ErrClosed) {
		t.Errorf("listen = %v", err)
	}
	if err := b.Connect(ctx); !errors.Is(err, router.ErrClosed) {
		t.Errorf("connect = %v", err)
	}
	if err := b.Close(ctx); err != nil {
		t.Errorf("second close = %v", err)
	}
}
