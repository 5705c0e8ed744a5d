package otlp_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/telemetry/otlp"
)

// source hands a route one delivery after the other, at most a window at a time.
type source struct {
	b      *testing.B
	window chan struct{}
}

func (s *source) Ack(uint64)     { <-s.window }
func (s *source) Requeue(uint64) { <-s.window }
func (s *source) Live() bool     { return true }

func (s *source) Listen(_ context.Context, _ router.Source, handle func(*router.Delivery)) error {
	headers := map[string]any{"tenant": "a", "schema": "order/3", "try": int32(1)}
	body := make([]byte, 256)
	for n := 0; s.b.Loop(); n++ {
		s.window <- struct{}{}
		env := router.NewEnvelope(headers, body)
		env.MessageID = fmt.Sprintf("%016x", n)
		env.Origin = router.Origin{Queue: "in", RoutingKey: "in", Received: time.Now()}
		handle(&router.Delivery{Envelope: env, Settler: s, Tag: uint64(n + 1)})
	}
	for range cap(s.window) {
		s.window <- struct{}{}
	}
	return nil
}

// confirming confirms what it is given at once.
type confirming struct{}

func (confirming) Send(_ context.Context, _ router.Target, _ *router.Envelope, r router.Receipt) error {
	r.Settle(nil)
	return nil
}
func (confirming) Close() {}

// passing is a filter that decides nothing.
type passing struct{}

func (passing) Name() string            { return "pass" }
func (passing) Stages() router.StageSet { return router.StageSet(0).With(router.Decide) }
func (passing) Close()                  {}

func (passing) Instance(context.Context) (router.Filter, error) { return passing{}, nil }
func (passing) Run(context.Context, router.Stage, *router.Envelope, *router.Decision) error {
	return nil
}

// cpu returns the time that the process has spent computing, sending spans
// included.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkTraces is what a route's own work on a message comes to, without any
// broker and with a filter and a target, when nothing is traced, when one message in
// a hundred is, and when all are: three spans for each, sent to a collector that
// takes them.
func BenchmarkTraces(b *testing.B) {
	for _, oneIn := range []int{0, 100, 10, 1} {
		name := "none"
		if oneIn > 0 {
			name = fmt.Sprintf("one in %d", oneIn)
		}
		b.Run(name, func(b *testing.B) {
			srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
				_, _ = io.Copy(io.Discard, req.Body)
			}))
			defer srv.Close()
			src := &source{b: b, window: make(chan struct{}, 256)}
			cfg := router.RouteConfig{
				Name: "r", Source: router.Source{Queue: "in", Prefetch: 256}, Lanes: 1,
				Retry:      router.RetryPolicy{MaxAttempts: 1, Backoff: time.Second, MaxBackoff: time.Second},
				Send:       []router.Target{{Kind: router.TargetQueue, Queue: "out"}},
				DeadLetter: router.Target{Kind: router.TargetQueue, Queue: "in.dead"},
				Filters:    []router.RouteFilter{{Source: passing{}}}, MaxMessage: 1 << 20,
				Listener: src, NewSender: func(string) router.Sender { return confirming{} }, Logger: slog.New(slog.DiscardHandler),
			}
			if oneIn > 0 {
				e, err := otlp.Open(b.Context(), otlp.Config{Endpoint: srv.URL, SampleOneIn: oneIn})
				if err != nil {
					b.Fatal(err)
				}
				defer func() {
					if err := e.Close(context.Background()); err != nil {
						b.Error(err)
					}
				}()
				cfg.Tracer = e
			}
			r, err := router.NewRoute(b.Context(), cfg)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			before := cpu(b)
			if err := r.Run(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}
