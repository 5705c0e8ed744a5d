package rabbitnode

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/internal/testkit"
)

func TestMain(m *testing.M) {
	stop := Share()
	code := m.Run()
	stop()
	os.Exit(testkit.Leakless(code))
}

// dial connects and declares a durable queue.
func dial(t *testing.T, n *Node, queue string) (*amqp091.Connection, *amqp091.Channel) {
	t.Helper()
	conn, err := amqp091.Dial(n.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseDeadline(time.Now().Add(time.Second)) })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	return conn, ch
}

func TestNodeServesAndSurvivesItsFaults(t *testing.T) {
	n, err := Start(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Stop)
	queue := Queue(t)
	conn, ch := dial(t, n, queue)
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	dc, err := ch.PublishWithDeferredConfirm("", queue, true, false, amqp091.Publishing{DeliveryMode: 2, Body: []byte("kept")})
	if err != nil || !dc.Wait() {
		t.Fatalf("publish: %v", err)
	}

	if count, err := n.QueueLen(t.Context(), queue); err != nil || count != 1 {
		t.Errorf("QueueLen = %d, %v, want 1", count, err)
	}

	closed := conn.NotifyClose(make(chan *amqp091.Error, 1))
	if err := n.CloseAllConnections(t.Context(), "test reason"); err != nil {
		t.Fatal(err)
	}
	if reason := <-closed; reason == nil || !strings.Contains(reason.Reason, "test reason") {
		t.Errorf("connection closed with %v, want the given reason", reason)
	}

	if err := n.StopApp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c, err := amqp091.Dial(n.URL()); err == nil {
		c.Close()
		t.Error("the broker accepts connections after StopApp")
	}
	if err := n.StartApp(t.Context()); err != nil {
		t.Fatal(err)
	}
	dial(t, n, queue)

	before := n.Pid()
	if err := n.Kill(); err != nil {
		t.Fatal(err)
	}
	if n.Pid() != 0 || !errors.Is(syscall.Kill(before, 0), syscall.ESRCH) {
		t.Errorf("process %d lives after Kill", before)
	}
	if err := n.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, ch = dial(t, n, queue)
	if msg, ok, err := ch.Get(queue, true); err != nil || !ok || string(msg.Body) != "kept" {
		t.Errorf("after a restart the queue gave %q %v %v, want the persistent message", msg.Body, ok, err)
	}

	if err := n.Pause(); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := n.Eval(short, "ok"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a paused broker answered: %v", err)
	}
	if err := n.Continue(); err != nil {
		t.Fatal(err)
	}
	if out, err := n.Eval(t.Context(), "{1, <<\"a\">>}"); err != nil || out != `{1,<<"a">>}` {
		t.Errorf("Eval after Continue = %q, %v", out, err)
	}

	dir, pid, epmd := n.Dir(), n.Pid(), n.epmd.pid
	n.Stop()
	n.Stop()
	for _, p := range []int{pid, epmd} {
		if !errors.Is(syscall.Kill(p, 0), syscall.ESRCH) {
			t.Errorf("process %d lives after Stop", p)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder %s is still there: %v", dir, err)
	}
	if err := n.Restart(t.Context()); !errors.Is(err, errStopped) {
		t.Errorf("Restart after Stop = %v, want %v", err, errStopped)
	}
}

func TestConnectionsAreClosedByTheirName(t *testing.T) {
	n := Shared(t)
	closed := map[string]chan *amqp091.Error{}
	var other *amqp091.Connection
	for _, name := range []string{"mine/send", "mine/listen", "not mine/send", ""} {
		conn, err := amqp091.DialConfig(n.URL(), amqp091.Config{Properties: amqp091.Table{"connection_name": name}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		closed[name], other = conn.NotifyClose(make(chan *amqp091.Error, 1)), conn
	}
	if count, err := n.CloseConnections(t.Context(), "mine/", "test reason"); err != nil || count != 2 {
		t.Fatalf("%d connections closed, %v", count, err)
	}
	for name, c := range closed {
		if name != "mine/send" && name != "mine/listen" {
			continue
		}
		if reason := <-c; reason == nil || !strings.Contains(reason.Reason, "test reason") {
			t.Errorf("%s closed with %v", name, reason)
		}
	}
	if _, err := other.Channel(); err != nil {
		t.Errorf("another connection: %v", err)
	}
}

func TestSharedIsOneNode(t *testing.T) {
	t.Parallel()
	a, b := Shared(t), Shared(t)
	if a != b {
		t.Fatal("Shared started two nodes")
	}
	if out, err := a.Ctl(t.Context(), "list_vhosts"); err != nil || !strings.Contains(out, "/") {
		t.Errorf("rabbitmqctl list_vhosts = %q, %v", out, err)
	}
	if _, err := a.Eval(t.Context(), "error(broken)"); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("Eval of an exception = %v, want an error with its reason", err)
	}
	dial(t, a, Queue(t))
	if c, err := a.Connections(t.Context(), ""); err != nil || c < 1 {
		t.Errorf("Connections = %d, %v", c, err)
	}
	if first, second := Queue(t, "x"), Queue(t, "x"); first == second {
		t.Error("Queue gave the same name twice")
	}
}

func TestStartNamesTheCauseOfAFailure(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), Config{Conf: "no_such_key = 1", Port: 1})
	if err == nil || !strings.Contains(err.Error(), "no_such_key") {
		t.Errorf("Start with an unknown key = %v, want its name", err)
	}
}
