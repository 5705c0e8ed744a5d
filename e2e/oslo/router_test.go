package oslo_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/rpc"
)

// runRouter runs a router with the configuration until the end of the test,
// and returns when every queue has a consumer.
func runRouter(t *testing.T, g *golang, config string, queues ...string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "router.toml")
	head := fmt.Sprintf("[broker]\nurl = %q\n[process]\ncache_dir = %q\n[admin]\nlisten = \"127.0.0.1:0\"\n", g.node.URL(), cacheDir)
	if err := os.WriteFile(path, []byte(head+config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "run", "-c", path)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil || t.Failed() {
			t.Errorf("the router: %v\n%s", err, log.Bytes())
		}
	})
	for _, queue := range queues {
		await(t, "the router to consume "+queue, func() (bool, string) {
			select {
			case err := <-ended:
				ended <- err
				t.Fatalf("the router has ended: %v\n%s", err, log.Bytes())
			default:
			}
			return g.consumers(queue) > 0, "nobody does"
		})
	}
}

// routes is a router between the topics front and back: of calls and casts to
// the topic, to its server one, and to its server go, which is the server go of
// another topic; of fanouts; and of notifications.
func routes(exchange, front, back, more string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `
[exchanges.%q]
type = "topic"
durable = false
[exchanges.openstack]
type = "topic"
durable = false
[exchanges."%s_fanout"]
type = "fanout"
durable = false
auto_delete = true
[filters.policy]
path = "stock:oslo-router"
limits = { time = "1m" }
[filters.policy.config]
default = "pass"
[[filters.policy.config.rules]]
method = "forbidden"
action = "reject"
reason = "nobody may"
[filters.redact]
path = "stock:rewrite"
stages = ["unpack"]
config = { remove = ["secret"], set = { seen_by = "the router" } }
limits = { time = "1m" }
`, exchange, front)
	route := func(name, queue, bindTo, key, send string) {
		fmt.Fprintf(&b, `
[queues.%q]
durable = false
bind = [{ exchange = %q, key = %q }]
[routes.%s]
listen = %[1]q
format = "oslo"
order = "none"
parallel = 8
filters = ["policy", "redact"]
send = [%[5]q]
allow = [%[5]q]
%[6]s
`, queue, bindTo, key, name, send, more)
	}
	route("any", front, exchange, front, "topic:"+exchange+"/"+back)
	route("one", front+".one", exchange, front+".one", "server:"+exchange+"/"+back+".one")
	route("go", front+".go", exchange, front+".go", "server:"+exchange+"/"+back+".other.go")
	route("all", front+".all", front+"_fanout", "", "fanout:"+back)
	route("heard", front+".warn", "openstack", front+".warn", "notify:"+back+".warn")
	return b.String()
}

func TestARouterForwardsBetweenPythons(t *testing.T) {
	t.Parallel()
	betweenPythons(t, "", func(asked, answered string) bool { return asked == answered })
}

// In this mode the router calls in its own name, and brings the replies back.
func TestARouterCallsForPythons(t *testing.T) {
	t.Parallel()
	betweenPythons(t, "mode = \"proxy\"", func(asked, answered string) bool { return answered != "" && asked != answered })
}

// betweenPythons tests a router whose routes have the option, and holds the
// reply queues that a client asked for, and that a server answered to, to right.
func betweenPythons(t *testing.T, mode string, right func(asked, answered string) bool) {
	g := connect(t)
	py := thePython(t)
	exchange, back := pythonServers(t)
	front := rabbitnode.Queue(t, "front")
	at := fields("exchange", exchange, "topic", front)
	server := g.serve(rpc.ServerConfig{}, exchange, back+".other", "go", newService().handler())
	py.must(t, "listen", fields("topic", back), everyPriority)
	runRouter(t, g, routes(exchange, front, back, mode), front, front+".one", front+".go", front+".all", front+".warn")
	large := strings.Repeat(`\u00e9`, 1<<20/6)

	for _, x := range []struct{ name, command, want string }{
		{"values", `"method": "echo", "args": {"value": ["h\u00e9llo \ud83d\ude00", 1.0, 1208925819614629174706176, NaN, -Infinity, "\udc80", null, {"a": true}]}`, `{"result": ["h\u00e9llo \ud83d\ude00", 1.0, 1208925819614629174706176, NaN, -Infinity, "\udc80", null, {"a": true}]}`},
		{"1 MB there", `"method": "size", "args": {"value": "` + large + `"}`, fmt.Sprintf(`{"result": %d}`, 1<<20/6)},
		{"1 MB back", fmt.Sprintf(`"method": "big", "args": {"n": %d}`, 1<<20/6), `{"result": "` + large + `"}`},
		{"no result", `"method": "nothing"`, `{"result": null}`},
		{"one server", `"method": "who", "server": "one"`, `{"result": "one"}`},
		{"namespace and version", `"method": "where", "namespace": "interop.ns", "version": "2.0"`, `{"result": "in interop.ns"}`},
		{
			"a context that filters change", `"method": "context", "context": {"secret": "s3cr3t", "user_id": "u1", "roles": ["a", null], "deep": {"n": 1.0}}`,
			`{"result": {"user_id": "u1", "roles": ["a", null], "deep": {"n": 1.0}, "seen_by": "the router", "client_timeout": null}}`,
		},
		{"a compressed request", `"method": "echo", "args": {"value": "packed"}, "query": "kombu_compression=gzip"`, `{"result": "packed"}`},
		{"a request compressed by bzip2", `"method": "echo", "args": {"value": "packed"}, "query": "kombu_compression=bzip2"`, `{"result": "packed"}`},
		{
			"an exception of the service", `"method": "custom", "exmods": ["interop_errors"]`,
			`{"error": {"class": "InteropError_Remote", "module": "interop_errors_Remote", "remote": null, "text": "oops", "kwargs": {"code": 42, "uuid": "u-1"}}}`,
		},
		{
			"a builtin exception", `"method": "fail", "args": {"error": "ValueError", "args": ["bad value"]}`,
			`{"error": {"class": "ValueError", "module": "builtins", "remote": null, "text": "bad value", "kwargs": null}}`,
		},
		{
			"no such method", `"method": "nosuch"`,
			`{"error": {"class": "RemoteError", "module": "oslo_messaging.rpc.client", "remote": "NoSuchMethod", "text": "Endpoint does not support RPC method nosuch", "kwargs": null}}`,
		},
		{
			"an unsupported version", `"method": "who", "version": "7.0"`,
			`{"error": {"class": "RemoteError", "module": "oslo_messaging.rpc.client", "remote": "UnsupportedVersion", "text": "Endpoint does not support RPC version 7.0. Attempted method: who", "kwargs": null}}`,
		},
		{"a long call that is monitored", `"method": "slow", "args": {"secs": 5}, "monitor": 2`, `{"result": "slept"}`},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			if got := py.do(t, "call", at, x.command); got != x.want {
				t.Errorf("\n got %.300s\nwant %.300s", got, x.want)
			}
		})
	}
	t.Run("a request that a filter rejects", func(t *testing.T) {
		t.Parallel()
		got := py.do(t, "call", at, `"method": "forbidden"`)
		for _, want := range []string{`"class": "RemoteError"`, `"remote": "Rejected"`, "nobody may"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s\ndoes not hold %s", got, want)
			}
		}
	})
	t.Run("cast", func(t *testing.T) {
		t.Parallel()
		key := rabbitnode.Queue(t)
		py.must(t, "cast", at, `"method": "tag", "server": "one", "args": {"tag": "`+key+`"}`)
		py.expect(t, "tag."+key, `"one"`)
	})
	t.Run("fanout", func(t *testing.T) {
		t.Parallel()
		key := rabbitnode.Queue(t)
		py.must(t, "cast", at, `"method": "tag", "fanout": true, "args": {"tag": "`+key+`"}`)
		py.expect(t, "tag."+key, `"one"`, `"two"`)
	})
	t.Run("a call to Go", func(t *testing.T) {
		t.Parallel()
		same(t, py.do(t, "call", at, `"method": "echo", "server": "go", "args": {"value": [1.0, NaN]}`), `{"result": [1.0, NaN]}`)
		var queue string
		if err := g.Remote(rpc.Target{Exchange: exchange, Topic: front, Server: "go"}).Call(t.Context(), "reply_queue", nil, &queue); err != nil || !right(g.Client().ReplyQueue(), queue) {
			t.Errorf("the reply to %s went to %s, %v", g.Client().ReplyQueue(), queue, err)
		}
		await(t, "the confirms of both replies", func() (bool, string) {
			st := server.Stat()
			return st.Malformed == 0 && st.Replies == 2, fmt.Sprintf("%+v", st)
		})
	})
	for name, driver := range map[string]string{"a notification, v2": "messagingv2", "a notification, v1": "messaging"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event := rabbitnode.Queue(t)
			py.must(t, "notify", fields("topic", front, "event", event, "priority", "warn", "driver", driver), `"payload": {"n": 1.0, "x": NaN}, "context": {"secret": "s", "user_id": "u1"}`)
			got := py.next(t, event)
			for _, want := range []string{`"priority": "warn"`, `"context": {"user_id": "u1", "seen_by": "the router", "client_timeout": null}`, `"payload": {"n": 1.0, "x": NaN}`} {
				if !strings.Contains(got, want) {
					t.Errorf("%s\ndoes not hold %s", got, want)
				}
			}
		})
	}
}
