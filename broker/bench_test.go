package broker_test

import (
	"context"
	"fmt"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/broker"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// BenchmarkForward forwards messages from one queue to another with a client of its
// own on each side, as well as amqp091-go can: prefetch 256, confirms, one
// acknowledgement for many. The queue is filled beforehand.
func BenchmarkForward(b *testing.B) {
	rabbit := rabbitnode.Shared(b).URL()
	for _, size := range []int{256, 4096} {
		for _, at := range []string{"here", "RabbitMQ"} {
			b.Run(fmt.Sprintf("%s/%d", at, size), func(b *testing.B) {
				url := rabbit
				if at == "here" {
					s := broker.New(broker.Config{MaxMemory: 8 << 30})
					defer s.Close()
					address, err := s.Listen(b.Context(), "127.0.0.1:0")
					if err != nil {
						b.Fatal(err)
					}
					url = "amqp://guest:guest@" + address + "/"
				}
				forward(b, url, size)
			})
		}
	}
}

func forward(b *testing.B, url string, size int) {
	in, out := benchChannel(b, url), benchChannel(b, url)
	from, to := rabbitnode.Queue(b, "from"), rabbitnode.Queue(b, "to")
	for _, name := range []string{from, to} {
		if _, err := in.QueueDeclare(name, false, false, true, false, nil); err != nil {
			b.Fatal(err)
		}
	}
	msg := amqp091.Publishing{
		DeliveryMode: 2, ContentType: "application/json", MessageId: "0123456789", Body: make([]byte, size),
		Headers: amqp091.Table{"tenant": "acme", "n": int32(1), "trace": "4bf92f3577b34da6a3ce929d0e0e4736"},
	}
	const window = 256
	if err := out.Confirm(false); err != nil {
		b.Fatal(err)
	}
	confirms := out.NotifyPublish(make(chan amqp091.Confirmation, window))
	wait := func(n int) {
		for range n {
			if c := <-confirms; !c.Ack {
				b.Fatal("refused")
			}
		}
	}
	for i := range b.N {
		if err := out.PublishWithContext(context.Background(), "", from, true, false, msg); err != nil {
			b.Fatal(err)
		}
		if i >= window {
			wait(1)
		}
	}
	wait(min(b.N, window))

	if err := in.Qos(window, 0, false); err != nil {
		b.Fatal(err)
	}
	deliveries, err := in.Consume(from, "", false, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(size))
	b.ResetTimer()
	acks := make(chan error, 1)
	go func() {
		for i := range b.N {
			if c := <-confirms; !c.Ack {
				acks <- fmt.Errorf("publish %d was refused", i)
				return
			}
			if i%32 == 31 || i == b.N-1 {
				if err := in.Ack(uint64(i+1), true); err != nil {
					acks <- err
					return
				}
			}
		}
		acks <- nil
	}()
	for range b.N {
		d, ok := <-deliveries
		if !ok {
			b.Fatal("the consumer has ended")
		}
		if err := out.PublishWithContext(context.Background(), "", to, true, false, amqp091.Publishing{
			DeliveryMode: d.DeliveryMode, ContentType: d.ContentType, MessageId: d.MessageId, Headers: d.Headers, Body: d.Body,
		}); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-acks; err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

func benchChannel(b *testing.B, url string) *amqp091.Channel {
	conn, err := amqp091.Dial(url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		b.Fatal(err)
	}
	return ch
}
