package e2e

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/filters"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
	"github.com/wasmrouter/router/transport"
	"github.com/wasmrouter/router/wasmhost"
)

// hook loads a stock filter to be used as a hook.
func hook(t *testing.T, host *wasmhost.Host, name string, config map[string]any) *rpc.FilterHook {
	t.Helper()
	module, ok := filters.Lookup(name)
	if !ok {
		t.Fatalf("no stock filter %s", name)
	}
	filter, err := host.Load(t.Context(), wasmhost.FilterConfig{Name: name, Module: module, Config: config})
	if err != nil {
		t.Fatal(err)
	}
	h, err := rpc.NewFilterHook(filter, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(h.Close(ctx), filter.Close(ctx)); err != nil {
			t.Error(err)
		}
	})
	return h
}

// TestStockFiltersAreHooksOfAClientAndAServer takes a call through two stock
// filters on each side: one keeps a secret in the client's process, the other
// makes MessagePack of what travels.
func TestStockFiltersAreHooksOfAClientAndAServer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	host, err := wasmhost.New(ctx, wasmhost.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	redact := hook(t, host, "context-packer", map[string]any{
		"trace": map[string]any{"mode": "off"}, "redact": map[string]any{"headers": []any{"auth_token"}, "fields": []any{"card"}},
	})
	pack := hook(t, host, "messagepack", map[string]any{"decode": "msgpack-to-json", "encode": "json-to-msgpack", "force": true})

	for name, x := range map[string]struct {
		format rpc.Format
		hooks  rpc.Hooks
		wire   string // what of the request's body travels
	}{
		"oslo":  {rpc.Oslo{}, rpc.Hooks{Context: redact}, ""},
		"plain": {rpc.Plain{}, rpc.Hooks{Context: redact, Serializer: pack}, "\x81\xa1n\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			hooked := rpc.Hooked(x.format, x.hooks)
			tr, err := transport.Open("rabbit://"+rabbitnode.Shared(t).Addr()+"/", transport.Options{Format: hooked})
			if err != nil {
				t.Fatal(err)
			}
			topic := rabbitnode.Queue(t)
			server, err := tr.Server(rpc.Target{Topic: topic}, rpc.ServerConfig{})
			if err != nil {
				t.Fatal(err)
			}
			serving, stop := context.WithCancel(ctx)
			served := make(chan error, 1)
			var seen rpc.Incoming
			go func() {
				served <- server.Serve(serving, func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
					seen = *in
					return rpc.Reply{Payload: in.Payload, ContentType: "application/json"}, nil
				})
			}()
			defer func() {
				stop()
				if err := errors.Join(<-served, tr.Close(ctx)); err != nil {
					t.Error(err)
				}
			}()
			target := router.Target{Kind: router.TargetTopic, Topic: topic}
			request := rpc.Request{
				Method: "m", Payload: []byte(`{"n":1.0,"card":"4111"}`), ContentType: "application/json",
				Context: map[string]any{"auth_token": "secret", "user_id": "u1"},
			}
			reply, err := tr.Client().Call(ctx, target, request)
			for errors.Is(err, rpc.ErrNoListener) && ctx.Err() == nil { // the server is not there yet
				reply, err = tr.Client().Call(ctx, target, request)
			}
			if err != nil || string(reply.Payload) != `{"n":1.0}` {
				t.Fatalf("%q, %v", reply.Payload, err)
			}
			if diff := cmp.Diff(map[string]any{"user_id": "u1"}, seen.Context); diff != "" || string(seen.Payload) != `{"n":1.0}` {
				t.Errorf("the server got %q with a context of (-want +got):\n%s", seen.Payload, diff)
			}
			if request.Context["auth_token"] != "secret" {
				t.Error("the caller's own context was redacted")
			}
			env, err := hooked.EncodeRequest(request, rpc.Ticket{})
			if err != nil || x.wire != "" && string(env.Body) != x.wire {
				t.Errorf("%q travels, %v", env.Body, err)
			}
			// What a filter refuses is not sent.
			request.Payload = []byte(`{"n": `)
			if _, err := tr.Client().Call(ctx, target, request); !errors.Is(err, rpc.ErrFormat) {
				t.Errorf("not JSON: %v", err)
			}
		})
	}
}
