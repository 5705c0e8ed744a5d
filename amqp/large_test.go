package amqp_test

import (
	"strconv"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

// Whoever may write to a queue can fill the prefetch with the largest messages
// that the broker takes; memory must hold one or two of them.
func TestLargeMessagesComeOneAtATime(t *testing.T) {
	testbroker.Both(t, testLargeMessagesComeOneAtATime)
}

func testLargeMessagesComeOneAtATime(t *testing.T, at *testbroker.Broker) {
	const most, large = 1 << 20, 12
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	ch := channel(t, at.URL())
	declareQueue(t, ch, name, nil)
	publish(t, ch, name, 0, 1)
	for i := range large {
		body := make([]byte, most+1+i)
		if err := ch.Publish("", name, true, false, amqp091.Publishing{DeliveryMode: 2, Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, ch, name, 1, 200)

	b := newBroker(t, at, amqp.Config{})
	c := listen(t, b, router.Source{Queue: name, Prefetch: 50, MaxBody: most})
	waitFor(ctx, t, "the first large one is noticed", func() bool { return stat(b, "listen "+name).Quarantine })
	if n := b.Stat().Delivered; n != 2 {
		t.Errorf("%d messages are in hand, want the first large one and that before it", n)
	}
	next, settled := 0, uint64(0)
	for i := range 200 + large {
		d := c.next(ctx, t)
		n := b.Stat().Delivered - settled
		switch {
		case i >= 1 && i < 1+large:
			if got := len(d.Envelope.Body); got != most+i {
				t.Fatalf("message %d has %d bytes", i, got)
			}
			if n > 1 {
				t.Errorf("%d messages are in hand at message %d", n, i)
			}
		case d.Envelope.MessageID != strconv.Itoa(next):
			t.Fatalf("got message %q, want %d", d.Envelope.MessageID, next)
		default:
			next++
		}
		d.Settler.Ack(d.Tag)
		settled++
	}
	waitFor(ctx, t, "more are taken at a time again", func() bool { return !stat(b, "listen "+name).Quarantine })
	if s := stat(b, "listen "+name); s.Connects != 1 || s.Poisoned != 0 {
		t.Errorf("connection: %+v", s)
	}
}
