package e2e

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestDrain stops the router with SIGTERM under load, several times: nothing is
// lost and nothing arrives twice.
func TestDrain(t *testing.T) {
	n := rabbitnode.Shared(t)
	in, out := rabbitnode.Queue(t, "in"), rabbitnode.Queue(t, "out")
	load := Load{Seed: seed(t), Count: messages(t, 20_000), Keys: 1, Pad: 64}
	audit := NewAudit(load)
	c := dial(t, n)
	c.declare(in, out)
	if err := c.fill(in, load, audit); err != nil {
		t.Fatal(err)
	}
	config := configFile(t, n.URL(), chain("drain", in, out))
	const stops = 4
	inFlow := 0
	for i := range stops {
		p := start(t, config)
		awaitLen(t, n, in, load.Count-(i+1)*load.Count/(stops+1))
		p.terminate()
		left, err := n.QueueLen(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if left > 0 {
			inFlow++
		}
	}
	p := start(t, config)
	awaitEmpty(t, n, in)
	p.terminate()
	c.drain(out, func(d amqp091.Delivery) { audit.Delivered(out, idOf(d), d.Body) })
	r := audit.Report()
	r.WriteText(t.Output())
	for _, line := range r.Check(0) {
		t.Error(line)
	}
	if inFlow == 0 {
		t.Error("no stop met messages on their way: the run proves nothing")
	}
}

// TestReload reloads under load: a broken configuration changes nothing, a
// changed route is swapped, an unchanged route keeps its consumer.
func TestReload(t *testing.T) {
	n := rabbitnode.Shared(t)
	load := Load{Seed: seed(t), Count: messages(t, 20_000), Keys: 1, Pad: 64}
	in, out := rabbitnode.Queue(t, "in"), rabbitnode.Queue(t, "out")
	other, before, after := rabbitnode.Queue(t, "other"), rabbitnode.Queue(t, "before"), rabbitnode.Queue(t, "after")
	audit := NewAudit(load)
	c := dial(t, n)
	c.declare(in, out, other, before, after)

	stable := chain("stable", in, out)
	changing := "[routes.changing]\nlisten = %q\nsend = [%q]\n"
	path := configFile(t, n.URL(), stable+fmt.Sprintf(changing, other, "queue:"+before))
	p := start(t, path)
	consumer := func() string {
		t.Helper()
		text, err := n.Eval(t.Context(), fmt.Sprintf(`{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<%q>>)), [{element(1, C), element(2, C)} || C <- rabbit_amqqueue:consumers(Q)]`, in))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	first := consumer()
	reload := func(want string) {
		t.Helper()
		skip := p.logged()
		p.signal(syscall.SIGHUP)
		line, _ := p.awaitLine("a reload", skip, func(l logLine) bool { return l.Msg == "reloaded" || l.Level == "ERROR" })
		if line.Msg != want && !(want == "" && line.Level == "ERROR") {
			t.Fatalf("the reload was logged as %s, want message %q", line.raw, want)
		}
		if got := consumer(); got != first {
			t.Errorf("the unchanged route consumes as %s, before as %s", got, first)
		}
	}
	send := func(queue string) {
		t.Helper()
		c.publish(other, amqp091.Publishing{DeliveryMode: amqp091.Persistent, Body: []byte("x")})
		await(t, "the changing route to send to "+queue, func() (bool, string) {
			count, err := n.QueueLen(t.Context(), queue)
			if err != nil {
				return false, err.Error()
			}
			return count == 1, fmt.Sprintf("it holds %d", count)
		})
		c.drain(queue, func(amqp091.Delivery) {})
	}
	send(before)

	filled := make(chan error, 1) // so that the filler ends whatever becomes of the test
	filler := dial(t, n)
	go func() { filled <- filler.fill(in, load, audit) }()

	if err := os.WriteFile(path, []byte("[routes.stable\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	reload("")
	if got := p.metric("router_config_last_reload_successful"); got != 0 {
		t.Errorf("router_config_last_reload_successful is %v after a broken configuration, want 0", got)
	}
	send(before)

	writeConfig(t, path, n.URL(), stable+fmt.Sprintf(changing, other, "queue:"+after))
	reload("reloaded")
	if got := p.metric("router_config_last_reload_successful"); got != 1 {
		t.Errorf("router_config_last_reload_successful is %v after a reload, want 1", got)
	}
	send(after)

	if err := <-filled; err != nil {
		t.Fatal(err)
	}
	awaitEmpty(t, n, in)
	if got := consumer(); got != first {
		t.Errorf("in the end the unchanged route consumes as %s, before as %s", got, first)
	}
	p.terminate()
	c.drain(out, func(d amqp091.Delivery) { audit.Delivered(out, idOf(d), d.Body) })
	r := audit.Report()
	r.WriteText(t.Output())
	for _, line := range r.Check(0) {
		t.Error(line)
	}
}
