package bareloop

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// callProperties are those of oslo.messaging's messages.
func callProperties(body []byte) amqp091.Publishing {
	return amqp091.Publishing{
		ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp091.Persistent,
		Headers: amqp091.Table{}, Body: body,
	}
}

// DeclareTopic declares the exchange and queue of a topic, as oslo.messaging
// does in its default settings.
func DeclareTopic(ctx context.Context, url, exchange, topic string) error {
	l, err := open(ctx, url)
	if err != nil {
		return err
	}
	defer l.close()
	return declareTopic(l, exchange, topic)
}

// declareTopic declares the exchange and queue of a topic.
func declareTopic(l *link, exchange, topic string) error {
	if err := l.ch.ExchangeDeclare(exchange, "topic", false, false, false, false, nil); err != nil {
		return fmt.Errorf("declare exchange %q: %w", exchange, err)
	}
	if _, err := l.ch.QueueDeclare(topic, false, false, false, false, nil); err != nil {
		return fmt.Errorf("declare queue %q: %w", topic, err)
	}
	if err := l.ch.QueueBind(topic, topic, exchange, false, nil); err != nil {
		return fmt.Errorf("bind queue %q: %w", topic, err)
	}
	return nil
}

// Answer is the server of a bare request and reply: it acknowledges each
// request and publishes its body back, persistent, mandatory and confirmed,
// until ctx ends. Ready is called when it listens, seen for each request that
// wants no reply.
func Answer(ctx context.Context, url, exchange, topic string, ready, seen func()) error {
	in, err := open(ctx, url)
	if err != nil {
		return err
	}
	defer in.close()
	out, err := open(ctx, url)
	if err != nil {
		return err
	}
	defer out.close()
	if err := out.ch.Confirm(false); err != nil {
		return fmt.Errorf("bare server: confirm mode: %w", err)
	}
	if err := declareTopic(in, exchange, topic); err != nil {
		return fmt.Errorf("bare server: %w", err)
	}
	if err := in.ch.Qos(256, 0, false); err != nil {
		return fmt.Errorf("bare server: prefetch: %w", err)
	}
	deliveries, err := in.ch.Consume(topic, "", false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("bare server: consume %q: %w", topic, err)
	}
	ready()
	for {
		select {
		case d, ok := <-deliveries:
			if !ok {
				return errLost
			}
			if err := in.ch.Ack(d.DeliveryTag, false); err != nil {
				return err
			}
			if d.ReplyTo == "" {
				seen()
				continue
			}
			reply := callProperties(d.Body)
			reply.CorrelationId = d.CorrelationId
			if _, err := out.ch.PublishWithDeferredConfirm("", d.ReplyTo, true, false, reply); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// Caller is the client of a bare request and reply: two connections, a reply
// queue of its own, every request persistent and confirmed, every reply
// acknowledged. It is safe for concurrent use.
type Caller struct {
	in, out         *link
	exchange, topic string
	replyTo         string
	ids             atomic.Uint64
	ran             sync.WaitGroup

	mu      sync.Mutex             // protects the fields below
	waiting map[string]chan []byte // nil after the end
}

// NewCaller connects and declares.
func NewCaller(ctx context.Context, url, exchange, topic string) (*Caller, error) {
	in, err := open(ctx, url)
	if err != nil {
		return nil, err
	}
	out, err := open(ctx, url)
	if err != nil {
		in.close()
		return nil, err
	}
	c := &Caller{in: in, out: out, exchange: exchange, topic: topic, replyTo: topic + ".reply", waiting: map[string]chan []byte{}}
	if err := c.listen(); err != nil {
		in.close()
		out.close()
		return nil, fmt.Errorf("bare client: %w", err)
	}
	return c, nil
}

func (c *Caller) listen() error {
	if err := c.out.ch.Confirm(false); err != nil {
		return fmt.Errorf("confirm mode: %w", err)
	}
	if err := declareTopic(c.in, c.exchange, c.topic); err != nil {
		return err
	}
	if _, err := c.in.ch.QueueDeclare(c.replyTo, false, true, false, false, nil); err != nil {
		return fmt.Errorf("declare queue %q: %w", c.replyTo, err)
	}
	if err := c.in.ch.Qos(256, 0, false); err != nil {
		return fmt.Errorf("prefetch: %w", err)
	}
	deliveries, err := c.in.ch.Consume(c.replyTo, "", false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("consume %q: %w", c.replyTo, err)
	}
	c.ran.Go(func() { // ends with the connection
		for d := range deliveries {
			c.mu.Lock()
			reply := c.waiting[d.CorrelationId]
			delete(c.waiting, d.CorrelationId)
			c.mu.Unlock()
			_ = c.in.ch.Ack(d.DeliveryTag, false) // without a connection there is no next delivery
			if reply != nil {
				reply <- d.Body
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, reply := range c.waiting {
			close(reply)
		}
		c.waiting = nil
	})
	return nil
}

// Call sends a request and waits for its reply and for its confirmation.
func (c *Caller) Call(ctx context.Context, body []byte) ([]byte, error) {
	request := callProperties(body)
	request.CorrelationId = strconv.FormatUint(c.ids.Add(1), 10)
	request.ReplyTo = c.replyTo
	request.Expiration = "60000"
	reply := make(chan []byte, 1)
	c.mu.Lock()
	if c.waiting == nil {
		c.mu.Unlock()
		return nil, errLost
	}
	c.waiting[request.CorrelationId] = reply
	c.mu.Unlock()
	if err := c.send(ctx, request); err != nil {
		return nil, err
	}
	select {
	case answer, ok := <-reply:
		if !ok {
			return nil, errLost
		}
		return answer, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Cast sends a request that wants no reply and waits for its confirmation.
func (c *Caller) Cast(ctx context.Context, body []byte) error {
	return c.send(ctx, callProperties(body))
}

func (c *Caller) send(ctx context.Context, p amqp091.Publishing) error {
	dc, err := c.out.ch.PublishWithDeferredConfirm(c.exchange, c.topic, true, false, p)
	if err != nil {
		return err
	}
	acked, err := dc.WaitContext(ctx)
	if err != nil {
		return err
	}
	if !acked {
		return errors.New("a request was not confirmed")
	}
	return nil
}

// Close disconnects; calls that still wait end with an error.
func (c *Caller) Close() {
	c.in.close()
	c.out.close()
	c.ran.Wait()
}
