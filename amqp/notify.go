package amqp

import (
	"context"
	"fmt"
	"sync"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// maxNotify bounds what is remembered: messages may choose the topic.
const maxNotify = 4096

// notifyQueues remembers which notification queues a connection has seen to.
type notifyQueues struct {
	mu   sync.Mutex // protects done
	done map[[2]string]struct{}
}

// ensureNotify sees to it, once on each connection, that notifications to
// exchange and key are kept although nobody listens yet: the exchange and a
// queue named like the key exist and are bound. What exists already is used as
// it is, since others declare these with flags of their own.
func (b *Broker) ensureNotify(ctx context.Context, c *conn, exchange, key string) error {
	id := [2]string{exchange, key}
	n := &c.notify
	n.mu.Lock()
	_, ok := n.done[id]
	n.mu.Unlock()
	if ok {
		return nil
	}
	err := c.call(ctx, func() error {
		d := declarer{b: b, c: c}
		defer d.close()
		if err := d.exchange(Exchange{Name: exchange, Type: amqp091.ExchangeTopic, Durable: true, Shared: true}); err != nil {
			return err
		}
		if err := d.queue(Queue{Name: key, Durable: true, Shared: true}); err != nil {
			return err
		}
		return d.bind(Binding{Exchange: exchange, Queue: key, Key: key})
	})
	if err != nil {
		if c.ends(ctx, err) {
			return errDead
		}
		return fmt.Errorf("notification queue: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.done == nil || len(n.done) >= maxNotify {
		n.done = map[[2]string]struct{}{}
	}
	n.done[id] = struct{}{}
	return nil
}
