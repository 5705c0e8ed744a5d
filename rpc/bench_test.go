package rpc_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/rpc"
)

// BenchmarkNotify sends notifications of 256 bytes, each confirmed by the
// broker, one after the other and from 64 goroutines for each processor.
func BenchmarkNotify(b *testing.B) {
	notifier := benchNotifier(b, rabbitnode.Queue(b, "t"))
	n := rpc.Notification{EventType: "instance.create.end", Payload: benchPayload, Context: map[string]any{"request_id": "req-1"}}
	b.Run("serial", func(b *testing.B) {
		for b.Loop() {
			if err := notifier.Info(b.Context(), n); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	})
	b.Run("parallel", func(b *testing.B) {
		b.SetParallelism(64)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := notifier.Info(b.Context(), n); err != nil {
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	})
}

// BenchmarkListen hands a backlog over, and acknowledges it.
func BenchmarkListen(b *testing.B) {
	for name, size := range map[string]int{"single": 1, "batch32": 32} {
		b.Run(name, func(b *testing.B) {
			topic := rabbitnode.Queue(b, "t")
			broker := benchBroker(b)
			notifier := benchNotifier(b, topic)
			slots := make(chan struct{}, 64)
			for range b.N {
				slots <- struct{}{}
				go func() {
					defer func() { <-slots }()
					if err := notifier.Info(context.Background(), rpc.Notification{EventType: "e", Payload: benchPayload}); err != nil {
						b.Error(err)
					}
				}()
			}
			for range cap(slots) {
				slots <- struct{}{}
			}
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			var left atomic.Int64
			left.Store(int64(b.N))
			l, err := rpc.NewNotificationListener(rpc.NotificationListenerConfig{
				Listener: broker, Declare: broker.Declare, Format: rpc.Oslo{}, Targets: []rpc.NotificationTarget{{Topic: topic}}, BatchSize: size,
				BatchTimeout: 10 * time.Millisecond,
				Endpoints: []rpc.NotificationEndpoint{{Priorities: []string{"info"}, Batch: func(_ context.Context, batch []*rpc.Notification) error {
					if left.Add(-int64(len(batch))) <= 0 {
						cancel()
					}
					return nil
				}}},
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			if err := l.Listen(ctx); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

var benchPayload = []byte(`{"text": "` + strings.Repeat("x", 244) + `"}`)

func benchBroker(b *testing.B) *amqp.Broker {
	broker, err := amqp.New(amqp.Config{URLs: []string{rabbitnode.Shared(b).URL()}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := broker.Close(ctx); err != nil {
			b.Error(err)
		}
	})
	return broker
}

func benchNotifier(b *testing.B, topic string) *rpc.Notifier {
	broker := benchBroker(b)
	client, err := rpc.NewClient(rpc.ClientConfig{Sender: broker.Sender(b.Name()), Declare: broker.Declare, Format: rpc.Oslo{}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		client.Close(ctx)
	})
	n, err := rpc.NewNotifier(rpc.NotifierConfig{Client: client, PublisherID: "compute.host1", Topics: []string{topic}})
	if err != nil {
		b.Fatal(err)
	}
	return n
}
