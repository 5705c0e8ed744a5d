package oslo_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
	"github.com/wasmrouter/router/transport"
)

func echo(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
	return rpc.Reply{Payload: in.Payload}, nil
}

// What oslo.messaging does on the same broker in the same trouble is logged
// beside it.
func TestABrokerOfItsOwn(t *testing.T) {
	t.Parallel()
	node, err := rabbitnode.Start(t.Context(), rabbitnode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Stop)
	exchange, topic := rabbitnode.Queue(t, "x"), rabbitnode.Queue(t, "t")
	const calls = 64
	var together sync.WaitGroup
	together.Add(calls)
	g, client := connectTo(t, node), open(t, node, transport.Options{})
	g.serve(rpc.ServerConfig{}, exchange, topic, "go", rpc.Dispatch(rpc.Endpoint{Methods: map[string]rpc.Handler{
		"echo": echo,
		"meet": func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
			together.Done()
			together.Wait()
			return echo(ctx, in)
		},
	}}))
	remote := client.Remote(rpc.Target{Exchange: exchange, Topic: topic})
	connections := func() int {
		n, err := node.Connections(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}

	var all sync.WaitGroup
	for i := range calls {
		all.Go(func() {
			var got map[string]int
			if err := remote.Call(t.Context(), "meet", map[string]int{"i": i}, &got); err != nil || got["i"] != i {
				t.Errorf("call %d: %v, %v", i, got, err)
			}
		})
	}
	all.Wait()
	ours := connections()
	if ours > 4 {
		t.Errorf("server and client have %d connections for 64 calls at once; each is to have two", ours)
	}
	py := startPython(t, node.URL())
	at := fields("exchange", exchange, "topic", topic+".py")
	py.must(t, "serve", at, fields("server", "one"))
	if got := py.do(t, "calls", at, `"method": "echo", "n": 64`); got != `{"result": 64}` {
		t.Error(got)
	}
	t.Logf("connections for 64 calls at once, of server and client: Go %d, Python %d", ours, connections()-ours)

	if err := node.StopApp(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	theirs := py.begin(t, "call", at, `"method": "nothing", "timeout": 3`)
	const deadline, outage = 3 * time.Second, 10 * time.Second
	target := topicOf(exchange, topic)
	fresh := open(t, node, transport.Options{})
	for name, operation := range map[string]func(context.Context) error{
		"the first call": func(ctx context.Context) error {
			return fresh.Remote(rpc.Target{Topic: topic}).Call(ctx, "echo", nil, nil)
		},
		"a call in the outage":   func(ctx context.Context) error { return remote.Call(ctx, "echo", nil, nil) },
		"a cast in the outage":   func(ctx context.Context) error { return remote.Cast(ctx, "echo", nil) },
		"a fanout in the outage": func(ctx context.Context) error { return remote.Fanout(ctx, "echo", nil) },
		"the first notification": func(ctx context.Context) error {
			return fresh.Client().Notify(ctx, notifyOf(exchange, topic, "info"), rpc.Notification{PublisherID: "p", EventType: "e"})
		},
		"a message in the outage": func(ctx context.Context) error {
			env := router.NewEnvelope(nil, nil)
			return client.Client().Send(ctx, target, &env)
		},
	} {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			if err := operation(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	all.Wait()
	t.Logf("a call with a deadline of %s in an outage: Go %s", deadline, time.Since(began).Round(100*time.Millisecond))
	<-time.After(outage - time.Since(began))
	if err := node.StartApp(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("the broker is back after %s", time.Since(began).Round(100*time.Millisecond))
	await(t, "a call after the outage", func() (bool, string) {
		var got map[string]int
		err := remote.Call(t.Context(), "echo", map[string]int{"i": 1}, &got)
		return got["i"] == 1, fmt.Sprint(err)
	})
	got := py.next(t, theirs)
	t.Logf("a call with a timeout of 3 s in the same outage: Python %s, %.200s", time.Since(began).Round(100*time.Millisecond), got)
}

func TestACastArrivesAfterTheFanoutExchangeHasVanished(t *testing.T) {
	t.Parallel()
	g := connect(t)
	py := thePython(t)
	exchange, topic := rabbitnode.Queue(t, "x"), rabbitnode.Queue(t, "t")
	at := fields("exchange", exchange, "topic", topic, "server", "one")
	remote := g.Remote(rpc.Target{Exchange: exchange, Topic: topic})
	for _, key := range []string{topic + ".1", topic + ".2"} {
		py.must(t, "serve", at)
		if err := remote.Fanout(t.Context(), "tag", map[string]string{"tag": key}); err != nil {
			t.Fatal(err)
		}
		py.expect(t, "tag."+key, `"one"`)
		py.must(t, "stop", at) // its exchange goes with it
		await(t, "the exchange to vanish", func() (bool, string) {
			return g.count(fmt.Sprintf(`case rabbit_exchange:lookup(rabbit_misc:r(<<"/">>, exchange, <<"%s_fanout">>)) of {ok, _} -> 1; _ -> 0 end`, topic)) == 0, "it is there"
		})
		// Nobody is there to hear it, which is no trouble, but is said.
		if err := remote.Fanout(t.Context(), "tag", map[string]string{"tag": key}); !errors.Is(err, rpc.ErrNoListener) {
			t.Errorf("to nobody: %v", err)
		}
	}
	t.Logf("Python, to nobody: %s", py.do(t, "cast", fields("exchange", exchange, "topic", topic), `"fanout": true, "method": "tag", "args": {"tag": "x"}`))
}

func TestDeadClientsDelayNobody(t *testing.T) {
	t.Parallel()
	g := connect(t)
	py := thePython(t)
	exchange, topic := rabbitnode.Queue(t, "x"), rabbitnode.Queue(t, "t")
	const dead = 64
	server := g.serve(rpc.ServerConfig{Workers: dead}, exchange, topic, "go", newService().handler())
	for i := range dead {
		id := fmt.Sprintf("%032x", i)
		env, err := rpc.Oslo{}.EncodeRequest(rpc.Request{Method: "nothing"}, rpc.Ticket{ID: id, UniqueID: id, ReplyTo: "reply_" + topic + id})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Client().Send(t.Context(), topicOf(exchange, topic), &env); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the requests of the dead", func() (bool, string) {
		st := server.Stat()
		return st.Received >= dead, fmt.Sprintf("%+v", st)
	})
	same(t, py.do(t, "call", fields("exchange", exchange, "topic", topic), `"method": "nothing", "timeout": 50`), `{"result": null}`)
	// The replies to the dead are still tried, and not yet given up.
	if st := server.Stat(); st.Retrying == 0 || st.GaveUp != 0 {
		t.Errorf("%+v", st)
	}
}

// A server is killed while it works on casts and calls that it has not
// acknowledged, and another one takes over.
func TestAKilledServerLosesNothing(t *testing.T) {
	t.Parallel()
	py := thePython(t)
	g := connect(t)
	dir := t.TempDir()
	exchange, topic := rabbitnode.Queue(t, "x"), rabbitnode.Queue(t, "t")
	at := fields("exchange", exchange, "topic", topic)
	hold, begun, done := filepath.Join(dir, "hold"), filepath.Join(dir, "begun"), filepath.Join(dir, "done")
	program := filepath.Join(dir, "work.sh")
	text := fmt.Sprintf("#!/bin/sh\nw=$(cat)\necho \"$w\" >>%s\nwhile [ -e %s ]; do sleep 0.05; done\necho \"$w\" >>%s\n", begun, hold, done)
	for path, text := range map[string]string{program: text, hold: ""} {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"serve", "--exchange", exchange, "--topic", topic, "--server", "s", "--exec", program, "--ack-late", "--workers", "4"}
	first := command(t, args...)
	first.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the programs that it runs die with it
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	killed := sync.OnceFunc(func() {
		_ = syscall.Kill(-first.Process.Pid, syscall.SIGKILL)
		_ = first.Wait()
	})
	t.Cleanup(killed)
	await(t, "the server", func() (bool, string) { return g.consumers(topic) > 0 && g.consumers(topic+".s") > 0, "" })

	var want []string
	for i := range 20 {
		work := fmt.Sprintf(`{"n": %d}`, i)
		want = append(want, work)
		py.must(t, "cast", at, `"method": "work", "args": `+work)
	}
	want = append(want, `{"n": "call"}`)
	call := py.begin(t, "call", at, `"method": "work", "args": {"n": "call"}`)
	await(t, "the server to work", func() (bool, string) {
		text, _ := os.ReadFile(begun)
		return strings.Count(string(text), "\n") >= 4, string(text)
	})
	killed()
	if err := os.Remove(hold); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(done); err == nil {
		t.Fatalf("it was killed too late: %s", text)
	}
	begin(t, nil, args...)
	same(t, py.next(t, call), `{"result": ""}`)
	await(t, "all that was cast", func() (bool, string) {
		text, _ := os.ReadFile(done)
		return strings.Count(string(text), "\n") >= len(want), string(text)
	})
	text2, err := os.ReadFile(done)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(string(text2)), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
