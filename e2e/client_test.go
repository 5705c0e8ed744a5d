package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

// client is the tests' own connection to the broker. It is used before and
// after the faults, never during them, so that what goes wrong is the router's.
type client struct {
	t    *testing.T
	conn *amqp091.Connection
	ch   *amqp091.Channel
}

func dial(t *testing.T, n *rabbitnode.Node) *client {
	t.Helper()
	conn, err := amqp091.Dial(n.URL())
	if err != nil {
		t.Fatal(err)
	}
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t, conn, ch}
	t.Cleanup(c.close)
	return c
}

func (c *client) close() { _ = c.conn.CloseDeadline(time.Now().Add(5 * time.Second)) }

// declare declares durable queues.
func (c *client) declare(queues ...string) {
	c.t.Helper()
	for _, q := range queues {
		if _, err := c.ch.QueueDeclare(q, true, false, false, false, nil); err != nil {
			c.t.Fatal(err)
		}
	}
}

// publish sends messages to a queue, mandatory, and returns when the broker has
// confirmed all.
func (c *client) publish(queue string, msgs ...amqp091.Publishing) {
	c.t.Helper()
	if err := c.tryPublish(queue, msgs); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) tryPublish(queue string, msgs []amqp091.Publishing) error {
	closed := c.ch.NotifyClose(make(chan *amqp091.Error, 1))
	confirms := make([]*amqp091.DeferredConfirmation, 0, len(msgs))
	for _, m := range msgs {
		dc, err := c.ch.PublishWithDeferredConfirm("", queue, true, false, m)
		if err != nil {
			return err
		}
		confirms = append(confirms, dc)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for i, dc := range confirms {
		switch ok, err := dc.WaitContext(ctx); {
		case err != nil:
			return fmt.Errorf("publish message %d to %s: %w", i, queue, err)
		case !ok:
			select {
			case err := <-closed:
				return fmt.Errorf("publish message %d to %s: %w", i, queue, err)
			case <-time.After(time.Second):
				return fmt.Errorf("publish message %d to %s: refused", i, queue)
			}
		}
	}
	return nil
}

// fill publishes a whole load to a queue and notes it in the audit. It may run
// in a goroutine of its own; nobody else may use the client or the audit then.
func (c *client) fill(queue string, load Load, a *Audit) error {
	const batch = 1000
	for from := 0; from < load.Count; from += batch {
		var msgs []amqp091.Publishing
		to := min(from+batch, load.Count)
		for id := from; id < to; id++ {
			a.Attempted(id)
			msgs = append(msgs, numbered(load, id))
		}
		if err := c.tryPublish(queue, msgs); err != nil {
			return err
		}
		for id := from; id < to; id++ {
			a.Acknowledged(id)
		}
	}
	return nil
}

// numbered is message id of a load as it is published.
func numbered(load Load, id int) amqp091.Publishing {
	return amqp091.Publishing{
		DeliveryMode: amqp091.Persistent,
		ContentType:  "application/json",
		MessageId:    fmt.Sprintf("e2e-%d-%d", load.Seed, id),
		Headers:      amqp091.Table{"id": int64(id), "key": load.Key(id)},
		Body:         load.Body(id),
	}
}

// idOf returns the number of a message, -1 if it has none.
func idOf(d amqp091.Delivery) int {
	if id, ok := d.Headers["id"].(int64); ok {
		return int(id)
	}
	return -1
}

// reasonOf returns why a message is a dead letter.
func reasonOf(d amqp091.Delivery) string {
	reason, _ := d.Headers["x-router-reason"].(string)
	return reason
}

// drain takes everything that a queue holds, in the queue's order. Nobody else
// may be consuming or publishing.
func (c *client) drain(queue string, each func(amqp091.Delivery)) {
	c.t.Helper()
	ch, err := c.conn.Channel()
	if err != nil {
		c.t.Fatal(err)
	}
	defer ch.Close()
	if err := ch.Qos(1000, 0, false); err != nil {
		c.t.Fatal(err)
	}
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		c.t.Fatalf("look at queue %s: %v", queue, err)
	}
	if q.Messages == 0 {
		return
	}
	deliveries, err := ch.Consume(queue, "", false, true, false, false, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	deadline := time.After(patience)
	for left := q.Messages; left > 0; left-- {
		select {
		case d, ok := <-deliveries:
			if !ok {
				c.t.Fatalf("the connection was lost with %d messages left in %s", left, queue)
			}
			each(d)
			if left == 1 || left%500 == 0 {
				if err := d.Ack(true); err != nil {
					c.t.Fatal(err)
				}
			}
		case <-deadline:
			c.t.Fatalf("%d messages left in %s do not come", left, queue)
		}
	}
}

// awaitEmpty waits until a queue holds nothing, unacknowledged or not.
func awaitEmpty(t *testing.T, n *rabbitnode.Node, queue string) {
	t.Helper()
	awaitLen(t, n, queue, 0)
}

// awaitLen waits until a queue holds at most that many messages.
func awaitLen(t *testing.T, n *rabbitnode.Node, queue string, atMost int) {
	t.Helper()
	await(t, fmt.Sprintf("queue %s to have at most %d messages", queue, atMost), func() (bool, string) {
		count, err := n.QueueLen(t.Context(), queue)
		if err != nil {
			return false, err.Error()
		}
		return count <= atMost, fmt.Sprintf("it has %d", count)
	})
}
