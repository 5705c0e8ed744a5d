package router

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// benchListener hands one delivery after the other to the route, as many as
// the window allows, and is their settler as well.
type benchListener struct {
	b      *testing.B
	window chan struct{}
	body   []byte
}

func (l *benchListener) Ack(uint64)     { <-l.window }
func (l *benchListener) Requeue(uint64) { <-l.window }
func (l *benchListener) Live() bool     { return true }

func (l *benchListener) Listen(_ context.Context, _ Source, handle func(*Delivery)) error {
	slab := make([]Delivery, 4*cap(l.window)) // one is settled long before its turn comes again
	ids := make([]string, 1<<14)
	for i := range ids {
		ids[i] = fmt.Sprintf("%016x", i)
	}
	headers := map[string]any{"tenant": "a", "trace": "0123456789", "try": int32(1)}
	now := time.Now()
	l.b.ResetTimer()
	for n := 0; l.b.Loop(); n++ {
		l.window <- struct{}{}
		d := &slab[n%len(slab)]
		d.Envelope = Envelope{headers: headers, Body: l.body}
		d.Envelope.MessageID = ids[n%len(ids)]
		d.Envelope.Origin = Origin{Queue: "in", Received: now}
		d.Settler, d.Tag = l, uint64(n+1)
		handle(d)
	}
	for range cap(l.window) {
		l.window <- struct{}{}
	}
	return nil
}

// benchSender confirms from a goroutine of its own, in order.
type benchSender struct {
	receipts chan Receipt
	done     chan struct{}
}

func newBenchSender(string) Sender {
	s := &benchSender{receipts: make(chan Receipt, 256), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for r := range s.receipts {
			r.Settle(nil)
		}
	}()
	return s
}

func (s *benchSender) Send(_ context.Context, _ Target, _ *Envelope, r Receipt) error {
	s.receipts <- r
	return nil
}

func (s *benchSender) Close() {
	close(s.receipts)
	<-s.done
}

// BenchmarkRoute takes messages from a listener to their acknowledgement,
// through a filter that decides targets: those that the route sends to, or others.
func BenchmarkRoute(b *testing.B) {
	for _, dedup := range []int{0, 8192} {
		for _, targets := range []int{1, 3} {
			for _, out := range []Target{queue("out"), queue("chosen")} {
				benchmarkRoute(b, dedup, targets, out)
			}
		}
	}
}

func benchmarkRoute(b *testing.B, dedup, targets int, out Target) {
	b.Run(fmt.Sprintf("dedup=%d/targets=%d/%s", dedup, targets, out.Queue), func(b *testing.B) {
		pass := decide(func(_ *Envelope, d *Decision) error {
			d.Action = Forward
			for range targets {
				d.Targets = append(d.Targets, out)
			}
			return nil
		})
		l := &benchListener{b: b, window: make(chan struct{}, 256), body: make([]byte, 256)}
		cfg := config(nil, func(c *RouteConfig) {
			c.Filters = []RouteFilter{{Source: pass}}
			c.Listener, c.NewSender, c.DedupWindow = l, newBenchSender, dedup
			c.Source.Prefetch = 256
		})
		r, err := NewRoute(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		if err := r.Run(b.Context()); err != nil {
			b.Fatal(err)
		}
	})
}
