package amqp_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

func TestABlockedConnectionIsWaitedFor(t *testing.T) {
	testbroker.Both(t, testABlockedConnectionIsWaitedFor)
}

func testABlockedConnectionIsWaitedFor(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	ch := channel(t, at.URL())
	declareQueue(t, ch, name, nil)
	const timeout = 200 * time.Millisecond
	b := newBroker(t, at, amqp.Config{ConfirmTimeout: timeout, WriteTimeout: timeout, Heartbeat: time.Second})
	c := listen(t, b, router.Source{Queue: name})
	s, other := b.Sender("test"), b.Sender("other") // calls of one are not concurrent
	defer s.Close()
	defer other.Close()
	for _, s := range []router.Sender{s, other} {
		for send(ctx, t, s, queue(name), message("first")) != nil { // the first may be slow
		}
	}
	first, d := c.next(ctx, t), c.next(ctx, t)
	first.Settler.Ack(first.Tag)
	losses := stat(b, "send").Reconnects

	if err := at.Block(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = at.Unblock(context.Background()) }()
	var r *receipt
	sent := make(chan error, 1)
	// RabbitMQ tells when we publish after it has noticed, the embedded broker at once.
	for {
		env := message("blocked")
		r = newReceipt()
		go func() { sent <- s.Send(ctx, queue(name), &env, r) }()
		waitFor(ctx, t, "it is blocked", func() bool { return stat(b, "send").Blocked || r.settled.Load() > 0 })
		if r.settled.Load() == 0 {
			break
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
	d.Settler.Ack(d.Tag) // listeners go on
	waitFor(ctx, t, "the ack is sent", func() bool { return b.Stat().Acked == 2 })

	impatient, cancel := context.WithCancelCause(ctx)
	given := errors.New("given up")
	waiting := make(chan error, 1)
	env2, r2 := message("given up"), newReceipt()
	go func() { waiting <- other.Send(impatient, queue(name), &env2, r2) }()
	waitFor(ctx, t, "the confirm timeout would have passed twice", func() bool { return stat(b, "send").BlockedFor > 2*timeout })
	select {
	case err := <-waiting:
		t.Fatalf("send returned %v while blocked", err)
	case err := <-r.done:
		t.Fatalf("the message in flight was settled with %v while blocked", err)
	default:
	}
	cancel(given)
	if err := <-waiting; !errors.Is(err, given) {
		t.Errorf("send = %v, want its ctx's cause", err)
	}
	env3, r3 := message("after"), newReceipt()
	go func() { waiting <- other.Send(ctx, queue(name), &env3, r3) }()

	if err := at.Unblock(ctx); err != nil {
		t.Fatal(err)
	}
	for _, result := range []chan error{waiting, sent} {
		if err := <-result; err != nil {
			t.Error(err)
		}
	}
	for _, r := range []*receipt{r, r3} {
		if err := r.wait(ctx, t); err != nil {
			t.Errorf("after unblocking: %v", err)
		}
	}
	if n := stat(b, "send"); n.Reconnects != losses || n.Blocked {
		t.Errorf("connection: %+v; want %d reconnects", n, losses)
	}
	if n := r2.settled.Load(); n != 0 {
		t.Errorf("the receipt of a send that failed was settled %d times", n)
	}
	for due := []string{"blocked", "after"}; len(due) > 0; {
		d := c.next(ctx, t)
		d.Settler.Ack(d.Tag)
		due = slices.DeleteFunc(due, func(body string) bool { return body == string(d.Envelope.Body) })
	}
}
