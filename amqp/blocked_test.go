package amqp_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/router"
)

func TestABlockedConnectionIsWaitedFor(t *testing.T) {
	ctx := testContext(t)
	node := rabbitnode.Shared(t)
	name := rabbitnode.Queue(t)
	ch := channel(t, node.URL())
	declareQueue(t, ch, name, nil)
	const timeout = 200 * time.Millisecond
	b := newBroker(t, amqp.Config{ConfirmTimeout: timeout, WriteTimeout: timeout, Heartbeat: time.Second})
	c := listen(t, b, router.Source{Queue: name})
	s := b.Sender("test")
	defer s.Close()
	for send(ctx, t, s, queue(name), message("first")) != nil { // the first may be slow
	}
	d := c.next(ctx, t)
	losses := stat(b, "send").Reconnects

	watermark := func(to string) {
		t.Helper()
		if _, err := node.Eval(context.Background(), "vm_memory_monitor:set_vm_memory_high_watermark("+to+")"); err != nil {
			t.Fatal(err)
		}
	}
	watermark("0.0000001")
	defer watermark("0.4")
	env := message("blocked")
	var r *receipt
	for !stat(b, "send").Blocked { // it is told when we publish after the broker has noticed
		r = newReceipt()
		if err := s.Send(ctx, queue(name), &env, r); err != nil {
			t.Fatal(err)
		}
		waitFor(ctx, t, "it is blocked", func() bool { return stat(b, "send").Blocked || r.settled.Load() > 0 })
	}
	d.Settler.Ack(d.Tag) // listeners go on
	waitFor(ctx, t, "the ack is sent", func() bool { return b.Stat().Acked == 1 })

	impatient, cancel := context.WithCancelCause(ctx)
	given := errors.New("given up")
	waiting := make(chan error, 1)
	env2, r2 := message("given up"), newReceipt()
	go func() { waiting <- s.Send(impatient, queue(name), &env2, r2) }()
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
	go func() { waiting <- s.Send(ctx, queue(name), &env3, r3) }()

	watermark("0.4")
	if err := <-waiting; err != nil {
		t.Error(err)
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
	for body := ""; body != "after"; {
		d := c.next(ctx, t)
		d.Settler.Ack(d.Tag)
		body = string(d.Envelope.Body)
	}
}
