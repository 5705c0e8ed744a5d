package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/internal/testbroker"
)

// nowhere is an address where no broker is.
const nowhere = "amqp://127.0.0.1:1/"

// withFilter is a route whose filter holds an instance, which a stop must free.
func withFilter(in, out string) string {
	return fmt.Sprintf(`[filters.f]
path = "stock:content-router"
config = { field = "body:type", routes = { x = "queue:%s" }, default = "pass" }
[routes.r]
listen = %q
filters = ["f"]
send = ["queue:%s"]
allow = ["queue:%s"]
`, out, in, out, out)
}

func TestStopWithoutStart(t *testing.T) {
	in := build(t, head(nowhere)+withFilter("a", "b"))
	in.stop()
	in.stop() // does nothing
	if err := in.Start(t.Context()); !errors.Is(err, app.ErrStopped) {
		t.Errorf("Start after Stop: %v, want ErrStopped", err)
	}
	if err := in.Reload(t.Context()); !errors.Is(err, app.ErrStopped) {
		t.Errorf("Reload after Stop: %v, want ErrStopped", err)
	}
	if ready, reasons := in.Ready(); ready || len(reasons) != 1 || reasons[0] != "draining" {
		t.Errorf("Ready after Stop: %v %q", ready, reasons)
	}
}

func TestReloadBeforeStart(t *testing.T) {
	in := build(t, head(nowhere))
	if err := in.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "not started") {
		t.Errorf("Reload before Start: %v", err)
	}
}

func TestStartTwice(t *testing.T) { testbroker.Both(t, testStartTwice) }

func testStartTwice(t *testing.T, at *testbroker.Broker) {
	in := start(t, head(at.URL()))
	if err := in.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "started before") {
		t.Errorf("second Start: %v", err)
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent.toml")
	_, err := app.New(t.Context(), app.Options{ConfigPath: path})
	if err == nil || strings.Count(err.Error(), "\n") != 0 || !strings.HasPrefix(err.Error(), path+": ") {
		t.Errorf("New of a missing file: %v", err)
	}
	write(t, path, "")
	_, err = app.New(t.Context(), app.Options{ConfigPath: path, LogLevel: "loud"})
	if err == nil || !strings.Contains(err.Error(), `"loud"`) {
		t.Errorf("New with a bad log level: %v", err)
	}
	open := "0.0.0.0:0"
	_, err = app.New(t.Context(), app.Options{ConfigPath: path, Admin: &open, LogOutput: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("New with an open admin listener: %v", err)
	}
}

func TestNewIsInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "router.toml")
	write(t, path, head(nowhere)+withFilter("a", "b"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a, err := app.New(ctx, app.Options{ConfigPath: path, LogOutput: io.Discard})
	if err == nil { // what is in the cache needs no time to be interrupted in
		err = errors.Join(a.Start(ctx), a.Stop(t.Context()))
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("New and Start with an ended context: %v", err)
	}
}

func TestStartTellsThatTheAdminPortIsTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().String()
	text := strings.Replace(head(nowhere), `listen = ""`, fmt.Sprintf("listen = %q", addr), 1)
	in := build(t, text+withFilter("a", "b"))
	err = in.Start(t.Context())
	e, ok := errors.AsType[*config.Error](err)
	if !ok || e.Key != "admin.listen" || e.Line == 0 || !strings.Contains(err.Error(), addr) {
		t.Errorf("Start: %v, want an error at admin.listen that names %s", err, addr)
	}
}

func TestStartFailsOnAConflict(t *testing.T) { testbroker.Both(t, testStartFailsOnAConflict) }

func testStartFailsOnAConflict(t *testing.T, at *testbroker.Broker) {
	c := dial(t, at)
	q := c.queues("q")[0]
	in := build(t, head(at.URL())+fmt.Sprintf("[queues.%q]\ndurable = false\n", q)+withFilter(q, q+".out"))
	err := in.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), q) || !strings.Contains(err.Error(), "durable") {
		t.Errorf("Start: %v, want an error that names queue %s and durable", err, q)
	}
}

// A router that starts before its broker waits for it, says so, and begins when
// the broker is there.
func TestStartsBeforeTheBroker(t *testing.T) { testbroker.Both(t, testStartsBeforeTheBroker) }

func testStartsBeforeTheBroker(t *testing.T, at *testbroker.Broker) {
	c := dial(t, at)
	q := c.queues("in", "out")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	text := strings.Replace(head("amqp://"+addr+"/"), `listen = ""`, `listen = "127.0.0.1:0"`, 1)
	in := build(t, text+withFilter(q[0], q[1]))
	if err := in.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	code, body := get(t, in, "/readyz")
	if code != http.StatusServiceUnavailable || !strings.Contains(body, "broker: not connected") || !strings.Contains(body, "route r: not consuming queue "+q[0]) {
		t.Errorf("/readyz without a broker: %d %s", code, body)
	}
	if code, _ := get(t, in, "/healthz"); code != http.StatusOK {
		t.Errorf("/healthz without a broker: %d", code)
	}
	proxy(t, addr, at.Addr())
	in.ready()
	if code, body := get(t, in, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz with a broker: %d %s", code, body)
	}
	c.publish(q[0], `{"type":"x"}`)
	c.arrives(q[1])
	_, metrics := get(t, in, "/metrics")
	for _, want := range []string{`router_messages_received_total{route="r"} 1`, "router_config_last_reload_successful 1"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics is without %s:\n%s", want, metrics)
		}
	}
	in.stop()
	if got := consumer(t, at, q[0]); got != "" {
		t.Errorf("after Stop %s consumes", got)
	}
}

func get(t *testing.T, in *instance, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + in.AdminAddr() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// proxy passes connections to addr on to another address until the test ends.
func proxy(t *testing.T, addr, to string) {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { ln.Close(); all.Wait() })
	pass := func(from, to net.Conn) {
		_, _ = io.Copy(to, from) // the end of either ends both
		from.Close()
		to.Close()
	}
	all.Go(func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			onward, err := net.Dial("tcp", to)
			if err != nil {
				from.Close()
				continue
			}
			all.Go(func() { pass(from, onward) })
			all.Go(func() { pass(onward, from) })
		}
	})
}

// Stop takes precedence over reloads that come all the time.
func TestStopWhileReloading(t *testing.T) { testbroker.Both(t, testStopWhileReloading) }

func testStopWhileReloading(t *testing.T, at *testbroker.Broker) {
	c := dial(t, at)
	q := c.queues("in", "out")
	text := head(at.URL()) + withFilter(q[0], q[1])
	in := start(t, text)
	var reloads sync.WaitGroup
	began := make(chan struct{}, 2)
	for i := range 2 {
		reloads.Go(func() {
			for n := 0; ; n++ {
				// Another prefetch each time, so that there is something to swap.
				_ = in.reload(text + fmt.Sprintf("prefetch = %d\n", 10+2*n+i))
				if err := in.Reload(t.Context()); errors.Is(err, app.ErrStopped) {
					return
				}
				if n == 0 {
					began <- struct{}{}
				}
			}
		})
	}
	<-began
	<-began
	in.stop()
	reloads.Wait()
	if got := consumer(t, at, q[0]); got != "" {
		t.Errorf("after Stop %s consumes", got)
	}
}

// What a drain cannot finish goes back to the broker, and in time.
func TestDrainIsBounded(t *testing.T) { testbroker.Both(t, testDrainIsBounded) }

func testDrainIsBounded(t *testing.T, at *testbroker.Broker) {
	c := dial(t, at)
	q := c.queues("in")
	text := strings.Replace(head(at.URL()), "[process]\n", "[process]\ndrain_timeout = \"200ms\"\n", 1)
	in := start(t, text+fmt.Sprintf(`[queues.%q]
arguments = { x-max-length = 0, x-overflow = "reject-publish" }
[routes.r]
listen = %q
send = ["queue:%s"]
[routes.r.retry]
max_attempts = 1000
backoff = "1m"
max_backoff = "1h"
`, q[0]+".full", q[0], q[0]+".full"))
	c.publish(q[0], "stuck")
	await(t, "the message to be refused", func() (bool, string) {
		n := in.Snapshot().Routes[0].Held
		return n == 1, fmt.Sprintf("%d are held", n)
	})
	in.stop()
	if got := c.arrives(q[0]); got != "stuck" {
		t.Errorf("the queue holds %q", got)
	}
}

// No password is printed, whatever goes wrong.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel() // the broker takes seconds to refuse a password
	testbroker.Both(t, testSecretsStayInside)
}

func testSecretsStayInside(t *testing.T, at *testbroker.Broker) {
	const canary = "c4n4ry-pass"
	in := build(t, head("amqp://nobody:"+canary+"@"+at.Addr()+"/")+"level = \"debug\"\n"+withFilter("a", "b"))
	err := in.Start(t.Context())
	if err == nil {
		t.Fatal("Start with a wrong password works")
	}
	if !strings.Contains(err.Error(), "nobody") {
		t.Errorf("Start: %v, want an error that names the user", err)
	}
	_, reasons := in.Ready()
	for what, text := range map[string]string{"error": err.Error(), "log": in.log.String(), "readiness": strings.Join(reasons, "\n")} {
		if strings.Contains(text, canary) {
			t.Errorf("the %s shows the password:\n%s", what, text)
		}
	}
}

// A broker that takes nothing does not hold up the end.
func TestDrainWithABlockedBroker(t *testing.T) { testbroker.Both(t, testDrainWithABlockedBroker) }

func testDrainWithABlockedBroker(t *testing.T, at *testbroker.Broker) {
	c, holder := dial(t, at), dial(t, at)
	q := c.queues("in", "out")
	// Messages wait in hand of who does not publish and is not blocked.
	var held []amqp091.Delivery
	const waiting = 100
	for n := range waiting {
		c.publish(q[0], fmt.Sprintf(`{"n":%d}`, n))
	}
	await(t, "the messages to hold", func() (bool, string) {
		d, ok, err := holder.ch.Get(q[0], false)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			held = append(held, d)
		}
		return len(held) == waiting, fmt.Sprint(len(held))
	})
	text := strings.Replace(head(at.URL()), "[process]\n", "[process]\ndrain_timeout = \"300ms\"\n", 1)
	in := start(t, text+withFilter(q[0], q[1]))
	if err := at.Block(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := at.Unblock(context.Background()); err != nil {
			t.Error(err)
		}
	})
	// RabbitMQ tells whose publish it meets when it has noticed itself, so that some
	// messages may still go out.
	var out uint64
	await(t, "a message in hand that is not sent, and readiness to say so", func() (bool, string) {
		s := in.Snapshot().Routes[0]
		out = 0
		for _, n := range s.Settled {
			out += n
		}
		if s.Received == out && len(held) > 0 {
			if err := held[0].Nack(false, true); err != nil {
				t.Fatal(err)
			}
			held = held[1:]
		}
		_, reasons := in.Ready()
		all := strings.Join(reasons, "; ")
		return s.Received > out && strings.Contains(all, "blocked publishing"), fmt.Sprintf("%d received, %d sent: %s", s.Received, out, all)
	})
	in.stop()
	if n, err := at.QueueLen(t.Context(), q[0]); err != nil || n != waiting-int(out) {
		t.Errorf("the queue holds %d of %d, and %d were sent: %v", n, waiting, out, err)
	}
}
