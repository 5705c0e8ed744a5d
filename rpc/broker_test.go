package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// connect returns the ports of a connection to the broker.
func connect(t *testing.T, at *testbroker.Broker) (*amqp.Broker, ports) {
	t.Helper()
	return connectAs(t, amqp.Config{URLs: []string{at.URL()}, ConnectionName: t.Name()})
}

func connectAs(t *testing.T, cfg amqp.Config) (*amqp.Broker, ports) {
	t.Helper()
	b, err := amqp.New(cfg)
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
	return b, ports{func() router.Sender { return b.Sender(t.Name()) }, b, b.Declare}
}

// deleteQueue deletes a queue as an operator does.
func deleteQueue(t *testing.T, at *testbroker.Broker, name string) {
	t.Helper()
	conn, err := amqp091.Dial(at.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDelete(name, false, false, false); err != nil {
		t.Fatal(err)
	}
}

func (p ports) client(t *testing.T, format rpc.Format, layout rpc.Layout) *rpc.Client {
	t.Helper()
	c, err := rpc.NewClient(rpc.ClientConfig{Sender: p.sender(), Listener: p.listener, Declare: p.declare, Format: format, Layout: layout, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c.Close(ctx)
	})
	return c
}

// serve serves the queues until the end of the test.
func (p ports) serve(t *testing.T, format rpc.Format, queues []string, handler rpc.Handler) *rpc.Server {
	t.Helper()
	s, err := rpc.NewServer(rpc.ServerConfig{Sender: p.sender(), Listener: p.listener, Format: format, DrainTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	var sources []router.Source
	for _, q := range queues {
		sources = append(sources, router.Source{Queue: q})
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- s.Serve(ctx, sources, handler) }()
	t.Cleanup(func() {
		cancel()
		if err := <-result; err != nil {
			t.Error(err)
		}
		closing, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.Close(closing)
	})
	return s
}

func TestABrokerKeepsTheContract(t *testing.T) {
	t.Parallel()
	testbroker.Both(t, testABrokerKeepsTheContract)
}

func testABrokerKeepsTheContract(t *testing.T, at *testbroker.Broker) {
	_, p := connect(t, at)
	contract(t, p, rabbitnode.Queue(t), rabbitnode.Queue(t, "missing"))
}

func TestCallsOverABroker(t *testing.T) {
	t.Parallel()
	testbroker.Both(t, testCallsOverABroker)
}

func testCallsOverABroker(t *testing.T, at *testbroker.Broker) {
	_, p := connect(t, at)
	queue := rabbitnode.Queue(t)
	if err := p.declare(t.Context(), rpc.Topology{Queues: []rpc.Queue{{Name: queue}}}); err != nil {
		t.Fatal(err)
	}
	target := router.Target{Kind: router.TargetQueue, Queue: queue}
	p.serve(t, rpc.Plain{}, []string{queue}, func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
		if in.Method == "fail" {
			return rpc.Reply{}, &rpc.RemoteError{Class: "Refused", Message: "no"}
		}
		return echo(ctx, in)
	})
	c := p.client(t, rpc.Plain{}, rpc.Layout{})
	results := make(chan error)
	const n = 200
	for i := range n {
		go func() {
			body := fmt.Sprint("call ", i)
			got, err := c.Call(t.Context(), target, rpc.Request{Payload: []byte(body)})
			if err == nil && string(got.Payload) != body {
				err = fmt.Errorf("%s was answered with %s", body, got.Payload)
			}
			results <- err
		}()
	}
	for range n {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	var remote *rpc.RemoteError
	if _, err := c.Call(t.Context(), target, rpc.Request{Method: "fail"}); !errors.As(err, &remote) || remote.Class != "Refused" || remote.Message != "no" {
		t.Errorf("failure: %v", err)
	}
	if _, err := c.Call(t.Context(), router.Target{Kind: router.TargetQueue, Queue: queue + ".missing"}, rpc.Request{}); !errors.Is(err, rpc.ErrNoListener) {
		t.Errorf("no queue: %v", err)
	}
	if _, err := c.Call(t.Context(), router.Target{Kind: router.TargetExchange, Exchange: queue + ".missing"}, rpc.Request{}); !errors.Is(err, rpc.ErrNoListener) {
		t.Errorf("no exchange: %v", err)
	}
	if st := c.Stat(); st.Waiting != 0 || st.Replies < n {
		t.Errorf("%+v", st)
	}
}

func TestCallsSurviveLostConnections(t *testing.T) {
	t.Parallel()
	testbroker.Both(t, testCallsSurviveLostConnections)
}

func testCallsSurviveLostConnections(t *testing.T, at *testbroker.Broker) {
	_, p := connect(t, at)
	queue := rabbitnode.Queue(t)
	if err := p.declare(t.Context(), rpc.Topology{Queues: []rpc.Queue{{Name: queue}}}); err != nil {
		t.Fatal(err)
	}
	c := p.client(t, rpc.Oslo{}, rpc.Layout{})
	started, goOn := make(chan struct{}, 1), make(chan struct{})
	p.serve(t, rpc.Oslo{}, []string{queue}, func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
		started <- struct{}{}
		<-goOn
		return echo(ctx, in)
	})
	result := make(chan error, 1)
	go func() {
		got, err := c.Call(t.Context(), router.Target{Kind: router.TargetQueue, Queue: queue}, rpc.Request{Method: "m", Payload: []byte(`{"x": 1}`)})
		if err == nil && string(got.Payload) != `{"x": 1}` {
			err = fmt.Errorf("answered with %s", got.Payload)
		}
		result <- err
	}()
	<-started
	if _, err := at.CloseConnections(t.Context(), t.Name()+"/", "test"); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestALostReplyQueueIsMadeAgain(t *testing.T) {
	t.Parallel()
	testbroker.Both(t, testALostReplyQueueIsMadeAgain)
}

func testALostReplyQueueIsMadeAgain(t *testing.T, at *testbroker.Broker) {
	_, p := connect(t, at)
	queue := rabbitnode.Queue(t)
	if err := p.declare(t.Context(), rpc.Topology{Queues: []rpc.Queue{{Name: queue}}}); err != nil {
		t.Fatal(err)
	}
	target := router.Target{Kind: router.TargetQueue, Queue: queue}
	c := p.client(t, rpc.Oslo{}, rpc.Layout{})
	started, goOn := make(chan struct{}, 1), make(chan struct{})
	p.serve(t, rpc.Oslo{}, []string{queue}, func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
		if in.Method == "wait" {
			started <- struct{}{}
			<-goOn
		}
		return echo(ctx, in)
	})
	result := make(chan error, 1)
	go func() {
		_, err := c.Call(t.Context(), target, rpc.Request{Method: "wait"})
		result <- err
	}()
	<-started
	deleteQueue(t, at, c.ReplyQueue())
	if err := <-result; !errors.Is(err, rpc.ErrReplyQueueLost) {
		t.Error(err)
	}
	close(goOn)
	if _, err := c.Call(t.Context(), target, rpc.Request{Method: "m"}); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestTheDeadlineCoversAnUnreachableBroker(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that nothing answers on
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, p := connectAs(t, amqp.Config{URLs: []string{"amqp://" + l.Addr().String()}})
	c := p.client(t, rpc.Oslo{}, rpc.Layout{})
	for name, operation := range map[string]func(context.Context) error{
		"call": func(ctx context.Context) error {
			_, err := c.Call(ctx, shop, rpc.Request{Method: "m"})
			return err
		},
		"cast": func(ctx context.Context) error { return c.Cast(ctx, shop, rpc.Request{Method: "m"}) },
		"notify": func(ctx context.Context) error {
			return c.Notify(ctx, router.Target{Kind: router.TargetNotify, Topic: "n", Priority: "info"}, rpc.Notification{EventType: "e", PublisherID: "p"})
		},
		"send": func(ctx context.Context) error {
			env := router.NewEnvelope(nil, nil)
			return c.Send(ctx, router.Target{Kind: router.TargetQueue, Queue: "q"}, &env)
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := operation(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}
