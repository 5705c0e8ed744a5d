package amqp_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

// silentQueue declares a quorum queue whose process answers nothing, so that the broker
// answers no publish of a channel that it does not know. It evaluates expressions with
// Name as the name of that process.
func silentQueue(t *testing.T) (name string, evaluate func(expression string)) {
	t.Helper()
	n := rabbitnode.Shared(t)
	name = rabbitnode.Queue(t)
	declareQueue(t, channel(t, n.URL()), name, amqp091.Table{"x-queue-type": "quorum"})
	evaluate = func(expression string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if _, err := n.Eval(ctx, fmt.Sprintf("Name = whereis('%%2F_%s'), %s", name, expression)); err != nil {
			t.Fatal(err)
		}
	}
	evaluate("sys:suspend(Name)")
	return name, evaluate
}

// TestANodeThatAnswersNothingIsLeft has two channels of a connection without an answer:
// another connection is made, on which the broker answers again by then.
func TestANodeThatAnswersNothingIsLeft(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	name, evaluate := silentQueue(t)
	b := newBroker(t, nil, amqp.Config{URLs: []string{rabbitnode.Shared(t).URL()}, ConfirmTimeout: 100 * time.Millisecond})
	s := b.Sender("test")
	defer s.Close()
	env := message("x")
	for i := range 2 {
		if made := b.Stat().Connections[0].Reconnects; made != 0 {
			t.Errorf("connected again after %d channels", i)
		}
		if err := send(ctx, t, s, queue(name), env); !errors.Is(err, router.ErrUnconfirmed) {
			t.Fatalf("publish %d: %v", i, err)
		}
	}
	waitFor(ctx, t, "another connection", func() bool { return b.Stat().Connections[0].Reconnects > 0 })
	evaluate("sys:resume(Name)")
	waitFor(ctx, t, "a confirm", func() bool { return send(ctx, t, s, queue(name), env) == nil })
}

// TestASlowRefusalEndsTheChannel has a full queue's refusal come late, because the publish
// does: the next one takes another channel.
func TestASlowRefusalEndsTheChannel(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	at := testbroker.RabbitMQ(t)
	full := rabbitnode.Queue(t)
	declareQueue(t, channel(t, at.URL()), full, map[string]any{"x-max-length": int64(0), "x-overflow": "reject-publish"})
	f := newFaults()
	b := newBroker(t, at, amqp.Config{Dial: f.Dial})
	s := b.Sender("test")
	defer s.Close()
	refused := func() {
		t.Helper()
		if err := send(ctx, t, s, queue(full), message("x")); !errors.Is(err, router.ErrNacked) {
			t.Fatalf("publish to a full queue: %v", err)
		}
	}
	refused() // in time
	for range 2 {
		f.Stall()
		time.AfterFunc(2100*time.Millisecond, f.Resume)
		refused()
		refused()
	}
	if made := b.Stat().Channels.Made; made != 3 {
		t.Errorf("%d channels, want one more for each late refusal", made)
	}
}

// TestALateChannelCountsOnce has several publishes of one channel refused late: that is one
// channel, and the connection stays.
func TestALateChannelCountsOnce(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	at := testbroker.RabbitMQ(t)
	full := rabbitnode.Queue(t)
	declareQueue(t, channel(t, at.URL()), full, map[string]any{"x-max-length": int64(1), "x-overflow": "reject-publish"})
	f := newFaults()
	b := newBroker(t, at, amqp.Config{Dial: f.Dial})
	s := b.Sender("test")
	defer s.Close()
	env := message("x")
	if err := send(ctx, t, s, queue(full), env); err != nil {
		t.Fatal(err)
	}
	f.Stall()
	time.AfterFunc(2100*time.Millisecond, f.Resume)
	var late []*receipt
	for range 3 {
		r := newReceipt()
		if err := s.Send(ctx, queue(full), &env, r); err != nil {
			t.Fatal(err)
		}
		late = append(late, r)
	}
	for i, r := range late {
		if err := r.wait(ctx, t); !errors.Is(err, router.ErrNacked) {
			t.Errorf("late publish %d: %v", i, err)
		}
	}
	if err := send(ctx, t, s, queue(full), env); !errors.Is(err, router.ErrNacked) {
		t.Errorf("the publish after them: %v", err)
	}
	if made := b.Stat().Connections[0].Reconnects; made != 0 {
		t.Errorf("%d connections were made again", made)
	}
}
