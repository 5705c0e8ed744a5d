package amqp_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/amqp/bareloop"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/router"
)

// cpu returns the processor time that this process has used so far.
func cpu(b *testing.B) float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

// forwardAck acknowledges the delivery when its copy is confirmed.
type forwardAck struct {
	d  *router.Delivery
	wg *sync.WaitGroup
	b  *testing.B
}

func (f *forwardAck) Settle(err error) {
	if err != nil {
		f.b.Error(err)
	}
	f.d.Settler.Ack(f.d.Tag)
	f.wg.Done()
}

// BenchmarkForward forwards a durable queue to another, by this package and by
// the bare loop in turn. Compare messages/s and cpu-us/msg within one run.
func BenchmarkForward(b *testing.B) {
	const n = 20_000
	url := rabbitnode.Shared(b).URL()
	for _, size := range []int{256, 4096} {
		for _, who := range []string{"bare", "amqp"} {
			b.Run(fmt.Sprintf("%s/size=%d", who, size), func(b *testing.B) {
				ctx := b.Context()
				from, to := rabbitnode.Queue(b, "from"), rabbitnode.Queue(b, "to")
				var used float64
				for b.Loop() {
					b.StopTimer()
					if err := bareloop.Declare(ctx, url, "classic", from, to); err != nil {
						b.Fatal(err)
					}
					if err := bareloop.Fill(ctx, url, from, n, bareloop.Message{Size: size, Headers: map[string]any{"tenant": "acme", "n": int32(1)}}); err != nil {
						b.Fatal(err)
					}
					before := cpu(b)
					b.StartTimer()
					if who == "bare" {
						if _, err := bareloop.Run(ctx, bareloop.Config{URL: url, From: from, To: to, N: n}); err != nil {
							b.Fatal(err)
						}
					} else {
						forward(ctx, b, url, from, to, n)
					}
					b.StopTimer()
					used += cpu(b) - before
					r, err := bareloop.Drain(ctx, url, to, n, nil)
					if err != nil || !r.Clean() {
						b.Fatalf("drain: %+v, %v", r, err)
					}
					b.StartTimer()
				}
				_ = bareloop.Delete(ctx, url, from, to)
				msgs := float64(n) * float64(b.N)
				b.ReportMetric(msgs/b.Elapsed().Seconds(), "msg/s")
				b.ReportMetric(used/msgs/1000, "cpu-us/msg")
			})
		}
	}
}

func forward(ctx context.Context, b *testing.B, url, from, to string, n int) {
	broker, err := amqp.New(amqp.Config{URLs: []string{url}})
	if err != nil {
		b.Fatal(err)
	}
	s := broker.Sender("bench")
	target := router.Target{Kind: router.TargetQueue, Queue: to}
	var wg sync.WaitGroup
	wg.Add(n)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- broker.Listen(ctx, router.Source{Queue: from, Prefetch: 256}, func(d *router.Delivery) {
			if err := s.Send(ctx, target, &d.Envelope, &forwardAck{d, &wg, b}); err != nil {
				b.Error(err)
			}
		})
	}()
	wg.Wait()
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	s.Close()
	if err := broker.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}
