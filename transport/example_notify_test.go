package transport_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/wasmrouter/router/rpc"
	"github.com/wasmrouter/router/transport"
)

// A service tells what has happened, and another one listens; either may be
// written in Python.
func ExampleTransport_Notifier() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t, err := transport.Open(brokerURL(), transport.Options{Exchange: "example_notifier"})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = t.Close(ctx) }()

	notifier, err := t.Notifier(rpc.NotifierConfig{PublisherID: "shop.host1"})
	if err != nil {
		log.Fatal(err)
	}
	payload, err := rpc.Args(map[string]any{"sku": "a1", "left": 3})
	if err != nil {
		log.Fatal(err)
	}
	if err := notifier.Warn(ctx, rpc.Notification{EventType: "stock.low", Payload: payload}); err != nil {
		log.Fatal(err)
	}

	ctx, stop := context.WithCancel(ctx)
	listener, err := t.NotificationListener(rpc.NotificationListenerConfig{
		Endpoints: []rpc.NotificationEndpoint{{
			Priorities: []string{"warn", "error"},
			Filter:     rpc.NotificationFilter{EventType: `stock\.`, Payload: map[string]string{"sku": "a"}},
			Handle: func(_ context.Context, n *rpc.Notification) error {
				fmt.Printf("%s %s from %s: %s\n", n.Priority, n.EventType, n.PublisherID, n.Payload)
				stop()
				return nil // or an error, and it comes again
			},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := listener.Listen(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: warn stock.low from shop.host1: {"left": 3, "sku": "a1"}
}

// Notifications in batches, of which some fail, and one for good.
func ExampleTransport_NotificationListener_batches() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t, err := transport.Open(brokerURL(), transport.Options{Exchange: "example_batches"})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = t.Close(ctx) }()
	notifier, err := t.Notifier(rpc.NotifierConfig{PublisherID: "shop.host1", Topics: []string{"metering"}})
	if err != nil {
		log.Fatal(err)
	}
	for _, sample := range []string{"1", "2", `"bad"`, "4"} {
		if err := notifier.Sample(ctx, rpc.Notification{EventType: "shop.load", Payload: []byte(sample)}); err != nil {
			log.Fatal(err)
		}
	}
	errNoNumber := errors.New("no number")
	store := func(payload []byte) error {
		if payload[0] == '"' {
			return errNoNumber
		}
		return nil
	}

	ctx, stop := context.WithCancel(ctx)
	stored := 0
	listener, err := t.NotificationListener(rpc.NotificationListenerConfig{
		Targets:      []rpc.NotificationTarget{{Topic: "metering"}},
		BatchSize:    100,
		BatchTimeout: 100 * time.Millisecond,
		RequeueDelay: 100 * time.Millisecond,
		RequeueLimit: 3,
		DeadLetter:   "metering.dead",
		Endpoints: []rpc.NotificationEndpoint{{
			Priorities: []string{"sample"},
			Batch: func(_ context.Context, batch []*rpc.Notification) error {
				failed := rpc.BatchError{}
				for i, n := range batch {
					if err := store(n.Payload); err != nil {
						failed[i] = err
						continue
					}
					stored++
				}
				return failed // only these come again
			},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		defer stop()
		for listener.Stat().DeadLetters == 0 && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
	}()
	if err := listener.Listen(ctx); err != nil {
		log.Fatal(err)
	}
	st := listener.Stat()
	fmt.Println(stored, "stored,", st.Failed, "failures,", st.DeadLetters, "dead letter")
	// Output: 3 stored, 4 failures, 1 dead letter
}
