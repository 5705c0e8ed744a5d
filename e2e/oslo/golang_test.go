package oslo_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testkit"
	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
	"github.com/wasmrouter/router/transport"
)

// golang is this module's side: transports, and what they make.
type golang struct {
	*transport.Transport
	t    *testing.T
	node *rabbitnode.Node
}

// connect returns a side whose broker is the one that the tests share.
func connect(t *testing.T) *golang {
	t.Helper()
	return connectTo(t, rabbitnode.Shared(t))
}

func connectTo(t *testing.T, node *rabbitnode.Node) *golang {
	t.Helper()
	return &golang{Transport: open(t, node, transport.Options{}), t: t, node: node}
}

// open opens a transport until the end of the test.
func open(t *testing.T, node *rabbitnode.Node, opts transport.Options) *transport.Transport {
	t.Helper()
	opts.Name, opts.Timeout = t.Name(), patience
	tr, err := transport.Open(rabbitURL(node), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := tr.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return tr
}

// rabbitURL is the broker's URL as oslo.messaging writes it.
func rabbitURL(node *rabbitnode.Node) string {
	return strings.Replace(node.URL(), "amqp:", "rabbit:", 1)
}

// client returns a client that writes in the format.
func (g *golang) client(format rpc.Format) *rpc.Client {
	g.t.Helper()
	c, err := g.NewClient(format)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		c.Close(ctx)
	})
	return c
}

// serve serves the topic under the name until the end of the test, and returns
// when it does.
func (g *golang) serve(cfg rpc.ServerConfig, exchange, topic, name string, handler rpc.Handler) *transport.Server {
	g.t.Helper()
	cfg.DrainTimeout = 5 * time.Second
	s, err := g.Server(rpc.Target{Exchange: exchange, Topic: topic, Server: name}, cfg)
	if err != nil {
		g.t.Fatal(err)
	}
	before := g.consumers(topic) + g.listeners(topic+"_fanout")
	g.until(func(ctx context.Context) error { return s.Serve(ctx, handler) })
	await(g.t, "a server of "+topic, func() (bool, string) {
		own, all := g.consumers(topic+"."+name), g.consumers(topic)+g.listeners(topic+"_fanout")
		return own > 0 && all >= before+2, fmt.Sprint(own, all, before)
	})
	return s
}

// hear listens to the topic's notifications until the end of the test, and
// returns when it does.
func (g *golang) hear(cfg rpc.NotificationListenerConfig, exchange, topic string, handler rpc.NotificationHandler) {
	g.t.Helper()
	cfg.Targets = []rpc.NotificationTarget{{Exchange: exchange, Topic: topic}}
	if cfg.Endpoints == nil {
		cfg.Endpoints = []rpc.NotificationEndpoint{{Handle: handler}}
	}
	l, err := g.NotificationListener(cfg)
	if err != nil {
		g.t.Fatal(err)
	}
	g.until(l.Listen)
	queues := []string{cfg.Pool}
	if cfg.Pool == "" {
		queues = nil
		for _, priority := range oslo.Priorities {
			queues = append(queues, topic+"."+priority)
		}
	}
	for _, queue := range queues {
		await(g.t, "a listener to "+queue, func() (bool, string) { return g.consumers(queue) > 0, "none" })
	}
}

// until runs what runs until its ctx ends, until the end of the test.
func (g *golang) until(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- run(ctx) }()
	g.t.Cleanup(func() {
		cancel()
		if err := <-result; err != nil && !errors.Is(err, context.Canceled) {
			g.t.Error(err)
		}
	})
}

// consumers returns how many consumers the queue has.
func (g *golang) consumers(queue string) int {
	g.t.Helper()
	return g.count(fmt.Sprintf(`case rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<%q>>)) of {ok, Q} -> length(rabbit_amqqueue:consumers(Q)); _ -> 0 end`, queue))
}

// listeners returns how many consumers the queues have that are bound to the
// exchange.
func (g *golang) listeners(exchange string) int {
	g.t.Helper()
	return g.count(fmt.Sprintf(`lists:sum([case rabbit_amqqueue:lookup(element(4, B)) of {ok, Q} -> length(rabbit_amqqueue:consumers(Q)); _ -> 0 end || B <- rabbit_binding:list_for_source(rabbit_misc:r(<<"/">>, exchange, <<%q>>))])`, exchange))
}

// bound returns how many queues are bound to the exchange.
func (g *golang) bound(exchange string) int {
	g.t.Helper()
	return g.count(fmt.Sprintf(`length(rabbit_binding:list_for_source(rabbit_misc:r(<<"/">>, exchange, <<%q>>)))`, exchange))
}

func (g *golang) count(expression string) int {
	g.t.Helper()
	text, err := g.node.Eval(g.t.Context(), expression)
	n, bad := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || bad != nil {
		g.t.Fatal(text, err)
	}
	return n
}

// await polls until done says yes; its text says in what state it is.
func await(t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	testkit.Await(t, patience, what, done)
}

// take consumes the queue until the end of the test.
func (g *golang) take(queue string) <-chan router.Envelope {
	g.t.Helper()
	got := make(chan router.Envelope, 1000)
	source := router.Source{Queue: queue, Prefetch: 100, DrainTimeout: time.Second}
	g.until(func(ctx context.Context) error {
		return g.Broker().Listen(ctx, source, func(d *router.Delivery) {
			got <- d.Envelope.Clone()
			d.Settler.Ack(d.Tag)
		})
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
