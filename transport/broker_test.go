package transport_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
	"github.com/wasmrouter/router/transport"
)

// limit bounds every wait of a test; reaching it is a failure.
const limit = 60 * time.Second

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("the test waited longer than %v", limit))
	t.Cleanup(cancel)
	return ctx
}

func open(t *testing.T, at *testbroker.Broker, o transport.Options) *transport.Transport {
	t.Helper()
	tr, err := transport.Open("rabbit://"+at.Addr()+"/", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := tr.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return tr
}

// serve answers a topic until the end of the test, and returns when it does.
func serve(ctx context.Context, t *testing.T, tr *transport.Transport, topic string, methods map[string]rpc.Handler) {
	t.Helper()
	s, err := tr.Server(rpc.Target{Topic: topic, Server: "a"}, rpc.ServerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	running, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	ready := rpc.Endpoint{Methods: map[string]rpc.Handler{"ready": func(context.Context, *rpc.Incoming) (rpc.Reply, error) { return rpc.Reply{}, nil }}}
	go func() { result <- s.Serve(running, rpc.Dispatch(rpc.Endpoint{Methods: methods}, ready)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-result; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	for _, target := range []rpc.Target{{Topic: topic}, {Topic: topic, Server: "a"}} { // each has a queue
		for probe := tr.Remote(target); probe.Call(ctx, "ready", nil, nil) != nil; {
			if ctx.Err() != nil {
				t.Fatal(context.Cause(ctx))
			}
		}
	}
}

func double(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
	v, err := rpc.Reply{Payload: in.Payload}.Value()
	if err != nil {
		return rpc.Reply{}, err
	}
	return rpc.Result([]any{v, v})
}

// TestSixtyFourCallsUseTwoConnectionsOnEachSide: nothing is dialled before it is
// needed, and one connection to send on and one to listen on are enough.
func TestSixtyFourCallsUseTwoConnectionsOnEachSide(t *testing.T) {
	testbroker.Both(t, testSixtyFourCallsUseTwoConnectionsOnEachSide)
}

func testSixtyFourCallsUseTwoConnectionsOnEachSide(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	topic := rabbitnode.Queue(t)
	client, server := open(t, at, transport.Options{Name: t.Name() + "/caller"}), open(t, at, transport.Options{Name: t.Name() + "/callee"})
	expect := func(when string, want int) {
		t.Helper()
		if got, err := at.Connections(ctx, t.Name()+"/"); err != nil || got != want {
			t.Errorf("%s: %d connections, want %d, %v", when, got, want, err)
		}
	}
	expect("nothing was used yet", 0)
	if err := client.Ping(ctx); err != nil {
		t.Error(err)
	}
	expect("a ping", 1)
	const calls = 64
	all := make(chan struct{})
	var arrived sync.WaitGroup
	arrived.Add(calls)
	serve(ctx, t, server, topic, map[string]rpc.Handler{"meet": func(ctx context.Context, _ *rpc.Incoming) (rpc.Reply, error) {
		arrived.Done()
		select { // until all are running
		case <-all:
		case <-ctx.Done():
		}
		return rpc.Reply{}, ctx.Err()
	}})
	expect("a server and its probe", 3)
	remote := client.Remote(rpc.Target{Topic: topic})
	results := make(chan error, calls)
	for range calls {
		go func() { results <- remote.Call(ctx, "meet", nil, nil) }()
	}
	arrived.Wait()
	expect("64 calls run", 4)
	close(all)
	for range calls {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestOperationsEndByTheirDeadlineWhateverTheBrokerDoes(t *testing.T) {
	t.Parallel() // most of it is waiting
	testbroker.BothAlone(t, testOperationsEndByTheirDeadlineWhateverTheBrokerDoes)
}

func testOperationsEndByTheirDeadlineWhateverTheBrokerDoes(t *testing.T, at *testbroker.Broker) {
	t.Parallel()
	ctx := testContext(t)
	topic := rabbitnode.Queue(t)
	server := open(t, at, transport.Options{})
	serve(ctx, t, server, topic, map[string]rpc.Handler{"double": double})
	before := open(t, at, transport.Options{})
	target := rpc.Target{Topic: topic}
	if err := before.Remote(target).Call(ctx, "double", nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := at.Down(ctx); err != nil {
		t.Fatal(err)
	}
	none, two := 0, 2
	for name, tr := range map[string]*transport.Transport{"had a connection": before, "has none yet": open(t, at, transport.Options{})} {
		operations := map[string]func(rpc.Remote, context.Context) error{
			"call":   func(r rpc.Remote, ctx context.Context) error { return r.Call(ctx, "double", nil, nil) },
			"cast":   func(r rpc.Remote, ctx context.Context) error { return r.Cast(ctx, "double", nil) },
			"fanout": func(r rpc.Remote, ctx context.Context) error { return r.Fanout(ctx, "double", nil) },
		}
		for op, run := range operations {
			remote := tr.Remote(target)
			short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			err := run(remote, short)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, router.ErrDisconnected) {
				t.Errorf("%s with retries for ever, which %s: %v", op, name, err)
			}
			for _, retry := range []*int{&none, &two} {
				remote.Retry = retry
				if err := run(remote, ctx); !errors.Is(err, router.ErrDisconnected) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s with %d retries, which %s: %v", op, *retry, name, err)
				}
			}
		}
		if err := tr.Ping(ctx); err == nil {
			t.Errorf("ping, which %s, without a broker", name)
		}
	}
	waiting := make(chan error, 2)
	go func() { waiting <- before.Remote(target).Call(ctx, "double", map[string]any{"n": 1}, nil) }()
	go func() { waiting <- before.Remote(target).Cast(ctx, "double", nil) }()
	if err := at.Up(ctx); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		// The queues may be back later than the client.
		if err := <-waiting; err != nil && !errors.Is(err, rpc.ErrNoListener) {
			t.Errorf("when the broker is back: %v", err)
		}
	}
	for before.Remote(target).Call(ctx, "double", nil, nil) != nil {
		if ctx.Err() != nil {
			t.Fatal("the server does not answer again")
		}
	}
}

func TestACastAfterTheFanoutExchangeVanishedArrives(t *testing.T) {
	testbroker.Both(t, testACastAfterTheFanoutExchangeVanishedArrives)
}

func testACastAfterTheFanoutExchangeVanishedArrives(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	topic := rabbitnode.Queue(t)
	tr := open(t, at, transport.Options{Retry: new(int)})
	remote := tr.Remote(rpc.Target{Topic: topic})
	got := make(chan string, 10)
	handler := func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
		got <- in.Method
		return rpc.Reply{}, nil
	}
	serve(ctx, t, open(t, at, transport.Options{}), topic, map[string]rpc.Handler{"one": handler, "two": handler})
	arrives := func(method string) { // once the server listens to the exchange, too
		t.Helper()
		err := remote.Fanout(ctx, method, nil)
		for errors.Is(err, rpc.ErrNoListener) && ctx.Err() == nil {
			err = remote.Fanout(ctx, method, nil)
		}
		if err != nil || <-got != method {
			t.Fatal(err)
		}
	}
	arrives("one")
	conn, err := amqp091.Dial(at.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.ExchangeDelete(topic+"_fanout", false, false); err != nil {
		t.Fatal(err)
	}
	// The exchange is declared anew, and tells that nobody is bound to it: no
	// 404, and nothing lost in silence.
	if err := remote.Fanout(ctx, "two", nil); !errors.Is(err, rpc.ErrNoListener) || errors.Is(err, router.ErrNoExchange) {
		t.Errorf("%v", err)
	}
	serve(ctx, t, open(t, at, transport.Options{}), topic, map[string]rpc.Handler{"two": handler})
	arrives("two")
}

func TestCloseEndsAndWaits(t *testing.T) { testbroker.Both(t, testCloseEndsAndWaits) }

func testCloseEndsAndWaits(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	topic := rabbitnode.Queue(t)
	server, client := open(t, at, transport.Options{Name: t.Name() + "/callee"}), open(t, at, transport.Options{Name: t.Name() + "/caller"})
	s, err := server.Server(rpc.Target{Topic: topic}, rpc.ServerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	started, finish := make(chan struct{}), make(chan struct{})
	go func() {
		served <- s.Serve(ctx, func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
			if in.Method == "slow" {
				close(started)
				<-finish
			}
			return rpc.Result("done")
		})
	}()
	remote := client.Remote(rpc.Target{Topic: topic})
	for remote.Call(ctx, "probe", nil, nil) != nil {
		if ctx.Err() != nil {
			t.Fatal(context.Cause(ctx))
		}
	}
	answered := make(chan error, 1)
	go func() {
		var text string
		err := remote.Call(ctx, "slow", nil, &text)
		if err == nil && text != "done" {
			err = fmt.Errorf("the answer %q", text)
		}
		answered <- err
	}()
	<-started
	closed := make(chan error, 1)
	go func() { closed <- server.Close(ctx) }()
	for { // until the server is being closed
		if _, err := server.Server(rpc.Target{Topic: "x"}, rpc.ServerConfig{}); errors.Is(err, rpc.ErrClosed) {
			break
		}
	}
	close(finish)
	if err := <-answered; err != nil {
		t.Errorf("the call that ran when the server was closed: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
	if err := s.Serve(ctx, nil); !errors.Is(err, rpc.ErrClosed) {
		t.Errorf("serve after close: %v", err)
	}
	if err := client.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := remote.Call(ctx, "m", nil, nil); !errors.Is(err, rpc.ErrClosed) {
		t.Errorf("call after close: %v", err)
	}
	for { // the broker may forget a connection after it has agreed to close it
		got, err := at.Connections(ctx, t.Name()+"/")
		if err != nil {
			t.Fatalf("%d connections are left, %v", got, err)
		}
		if got == 0 {
			return
		}
	}
}

func TestNotificationsOfBothVersionsArrive(t *testing.T) {
	testbroker.Both(t, testNotificationsOfBothVersionsArrive)
}

func testNotificationsOfBothVersionsArrive(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	topic := rabbitnode.Queue(t)
	sender := open(t, at, transport.Options{})
	flat, err := sender.NewClient(rpc.Oslo{Flat: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, client := range []*rpc.Client{nil, flat} { // they wait for a listener
		notifier, err := sender.Notifier(rpc.NotifierConfig{PublisherID: "p", Topics: []string{topic}, Client: client})
		if err != nil {
			t.Fatal(err)
		}
		if err := notifier.Info(ctx, rpc.Notification{EventType: fmt.Sprint("event", i), Payload: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan string, 10)
	listening := open(t, at, transport.Options{})
	l, err := listening.NotificationListener(rpc.NotificationListenerConfig{
		Targets: []rpc.NotificationTarget{{Topic: topic}}, DeadLetter: topic + ".dead",
		Endpoints: []rpc.NotificationEndpoint{{
			Priorities: []string{"info"},
			Handle: func(_ context.Context, n *rpc.Notification) error {
				got <- n.EventType
				return nil
			},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() { result <- l.Listen(ctx) }()
	for i := range 2 {
		if event := <-got; event != fmt.Sprint("event", i) {
			t.Errorf("%s", event)
		}
	}
	if err := listening.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := <-result; err != nil {
		t.Errorf("listen: %v", err)
	}
	if l.Stat().Received != 2 {
		t.Errorf("%+v", l.Stat())
	}
	if err := l.Listen(ctx); !errors.Is(err, rpc.ErrClosed) {
		t.Errorf("listen after close: %v", err)
	}
	if _, err := listening.NewClient(rpc.Oslo{}); !errors.Is(err, rpc.ErrClosed) {
		t.Errorf("a client after close: %v", err)
	}
	if _, err := listening.NotificationListener(rpc.NotificationListenerConfig{}); err == nil {
		t.Error("a listener without endpoints")
	}
	if _, err := sender.Notifier(rpc.NotifierConfig{Topics: []string{strings.Repeat("t", 256)}}); err == nil {
		t.Error("a notifier with an impossible topic")
	}
}

// hook adds to the context of what is sent, and takes it away from what comes.
type hook struct{ packed, unpacked atomic.Int64 }

func (h *hook) Pack(_ context.Context, p *rpc.Part) error {
	h.packed.Add(1)
	p.Context = map[string]any{"hooked": true}
	return nil
}

func (h *hook) Unpack(_ context.Context, p *rpc.Part) error {
	if p.Context["hooked"] == true {
		h.unpacked.Add(1)
	}
	p.Context = nil
	return nil
}

func TestHooksAreAroundEveryFormat(t *testing.T) { testbroker.Both(t, testHooksAreAroundEveryFormat) }

func testHooksAreAroundEveryFormat(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	topic := rabbitnode.Queue(t)
	var h hook
	tr := open(t, at, transport.Options{Hooks: rpc.Hooks{Context: &h}})
	serve(ctx, t, tr, topic, map[string]rpc.Handler{"double": double})
	flat, err := tr.NewClient(rpc.Oslo{Flat: true})
	if err != nil {
		t.Fatal(err)
	}
	packed, unpacked := h.packed.Load(), h.unpacked.Load() // by asking whether it serves
	remote := tr.Remote(rpc.Target{Topic: topic})
	for _, client := range []*rpc.Client{tr.Client(), flat} {
		remote.Client = client
		if err := remote.Call(ctx, "double", nil, nil); err != nil {
			t.Error(err)
		}
	}
	if p, u := h.packed.Load()-packed, h.unpacked.Load()-unpacked; p != 2 || u != 2 {
		t.Errorf("packed %d and unpacked %d of two requests", p, u)
	}
}

func TestServersThatAreRefused(t *testing.T) {
	tr, err := transport.Open("rabbit://", transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tr.Close(t.Context()) }()
	for _, target := range []rpc.Target{{}, {Topic: "t", Fanout: true}, {Topic: "t", Version: "1.0"}, {Topic: "t", Namespace: new("n")}, {Topic: strings.Repeat("t", 256)}} {
		if _, err := tr.Server(target, rpc.ServerConfig{}); err == nil {
			t.Errorf("%+v", target)
		}
	}
	if _, err := tr.Server(rpc.Target{Topic: "t"}, rpc.ServerConfig{Workers: -1}); err == nil {
		t.Error("a server with -1 workers")
	}
}
