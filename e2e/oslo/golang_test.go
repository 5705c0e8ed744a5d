package oslo_test

import (
	"context"
	"testing"
	"time"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// golang is this module's side: a connection and what uses it.
type golang struct {
	t      *testing.T
	broker *amqp.Broker
}

func connect(t *testing.T) *golang {
	t.Helper()
	return connectTo(t, rabbitnode.Shared(t).URL())
}

func connectTo(t *testing.T, url string) *golang {
	t.Helper()
	b, err := amqp.New(amqp.Config{URLs: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return &golang{t, b}
}

func (g *golang) client(format rpc.Format, exchange string) *rpc.Client {
	g.t.Helper()
	c, err := rpc.NewClient(rpc.ClientConfig{
		Sender: g.broker.Sender(g.t.Name()), Listener: g.broker, Declare: g.broker.Declare,
		Format: format, Layout: rpc.Layout{Exchange: exchange}, Timeout: patience,
	})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c.Close(ctx)
	})
	return c
}

// serve serves the topic under the name until the end of the test, and returns
// the queues it listens to: the topic's, its own and that for fanouts.
func (g *golang) serve(cfg rpc.ServerConfig, exchange, topic, name string, handler rpc.Handler) (*rpc.Server, []string) {
	g.t.Helper()
	cfg.Sender, cfg.Listener, cfg.DrainTimeout = g.broker.Sender(g.t.Name()), g.broker, 5*time.Second
	if cfg.Format == nil {
		cfg.Format = rpc.Oslo{}
	}
	s, err := rpc.NewServer(cfg)
	if err != nil {
		g.t.Fatal(err)
	}
	sources := rpc.Layout{Exchange: exchange}.Server(topic, name)
	if err := rpc.Ensure(g.t.Context(), g.broker.Declare, sources); err != nil {
		g.t.Fatal(err)
	}
	var queues []string
	for _, s := range sources {
		queues = append(queues, s.Queue)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- s.Serve(ctx, sources, handler) }()
	g.t.Cleanup(func() {
		cancel()
		if err := <-result; err != nil {
			g.t.Error(err)
		}
		closing, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.Close(closing)
	})
	return s, queues
}

// hear listens to the topic's notifications until the end of the test.
func (g *golang) hear(cfg rpc.NotificationListenerConfig, exchange, topic, pool string, priorities []string, handler rpc.NotificationHandler) {
	g.t.Helper()
	cfg.Listener, cfg.Declare, cfg.Format, cfg.Pool = g.broker, g.broker.Declare, rpc.Oslo{}, pool
	cfg.Targets = []rpc.NotificationTarget{{Exchange: exchange, Topic: topic}}
	cfg.Endpoints = []rpc.NotificationEndpoint{{Priorities: priorities, Handle: handler}}
	l, err := rpc.NewNotificationListener(cfg)
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- l.Listen(ctx) }()
	g.t.Cleanup(func() {
		cancel()
		if err := <-result; err != nil {
			g.t.Error(err)
		}
	})
}

// await polls until done says yes; its text says in what state it is.
func await(t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; {
		ok, state := done()
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s: %s", patience, what, state)
		}
		<-tick.C
	}
}

// take consumes the queue until the end of the test.
func (g *golang) take(queue string) <-chan router.Envelope {
	g.t.Helper()
	got := make(chan router.Envelope, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() {
		result <- g.broker.Listen(ctx, router.Source{Queue: queue, Prefetch: 100, DrainTimeout: time.Second}, func(d *router.Delivery) {
			got <- d.Envelope.Clone()
			d.Settler.Ack(d.Tag)
		})
	}()
	g.t.Cleanup(func() {
		cancel()
		if err := <-result; err != nil {
			g.t.Error(err)
		}
	})
	return got
}

// receive waits for the next of what is taken.
func receive(t *testing.T, from <-chan router.Envelope) router.Envelope {
	t.Helper()
	select {
	case env := <-from:
		return env
	case <-time.After(patience):
		t.Fatal("no message came")
	}
	return router.Envelope{}
}
