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

// Compute is a service.
type Compute struct{ free int }

// BootArgs are the arguments of boot_server.
type BootArgs struct {
	Name  string `json:"name"`
	Cores int    `json:"cores,omitempty"`
}

var errFull = &rpc.RemoteError{Module: "compute.exceptions", Class: "NoValidHost", Message: "no host has room"}

// BootServer is boot_server to clients.
func (c *Compute) BootServer(ctx context.Context, args BootArgs) (string, error) {
	if args.Cores > c.free {
		return "", errFull
	}
	return fmt.Sprintf("%s of %s", args.Name, rpc.IncomingFrom(ctx).Context["user_id"]), nil
}

// A service serves the methods of a Go type.
func ExampleTransport_Server() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t, err := transport.Open(brokerURL(), transport.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = t.Close(ctx) }()
	running, stop := context.WithCancel(ctx) // stop: for example at SIGTERM
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := serveCompute(running, t); err != nil {
			log.Print(err)
		}
	}()

	compute := t.Remote(rpc.Target{Topic: "compute"})
	var text string
	for ctx.Err() == nil && compute.Call(ctx, rpc.PingMethod, nil, &text) != nil {
		time.Sleep(10 * time.Millisecond) // until it serves
	}
	fmt.Println(text)
	compute.Target.Version = "1.2"
	compute.Context = map[string]any{"user_id": "u1"}
	for _, args := range []map[string]any{{"name": "vm1", "cores": 2}, {"name": "vm2", "cores": 200}, {"cores": 1}, {"name": "vm3", "disk": 1}} {
		err := compute.Call(ctx, "boot_server", args, &text)
		if remote, failed := errors.AsType[*rpc.RemoteError](err); failed {
			text = remote.Class + ": " + remote.Message
		} else if err != nil {
			log.Fatal(err)
		}
		fmt.Println(text)
	}
	stop()
	<-served
	// Output:
	// pong
	// vm1 of u1
	// NoValidHost: no host has room
	// TypeError: boot_server() missing 1 required positional argument: 'name'
	// TypeError: boot_server() got an unexpected keyword argument 'disk'
}

func serveCompute(ctx context.Context, t *transport.Transport) error {
	methods, err := rpc.MethodsOf(&Compute{free: 64}, rpc.Exposure{})
	if err != nil {
		return err
	}
	server, err := t.Server(rpc.Target{Topic: "compute", Server: "host1"}, rpc.ServerConfig{
		Ack:          rpc.AckLate,
		Workers:      16,
		DrainTimeout: 20 * time.Second,
		Expected:     []rpc.Expectation{rpc.ExpectIs(errFull)},
	})
	if err != nil {
		return err
	}
	return server.Serve(ctx, rpc.Dispatch(
		rpc.Endpoint{Version: "1.4", Methods: methods},
		rpc.Ping(),
	))
}

// tenants is a context hook: what leaves names its tenant, and what comes in
// must.
type tenants struct{ name string }

func (h tenants) Pack(_ context.Context, p *rpc.Part) error {
	p.Context = map[string]any{"tenant": h.name, "request_id": p.Context["request_id"]}
	return nil
}

func (h tenants) Unpack(_ context.Context, p *rpc.Part) error {
	if p.Context["tenant"] != h.name {
		return errors.New("this is for another tenant")
	}
	return nil
}

// A hook sees the context of everything that a transport sends and receives.
func ExampleOptions_hooks() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t, err := transport.Open(brokerURL(), transport.Options{
		Format: rpc.Hooked(rpc.Oslo{}, rpc.Hooks{Context: tenants{"acme"}}),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = t.Close(ctx) }()
	err = t.Remote(rpc.Target{Topic: "nobody"}).Call(ctx, "m", nil, nil)
	fmt.Println(errors.Is(err, rpc.ErrNoListener))
	// Output: true
}
