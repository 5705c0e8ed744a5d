package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// oneConnection returns the ports of a broker that listens on one connection.
func oneConnection(t *testing.T, at *testbroker.Broker) (*amqp.Broker, ports) {
	t.Helper()
	return connectAs(t, amqp.Config{URLs: []string{at.URL()}, OneListenConnection: true})
}

// serveSources serves them until the end of the test.
func (p ports) serveSources(t *testing.T, sources []router.Source, handler rpc.Handler) {
	t.Helper()
	s, err := rpc.NewServer(rpc.ServerConfig{Sender: p.sender(), Listener: p.listener, Format: rpc.Oslo{}, DrainTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := rpc.Ensure(t.Context(), p.declare, sources); err != nil {
		t.Fatal(err)
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
}

// names keeps apart what tests declare.
type names struct{ exchange, topic string }

func newNames(t *testing.T) names { return names{rabbitnode.Queue(t, "x"), rabbitnode.Queue(t, "t")} }

// clean deletes what is left of them at the end, when the embedded broker forgets
// everything.
func (n names) clean(t *testing.T, at *testbroker.Broker) {
	node := at.Node
	if node == nil {
		return
	}
	t.Cleanup(func() {
		for _, kind := range []string{
			fmt.Sprintf(`[rabbit_amqqueue:delete(Q, false, false, <<"test">>) || Q <- rabbit_amqqueue:list(), binary:match(element(4, amqqueue:get_name(Q)), <<"%s">>) =/= nomatch]`, n.topic),
			fmt.Sprintf(`[rabbit_exchange:delete(rabbit_misc:r(<<"/">>, exchange, X), false, <<"test">>) || X <- [<<"%s">>, <<"%s_fanout">>]]`, n.exchange, n.topic),
		} {
			if out, err := node.Eval(context.Background(), kind); err != nil {
				t.Error(out, err)
			}
		}
	})
}

// probe calls a topic and one server, casts to all, until each of that many
// servers has heard it.
func probe(t *testing.T, c *rpc.Client, n names, server string, heard <-chan string, servers int) {
	t.Helper()
	for _, target := range []router.Target{
		{Kind: router.TargetTopic, Exchange: n.exchange, Topic: n.topic},
		{Kind: router.TargetServer, Exchange: n.exchange, Topic: n.topic, Server: server},
	} {
		if _, err := c.Call(t.Context(), target, rpc.Request{Method: "echo"}); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	if err := c.Fanout(t.Context(), n.topic, rpc.Request{Method: "tag"}); err != nil {
		t.Error(err)
	}
	for range servers {
		select {
		case <-heard:
		case <-time.After(30 * time.Second):
			t.Fatal("a server did not hear the fanout")
		}
	}
}

func TestEveryLayoutWorks(t *testing.T) {
	t.Parallel()
	testbroker.Both(t, testEveryLayoutWorks)
}

func testEveryLayoutWorks(t *testing.T, at *testbroker.Broker) {
	for name, l := range map[string]rpc.Layout{
		"default":     {},
		"durable":     {Durable: true},
		"auto-delete": {AutoDelete: true},
		"mirrored":    {HA: true, CancelOnFailover: true},
		"quorum":      {Quorum: true, DeliveryLimit: 5, MaxInMemoryLength: 100, MaxInMemoryBytes: 1 << 20, Prefetch: 10},
		"all quorum":  {Quorum: true, TransientQuorum: true, CancelOnFailover: true},
		"stream":      {Quorum: true, TransientQuorum: true, StreamFanout: true},
		"no ttl":      {TransientTTL: rpc.NoTransientTTL},
		"stable names": {
			Quorum: true, TransientQuorum: true, Host: "host", Process: "agent", TransientTTL: time.Minute,
		},
		"what the documentation recommends": {
			Quorum: true, TransientQuorum: true, StreamFanout: true, Host: "host", Process: "service", TransientTTL: time.Minute,
		},
	} {
		if l.StreamFanout && at.Node == nil {
			continue // only RabbitMQ has streams
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, p := oneConnection(t, at)
			n := newNames(t)
			n.clean(t, at)
			l.Exchange, l.Strict = n.exchange, true
			heard := make(chan string, 100)
			for _, server := range []string{"one", "two"} {
				sources := l.Server(n.topic, server)
				ready := consuming(sources)
				p.serveSources(t, sources, func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
					if in.Method == "tag" {
						heard <- server
					}
					return echo(ctx, in)
				})
				ready(t)
			}
			probe(t, p.client(t, rpc.Oslo{}, l), n, "two", heard, 2)
			if got := b.Stat().Connections; len(got) == 0 {
				t.Error("no connection")
			}
		})
	}
}

// consuming returns what waits until every source is consumed.
func consuming(sources []router.Source) func(*testing.T) {
	var all sync.WaitGroup
	for i := range sources {
		all.Add(1)
		sources[i].Watch = func(ev router.SourceEvent) {
			if ev.Kind == router.SourceConsuming {
				all.Done()
			}
		}
	}
	return func(t *testing.T) {
		t.Helper()
		done := make(chan struct{})
		go func() { all.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			t.Fatal("the sources are not consumed")
		}
	}
}

// Two processes with the same names have the same settings in all but the
// number: nobody gets another's replies.
func TestClientsWithTheSameStableNameDoNotCollide(t *testing.T) {
	t.Parallel()
	testbroker.Both(t, testClientsWithTheSameStableNameDoNotCollide)
}

func testClientsWithTheSameStableNameDoNotCollide(t *testing.T, at *testbroker.Broker) {
	n := newNames(t)
	n.clean(t, at)
	_, p := oneConnection(t, at)
	l := rpc.Layout{Exchange: n.exchange, Host: "host", Process: n.topic, TransientTTL: time.Minute}
	p.serveSources(t, l.Server(n.topic, ""), echo)
	const clients, calls = 4, 25
	results := make(chan error)
	used := make(chan string, clients)
	for i := range clients {
		_, own := oneConnection(t, at)
		c := own.client(t, rpc.Oslo{}, l)
		go func() {
			for k := range calls {
				body := fmt.Sprintf(`{"client": %d, "call": %d}`, i, k)
				got, err := c.Call(t.Context(), router.Target{Kind: router.TargetTopic, Exchange: n.exchange, Topic: n.topic}, rpc.Request{Method: "echo", Payload: []byte(body)})
				if err == nil && string(got.Payload) != body {
					err = fmt.Errorf("%s was answered with %s", body, got.Payload)
				}
				results <- err
			}
			used <- c.ReplyQueue()
		}()
	}
	for range clients * calls {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	seen := map[string]bool{}
	for range clients {
		q := <-used
		if !strings.HasPrefix(q, "reply_host:"+n.topic+":") || seen[q] {
			t.Errorf("reply queue %s; want one of its own", q)
		}
		seen[q] = true
	}
}

// What an operator deletes while everything is connected comes back, bound as
// it was, over the same connection.
func TestServersAndClientsOutliveDeletedQueues(t *testing.T) {
	t.Parallel()
	testbroker.Both(t, testServersAndClientsOutliveDeletedQueues)
}

func testServersAndClientsOutliveDeletedQueues(t *testing.T, at *testbroker.Broker) {
	for name, l := range map[string]rpc.Layout{
		"classic": {},
		"quorum":  {Quorum: true, TransientQuorum: true},
		"stream":  {StreamFanout: true},
		"stable":  {Host: "h", Process: "p", TransientTTL: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, p := oneConnection(t, at)
			n := newNames(t)
			n.clean(t, at)
			l.Exchange = n.exchange
			heard := make(chan string, 100)
			goOn := make(chan struct{})
			started := make(chan struct{}, 1)
			sources := l.Server(n.topic, "one")
			queues := make([]string, len(sources)) // filled before lost is told
			lost, back := make(chan int, 100), make(chan int, 100)
			for i := range sources {
				sources[i].Watch = func(ev router.SourceEvent) {
					queues[i] = ev.Queue
					switch ev.Kind {
					case router.SourceConsuming:
						back <- i
					case router.SourceLost:
						lost <- i
					}
				}
			}
			p.serveSources(t, sources, func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
				switch in.Method {
				case "tag":
					heard <- "one"
				case "wait":
					started <- struct{}{}
					<-goOn
				}
				return echo(ctx, in)
			})
			for range sources {
				<-back
			}
			c := p.client(t, rpc.Oslo{}, l)
			probe(t, c, n, "one", heard, 1)
			waiting := make(chan error, 1)
			go func() {
				_, err := c.Call(t.Context(), router.Target{Kind: router.TargetTopic, Exchange: n.exchange, Topic: n.topic}, rpc.Request{Method: "wait"})
				waiting <- err
			}()
			<-started
			for _, q := range append(queues, c.ReplyQueue()) {
				deleteQueue(t, at, q)
			}
			if err := <-waiting; !errors.Is(err, rpc.ErrReplyQueueLost) {
				t.Errorf("the call that waited: %v", err)
			}
			close(goOn)
			for range sources {
				<-lost
				<-back
			}
			probe(t, c, n, "one", heard, 1)
			if st := c.Stat(); st.QueuesLost != 1 {
				t.Errorf("%+v", st)
			}
			for _, conn := range b.Stat().Connections {
				if conn.Connects != 1 {
					t.Errorf("%+v; want the first connection", conn)
				}
			}
		})
	}
}

// The reply queue's consumer is gone at the broker, and nobody was told: the
// reply waits in the queue until the client looks.
func TestASilentlyLostReplyConsumerIsFound(t *testing.T) {
	t.Parallel()
	testbroker.Both(t, testASilentlyLostReplyConsumerIsFound)
}

func testASilentlyLostReplyConsumerIsFound(t *testing.T, at *testbroker.Broker) {
	_, p := oneConnection(t, at)
	n := newNames(t)
	n.clean(t, at)
	l := rpc.Layout{Exchange: n.exchange}
	c, err := rpc.NewClient(rpc.ClientConfig{
		Sender: p.sender(), Listener: p.listener, Declare: p.declare, Format: rpc.Oslo{}, Layout: l,
		Timeout: time.Minute, SelfCheck: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c.Close(ctx)
	})
	p.serveSources(t, l.Server(n.topic, ""), func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
		if n, err := at.ForgetConsumers(ctx, c.ReplyQueue()); err != nil || n != 1 {
			t.Error(n, err)
		}
		return echo(ctx, in)
	})
	if _, err := c.Call(t.Context(), router.Target{Kind: router.TargetTopic, Exchange: n.exchange, Topic: n.topic}, rpc.Request{Method: "echo"}); err != nil {
		t.Error(err)
	}
	if st := c.Stat(); st.QueuesLost != 0 {
		t.Errorf("%+v; want no call failed, as the queue was there", st)
	}
}
