package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// ports is what this package stands on: an implementation of the two ports and
// of the declaration of what they need.
type ports struct {
	sender   func() router.Sender
	listener router.Listener
	declare  rpc.Declare
}

type receipt chan error

func (r receipt) Settle(err error) { r <- err }

// contract checks what this package relies on. It is run on the fake, so that
// what the fake proves counts, and on the real thing.
func contract(t *testing.T, p ports, queue, missing string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := p.declare(ctx, rpc.Topology{Queues: []rpc.Queue{{Name: queue}}}); err != nil {
		t.Fatal(err)
	}
	sender := p.sender()
	defer sender.Close()
	const n = 20
	receipts := make(receipt, n)
	envs := make([]router.Envelope, n) // not changed until settled
	for i := range n {
		envs[i] = router.NewEnvelope(nil, fmt.Append(nil, i))
		if err := sender.Send(ctx, router.Target{Kind: router.TargetQueue, Queue: queue}, &envs[i], receipts); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		if err := <-receipts; err != nil {
			t.Errorf("confirmed: %v", err)
		}
	}
	env := router.NewEnvelope(nil, []byte("x"))
	if err := sender.Send(ctx, router.Target{Kind: router.TargetQueue, Queue: missing}, &env, receipts); err != nil {
		t.Fatal(err)
	}
	if err := <-receipts; !errors.Is(err, router.ErrUnroutable) {
		t.Errorf("to no queue: %v", err)
	}
	ended, end := context.WithCancel(ctx)
	end()
	if err := sender.Send(ended, router.Target{Kind: router.TargetQueue, Queue: queue}, &env, receipts); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended ctx: %v", err)
	}
	if len(receipts) != 0 {
		t.Error("a receipt was settled twice, or although Send failed")
	}

	// The first is given back once; order is the broker's otherwise.
	var got []string
	again := false
	returned := make(chan error)
	listening, stop := context.WithCancel(ctx)
	go func() {
		returned <- p.listener.Listen(listening, router.Source{Queue: queue, Prefetch: 1}, func(d *router.Delivery) {
			body := string(d.Envelope.Body)
			got = append(got, body)
			if body == "0" && !again {
				again = true
				d.Settler.Requeue(d.Tag)
				return
			}
			d.Settler.Ack(d.Tag)
			if body == fmt.Sprint(n-1) {
				stop()
			}
		})
	}()
	if err := <-returned; err != nil {
		t.Errorf("listen: %v", err)
	}
	want := []string{"0"}
	for i := range n {
		want = append(want, fmt.Sprint(i))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("deliveries (-want +got):\n%s", diff)
	}
	sender.Close()
	sender.Close()
	if err := sender.Send(ctx, router.Target{Kind: router.TargetQueue, Queue: queue}, &env, receipts); !errors.Is(err, router.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestTheFakesKeepTheContract(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		contract(t, ports{b.sender, b, b.declare}, "q", "missing")
	})
}
