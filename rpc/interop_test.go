package rpc_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// peer is a Python process with the real oslo.messaging.
type peer struct {
	t     *testing.T
	stdin io.WriteCloser
	lines chan string
}

func startPeer(t *testing.T, mode, exchange, topic string) *peer {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", "testdata/peer.py", mode, strings.Replace(rabbitnode.Shared(t).URL(), "amqp:", "rabbit:", 1), exchange, topic)
	cmd.Env = append(os.Environ(), "PYTHONWARNINGS=ignore", "PYTHONDONTWRITEBYTECODE=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &peer{t, stdin, make(chan string, 100)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(p.lines)
		for scan := bufio.NewScanner(stdout); scan.Scan(); {
			p.lines <- scan.Text()
		}
	}()
	t.Cleanup(func() {
		stdin.Close()
		kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		for range p.lines {
		}
		<-read
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("%s: %v\n%s", mode, err, stderr.Bytes())
		}
	})
	return p
}

// next returns the next line that the peer prints.
func (p *peer) next() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.t.Fatal("the Python peer has ended")
		}
		return line
	case <-time.After(60 * time.Second):
		p.t.Fatal("the Python peer says nothing")
	}
	return ""
}

func (p *peer) expect(want ...string) {
	p.t.Helper()
	got := make([]string, len(want))
	for i := range want {
		got[i] = p.next()
	}
	sort.Strings(got)
	sort.Strings(want)
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Errorf("(-want +got):\n%s", diff)
	}
}

// do makes the peer run a command, and returns what comes of it.
func (p *peer) do(command string) string {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, command+"\n"); err != nil {
		p.t.Fatal(err)
	}
	return p.next()
}

func TestAGoClientAndAPythonServer(t *testing.T) {
	t.Parallel()
	_, p := connect(t)
	exchange, topic := rabbitnode.Queue(t, "x"), rabbitnode.Queue(t, "t")
	python := startPeer(t, "server", exchange, topic)
	c := p.client(t, rpc.Oslo{}, rpc.Layout{Exchange: exchange})
	packed := p.client(t, rpc.Oslo{Compress: true}, rpc.Layout{Exchange: exchange})
	python.expect(`"ready"`)
	target := router.Target{Kind: router.TargetTopic, Exchange: exchange, Topic: topic}
	one := router.Target{Kind: router.TargetServer, Exchange: exchange, Topic: topic, Server: "one"}
	ns := "interop.ns"

	for _, x := range []struct {
		name   string
		client *rpc.Client
		target router.Target
		req    rpc.Request
		want   string
	}{
		{"text", c, target, rpc.Request{Method: "echo", Payload: []byte(`{"value": "h\u00e9llo \ud83d\ude00"}`)}, `"h\u00e9llo \ud83d\ude00"`},
		{"a float stays one", c, target, rpc.Request{Method: "kind", Payload: []byte(`{"value": 1.0}`)}, `"float"`},
		{"an integer stays one", c, target, rpc.Request{Method: "kind", Payload: []byte(`{"value": 1208925819614629174706176}`)}, `"int"`},
		{"odd values", c, target, rpc.Request{Method: "values"}, `{"big": 1208925819614629174706176, "float": 1.0, "int": 1, "nan": NaN, "inf": -Infinity, "lone": "\udc80", "astral": "\ud83d\ude00"}`},
		{"odd values there and back", c, target, rpc.Request{Method: "echo", Payload: []byte(`{"value": [NaN, 1e16, "\udc80", {"a": null}]}`)}, `[NaN, 1e+16, "\udc80", {"a": null}]`},
		{"null", c, target, rpc.Request{Method: "echo", Payload: []byte(`{"value": null}`)}, `null`},
		{"one server", c, one, rpc.Request{Method: "who"}, `"one"`},
		{"namespace and version", c, target, rpc.Request{Method: "where", Namespace: &ns, Version: "2.0"}, `"in interop.ns"`},
		{"context", c, one, rpc.Request{Method: "context", Context: map[string]any{"user_id": "u1", "admin": true}}, `{"admin": true, "user_id": "u1", "client_timeout": null}`},
		{"compressed", packed, target, rpc.Request{Method: "echo", Payload: []byte(`{"value": "packed"}`)}, `"packed"`},
		{"ping", c, one, rpc.Request{Method: "oslo_rpc_server_ping"}, `"pong"`},
	} {
		t.Run(x.name, func(t *testing.T) {
			got, err := x.client.Call(t.Context(), x.target, x.req)
			if err != nil || string(got.Payload) != x.want {
				t.Errorf("%v\n got %s\nwant %s", err, got.Payload, x.want)
			}
		})
	}
	for _, x := range []struct {
		name string
		req  rpc.Request
		want rpc.RemoteError
	}{
		{
			"a builtin exception",
			rpc.Request{Method: "fail", Payload: []byte(`{"message": "bad value"}`)},
			rpc.RemoteError{Class: "ValueError", Module: "builtins", Message: "bad value", Args: oslo.Raw(`["bad value"]`), Kwargs: oslo.Raw(`{}`)},
		},
		{
			"an exception with arguments",
			rpc.Request{Method: "custom"},
			rpc.RemoteError{Class: "InteropError", Module: "__main__", Message: "oops", Args: oslo.Raw(`["oops"]`), Kwargs: oslo.Raw(`{"code": 42}`)},
		},
		{"no such method", rpc.Request{Method: "nothing"}, *withArgs(rpc.NoSuchMethod("nothing"))},
		{"unsupported version", rpc.Request{Method: "echo", Version: "1.3"}, *withArgs(rpc.UnsupportedVersion("1.3", "echo"))},
	} {
		t.Run(x.name, func(t *testing.T) {
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
	t.Run("keep-alives", func(t *testing.T) {
		got, err := c.Call(t.Context(), one, rpc.Request{Method: "slow", Payload: []byte(`{"secs": 5}`), Monitor: 4 * time.Second})
		if err != nil || string(got.Payload) != `"slept"` || c.Stat().KeepAlives == 0 {
			t.Errorf("%s, %v, %d keep-alives", got.Payload, err, c.Stat().KeepAlives)
		}
	})
	t.Run("cast", func(t *testing.T) {
		if err := c.Cast(t.Context(), one, rpc.Request{Method: "tag", Payload: []byte(`{"tag": "c"}`)}); err != nil {
			t.Fatal(err)
		}
		python.expect(`{"server": "one", "tag": "c"}`)
	})
	t.Run("fanout", func(t *testing.T) {
		if err := c.Fanout(t.Context(), topic, rpc.Request{Method: "tag", Payload: []byte(`{"tag": "f"}`)}); err != nil {
			t.Fatal(err)
		}
		python.expect(`{"server": "one", "tag": "f"}`, `{"server": "two", "tag": "f"}`)
	})
	t.Run("nobody", func(t *testing.T) {
		_, err := c.Call(t.Context(), router.Target{Kind: router.TargetTopic, Exchange: exchange, Topic: topic + ".none"}, rpc.Request{Method: "echo"})
		if !errors.Is(err, rpc.ErrNoListener) {
			t.Error(err)
		}
	})
}

// withArgs adds what Python tells of every exception.
func withArgs(e *rpc.RemoteError) *rpc.RemoteError {
	e.Args, e.Kwargs = oslo.Raw("["+string(oslo.String(e.Message))+"]"), oslo.Raw(`{}`)
	return e
}

func TestAPythonClientAndAGoServer(t *testing.T) {
	t.Parallel()
	_, p := connect(t)
	exchange, topic := rabbitnode.Queue(t, "x"), rabbitnode.Queue(t, "t")
	python := startPeer(t, "client", exchange, topic)
	topology, queues := (rpc.Layout{Exchange: exchange}).Server(topic, "go")
	if err := rpc.Ensure(t.Context(), p.declare, topology); err != nil {
		t.Fatal(err)
	}
	tags := make(chan string, 10)
	ns := "interop.ns"
	s := p.serve(t, rpc.Oslo{}, queues, rpc.Dispatch(
		rpc.Endpoint{Version: "1.2", Methods: map[string]rpc.Handler{
			"echo": func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
				args, err := oslo.ParseObject(in.Payload)
				if err != nil {
					return rpc.Reply{}, err
				}
				value, ok := args.Get("value")
				if !ok {
					return rpc.Reply{}, rpc.BadArguments("echo() needs value")
				}
				return rpc.Reply{Payload: value}, nil
			},
			"context": func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) { return rpc.Result(in.Context) },
			"fail": func(context.Context, *rpc.Incoming) (rpc.Reply, error) {
				return rpc.Reply{}, &rpc.RemoteError{Class: "SoldOut", Module: "shop", Message: "none left"}
			},
			"slow": func(context.Context, *rpc.Incoming) (rpc.Reply, error) {
				<-time.After(5 * time.Second) // longer than the monitor below
				return rpc.Result("slept")
			},
			"tag": func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
				tags <- in.Origin.Queue + " " + string(in.Payload)
				return rpc.Reply{}, nil
			},
		}},
		rpc.Endpoint{Namespace: &ns, Version: "2.1", Methods: map[string]rpc.Handler{
			"where": func(context.Context, *rpc.Incoming) (rpc.Reply, error) { return rpc.Result("in interop.ns") },
		}},
	))
	python.expect(`"ready"`)
	for _, x := range []struct{ name, command, want string }{
		{
			"echo", `{"op": "call", "method": "echo", "args": {"value": ["h\u00e9llo \ud83d\ude00", 1.0, 1208925819614629174706176, NaN, -Infinity, "\udc80", null, {"a": true}]}}`,
			`{"result": ["h\u00e9llo \ud83d\ude00", 1.0, 1208925819614629174706176, NaN, -Infinity, "\udc80", null, {"a": true}]}`,
		},
		{"one server", `{"op": "call", "target": {"server": "go"}, "method": "echo", "args": {"value": 5}}`, `{"result": 5}`},
		{"namespace and version", `{"op": "call", "target": {"namespace": "interop.ns", "version": "2.0"}, "method": "where"}`, `{"result": "in interop.ns"}`},
		{"context", `{"op": "call", "method": "context", "context": {"user_id": "u1", "n": 1.0}}`, `{"result": {"n": 1.0, "user_id": "u1"}}`},
		{"failure", `{"op": "call", "method": "fail"}`, `{"error": "RemoteError", "remote": "SoldOut", "text": "none left"}`},
		{"a builtin exception", `{"op": "call", "method": "echo"}`, `{"error": "TypeError", "remote": null, "text": "echo() needs value"}`},
		{"no such method", `{"op": "call", "method": "nothing"}`, `{"error": "RemoteError", "remote": "NoSuchMethod", "text": "Endpoint does not support RPC method nothing"}`},
		{"unsupported version", `{"op": "call", "target": {"version": "3.0"}, "method": "echo"}`, `{"error": "RemoteError", "remote": "UnsupportedVersion", "text": "Endpoint does not support RPC version 3.0. Attempted method: echo"}`},
		{"keep-alives", `{"op": "call", "method": "slow", "monitor": 4}`, `{"result": "slept"}`},
	} {
		t.Run(x.name, func(t *testing.T) {
			if got := python.do(x.command); got != x.want {
				t.Errorf("\n got %s\nwant %s", got, x.want)
			}
		})
	}
	for op, queue := range map[string]string{"cast": queues[0], "fanout": queues[2]} {
		t.Run(op, func(t *testing.T) {
			if got := python.do(`{"op": "` + op + `", "method": "tag", "args": {"tag": "t"}}`); got != `{"result": null}` {
				t.Fatal(got)
			}
			if got, want := <-tags, queue+` {"tag": "t"}`; got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
	if st := s.Stat(); st.KeepAlives == 0 || st.Malformed != 0 || st.Failed != 4 {
		t.Errorf("%+v", st)
	}
}

func TestNotificationsBetweenGoAndPython(t *testing.T) {
	t.Parallel()
	_, p := connect(t)
	exchange, topic := rabbitnode.Queue(t, "x"), rabbitnode.Queue(t, "t")
	listener, notifier := startPeer(t, "listener", exchange, topic), startPeer(t, "client", "openstack", topic+".py")
	listener.expect(`"ready"`)
	notifier.expect(`"ready"`)

	for name, format := range map[string]rpc.Format{"v2": rpc.Oslo{}, "v1": rpc.Oslo{Flat: true}, "compressed": rpc.Oslo{Compress: true}} {
		t.Run("from Go, "+name, func(t *testing.T) {
			c := p.client(t, format, rpc.Layout{Exchange: exchange})
			err := c.Notify(t.Context(), router.Target{Kind: router.TargetNotify, Exchange: exchange, Topic: topic, Priority: "error"}, rpc.Notification{
				MessageID: name, PublisherID: "go.host", EventType: "thing.broke", Payload: []byte(`{"n": 1.0, "x": NaN}`),
				Timestamp: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Context: map[string]any{"user_id": "u1"},
			})
			if err != nil {
				t.Fatal(err)
			}
			listener.expect(`{"priority": "error", "context": {"user_id": "u1", "client_timeout": null}, "publisher": "go.host", "event": "thing.broke", "payload": {"n": 1.0, "x": NaN}, "id": "` + name + `", "at": "2026-01-02 03:04:05.000006"}`)
		})
	}

	// Python's notifier makes the queue, before there is a listener.
	for _, driver := range []string{"messagingv2", "messaging"} {
		if got := notifier.do(`{"op": "notify", "driver": "` + driver + `", "priority": "warn", "event": "e", "payload": {"n": 1.0, "driver": "` + driver + `"}, "context": {"user_id": "u1"}}`); got != `{"result": null}` {
			t.Fatal(got)
		}
	}
	topology, queues := (rpc.Layout{}).Listener(topic+".py", []string{"info", "warn"}, "")
	if err := rpc.Ensure(t.Context(), p.declare, topology); err != nil {
		t.Fatal(err)
	}
	l, err := rpc.NewNotificationListener(rpc.NotificationListenerConfig{Listener: p.listener, Format: rpc.Oslo{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []rpc.Notification
	err = l.Listen(ctx, []router.Source{{Queue: queues[0]}, {Queue: queues[1]}}, func(_ context.Context, n *rpc.Notification) error {
		got = append(got, *n)
		if len(got) == 2 {
			cancel()
		}
		return nil
	})
	if err != nil || len(got) != 2 {
		t.Fatalf("%d notifications, %v", len(got), err)
	}
	for i, driver := range []string{"messagingv2", "messaging"} {
		t.Run("from Python, "+driver, func(t *testing.T) {
			n := got[i]
			if n.Priority != "warn" || n.PublisherID != "py.host" || n.EventType != "e" || string(n.Payload) != `{"n": 1.0, "driver": "`+driver+`"}` ||
				n.Context["user_id"] != "u1" || len(n.MessageID) != 36 || time.Since(n.Timestamp).Abs() > time.Hour || n.Origin.RoutingKey != topic+".py.warn" {
				text, _ := json.Marshal(n.Context)
				t.Errorf("%+v %s", n, text)
			}
		})
	}
}
