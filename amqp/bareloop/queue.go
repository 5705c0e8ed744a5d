package bareloop

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// Declare declares durable queues of a type, classic or quorum, and empties
// those that exist.
func Declare(ctx context.Context, url, kind string, names ...string) error {
	l, err := open(ctx, url)
	if err != nil {
		return err
	}
	defer l.close()
	for _, name := range names {
		if _, err := l.ch.QueueDeclare(name, true, false, false, false, amqp091.Table{amqp091.QueueTypeArg: kind}); err != nil {
			return fmt.Errorf("declare queue %q: %w", name, err)
		}
		if _, err := l.ch.QueuePurge(name, false); err != nil {
			return fmt.Errorf("empty queue %q: %w", name, err)
		}
	}
	return nil
}

// Delete deletes queues; those that do not exist are no error.
func Delete(ctx context.Context, url string, names ...string) error {
	l, err := open(ctx, url)
	if err != nil {
		return err
	}
	defer l.close()
	for _, name := range names {
		if _, err := l.ch.QueueDelete(name, false, false, false); err != nil {
			return fmt.Errorf("delete queue %q: %w", name, err)
		}
	}
	return nil
}

// Message says what [Fill] publishes.
type Message struct {
	Size    int            // of the body in bytes; at least 8, of which the first 8 are the number
	Headers map[string]any // of types that amqp091-go knows; shared by all messages
	Body    []byte         // if set, the body's end, after the number; Size is then ignored
	// Make, if set, makes each body by number, and Number reads it back.
	Make func(n int) []byte
}

func (m Message) body(n int) []byte {
	if m.Make != nil {
		return m.Make(n)
	}
	size := max(8, m.Size)
	if m.Body != nil {
		size = 8 + len(m.Body)
	}
	body := make([]byte, size)
	copy(body[8:], m.Body)
	binary.BigEndian.PutUint64(body, uint64(n))
	return body
}

// Fill publishes n persistent messages to a queue, numbered from 0, and
// returns when all are confirmed.
func Fill(ctx context.Context, url, queue string, n int, m Message) error {
	l, err := open(ctx, url)
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.ch.Confirm(false); err != nil {
		return fmt.Errorf("fill %q: confirm mode: %w", queue, err)
	}
	const window = 512
	returns := l.ch.NotifyReturn(make(chan amqp091.Return, window+1))
	var flight []*amqp091.DeferredConfirmation
	await := func(left int) error {
		for len(flight) > left {
			ok, err := flight[0].WaitContext(ctx)
			if err != nil {
				return err
			}
			if !ok {
				return fmt.Errorf("message %d was not confirmed", flight[0].DeliveryTag-1)
			}
			select {
			case r := <-returns:
				return fmt.Errorf("a message came back: %s", r.ReplyText)
			default:
			}
			flight = flight[1:]
		}
		return nil
	}
	for i := range n {
		dc, err := l.ch.PublishWithDeferredConfirm("", queue, true, false, amqp091.Publishing{
			DeliveryMode: amqp091.Persistent, Headers: m.Headers, Body: m.body(i),
		})
		if err == nil {
			flight = append(flight, dc)
			err = await(window - 1)
		}
		if err != nil {
			return fmt.Errorf("fill %q: %w", queue, err)
		}
	}
	if err := await(0); err != nil {
		return fmt.Errorf("fill %q: %w", queue, err)
	}
	return nil
}

// Report is what [Drain] found.
type Report struct {
	Received   int // messages taken from the queue
	Lost       int // numbers that never came
	Duplicates int // messages whose number had come before
	OutOfOrder int // first arrivals with a lower number than one before them
	Unknown    int // messages without a number from 0 to n-1
}

// Clean reports whether all arrived once and in order.
func (r Report) Clean() bool {
	return r.Lost == 0 && r.Duplicates == 0 && r.OutOfOrder == 0 && r.Unknown == 0
}

// Drain takes messages from the queue until it holds none, and says which of
// the n numbers were in it. Number reads a message's number from its body; nil
// reads the first 8 bytes as [Fill] writes them.
func Drain(ctx context.Context, url, queue string, n int, number func(body []byte) (int, bool)) (Report, error) {
	if number == nil {
		number = func(body []byte) (int, bool) {
			if len(body) < 8 {
				return 0, false
			}
			return int(binary.BigEndian.Uint64(body)), true
		}
	}
	l, err := open(ctx, url)
	if err != nil {
		return Report{}, err
	}
	defer l.close()
	r := Report{}
	seen := make([]bool, n)
	highest := -1
	count := func(d *amqp091.Delivery) {
		r.Received++
		i, ok := number(d.Body)
		switch {
		case !ok || i < 0 || i >= n:
			r.Unknown++
		case seen[i]:
			r.Duplicates++
		default:
			if i < highest {
				r.OutOfOrder++
			}
			highest = max(highest, i)
			seen[i] = true
		}
	}
	for {
		q, err := l.ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		if err != nil {
			return r, fmt.Errorf("drain %q: %w", queue, err)
		}
		if q.Messages == 0 {
			break
		}
		if err := take(ctx, l.ch, queue, q.Messages, count); err != nil {
			return r, fmt.Errorf("drain %q: %w", queue, err)
		}
	}
	for _, ok := range seen {
		if !ok {
			r.Lost++
		}
	}
	return r, nil
}

// take consumes n messages.
func take(ctx context.Context, ch *amqp091.Channel, queue string, n int, count func(*amqp091.Delivery)) error {
	const window = 1024
	if err := ch.Qos(window, 0, false); err != nil {
		return err
	}
	tag := fmt.Sprintf("drain-%d", time.Now().UnixNano())
	deliveries, err := ch.Consume(queue, tag, false, false, false, false, nil)
	if err != nil {
		return err
	}
	for i := range n {
		select {
		case d, ok := <-deliveries:
			if !ok {
				return errors.New("connection lost")
			}
			count(&d)
			if i%(window/2) == window/2-1 || i == n-1 {
				if err := ch.Ack(d.DeliveryTag, true); err != nil {
					return err
				}
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := ch.Cancel(tag, false); err != nil {
		return err
	}
	for d := range deliveries { // came after the n-th; goes back
		if err := ch.Nack(d.DeliveryTag, false, true); err != nil {
			return err
		}
	}
	return nil
}
