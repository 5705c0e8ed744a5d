package amqp_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

// events collects what a source's Watch is told.
type events chan router.SourceEvent

func newEvents() events { return make(events, 1000) }

func (e events) watch(ev router.SourceEvent) { e <- ev }

// next returns the next event of the kind; others are skipped unless they are
// losses, of which none may be missed.
func (e events) next(ctx context.Context, t testing.TB, kind router.SourceEventKind) router.SourceEvent {
	t.Helper()
	for {
		select {
		case ev := <-e:
			if ev.Kind == kind {
				return ev
			}
			if ev.Kind == router.SourceLost {
				t.Fatalf("lost: %+v", ev)
			}
		case <-ctx.Done():
			t.Fatal(context.Cause(ctx))
		}
	}
}

func TestADeletedQueueOfASourceIsToldAndComesBack(t *testing.T) {
	testbroker.Both(t, testADeletedQueueOfASourceIsToldAndComesBack)
}

func testADeletedQueueOfASourceIsToldAndComesBack(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	ch := channel(t, at.URL())
	b := newBroker(t, at, amqp.Config{})
	told := newEvents()
	c := listen(t, b, router.Source{
		Queue: name, Delete: true, Watch: told.watch,
		Topology: router.Topology{
			Exchanges: []router.Exchange{{Name: name, Type: "fanout", AutoDelete: true, Shared: true}},
			Queues:    []router.Queue{{Name: name, Durable: true, Arguments: map[string]any{"x-expires": int32(600000)}}},
			Bindings:  []router.Binding{{Exchange: name, Queue: name}},
		},
	})
	for range 3 {
		if ev := told.next(ctx, t, router.SourceConsuming); ev.Queue != name || ev.Err != nil {
			t.Errorf("%+v", ev)
		}
		// The exchange went with the queue.
		if err := ch.Publish(name, "", true, false, amqp091.Publishing{}); err != nil {
			t.Fatal(err)
		}
		d := c.next(ctx, t)
		d.Settler.Ack(d.Tag)
		if _, err := ch.QueueDelete(name, false, false, false); err != nil {
			t.Fatal(err)
		}
		if ev := told.next(ctx, t, router.SourceLost); ev.Queue != name || ev.Err == nil {
			t.Errorf("%+v", ev)
		}
	}
	told.next(ctx, t, router.SourceConsuming)
	if s := stat(b, "listen "+name); s.Connects != 1 {
		t.Errorf("connection: %+v; want the same one", s)
	}
	if err := c.end(); err != nil {
		t.Error(err)
	}
	var e *amqp091.Error
	if _, err := ch.QueueDeclarePassive(name, true, false, false, false, nil); !errors.As(err, &e) || e.Code != amqp091.NotFound {
		t.Errorf("after the end: %v; want the queue gone", err)
	}
}

// The connection is well, the queue is there, and the broker has told of
// nothing: its record of the consumer is taken away.
func TestASilentlyLostConsumerIsNoticed(t *testing.T) {
	testbroker.Both(t, testASilentlyLostConsumerIsNoticed)
}

func testASilentlyLostConsumerIsNoticed(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	ch := channel(t, at.URL())
	declareQueue(t, ch, name, nil)
	b := newBroker(t, at, amqp.Config{})
	told, check := newEvents(), make(chan struct{})
	c := listen(t, b, router.Source{Queue: name, Watch: told.watch, Check: check})
	told.next(ctx, t, router.SourceConsuming)
	check <- struct{}{}
	if n, err := at.ForgetConsumers(ctx, name); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	publish(t, ch, name, 0, 1)
	check <- struct{}{}
	ev := told.next(ctx, t, router.SourceStopped)
	if !strings.Contains(ev.Err.Error(), "no consumer") {
		t.Errorf("%+v", ev)
	}
	told.next(ctx, t, router.SourceConsuming)
	d := c.next(ctx, t)
	d.Settler.Ack(d.Tag)
	if s := stat(b, "listen "+name); s.Connects != 1 {
		t.Errorf("connection: %+v; want the same one", s)
	}
}

// Only RabbitMQ has streams.
func TestAStreamGoesOnWhereItWas(t *testing.T) {
	name, at := rabbitnode.Queue(t), testbroker.RabbitMQ(t)
	ctx := testContext(t)
	ch := channel(t, at.URL())
	if _, err := ch.QueueDeclare(name, true, false, false, false, amqp091.Table{"x-queue-type": "stream", "x-max-age": "1800s"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ch.QueueDelete(name, false, false, false) })
	publish(t, ch, name, 0, 3) // old ones
	waitFor(ctx, t, "they are stored", func() bool { n, _ := holds(t, ch, name); return n == 3 })
	f := newFaults()
	b := newBroker(t, at, amqp.Config{Dial: f.Dial})
	told := newEvents()
	source := router.Source{
		Queue: name, Prefetch: 10, Watch: told.watch, Arguments: map[string]any{"x-stream-offset": "next"},
		Topology: router.Topology{Queues: []router.Queue{{
			Name: name, Durable: true, Arguments: map[string]any{"x-queue-type": "stream", "x-max-age": "1800s"},
		}}},
	}
	c := listen(t, b, source)
	next := 3
	expect := func(n int) {
		t.Helper()
		for range n {
			d := c.next(ctx, t)
			if d.Envelope.MessageID != strconv.Itoa(next) {
				t.Errorf("got %s; want %d", d.Envelope.MessageID, next)
			}
			d.Settler.Ack(d.Tag)
			next++
		}
	}
	told.next(ctx, t, router.SourceConsuming)
	publish(t, ch, name, 3, 6)
	expect(3)
	for range 2 {
		f.Refuse(errors.New("not now"))
		f.Cut()
		told.next(ctx, t, router.SourceStopped)
		publish(t, ch, name, next, next+20) // meanwhile
		f.Refuse(nil)
		told.next(ctx, t, router.SourceConsuming)
		expect(20)
	}
	source.Arguments, source.Watch = map[string]any{"x-stream-offset": "first"}, nil
	other := listen(t, b, source)
	for i := range next {
		if d := other.next(ctx, t); d.Envelope.MessageID != strconv.Itoa(i) {
			t.Errorf("from the first on: %s, want %d", d.Envelope.MessageID, i)
		} else {
			d.Settler.Ack(d.Tag)
		}
	}
	// Another stream of that name counts from 0 again.
	if _, err := ch.QueueDelete(name, false, false, false); err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare(name, true, false, false, false, amqp091.Table{"x-queue-type": "stream", "x-max-age": "1800s"}); err != nil {
		t.Fatal(err)
	}
	for ev := range told {
		if ev.Kind == router.SourceConsuming {
			break
		}
	}
	publish(t, ch, name, next, next+3)
	expect(3)
}

// While nobody was connected the queue was deleted: what waited in it is lost.
func TestAQueueDeletedMeanwhileIsTold(t *testing.T) {
	testbroker.Both(t, testAQueueDeletedMeanwhileIsTold)
}

func testAQueueDeletedMeanwhileIsTold(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	ch := channel(t, at.URL())
	f := newFaults()
	b := newBroker(t, at, amqp.Config{Dial: f.Dial})
	told := newEvents()
	listen(t, b, router.Source{
		Queue: name, Delete: true, Watch: told.watch,
		Topology: router.Topology{Queues: []router.Queue{{Name: name, Durable: true}}},
	})
	told.next(ctx, t, router.SourceConsuming)
	for _, gone := range []bool{false, true} {
		f.Refuse(errors.New("not now"))
		f.Cut()
		told.next(ctx, t, router.SourceStopped)
		if gone {
			if _, err := ch.QueueDelete(name, false, false, false); err != nil {
				t.Fatal(err)
			}
		}
		f.Refuse(nil)
		if gone {
			told.next(ctx, t, router.SourceLost)
		}
		told.next(ctx, t, router.SourceConsuming) // fails on a loss
	}
}

func TestWhatOthersDeclareTooIsTakenAsItIs(t *testing.T) {
	testbroker.Both(t, testWhatOthersDeclareTooIsTakenAsItIs)
}

func testWhatOthersDeclareTooIsTakenAsItIs(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	ch := channel(t, at.URL())
	if err := ch.ExchangeDeclare(name, "topic", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	declareQueue(t, ch, name, nil)
	t.Cleanup(func() { _ = ch.ExchangeDelete(name, false, false) })
	wish := func(shared bool) amqp.Topology {
		return amqp.Topology{
			Exchanges: []amqp.Exchange{{Name: name, Type: "topic", Durable: true, Shared: shared}},
			Queues:    []amqp.Queue{{Name: name, Shared: shared, Durable: true, Arguments: map[string]any{"x-queue-type": "quorum"}}},
			Bindings:  []amqp.Binding{{Exchange: name, Queue: name, Key: "k"}},
		}
	}
	var log bytes.Buffer
	b := newBroker(t, at, amqp.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	err := b.Declare(ctx, wish(false))
	for _, words := range []string{
		`exchange "` + name + `" exists as non-durable, and this side says durable; change the configuration to match`,
		`queue "` + name + `" exists with other properties: x-queue-type is not set there, and quorum (longstr) was asked for`,
	} {
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v\nwant %s", err, words)
		}
	}
	for range 2 {
		if err := b.Declare(ctx, wish(true)); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "exists as non-durable"); n != 1 {
		t.Errorf("told %d times:\n%s", n, log.String())
	}
	told := newEvents()
	c := listen(t, b, router.Source{Queue: name, Topology: wish(true), Watch: told.watch})
	told.next(ctx, t, router.SourceConsuming)
	if err := ch.Publish(name, "k", true, false, amqp091.Publishing{}); err != nil {
		t.Fatal(err)
	}
	d := c.next(ctx, t)
	d.Settler.Ack(d.Tag)
	missing := amqp.Topology{Queues: []amqp.Queue{{Name: name + ".other", Shared: true, Durable: true, Arguments: map[string]any{"x-queue-type": "none"}}}}
	if err := b.Declare(ctx, missing); err == nil || !strings.Contains(err.Error(), "refuses") || strings.Contains(err.Error(), "exist:") {
		t.Errorf("what can neither be made nor taken: %v; want why it was not made", err)
	}
}
