package app_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
)

// What changes a route replaces its consumer, what does not change it leaves it
// alone; and no change of one route touches another.
func TestReloadSwapsOnlyWhatChanged(t *testing.T) { testbroker.Both(t, testReloadSwapsOnlyWhatChanged) }

func testReloadSwapsOnlyWhatChanged(t *testing.T, at *testbroker.Broker) {
	c := dial(t, at)
	q := c.queues("in", "out", "other")
	in, out, other := q[0], q[1], q[2]
	url := at.URL()
	stable := fmt.Sprintf("[routes.stable]\nlisten = %q\nsend = [\"queue:%s\"]\n", other, out)
	filter := fmt.Sprintf(`[filters.f]
path = "stock:content-router"
[filters.f.config]
field = "body:type"
default = "pass"
routes = { x = "queue:%s" }
`, out)
	route := fmt.Sprintf("[routes.r]\nlisten = %q\nfilters = [\"f\"]\nsend = [\"queue:%s\"]\nallow = [\"queue:%s\"]\n", in, out, out)
	text := head(url) + stable + filter + route
	replace := func(old, new string) string {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("the configuration is without %q", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	app := start(t, text)

	for _, tc := range []struct {
		name string
		text string
		want bool // whether route r is swapped
	}{
		{"nothing", text, false},
		{"a comment", "# hello\n" + text, false},
		{"the log's level", replace("[log]\n", "[log]\nlevel = \"debug\"\n"), false},
		{"a default written out", replace("[routes.r]\n", "[routes.r]\nprefetch = 256\n"), false},
		{"another route", text + fmt.Sprintf("[routes.more]\nlisten = %q\nsend = [\"queue:%s\"]\n[queues.%q]\n", in+".more", out, in+".more"), false},
		{"a filter that nobody uses", text + "[filters.more]\npath = \"stock:messagepack\"\nconfig = { encode = \"json-to-msgpack\" }\n", false},
		{"prefetch", replace("[routes.r]\n", "[routes.r]\nprefetch = 7\n"), true},
		{"send", replace("[routes.r]\n"+"listen = \""+in+"\"\nfilters = [\"f\"]\nsend = [\"queue:"+out, "[routes.r]\n"+"listen = \""+in+"\"\nfilters = [\"f\"]\nsend = [\"queue:"+other), true},
		{"allow", replace("allow = [\"queue:", "allow = [\"queue:*\", \"queue:"), true},
		{"retry", text + "[routes.r.retry]\nmax_attempts = 2\n", true},
		{"dedup", text + "[routes.r.dedup]\nwindow = 5\n", true},
		{"dead_letter", replace("[routes.r]\n", "[routes.r]\ndead_letter = \""+in+".dead2\"\n"), true},
		{"filters", replace("filters = [\"f\"]\n", ""), true},
		{"a value in a filter's config", replace("routes = { x", "routes = { y"), true},
		{"a filter's limits", text + "[filters.f.limits]\ntime = \"60ms\"\n", true},
		{"a filter's grants", text + "[filters.f.grants]\nclock = true\n", true},
		{"a filter's stages", replace("[filters.f]\n", "[filters.f]\nstages = [\"decide\"]\n"), true},
		{"a filter's on_error", replace("[filters.f]\n", "[filters.f]\non_error = \"drop\"\n"), true},
		{"a filter's module", replace("stock:content-router\"\n[filters.f.config]\nfield = \"body:type\"\ndefault = \"pass\"\nroutes = { x = \"queue:"+out+"\" }", "stock:messagepack\"\n[filters.f.config]\nencode = \"json-to-msgpack\""), true},
	} {
		app.mustReload(text)
		first, bystander := consumer(t, at, in), consumer(t, at, other)
		app.mustReload(tc.text)
		now := consumer(t, at, in)
		if now == "" || (now != first) != tc.want {
			t.Errorf("%s: the route is consumed as %s, before as %s; want it swapped: %v", tc.name, now, first, tc.want)
		}
		if got := consumer(t, at, other); got != bystander {
			t.Errorf("%s: the other route is consumed as %s, before as %s", tc.name, got, bystander)
		}
	}

	// What concerns every route swaps them all.
	app.mustReload(text)
	bystander := consumer(t, at, other)
	app.mustReload(replace("[process]\n", "[process]\ndrain_timeout = \"9s\"\n"))
	if got := consumer(t, at, other); got == bystander || got == "" {
		t.Errorf("with another drain_timeout %s consumes, before %s", got, bystander)
	}
}

func TestReloadKeepsWhatRunsAfterAnError(t *testing.T) {
	testbroker.Both(t, testReloadKeepsWhatRunsAfterAnError)
}

func testReloadKeepsWhatRunsAfterAnError(t *testing.T, at *testbroker.Broker) {
	c := dial(t, at)
	q := c.queues("in", "out", "taken")
	url := at.URL()
	text := head(url) + withFilter(q[0], q[1])
	in := start(t, text)
	first := consumer(t, at, q[0])
	for _, tc := range []struct {
		name, text, want string
	}{
		{"syntax", text + "[routes.x\n", "routes.r: the table's name is not closed"},
		{"unknown key", text + "prefecth = 1\n", `did you mean "prefetch"`},
		{"no such filter file", text + "[filters.g]\npath = \"absent.wasm\"\n", "filters.g.path: cannot read \"absent.wasm\""},
		{"another module than is pinned", strings.Replace(text, "[filters.f]\n", "[filters.f]\nsha256 = \""+strings.Repeat("0", 64)+"\"\n", 1), "sha256 differs"},
		{"a filter that refuses its configuration", strings.Replace(text, "field = ", "filed = ", 1), "filters.f.config: the filter refuses it: "},
		{"a queue that is otherwise", text + fmt.Sprintf("[queues.%q]\ndurable = false\n", q[2]), q[2]},
		{"no such broker", strings.Replace(text, url, nowhere, 1), "connection refused"},
		{"the admin listener", strings.Replace(text, `listen = ""`, `listen = "127.0.0.1:0"`, 1), "admin.listen: a reload cannot change it; restart the router"},
		{"the log's format", strings.Replace(text, `"json"`, `"text"`, 1), "log.format: a reload cannot change it"},
		{"where traces go", text + "[telemetry]\nendpoint = \"http://127.0.0.1:1\"\n", "telemetry: a reload cannot change it"},
		{"the cache", strings.Replace(text, "cache_dir = \"", "cache_dir = \"/other", 1), "process.cache_dir: a reload cannot change it"},
	} {
		err := in.reload(tc.text)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want an error with %q", tc.name, err, tc.want)
		}
		if in.Snapshot().Config.Successful {
			t.Errorf("%s: the last reload counts as successful", tc.name)
		}
		if got := consumer(t, at, q[0]); got != first {
			t.Fatalf("%s: %s consumes, before %s", tc.name, got, first)
		}
	}
	c.publish(q[0], `{"type":"x"}`)
	c.arrives(q[1])
	in.mustReload(text)
	if !in.Snapshot().Config.Successful {
		t.Error("a good reload does not count as successful")
	}
	if got := consumer(t, at, q[0]); got != first {
		t.Errorf("in the end %s consumes, before %s", got, first)
	}
}

// A route can be mended while the broker is away.
func TestReloadWithoutABroker(t *testing.T) {
	text := head(nowhere) + withFilter("a", "b")
	in := build(t, text)
	if err := in.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := in.reload(strings.Replace(text, "field = \"body:type\"", "field = \"body:kind\"", 1)); err != nil {
		t.Errorf("Reload: %v", err)
	}
	if want := `"msg":"reloaded","routes":1,"changed":1,"removed":0`; !strings.Contains(in.log.String(), want) {
		t.Errorf("the log is without %s", want)
	}
}

func TestReloadAddsAndRemovesRoutes(t *testing.T) { testbroker.Both(t, testReloadAddsAndRemovesRoutes) }

func testReloadAddsAndRemovesRoutes(t *testing.T, at *testbroker.Broker) {
	c := dial(t, at)
	out := c.queues("out")[0]
	fresh := rabbitnode.Queue(t, "fresh")
	text := head(at.URL())
	in := start(t, text)
	more := text + fmt.Sprintf(`[exchanges.%q]
type = "topic"
[queues.%q]
bind = [{ exchange = %q, key = "a.*" }]
[routes.more]
listen = %q
send = ["queue:%s"]
`, fresh, fresh, fresh, fresh, out)
	in.mustReload(more)
	if err := c.ch.PublishWithContext(t.Context(), fresh, "a.b", true, false, amqp091.Publishing{Body: []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	if got := c.arrives(out); got != "hello" {
		t.Errorf("%q arrives", got)
	}
	in.mustReload(text)
	if got := consumer(t, at, fresh); got != "" {
		t.Errorf("the removed route is consumed as %s", got)
	}

	// Under another name the route has the queue's order still: the old consumer
	// ends before the new one begins.
	in.mustReload(more)
	in.mustReload(strings.Replace(more, "[routes.more]\n", "[routes.renamed]\nexclusive = true\n", 1))
	if all, err := at.Consumers(t.Context(), fresh); err != nil || len(all) != 1 {
		t.Errorf("the renamed route's queue is consumed by %q, %v", all, err)
	}
}

// Messages that arrive while their route is swapped, filter and all, arrive
// once and in order.
func TestReloadUnderLoad(t *testing.T) { testbroker.Both(t, testReloadUnderLoad) }

func testReloadUnderLoad(t *testing.T, at *testbroker.Broker) {
	c := dial(t, at)
	q := c.queues("in", "out")
	const messages, swaps = 4000, 8
	text := head(at.URL()) + withFilter(q[0], q[1])
	in := start(t, text)
	filled := make(chan error, 1)
	go func() {
		for i := range messages {
			err := c.ch.PublishWithContext(t.Context(), "", q[0], false, false, amqp091.Publishing{
				MessageId: fmt.Sprint(i), Body: fmt.Appendf(nil, `{"type":"x","n":%d}`, i),
			})
			if err != nil {
				filled <- err
				return
			}
		}
		filled <- nil
	}()
	for i := range swaps {
		if err := in.reload(strings.Replace(text, "x = ", fmt.Sprintf("y%d = \"queue:%s\", x = ", i, q[1]), 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-filled; err != nil {
		t.Fatal(err)
	}
	await(t, "all messages to arrive", func() (bool, string) {
		n, err := at.QueueLen(t.Context(), q[1])
		if err != nil {
			t.Fatal(err)
		}
		return n >= messages, fmt.Sprint(n)
	})
	in.stop()
	for i := range messages {
		d, ok, err := c.ch.Get(q[1], true)
		if err != nil {
			t.Fatal(err)
		}
		if !ok || d.MessageId != fmt.Sprint(i) {
			t.Fatalf("message %q arrives in place of %d", d.MessageId, i)
		}
	}
	for _, queue := range []string{q[0], q[0] + ".dead", q[1]} {
		if n, err := at.QueueLen(t.Context(), queue); err != nil || n != 0 {
			t.Errorf("%s holds %d more: %v", queue, n, err)
		}
	}
}

// The successor of a route that is busy waits for it: the order of the queue
// holds over a reload.
func TestReloadKeepsTheOrder(t *testing.T) { testbroker.Both(t, testReloadKeepsTheOrder) }

func testReloadKeepsTheOrder(t *testing.T, at *testbroker.Broker) {
	c := dial(t, at)
	q := c.queues("in", "out")
	text := head(at.URL()) + fmt.Sprintf("[routes.r]\nlisten = %q\nsend = [\"queue:%s\"]\nprefetch = 1\ndead_letter = %q\n[queues.%q]\n", q[0], q[1], q[1], q[1])
	slow := strings.Replace(text, "[routes.r]\n", "[routes.r]\nfilters = [\"slow\"]\nallow = [\"queue:*\"]\n", 1) +
		"[filters.slow]\npath = \"demo:loop\"\nlimits = { time = \"500ms\" }\n"
	in := start(t, slow)
	c.publish(q[0], "first")
	c.publish(q[0], "second")
	await(t, "the first to be taken", func() (bool, string) {
		n := in.Snapshot().Routes[0].Received
		return n == 1, fmt.Sprint(n)
	})
	in.mustReload(text)
	for _, want := range []string{"first", "second"} {
		if got := c.arrives(q[1]); got != want {
			t.Errorf("%q arrives, want %q", got, want)
		}
	}
}

// Only RabbitMQ gets another user while it runs.
func TestReloadChangesTheBrokersCredentials(t *testing.T) {
	t.Parallel() // the broker takes seconds to refuse a password
	at := testbroker.RabbitMQ(t)
	node := at.Node
	c := dial(t, at)
	q := c.queues("in", "out")
	text := head("amqp://"+node.Addr()+"/") + withFilter(q[0], q[1])
	in := start(t, text)
	user := rabbitnode.Queue(t, "user") // of a name as fresh as that
	if _, err := node.Eval(t.Context(), fmt.Sprintf(
		`rabbit_auth_backend_internal:add_user(<<%q>>, <<"s3cret">>, <<"test">>), rabbit_auth_backend_internal:set_permissions(<<%q>>, <<"/">>, <<".*">>, <<".*">>, <<".*">>, <<"test">>)`, user, user)); err != nil {
		t.Fatal(err)
	}
	as := func(password string) string { // the file is read again, whatever the text says
		write(t, filepath.Join(filepath.Dir(in.path), "password"), password+"\n")
		return strings.Replace(text, "[broker]\n", fmt.Sprintf("[broker]\nusername = %q\npassword = \"${file:password}\"\n", user), 1)
	}
	users := func() string {
		t.Helper()
		all, err := node.Eval(t.Context(), `[proplists:get_value(user, rabbit_networking:connection_info(P, [user])) || P <- rabbit_networking:connections()]`)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	first := consumer(t, at, q[0])
	err := in.reload(as("wrong"))
	if err == nil || !strings.Contains(err.Error(), "login as \""+user+"\" refused") || strings.Contains(err.Error(), "wrong\"") {
		t.Errorf("reload with a wrong password: %v", err)
	}
	if got := consumer(t, at, q[0]); got != first {
		t.Errorf("after it %s consumes, before %s", got, first)
	}
	in.mustReload(as("s3cret"))
	if got := users(); !strings.Contains(got, user) {
		t.Errorf("the users that are connected are %s", got)
	}
	c.publish(q[0], `{"type":"x"}`)
	c.arrives(q[1])
	in.mustReload(text)
	if got := users(); strings.Contains(got, user) {
		t.Errorf("after changing back the users that are connected are %s", got)
	}
}
