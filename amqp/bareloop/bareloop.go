// Package bareloop forwards one queue to another with amqp091-go and nothing
// else, as well as that library can: the yardstick for the router. It also
// fills queues with numbered messages and checks what arrives.
package bareloop

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// Config says what [Run] forwards.
type Config struct {
	URL      string // of the broker
	From, To string // existing queues
	N        int    // how many messages to forward, then stop
	Prefetch int    // unacknowledged deliveries; the default is 256
	// Progress, if set, is told the number forwarded so far, now and then.
	Progress func(n int)
}

// Result is what a run did.
type Result struct {
	N        int
	Duration time.Duration // from the first delivery to the last acknowledgement sent
}

// errLost is what a channel's end without a reason is called.
var errLost = errors.New("connection lost")

// Run forwards exactly cfg.N messages from cfg.From to cfg.To: two
// connections, persistent and mandatory publishes with asynchronous confirms,
// an acknowledgement for many at once after their confirms. It returns an
// error at the first loss, refusal or return; it does not reconnect.
func Run(ctx context.Context, cfg Config) (Result, error) {
	if cfg.Prefetch == 0 {
		cfg.Prefetch = 256
	}
	if cfg.N < 1 || cfg.Prefetch < 1 {
		return Result{}, fmt.Errorf("bare loop: N is %d and prefetch %d; both must be at least 1", cfg.N, cfg.Prefetch)
	}
	in, err := open(ctx, cfg.URL)
	if err != nil {
		return Result{}, err
	}
	defer in.close()
	out, err := open(ctx, cfg.URL)
	if err != nil {
		return Result{}, err
	}
	defer out.close()
	if err := out.ch.Confirm(false); err != nil {
		return Result{}, fmt.Errorf("bare loop: confirm mode: %w", err)
	}
	if err := in.ch.Qos(cfg.Prefetch, 0, false); err != nil {
		return Result{}, fmt.Errorf("bare loop: prefetch: %w", err)
	}
	deliveries, err := in.ch.Consume(cfg.From, "", false, false, false, false, nil)
	if err != nil {
		return Result{}, fmt.Errorf("bare loop: consume %q: %w", cfg.From, err)
	}
	returns := out.ch.NotifyReturn(make(chan amqp091.Return, cfg.Prefetch+1))

	type sent struct {
		tag uint64
		dc  *amqp091.DeferredConfirmation
	}
	flight := make(chan sent, cfg.Prefetch)
	settled := make(chan error, 1)
	go func() { // ends with flight, or at the first error; waited for below
		settled <- func() error {
			unacked, last := 0, uint64(0)
			for s := range flight {
				select {
				case <-s.dc.Done():
				case <-ctx.Done():
					return context.Cause(ctx)
				}
				if !s.dc.Acked() {
					return fmt.Errorf("a message to %q was not confirmed", cfg.To)
				}
				select {
				case r, ok := <-returns:
					if ok {
						return fmt.Errorf("a message to %q came back: %s", cfg.To, r.ReplyText)
					}
				default:
				}
				last = s.tag
				if unacked++; unacked >= cfg.Prefetch/4 || len(flight) == 0 {
					if err := in.ch.Ack(last, true); err != nil {
						return err
					}
					unacked = 0
				}
			}
			if unacked > 0 {
				return in.ch.Ack(last, true)
			}
			return nil
		}()
	}()

	var start time.Time
	forward := func() error {
		for n := range cfg.N {
			select {
			case d, ok := <-deliveries:
				if !ok {
					return errLost
				}
				if n == 0 {
					start = time.Now()
				}
				dc, err := out.ch.PublishWithDeferredConfirm("", cfg.To, true, false, publishing(&d))
				if err != nil {
					return err
				}
				flight <- sent{d.DeliveryTag, dc}
				if cfg.Progress != nil && n%1024 == 0 {
					cfg.Progress(n)
				}
			case err := <-settled:
				settled <- err
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	}
	// The settling goroutine may stop early: then flight could fill, but never
	// beyond the prefetch, which nothing acknowledges any more.
	err = forward()
	close(flight)
	if e := <-settled; err == nil {
		err = e
	}
	res := Result{N: cfg.N, Duration: time.Since(start)}
	if err != nil {
		return res, fmt.Errorf("bare loop: %w", err)
	}
	// The acknowledgement is certain when the broker has closed the channel.
	if err := in.ch.Close(); err != nil {
		return res, fmt.Errorf("bare loop: close: %w", err)
	}
	return res, nil
}

func publishing(d *amqp091.Delivery) amqp091.Publishing {
	return amqp091.Publishing{
		Headers:         d.Headers,
		ContentType:     d.ContentType,
		ContentEncoding: d.ContentEncoding,
		DeliveryMode:    d.DeliveryMode,
		Priority:        d.Priority,
		CorrelationId:   d.CorrelationId,
		ReplyTo:         d.ReplyTo,
		Expiration:      d.Expiration,
		MessageId:       d.MessageId,
		Timestamp:       d.Timestamp,
		Type:            d.Type,
		AppId:           d.AppId,
		Body:            d.Body,
	}
}

// link is a connection with one channel.
type link struct {
	conn *amqp091.Connection
	ch   *amqp091.Channel
	stop func() bool
}

// open dials; the connection is cut when ctx ends.
func open(ctx context.Context, url string) (*link, error) {
	conn, err := amqp091.Dial(url)
	if err != nil {
		// The library's error may quote the URL with its password.
		if e, ok := errors.AsType[*amqp091.Error](err); ok {
			return nil, fmt.Errorf("bare loop: connect: %w", e)
		}
		return nil, errors.New("bare loop: cannot connect to the broker; is its URL right?")
	}
	ch, err := conn.Channel()
	if err != nil {
		_ = conn.CloseDeadline(time.Now().Add(time.Second))
		return nil, fmt.Errorf("bare loop: open a channel: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.CloseDeadline(time.Now().Add(time.Second)) })
	return &link{conn, ch, stop}, nil
}

func (l *link) close() {
	l.stop()
	_ = l.conn.CloseDeadline(time.Now().Add(2 * time.Second)) // an error means that it is closed
}
