package rabbitnode

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

func TestClusterKeepsWhatAMajorityHas(t *testing.T) {
	t.Parallel()
	c, err := StartCluster(t.Context(), Config{}, 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	queue := Queue(t)
	conn, err := amqp091.Dial(c.Nodes[0].URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err == nil {
		_, err = ch.QueueDeclare(queue, true, false, false, false, amqp091.Table{"x-queue-type": "quorum"})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitMembers(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	dc, err := ch.PublishWithDeferredConfirm("", queue, true, false, amqp091.Publishing{DeliveryMode: 2, Body: []byte("kept")})
	if err != nil || !dc.Wait() {
		t.Fatalf("publish: %v", err)
	}
	leader, err := c.Leader(t.Context(), c.Nodes[1], queue)
	if err != nil || leader != c.Nodes[0] {
		t.Fatalf("the leader is %v, %v; want the node on which the queue was declared", leader, err)
	}

	// A node that is cut off stops serving, since it is a minority, though nothing
	// has ended any of its connections; the others elect another leader.
	lost := conn.NotifyClose(make(chan *amqp091.Error, 1))
	c.Isolate(leader)
	select {
	case <-lost:
	case <-time.After(startTimeout):
		t.Fatal("a node that is cut off goes on serving")
	}
	await(t, "another leader", func() bool {
		next, err := c.Leader(t.Context(), c.Nodes[1], queue)
		return err == nil && next != leader
	})
	await(t, "QueueLen to be 1 with two nodes of three", func() bool { // once the new leader is known everywhere
		n, err := c.Nodes[2].QueueLen(t.Context(), queue)
		return err == nil && n == 1
	})
	c.Mend(leader)
	if err := c.AwaitWhole(t.Context()); err != nil {
		t.Fatal(err)
	}

	if err := leader.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := leader.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitWhole(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out, err := leader.Ctl(t.Context(), "list_queues", "--local", "name"); err != nil || strings.Contains(out, "rror") {
		t.Errorf("rabbitmqctl: %q, %v", out, err)
	}

	var pids []int
	for _, n := range c.Nodes {
		pids = append(pids, n.Pid())
	}
	c.Stop()
	for _, pid := range pids {
		if !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			t.Errorf("process %d lives after Stop", pid)
		}
	}
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(startTimeout)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("no %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
