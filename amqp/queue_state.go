package amqp

import (
	"context"
	"errors"
	"fmt"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// QueueState says what the broker tells of a queue.
type QueueState struct {
	Messages  int // ready; those in consumers' hands are not counted
	Consumers int
}

// State asks for a queue's state on the send connection, waiting for that until ctx
// ends. Whether it exists is told by [IsMissing].
func (b *Broker) State(ctx context.Context, queue string) (QueueState, error) {
	c, err := b.supply.get(ctx)
	if err != nil {
		return QueueState{}, fmt.Errorf("amqp: %w", err)
	}
	found := make(chan amqp091.Queue, 1)
	err = c.call(ctx, func() error {
		ch, err := c.lib.Channel()
		if err != nil {
			return err
		}
		defer func() { _ = ch.Close() }() // an error means that it is closed already
		q, err := ch.QueueDeclarePassive(queue, false, false, false, false, nil)
		found <- q
		return err
	})
	if err != nil {
		return QueueState{}, fmt.Errorf("amqp: %w", explain(err, fmt.Sprintf("queue %q", queue)))
	}
	q := <-found
	return QueueState{q.Messages, q.Consumers}, nil
}

// IsMissing reports whether err says that a queue or exchange does not exist.
func IsMissing(err error) bool {
	e, ok := errors.AsType[*amqp091.Error](err)
	return ok && e.Server && e.Code == amqp091.NotFound
}
