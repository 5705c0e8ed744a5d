package oslo_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// pythonServers starts the servers "one" and "two" of a new topic, and returns
// the exchange and the topic. Options are fields of the command.
func pythonServers(t *testing.T, options ...string) (exchange, topic string) {
	t.Helper()
	exchange, topic = rabbitnode.Queue(t, "x"), rabbitnode.Queue(t, "t")
	for _, name := range []string{"one", "two"} {
		thePython(t).must(t, "serve", append(options, fields("exchange", exchange, "topic", topic, "server", name))...)
	}
	return exchange, topic
}

// fields writes names and string values as fields of a command.
func fields(pairs ...string) string {
	var list []string
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, fmt.Sprintf("%q: %q", pairs[i], pairs[i+1]))
	}
	return strings.Join(list, ", ")
}

// topicOf and serverOf are the addresses of requests.
func topicOf(exchange, topic string) router.Target {
	return router.Target{Kind: router.TargetTopic, Exchange: exchange, Topic: topic}
}

func serverOf(exchange, topic, server string) router.Target {
	return router.Target{Kind: router.TargetServer, Exchange: exchange, Topic: topic, Server: server}
}

func TestAGoClientGetsResultsOfAPythonServer(t *testing.T) {
	t.Parallel()
	g := connect(t)
	exchange, topic := pythonServers(t)
	gzip, bzip := rabbitnode.Queue(t, "gzip"), rabbitnode.Queue(t, "bzip2")
	thePython(t).must(t, "serve", fields("exchange", exchange, "topic", gzip, "server", "one", "query", "kombu_compression=gzip"))
	thePython(t).must(t, "serve", fields("exchange", exchange, "topic", bzip, "server", "one", "query", "kombu_compression=bzip2"))
	c, packed := g.Client(), g.client(rpc.Oslo{Compress: true})
	all := topicOf(exchange, topic)
	one := serverOf(exchange, topic, "one")
	ns, old := "interop.ns", "interop.old"
	large := strings.Repeat(`\u00e9`, 1<<20/6)

	for _, x := range []struct {
		name   string
		client *rpc.Client
		target router.Target
		req    rpc.Request
		want   string
	}{
		{"text", c, all, rpc.Request{Method: "echo", Payload: []byte(`{"value": "h\u00e9llo \ud83d\ude00"}`)}, `"h\u00e9llo \ud83d\ude00"`},
		{"text that is not escaped", c, all, rpc.Request{Method: "echo", Payload: []byte(`{"value": "héllo 😀"}`)}, `"h\u00e9llo \ud83d\ude00"`},
		{"1 MB there", c, all, rpc.Request{Method: "size", Payload: []byte(`{"value": "` + large + `"}`)}, fmt.Sprint(1 << 20 / 6)},
		{"1 MB back", c, all, rpc.Request{Method: "big", Payload: []byte(fmt.Sprintf(`{"n": %d}`, 1<<20/6))}, `"` + large + `"`},
		{"a float stays one", c, all, rpc.Request{Method: "kind", Payload: []byte(`{"value": 1.0}`)}, `"float"`},
		{"an integer stays one", c, all, rpc.Request{Method: "kind", Payload: []byte(`{"value": 1208925819614629174706176}`)}, `"int"`},
		{"odd values", c, all, rpc.Request{Method: "values"}, `{"big": 1208925819614629174706176, "float": 1.0, "int": 1, "nan": NaN, "inf": -Infinity, "lone": "\udc80", "astral": "\ud83d\ude00"}`},
		{"NaN and Infinity there and back", c, all, rpc.Request{Method: "echo", Payload: []byte(`{"value": [NaN, Infinity, -Infinity]}`)}, `[NaN, Infinity, -Infinity]`},
		{"a lone surrogate there and back", c, all, rpc.Request{Method: "echo", Payload: []byte(`{"value": "\udc80"}`)}, `"\udc80"`},
		{"a nested value", c, all, rpc.Request{Method: "echo", Payload: []byte(`{"value": {"a": [null, true, {"b": []}]}}`)}, `{"a": [null, true, {"b": []}]}`},
		{"null", c, all, rpc.Request{Method: "echo", Payload: []byte(`{"value": null}`)}, `null`},
		{"no result", c, all, rpc.Request{Method: "nothing"}, `null`},
		{"one server", c, one, rpc.Request{Method: "who"}, `"one"`},
		{"a version", c, all, rpc.Request{Method: "echo", Version: "1.1", Payload: []byte(`{"value": 1}`)}, `1`},
		{"a namespace", c, all, rpc.Request{Method: "where", Namespace: &ns, Version: "2.0"}, `"in interop.ns"`},
		{"a legacy namespace", c, all, rpc.Request{Method: "where", Namespace: &old, Version: "2.1"}, `"in interop.ns"`},
		{
			"a nested context", c, one,
			rpc.Request{Method: "context", Context: map[string]any{"user_id": "u1", "roles": []any{"admin", nil}, "deep": map[string]any{"n": 1.5, "ok": true}}},
			`{"deep": {"n": 1.5, "ok": true}, "roles": ["admin", null], "user_id": "u1", "client_timeout": null}`,
		},
		{"a compressed request", packed, all, rpc.Request{Method: "echo", Payload: []byte(`{"value": "packed"}`)}, `"packed"`},
		{
			"a reply compressed by gzip", c, topicOf(exchange, gzip),
			rpc.Request{Method: "echo", Payload: []byte(`{"value": "packed"}`)},
			`"packed"`,
		},
		{
			"a reply compressed by bzip2", c, topicOf(exchange, bzip),
			rpc.Request{Method: "echo", Payload: []byte(`{"value": "packed"}`)},
			`"packed"`,
		},
		{"ping", c, one, rpc.Request{Method: "oslo_rpc_server_ping"}, `"pong"`},
		{"a long call that is monitored", c, one, rpc.Request{Method: "slow", Payload: []byte(`{"secs": 5}`), Monitor: 2 * time.Second}, `"slept"`},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			got, err := x.client.Call(t.Context(), x.target, x.req)
			if err != nil || string(got.Payload) != x.want {
				t.Errorf("%v\n got %.200s\nwant %.200s", err, got.Payload, x.want)
			}
		})
	}
}

func TestAGoClientGetsFailuresOfAPythonServer(t *testing.T) {
	t.Parallel()
	g := connect(t)
	exchange, topic := pythonServers(t)
	c := g.Client()
	target := topicOf(exchange, topic)
	ns := "interop.nowhere"

	for _, x := range []struct {
		name string
		req  rpc.Request
		want rpc.RemoteError
	}{
		{
			"a builtin exception",
			rpc.Request{Method: "fail", Payload: []byte(`{"error": "ValueError", "args": ["bad value \u00e9"]}`)},
			rpc.RemoteError{Class: "ValueError", Module: "builtins", Message: "bad value é", Args: oslo.Raw(`["bad value \u00e9"]`), Kwargs: oslo.Raw(`{}`)},
		},
		{
			"a builtin exception of two arguments",
			rpc.Request{Method: "fail", Payload: []byte(`{"error": "OSError", "args": [2, "gone"]}`)},
			rpc.RemoteError{Class: "FileNotFoundError", Module: "builtins", Message: "[Errno 2] gone", Args: oslo.Raw(`[2, "gone"]`), Kwargs: oslo.Raw(`{}`)},
		},
		{
			"an exception of the service with named arguments",
			rpc.Request{Method: "custom"},
			rpc.RemoteError{Class: "InteropError", Module: "interop_errors", Message: "oops", Args: oslo.Raw(`["oops"]`), Kwargs: oslo.Raw(`{"code": 42, "uuid": "u-1"}`)},
		},
		{
			"an expected exception",
			rpc.Request{Method: "expected"},
			rpc.RemoteError{Class: "ValueError", Module: "builtins", Message: "as expected", Args: oslo.Raw(`["as expected"]`), Kwargs: oslo.Raw(`{}`)},
		},
		{"no such method", rpc.Request{Method: "nosuch"}, *withArgs(rpc.NoSuchMethod("nosuch"))},
		{"a method that is hidden", rpc.Request{Method: "_hidden"}, *withArgs(rpc.NoSuchMethod("_hidden"))},
		{"an unsupported version", rpc.Request{Method: "echo", Version: "1.3"}, *withArgs(rpc.UnsupportedVersion("1.3", "echo"))},
		{"another major version", rpc.Request{Method: "echo", Version: "2.0"}, *withArgs(rpc.UnsupportedVersion("2.0", "echo"))},
		{"an unknown namespace", rpc.Request{Method: "echo", Namespace: &ns}, *withArgs(rpc.UnsupportedVersion("1.0", "echo"))},
		{
			"a missing argument",
			rpc.Request{Method: "echo"},
			*withArgs(rpc.BadArguments("Endpoint.echo() missing 1 required positional argument: 'value'")),
		},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			_, err := c.Call(t.Context(), target, x.req)
			var remote *rpc.RemoteError
			if !errors.As(err, &remote) {
				t.Fatal(err)
			}
			got := *remote
			if len(got.Traceback) == 0 {
				t.Error("no traceback")
			}
			got.Traceback = nil
			if diff := cmp.Diff(x.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// withArgs adds what Python tells of every exception.
func withArgs(e *rpc.RemoteError) *rpc.RemoteError {
	e.Args, e.Kwargs = oslo.Raw("["+string(oslo.String(e.Message))+"]"), oslo.Raw(`{}`)
	return e
}

func TestAGoClientCastsToPythonServers(t *testing.T) {
	t.Parallel()
	g := connect(t)
	py := thePython(t)
	exchange, topic := pythonServers(t)
	c := g.Client()
	all := topicOf(exchange, topic)
	one := serverOf(exchange, topic, "one")
	tag := func(key string) rpc.Request {
		return rpc.Request{Method: "tag", Payload: []byte(`{"tag": "` + key + `"}`)}
	}

	t.Run("cast", func(t *testing.T) {
		key := rabbitnode.Queue(t)
		if err := c.Cast(t.Context(), all, tag(key)); err != nil {
			t.Fatal(err)
		}
		py.next(t, "tag."+key)
	})
	t.Run("cast to one server", func(t *testing.T) {
		key := rabbitnode.Queue(t)
		if err := c.Cast(t.Context(), one, tag(key)); err != nil {
			t.Fatal(err)
		}
		py.expect(t, "tag."+key, `"one"`)
	})
	t.Run("fanout", func(t *testing.T) {
		key := rabbitnode.Queue(t)
		if err := c.Fanout(t.Context(), topic, tag(key)); err != nil {
			t.Fatal(err)
		}
		py.expect(t, "tag."+key, `"one"`, `"two"`)
	})
	t.Run("what comes twice runs once", func(t *testing.T) {
		key := rabbitnode.Queue(t)
		three := serverOf(exchange, topic, "three")
		address := fields("exchange", exchange, "topic", topic, "server", "three")
		py.must(t, "serve", address)
		env, err := rpc.Oslo{}.EncodeRequest(tag(key), rpc.Ticket{UniqueID: oslo.NewID()})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := c.Send(t.Context(), three, &env); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Call(t.Context(), three, rpc.Request{Method: "who"}); err != nil {
			t.Fatal(err)
		}
		py.must(t, "stop", address) // which waits for what runs
		py.next(t, "tag."+key)
		if n := len(py.of("tag." + key)); n != 0 {
			t.Errorf("it ran %d times more", n)
		}
	})
	t.Run("nobody", func(t *testing.T) {
		nobody := topicOf(exchange, topic+".none")
		if err := c.Cast(t.Context(), nobody, tag("x")); !errors.Is(err, rpc.ErrNoListener) {
			t.Errorf("cast: %v", err)
		}
		if _, err := c.Call(t.Context(), nobody, tag("x")); !errors.Is(err, rpc.ErrNoListener) {
			t.Errorf("call: %v", err)
		}
	})
}

func TestAPythonServerAsAGoServiceSeesIt(t *testing.T) {
	t.Parallel()
	g := connect(t)
	exchange, topic := pythonServers(t)
	remote := g.Remote(rpc.Target{Exchange: exchange, Topic: topic, Version: "1.1"})
	ctx := rpc.WithContext(t.Context(), map[string]any{"request_id": "req-1"})

	t.Run("a struct there and back", func(t *testing.T) {
		type thing struct {
			Name  string         `json:"name"`
			Size  float64        `json:"size"`
			Parts []string       `json:"parts"`
			More  map[string]any `json:"more,omitempty"`
		}
		want := thing{Name: "é", Size: 1, Parts: []string{"a", "b"}, More: map[string]any{"x": nil}}
		var got thing
		if err := remote.Call(ctx, "echo", map[string]any{"value": want}, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("the context of a ctx", func(t *testing.T) {
		var got map[string]any
		if err := remote.At("two").Call(ctx, "context", nil, &got); err != nil || got["request_id"] != "req-1" {
			t.Errorf("%v, %v", got, err)
		}
	})
	t.Run("a version cap", func(t *testing.T) {
		capped := remote
		capped.VersionCap = "1.1"
		if err := capped.Call(ctx, "who", nil, nil); err != nil {
			t.Error(err)
		}
		capped.Target.Version = "1.2"
		if err := capped.Call(ctx, "who", nil, nil); !errors.Is(err, rpc.ErrVersionCap) || capped.CanSendVersion("1.2") {
			t.Error(err)
		}
	})
	t.Run("a failure", func(t *testing.T) {
		err := remote.Call(ctx, "custom", nil, nil)
		if !errors.Is(err, &rpc.RemoteError{Module: "interop_errors", Class: "InteropError"}) {
			t.Error(err)
		}
	})
	t.Run("a monitor", func(t *testing.T) {
		monitored := remote
		monitored.Monitor = 2 * time.Second
		var got string
		if err := monitored.Call(ctx, "slow", map[string]any{"secs": 3}, &got); err != nil || got != "slept" || g.Client().Stat().KeepAlives == 0 {
			t.Errorf("%q, %v, %+v", got, err, g.Client().Stat())
		}
	})
}

func TestALateReplyOfAPythonServerIsDropped(t *testing.T) {
	t.Parallel()
	g := connect(t)
	py := thePython(t)
	exchange, topic := pythonServers(t)
	c := g.Client()
	one := serverOf(exchange, topic, "one")
	key := rabbitnode.Queue(t)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	result := make(chan error, 1)
	go func() {
		_, err := c.Call(ctx, one, rpc.Request{Method: "hold", Payload: []byte(`{"key": "` + key + `"}`)})
		result <- err
	}()
	py.next(t, "held."+key)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("the call that was given up: %v", err)
	}
	py.must(t, "release", fields("key", key))
	py.next(t, "let."+key)
	got, err := c.Call(t.Context(), one, rpc.Request{Method: "echo", Payload: []byte(`{"value": 1}`)})
	if err != nil || string(got.Payload) != "1" {
		t.Errorf("the next call: %s, %v", got.Payload, err)
	}
	await(t, "the late reply", func() (bool, string) {
		st := c.Stat()
		return st.LateReplies == 1, fmt.Sprintf("%+v", st)
	})

	short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	key += ".2"
	if _, err := c.Call(short, one, rpc.Request{Method: "hold", Payload: []byte(`{"key": "` + key + `"}`)}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the call whose deadline passed: %v", err)
	}
	py.must(t, "release", fields("key", key))
}
