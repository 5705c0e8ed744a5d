package rpc_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// tally counts notifications by their payload.
type tally struct {
	mu      sync.Mutex // protects the fields below
	of      map[string]int
	changed chan struct{} // closed and replaced at every change
}

func newTally() *tally { return &tally{of: map[string]int{}, changed: make(chan struct{})} }

// count counts n, and returns how often it came.
func (c *tally) count(n *rpc.Notification) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[string(n.Payload)]++
	close(c.changed)
	c.changed = make(chan struct{})
	return c.of[string(n.Payload)]
}

func (c *tally) await(t *testing.T, what string, payloads int) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		c.mu.Lock()
		changed, n := c.changed, len(c.of)
		c.mu.Unlock()
		if n == payloads {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%s: %d of %d", what, n, payloads)
		}
	}
}

// hear listens until the end of the test, or until the returned function is
// called.
func (p ports) hear(t *testing.T, cfg rpc.NotificationListenerConfig) (*rpc.NotificationListener, func()) {
	t.Helper()
	cfg.Listener, cfg.Declare, cfg.Format = p.listener, p.declare, rpc.Oslo{}
	cfg.DrainTimeout = 5 * time.Second
	l, err := rpc.NewNotificationListener(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- l.Listen(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return l, stop
}

// TestNotificationsOverABroker has a backlog that waits for its listener, a
// pool beside it, some that fail at first and some that always do, and loses
// all connections in the middle.
func TestNotificationsOverABroker(t *testing.T) {
	t.Parallel()
	testbroker.Both(t, testNotificationsOverABroker)
}

func testNotificationsOverABroker(t *testing.T, at *testbroker.Broker) {
	_, p := connect(t, at)
	exchange, topic, dead := rabbitnode.Queue(t, "x"), rabbitnode.Queue(t, "t"), rabbitnode.Queue(t, "dead")
	client := p.client(t, rpc.Oslo{}, rpc.Layout{Exchange: exchange})
	notifier, err := rpc.NewNotifier(rpc.NotifierConfig{Client: client, PublisherID: "p", Topics: []string{topic + ".a", topic + ".b"}})
	if err != nil {
		t.Fatal(err)
	}
	targets := []rpc.NotificationTarget{{Exchange: exchange, Topic: topic + ".a"}, {Exchange: exchange, Topic: topic + ".b"}}
	// An operator has made the queue of dead letters, in another way.
	if err := p.declare(t.Context(), rpc.Topology{Queues: []rpc.Queue{{Name: dead}}}); err != nil {
		t.Fatal(err)
	}
	send := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			method := []func(context.Context, rpc.Notification) error{notifier.Info, notifier.Error}[i%2]
			if err := method(t.Context(), rpc.Notification{EventType: "e", Payload: fmt.Append(nil, i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	const backlog, more = 20, 200
	send(0, backlog)

	pool := newTally()
	pooled, _ := p.hear(t, rpc.NotificationListenerConfig{Targets: targets, Pool: topic + ".pool", BatchSize: 7, BatchTimeout: 50 * time.Millisecond, Endpoints: []rpc.NotificationEndpoint{{
		Batch: func(_ context.Context, batch []*rpc.Notification) error {
			failed := rpc.BatchError{}
			for i, n := range batch {
				if pool.count(n) == 1 && string(n.Payload)[0] == '7' {
					failed[i] = errNotNow
				}
			}
			return failed
		},
	}}, RequeueDelay: 10 * time.Millisecond})
	heard := newTally()
	l, stop := p.hear(t, rpc.NotificationListenerConfig{
		Targets: targets, Workers: 4, RequeueDelay: 10 * time.Millisecond, RequeueLimit: 3, DeadLetter: dead, Client: client,
		Endpoints: []rpc.NotificationEndpoint{{Priorities: []string{"info", "error"}, Handle: func(_ context.Context, n *rpc.Notification) error {
			if string(n.Payload) == "13" || heard.count(n) == 1 {
				return errNotNow
			}
			return nil
		}}},
	})
	heard.await(t, "the backlog", backlog-1)
	ready := rpc.Notification{EventType: "e", Payload: []byte(`"ready"`)}
	for pooled.Stat().Received == 0 { // its queue is bound when it gets the first
		if err := notifier.Info(t.Context(), ready); err != nil {
			t.Fatal(err)
		}
	}
	send(backlog, backlog+more/2)
	if _, err := at.CloseConnections(t.Context(), t.Name()+"/", "test"); err != nil {
		t.Fatal(err)
	}
	send(backlog+more/2, backlog+more)
	heard.await(t, "the listener", backlog+more)
	pool.await(t, "the pool", more+1)

	// Each topic's dead letter is the notification.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	from := map[any]bool{}
	err = p.listener.Listen(ctx, router.Source{Queue: dead, Prefetch: 10, DrainTimeout: time.Second}, func(d *router.Delivery) {
		n, err := (rpc.Oslo{}).DecodeNotification(&d.Envelope)
		if err != nil || string(n.Payload) != "13" {
			t.Errorf("%+v, %v", n, err)
		}
		from[d.Envelope.Headers()[router.HeaderQueue]] = true
		d.Settler.Ack(d.Tag)
		if len(from) == 2 {
			cancel()
		}
	})
	if err != nil || !from[topic+".a.error"] || !from[topic+".b.error"] {
		t.Errorf("dead letters from %v, %v", from, err)
	}
	stop()
	if st := l.Stat(); st.InHand != 0 || st.Dropped != 0 || st.DeadLetters < 2 || st.Failed < backlog+more {
		t.Errorf("%+v", st)
	}
	for _, queue := range l.Queues() {
		if n, err := at.QueueLen(t.Context(), queue); err != nil || n != 0 {
			t.Errorf("%s holds %d, %v", queue, n, err)
		}
	}
}
