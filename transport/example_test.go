package transport_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/rpc"
	"github.com/wasmrouter/router/transport"
)

// brokerURL is that of a broker of the tests.
func brokerURL() string { return "rabbit://" + rabbitnode.Shared(exampleTB{}).Addr() + "/" }

type exampleTB struct{}

func (exampleTB) Helper()                   {}
func (exampleTB) Name() string              { return "Example" }
func (exampleTB) Fatalf(f string, a ...any) { log.Fatalf(f, a...) }

type price struct {
	Amount   float64 `json:"amount"`
	Currency string  `json:"currency"`
}

// startPrices serves the topic prices until the returned function is called.
func startPrices(ctx context.Context, t *transport.Transport) (stop func()) {
	prices := rpc.Endpoint{Version: "1.3", Methods: map[string]rpc.Handler{
		"price": func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
			if string(in.Payload) != `{"sku": "a1"}` {
				return rpc.Reply{}, &rpc.RemoteError{Class: "NotFound", Module: "shop.exceptions", Message: "no such article"}
			}
			return rpc.Result(price{9.5, "EUR"})
		},
		"forget": func(context.Context, *rpc.Incoming) (rpc.Reply, error) { return rpc.Reply{}, nil },
	}}
	server, err := t.Server(rpc.Target{Topic: "prices", Server: "one"}, rpc.ServerConfig{})
	if err != nil {
		log.Fatal(err)
	}
	running, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(running, rpc.Dispatch(prices)); err != nil {
			log.Print(err)
		}
	}()
	// All its queues exist once it is told something in each way.
	service := t.Remote(rpc.Target{Topic: "prices"})
	for ctx.Err() == nil && service.At("one").Call(ctx, "forget", nil, nil) != nil || service.Fanout(ctx, "forget", nil) != nil {
		time.Sleep(10 * time.Millisecond)
	}
	return func() {
		cancel()
		<-done
	}
}

// A service calls another one, which may be written in Python.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	t, err := transport.Open(brokerURL(), transport.Options{Name: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = t.Close(ctx) }()
	defer startPrices(ctx, t)()

	prices := t.Remote(rpc.Target{Topic: "prices", Version: "1.2"})
	prices.Context = map[string]any{"request_id": "req-1"}
	prices.Timeout = 10 * time.Second

	var p price
	if err := prices.Call(ctx, "price", map[string]any{"sku": "a1"}, &p); err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Amount, p.Currency)

	// One server of the topic, and all of them.
	if err := prices.At("one").Cast(ctx, "forget", nil); err != nil {
		log.Fatal(err)
	}
	if err := prices.Fanout(ctx, "forget", nil); err != nil {
		log.Fatal(err)
	}
	// Output: 9.5 EUR
}

// What a call can end with.
func ExampleTransport_Remote_errors() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t, err := transport.Open(brokerURL(), transport.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = t.Close(ctx) }()
	defer startPrices(ctx, t)()
	prices := t.Remote(rpc.Target{Topic: "prices"})

	tell := func(err error) {
		var remote *rpc.RemoteError
		switch {
		case errors.Is(err, &rpc.RemoteError{Module: "shop.exceptions", Class: "NotFound"}):
			fmt.Println("there is no such article")
		case errors.As(err, &remote):
			fmt.Println("the server failed:", remote.Class)
		case errors.Is(err, rpc.ErrNoListener):
			fmt.Println("no server is there")
		case errors.Is(err, rpc.ErrVersionCap):
			fmt.Println("not before the servers are upgraded")
		case errors.Is(err, context.DeadlineExceeded):
			fmt.Println("no answer in time")
		default:
			fmt.Println(err)
		}
	}
	tell(prices.Call(ctx, "price", map[string]any{"sku": "b2"}, nil))
	tell(prices.Call(ctx, "discount", nil, nil))

	newer := prices
	newer.Target.Version, newer.VersionCap = "1.4", "1.3"
	tell(newer.Call(ctx, "price", nil, nil))

	tell(prices.At("two").Call(ctx, "price", nil, nil))
	// Output:
	// there is no such article
	// the server failed: NoSuchMethod
	// not before the servers are upgraded
	// no server is there
}
