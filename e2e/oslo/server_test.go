package oslo_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// service is what the tests' Go servers offer. Its methods are those of the
// Python peer's endpoint, as far as they are needed.
type service struct {
	tags  chan string     // queue and arguments of each request for the method tag
	held  chan rpc.Ticket // of a held call that has begun
	let   chan struct{}
	count atomic.Int64
}

func newService() *service {
	return &service{tags: make(chan string, 100), held: make(chan rpc.Ticket, 100), let: make(chan struct{})}
}

func (s *service) handler() rpc.Handler {
	ns, old := "interop.ns", "interop.old"
	typed, err := rpc.MethodsOf(arithmetic{}, rpc.Exposure{})
	if err != nil {
		panic(err) // a mistake in this file
	}
	return rpc.Dispatch(
		rpc.Ping(),
		rpc.Endpoint{Version: "1.2", Methods: map[string]rpc.Handler{
			"echo": func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
				value, err := argument(in, "value")
				return rpc.Reply{Payload: value}, err
			},
			"size": func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
				value, err := argument(in, "value")
				if err != nil {
					return rpc.Reply{}, err
				}
				v, err := value.Value()
				text, _ := v.(string)
				return rpc.Reply{Payload: fmt.Append(nil, strings.Count(text, "")-1)}, err
			},
			"big": func(context.Context, *rpc.Incoming) (rpc.Reply, error) {
				return rpc.Result(strings.Repeat("é", 1<<20/6))
			},
			"nothing":     func(context.Context, *rpc.Incoming) (rpc.Reply, error) { return rpc.Reply{}, nil },
			"context":     func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) { return rpc.Result(in.Context) },
			"origin":      func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) { return rpc.Result(in.Origin.Queue) },
			"reply_queue": func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) { return rpc.Result(in.Ticket.ReplyTo) },
			"fail": func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
				module, err := argument(in, "module")
				if err != nil {
					return rpc.Reply{}, err
				}
				name, _ := module.Text()
				return rpc.Reply{}, &rpc.RemoteError{
					Class: "InteropError", Module: name, Message: "none left",
					Args: oslo.Raw(`["none left"]`), Kwargs: oslo.Raw(`{"code": 42}`),
				}
			},
			"error": func(context.Context, *rpc.Incoming) (rpc.Reply, error) {
				return rpc.Reply{}, fmt.Errorf("no such item")
			},
			"panic": func(context.Context, *rpc.Incoming) (rpc.Reply, error) { panic("a secret") },
			"hold": func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
				s.held <- in.Ticket
				<-s.let
				return rpc.Result("held")
			},
			"tag": func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
				s.tags <- in.Origin.Queue + " " + string(in.Payload)
				return rpc.Reply{}, nil
			},
			"count": func(context.Context, *rpc.Incoming) (rpc.Reply, error) { return rpc.Result(s.count.Add(1)) },
		}},
		rpc.Endpoint{Namespace: &ns, LegacyNamespaces: []*string{&old}, Version: "2.1", Methods: map[string]rpc.Handler{
			"where": func(context.Context, *rpc.Incoming) (rpc.Reply, error) { return rpc.Result("in interop.ns") },
		}},
		rpc.Endpoint{Version: "5.0", Methods: typed},
	)
}

// arithmetic is a service as Go writes it.
type arithmetic struct{}

type numbers struct {
	A int     `json:"a"`
	B float64 `json:"b,omitempty"`
}

func (arithmetic) AddUp(_ context.Context, n numbers) (float64, error) {
	return float64(n.A) + n.B, nil
}

func argument(in *rpc.Incoming, name string) (oslo.Raw, error) {
	args, err := oslo.ParseObject(in.Payload)
	if err != nil {
		return nil, err
	}
	value, ok := args.Get(name)
	if !ok {
		return nil, rpc.BadArguments(in.Method + "() needs " + name)
	}
	return value, nil
}

func TestAPythonClientAndAGoServer(t *testing.T) {
	t.Parallel()
	g := connect(t)
	py := thePython(t)
	exchange, topic := rabbitnode.Queue(t, "x"), rabbitnode.Queue(t, "t")
	at := fields("exchange", exchange, "topic", topic)
	service := newService()
	server := g.serve(rpc.ServerConfig{}, exchange, topic, "go", service.handler())
	large := strings.Repeat(`\u00e9`, 1<<20/6)

	var calls sync.WaitGroup
	for _, x := range []struct{ name, command, want string }{
		{"text", `"method": "echo", "args": {"value": "h\u00e9llo \ud83d\ude00"}`, `{"result": "h\u00e9llo \ud83d\ude00"}`},
		{"1 MB there", `"method": "size", "args": {"value": "` + large + `"}`, fmt.Sprintf(`{"result": %d}`, 1<<20/6)},
		{"1 MB back", `"method": "big"`, `{"result": "` + large + `"}`},
		{"a large integer", `"method": "echo", "args": {"value": 1208925819614629174706176}`, `{"result": 1208925819614629174706176}`},
		{"a float stays one", `"method": "echo", "args": {"value": [1.0, 1e16, 1]}`, `{"result": [1.0, 1e+16, 1]}`},
		{"NaN and Infinity", `"method": "echo", "args": {"value": [NaN, Infinity, -Infinity]}`, `{"result": [NaN, Infinity, -Infinity]}`},
		{"a lone surrogate", `"method": "echo", "args": {"value": "\udc80"}`, `{"result": "\udc80"}`},
		{"a nested value", `"method": "echo", "args": {"value": {"a": [null, true, {"b": []}]}}`, `{"result": {"a": [null, true, {"b": []}]}}`},
		{"null", `"method": "echo", "args": {"value": null}`, `{"result": null}`},
		{"no result", `"method": "nothing"`, `{"result": null}`},
		{"the topic", `"method": "origin"`, `{"result": "` + topic + `"}`},
		{"one server", `"method": "origin", "server": "go"`, `{"result": "` + topic + ".go" + `"}`},
		{"a version", `"method": "nothing", "version": "1.1"`, `{"result": null}`},
		{"a version below the cap", `"method": "nothing", "version": "1.1", "cap": "1.2"`, `{"result": null}`},
		{"a namespace", `"method": "where", "namespace": "interop.ns", "version": "2.0"`, `{"result": "in interop.ns"}`},
		{"a legacy namespace", `"method": "where", "namespace": "interop.old", "version": "2.1"`, `{"result": "in interop.ns"}`},
		{"ping", `"method": "oslo_rpc_server_ping", "server": "go"`, `{"result": "pong"}`},
		{"a method of a Go type", `"method": "add_up", "version": "5.0", "args": {"a": 1, "b": 2}`, `{"result": 3.0}`},
		{
			"a missing argument of a Go type", `"method": "add_up", "version": "5.0"`,
			`{"error": {"class": "TypeError", "module": "builtins", "remote": null, "text": "add_up() missing 1 required positional argument: 'a'", "kwargs": null}}`,
		},
		{
			"a call that nobody listens to", `"method": "nothing", "server": "none", "mandatory": true`,
			`{"error": {"class": "MessageUndeliverable", "module": "oslo_messaging.exceptions", "remote": null, "text": "", "kwargs": null}}`,
		},
		{
			"a nested context", `"method": "context", "context": {"user_id": "u1", "roles": ["admin", null], "deep": {"n": 1.0, "ok": true}}`,
			`{"result": {"deep": {"n": 1.0, "ok": true}, "roles": ["admin", null], "user_id": "u1"}}`,
		},
		{"a request compressed by gzip", `"method": "echo", "args": {"value": "packed"}, "query": "kombu_compression=gzip"`, `{"result": "packed"}`},
		{"a request compressed by bzip2", `"method": "echo", "args": {"value": "packed"}, "query": "kombu_compression=bzip2"`, `{"result": "packed"}`},
		{"a call that must find a queue", `"method": "nothing", "mandatory": true`, `{"result": null}`},
		{
			"an exception of a module that is not allowed", `"method": "fail", "args": {"module": "interop_errors"}`,
			`{"error": {"class": "RemoteError", "module": "oslo_messaging.rpc.client", "remote": "InteropError", "text": "none left", "kwargs": null}}`,
		},
		{
			"an exception of an allowed module", `"method": "fail", "args": {"module": "interop_errors"}, "exmods": ["interop_errors"]`,
			`{"error": {"class": "InteropError_Remote", "module": "interop_errors_Remote", "remote": null, "text": "none left", "kwargs": {"code": 42}}}`,
		},
		{
			"an exception of an allowed module that lacks it", `"method": "fail", "args": {"module": "json"}, "exmods": ["json"]`,
			`{"error": {"class": "RemoteError", "module": "oslo_messaging.rpc.client", "remote": "InteropError", "text": "none left", "kwargs": null}}`,
		},
		{
			"a builtin exception", `"method": "echo"`,
			`{"error": {"class": "TypeError", "module": "builtins", "remote": null, "text": "echo() needs value", "kwargs": null}}`,
		},
		{
			"an error of Go", `"method": "error"`,
			`{"error": {"class": "RemoteError", "module": "oslo_messaging.rpc.client", "remote": "ServerError", "text": "no such item", "kwargs": null}}`,
		},
		{
			"a panic of Go", `"method": "panic"`,
			`{"error": {"class": "RemoteError", "module": "oslo_messaging.rpc.client", "remote": "InternalError", "text": "the server failed to answer", "kwargs": null}}`,
		},
		{
			"no such method", `"method": "nosuch"`,
			`{"error": {"class": "RemoteError", "module": "oslo_messaging.rpc.client", "remote": "NoSuchMethod", "text": "Endpoint does not support RPC method nosuch", "kwargs": null}}`,
		},
		{
			"no such method, by its class", `"method": "nosuch", "exmods": ["oslo_messaging.rpc.dispatcher"]`,
			`{"error": {"class": "NoSuchMethod_Remote", "module": "oslo_messaging.rpc.dispatcher_Remote", "remote": null, "text": "Endpoint does not support RPC method nosuch", "kwargs": null}}`,
		},
		{
			"an unsupported version", `"method": "echo", "version": "3.0"`,
			`{"error": {"class": "RemoteError", "module": "oslo_messaging.rpc.client", "remote": "UnsupportedVersion", "text": "Endpoint does not support RPC version 3.0. Attempted method: echo", "kwargs": null}}`,
		},
		{
			"an unknown namespace", `"method": "echo", "namespace": "interop.nowhere"`,
			`{"error": {"class": "RemoteError", "module": "oslo_messaging.rpc.client", "remote": "UnsupportedVersion", "text": "Endpoint does not support RPC version 1.0. Attempted method: echo", "kwargs": null}}`,
		},
	} {
		calls.Add(1)
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			defer calls.Done()
			if got := py.do(t, "call", at, x.command); got != x.want {
				t.Errorf("\n got %.300s\nwant %.300s", got, x.want)
			}
		})
	}
	t.Run("a long call that is monitored", func(t *testing.T) {
		t.Parallel()
		one := newService()
		s := g.serve(rpc.ServerConfig{}, exchange, topic+".slow", "go", one.handler())
		result := py.begin(t, "call", fields("exchange", exchange, "topic", topic+".slow"), `"method": "hold", "monitor": 2`)
		<-one.held
		await(t, "keep-alives for five seconds", func() (bool, string) {
			st := s.Stat()
			return st.KeepAlives >= 5, fmt.Sprintf("%+v", st) // one a second
		})
		close(one.let)
		if got := py.next(t, result); got != `{"result": "held"}` {
			t.Error(got)
		}
	})
	t.Run("the counters", func(t *testing.T) {
		t.Parallel()
		calls.Wait()
		if st := server.Stat(); st.Malformed != 0 || st.Panics != 1 || st.Duplicates != 0 || st.Failed != 11 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAPythonClientCastsToGoServers(t *testing.T) {
	t.Parallel()
	g := connect(t)
	py := thePython(t)
	exchange, topic := rabbitnode.Queue(t, "x"), rabbitnode.Queue(t, "t")
	at := fields("exchange", exchange, "topic", topic)
	one, two := newService(), newService()
	first := g.serve(rpc.ServerConfig{}, exchange, topic, "one", one.handler())
	g.serve(rpc.ServerConfig{}, exchange, topic, "two", two.handler())

	t.Run("cast", func(t *testing.T) {
		py.must(t, "cast", at, `"method": "tag", "args": {"tag": "t"}`)
		select {
		case got := <-one.tags:
			same(t, got, topic+` {"tag": "t"}`)
		case got := <-two.tags:
			same(t, got, topic+` {"tag": "t"}`)
		}
	})
	t.Run("cast to one server", func(t *testing.T) {
		py.must(t, "cast", at, `"server": "two", "method": "tag", "args": {"tag": "t"}`)
		same(t, <-two.tags, topic+".two"+` {"tag": "t"}`)
	})
	t.Run("fanout", func(t *testing.T) {
		py.must(t, "cast", at, `"fanout": true, "method": "tag", "args": {"tag": "t"}`)
		for _, got := range []string{<-one.tags, <-two.tags} {
			if !strings.HasPrefix(got, topic+"_fanout_") {
				t.Error(got)
			}
		}
	})
	t.Run("a cast that must find a queue", func(t *testing.T) {
		py.must(t, "cast", at, `"mandatory": true, "method": "tag", "args": {"tag": "t"}, "server": "one"`)
		same(t, <-one.tags, topic+".one"+` {"tag": "t"}`)
	})
	t.Run("what comes twice runs once", func(t *testing.T) {
		env, err := rpc.Oslo{}.EncodeRequest(rpc.Request{Method: "count"}, rpc.Ticket{UniqueID: oslo.NewID()})
		if err != nil {
			t.Fatal(err)
		}
		c := g.Client()
		for range 2 {
			if err := c.Send(t.Context(), serverOf(exchange, topic, "one"), &env); err != nil {
				t.Fatal(err)
			}
		}
		await(t, "the duplicate", func() (bool, string) {
			st := first.Stat()
			return st.Duplicates == 1 && one.count.Load() == 1, fmt.Sprintf("%+v", st)
		})
	})
	t.Run("a late reply is dropped", func(t *testing.T) {
		got := py.do(t, "call", at, `"server": "one", "method": "hold", "timeout": 1`)
		if !strings.HasPrefix(got, `{"error": {"class": "MessagingTimeout",`) {
			t.Error(got)
		}
		close(one.let)
		await(t, "the end of the call", func() (bool, string) {
			st := first.Stat()
			return st.Running == 0 && st.Replies+st.GaveUp == 1, fmt.Sprintf("%+v", st)
		})
		// The server knows that nobody waits any more; another one may not.
		ticket := <-one.held
		late, err := rpc.Oslo{}.EncodeAnswer(rpc.Answer{}, ticket)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Client().Send(t.Context(), router.Target{Kind: router.TargetQueue, Queue: ticket.ReplyTo}, &late); err != nil {
			t.Fatal(err)
		}
		if got := py.do(t, "call", at, `"server": "one", "method": "nothing"`); got != `{"result": null}` {
			t.Error(got)
		}
	})
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}
