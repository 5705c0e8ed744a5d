package harness

import (
	"context"
	"fmt"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

// Client is the tests' own connection to the broker. It is used before and
// after the faults, never during them, so that what goes wrong is the router's.
type Client struct {
	t    *testing.T
	Conn *amqp091.Connection
	Ch   *amqp091.Channel // in confirm mode

	returns <-chan amqp091.Return // of what no queue took
}

// maxReturns is how many messages may come back until somebody looks.
const maxReturns = 1 << 16

// Dial connects to a broker until the test ends.
func Dial(t *testing.T, n *rabbitnode.Node) *Client {
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
	c := &Client{t, conn, ch, ch.NotifyReturn(make(chan amqp091.Return, maxReturns))}
	t.Cleanup(c.Close)
	return c
}

// Close closes the connection.
func (c *Client) Close() { _ = c.Conn.CloseDeadline(time.Now().Add(5 * time.Second)) }

// Declare declares durable queues.
func (c *Client) Declare(queues ...string) {
	c.t.Helper()
	for _, q := range queues {
		if _, err := c.Ch.QueueDeclare(q, true, false, false, false, nil); err != nil {
			c.t.Fatal(err)
		}
	}
}

// Publish sends messages to a queue, mandatory, and returns when the broker has
// confirmed all.
func (c *Client) Publish(queue string, msgs ...amqp091.Publishing) {
	c.t.Helper()
	if err := c.TryPublish(queue, msgs); err != nil {
		c.t.Fatal(err)
	}
}

// TryPublish is Publish that returns the error. A message that no queue takes is one.
func (c *Client) TryPublish(queue string, msgs []amqp091.Publishing) error {
	closed := c.Ch.NotifyClose(make(chan *amqp091.Error, 1))
	confirms := make([]*amqp091.DeferredConfirmation, 0, len(msgs))
	for _, m := range msgs {
		dc, err := c.Ch.PublishWithDeferredConfirm("", queue, true, false, m)
		if err != nil {
			return err
		}
		confirms = append(confirms, dc)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), Patience)
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
	select {
	case r := <-c.returns: // it has come before its confirm
		return fmt.Errorf("publish to %s: %s", queue, r.ReplyText)
	default:
		return nil
	}
}

// Fill publishes a whole load to a queue and notes it in the audit. It may run
// in a goroutine of its own; nobody else may use the client or the audit then.
func (c *Client) Fill(queue string, load Load, a *Audit) error {
	return c.FillPart(queue, load, a, 0, load.Count)
}

// FillPart is [Client.Fill] with the messages from one number to before another.
func (c *Client) FillPart(queue string, load Load, a *Audit, from, end int) error {
	const batch = 1000
	for ; from < end; from += batch {
		var msgs []amqp091.Publishing
		to := min(from+batch, end)
		for id := from; id < to; id++ {
			a.Attempted(id)
			msgs = append(msgs, Numbered(load, id))
		}
		if err := c.TryPublish(queue, msgs); err != nil {
			return err
		}
		for id := from; id < to; id++ {
			a.Acknowledged(id)
		}
	}
	return nil
}

// Numbered is message id of a load as it is published.
func Numbered(load Load, id int) amqp091.Publishing {
	return amqp091.Publishing{
		DeliveryMode: amqp091.Persistent,
		ContentType:  "application/json",
		MessageId:    fmt.Sprintf("e2e-%d-%d", load.Seed, id),
		Headers:      amqp091.Table{"id": int64(id), "key": load.Key(id)},
		Body:         load.Body(id),
	}
}

// IDOf returns the number of a message, -1 if it has none.
func IDOf(d amqp091.Delivery) int {
	if id, ok := d.Headers["id"].(int64); ok {
		return int(id)
	}
	return -1
}

// ReasonOf returns why a message is a dead letter.
func ReasonOf(d amqp091.Delivery) string {
	reason, _ := d.Headers["x-router-reason"].(string)
	return reason
}

// Drain takes everything that a queue holds, in the queue's order. Nobody else
// may be consuming or publishing.
func (c *Client) Drain(queue string, each func(amqp091.Delivery)) {
	c.t.Helper()
	ch, err := c.Conn.Channel()
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
	deliveries, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	deadline := time.After(Patience)
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

// DrainIfThere is Drain for a queue that nobody may have declared.
func (c *Client) DrainIfThere(queue string, each func(amqp091.Delivery)) {
	c.t.Helper()
	ch, err := c.Conn.Channel()
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil); err != nil {
		return // the broker has closed the channel
	}
	_ = ch.Close()
	c.Drain(queue, each)
}

// AwaitEmpty waits until a queue holds nothing, unacknowledged or not.
func AwaitEmpty(t *testing.T, n *rabbitnode.Node, queue string) {
	t.Helper()
	AwaitLen(t, n, queue, 0)
}

// AwaitLen waits until a queue holds at most that many messages.
func AwaitLen(t *testing.T, n *rabbitnode.Node, queue string, atMost int) {
	t.Helper()
	Await(t, fmt.Sprintf("queue %s to have at most %d messages", queue, atMost), func() (bool, string) {
		count, err := n.QueueLen(t.Context(), queue)
		if err != nil {
			return false, err.Error()
		}
		return count <= atMost, fmt.Sprintf("it has %d", count)
	})
}
