package amqp

import (
	"context"
	"errors"
	"fmt"
	"slices"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// consume has the broker send another batch. What came before stays with the channel.
// It is asked for by another consumer, since one's window cannot be widened.
func (s *Browsing) consume(ctx context.Context) error {
	late := s.takeLate()
	batch := min(s.nextBatch(), s.most-s.taken)
	ch, queue, old := s.ch, s.queue, ""
	if s.consumers > 0 {
		old = s.consumerTag()
	}
	s.consumers++
	tag := s.consumerTag()
	opened := make(chan (<-chan amqp091.Delivery), 1)
	err := s.conn.call(ctx, func() error {
		if old != "" {
			if err := ch.Cancel(old, false); err != nil {
				return err
			}
		}
		if err := acknowledge(ch, late); err != nil {
			return err
		}
		if err := ch.Qos(batch, 0, false); err != nil {
			return err
		}
		deliveries, err := ch.Consume(queue, tag, false, false, false, false, nil)
		opened <- deliveries
		return err
	})
	if errors.Is(err, amqp091.ErrClosed) {
		return s.lost()
	}
	if err != nil {
		return explain(s.conn.why(err), fmt.Sprintf("queue %q", queue))
	}
	s.deliveries, s.batch, s.open, s.first = <-opened, batch, 0, s.last+1
	return nil
}

// nextBatch returns how many messages may be asked for at once.
func (s *Browsing) nextBatch() int {
	batch := maxBatch
	if s.counts {
		batch = countedBatch << min(s.keepers/2, countedDoublings)
	}
	return min(batch, max(batchBytes/max(s.largest, 1), 1))
}

// consumerTag names the present consumer. A number alone would be taken by a message
// that was asked for by itself, in a quorum queue.
func (s *Browsing) consumerTag() string { return fmt.Sprintf("browse-%08d", s.consumers) }

// takeLate returns the tags that are acknowledged when the present consumer has ended.
func (s *Browsing) takeLate() []uint64 {
	late := s.late
	if s.open > len(late) {
		s.keepers++
	}
	s.late = nil
	return late
}

func acknowledge(ch *amqp091.Channel, tags []uint64) error {
	for _, tag := range tags {
		if err := ch.Ack(tag, false); err != nil {
			return err
		}
	}
	return nil
}

// Ack removes a message from the queue. That is done for certain only when Close has
// returned nil; in a queue that counts deliveries it is not begun before the batch has
// come, mostly 32 messages.
func (s *Browsing) Ack(tag uint64) error {
	if s.counts && tag >= s.first && s.deliveries != nil && !slices.Contains(s.alone, tag) {
		s.late = append(s.late, tag)
		return nil
	}
	if err := s.ch.Ack(tag, false); err != nil {
		return fmt.Errorf("amqp: browse queue %q: acknowledge: %w", s.queue, err)
	}
	if tag >= s.first && !slices.Contains(s.alone, tag) {
		s.open--
	}
	return nil
}
