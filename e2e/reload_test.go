package e2e

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestReload reloads under load: a broken configuration changes nothing, a
// changed route is swapped, an unchanged route keeps its consumer.
func TestReload(t *testing.T) {
	n := rabbitnode.Shared(t)
	load := harness.Load{Seed: harness.Seed(t), Count: harness.Messages(t, 20_000), Keys: 1, Pad: 64}
	in, out := rabbitnode.Queue(t, "in"), rabbitnode.Queue(t, "out")
	other, before, after := rabbitnode.Queue(t, "other"), rabbitnode.Queue(t, "before"), rabbitnode.Queue(t, "after")
	audit := harness.NewAudit(load)
	c := harness.Dial(t, n)
	c.Declare(in, out, other, before, after)

	stable := harness.Chain("stable", in, out)
	changing := "[routes.changing]\nlisten = %q\nsend = [%q]\n"
	path := harness.ConfigFile(t, n.URL(), stable+fmt.Sprintf(changing, other, "queue:"+before))
	p := harness.Start(t, path)
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
		skip := p.Logged()
		p.Signal(syscall.SIGHUP)
		line, _ := p.AwaitLine("a reload", skip, func(l harness.LogLine) bool { return l.Msg == "reloaded" || l.Level == "ERROR" })
		if line.Msg != want && !(want == "" && line.Level == "ERROR") {
			t.Fatalf("the reload was logged as %s, want message %q", line.Raw, want)
		}
		if got := consumer(); got != first {
			t.Errorf("the unchanged route consumes as %s, before as %s", got, first)
		}
	}
	send := func(queue string) {
		t.Helper()
		c.Publish(other, amqp091.Publishing{DeliveryMode: amqp091.Persistent, Body: []byte("x")})
		harness.Await(t, "the changing route to send to "+queue, func() (bool, string) {
			count, err := n.QueueLen(t.Context(), queue)
			if err != nil {
				return false, err.Error()
			}
			return count == 1, fmt.Sprintf("it holds %d", count)
		})
		c.Drain(queue, func(amqp091.Delivery) {})
	}
	send(before)

	filled := make(chan error, 1) // so that the filler ends whatever becomes of the test
	filler := harness.Dial(t, n)
	go func() { filled <- filler.Fill(in, load, audit) }()

	if err := os.WriteFile(path, []byte("[routes.stable\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	reload("")
	if got := p.Metric("router_config_last_reload_successful"); got != 0 {
		t.Errorf("router_config_last_reload_successful is %v after a broken configuration, want 0", got)
	}
	send(before)

	harness.WriteConfig(t, path, n.URL(), stable+fmt.Sprintf(changing, other, "queue:"+after))
	reload("reloaded")
	if got := p.Metric("router_config_last_reload_successful"); got != 1 {
		t.Errorf("router_config_last_reload_successful is %v after a reload, want 1", got)
	}
	send(after)

	if err := <-filled; err != nil {
		t.Fatal(err)
	}
	harness.AwaitEmpty(t, n, in)
	if got := consumer(); got != first {
		t.Errorf("in the end the unchanged route consumes as %s, before as %s", got, first)
	}
	p.Terminate()
	c.Drain(out, func(d amqp091.Delivery) { audit.Delivered(out, harness.IDOf(d), d.Body) })
	r := audit.Report()
	r.WriteText(t.Output())
	for _, line := range r.Check(0) {
		t.Error(line)
	}
}
