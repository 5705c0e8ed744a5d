package app_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/internal/testkit"
	"github.com/wasmrouter/router/internal/wasmasm"
)

// spins is a filter that computes for some 20 ms and changes nothing.
const spins = `
memory 1
func router_abi_1
end
func router_buffer (i32) -> (i32)
  i32.const 1024
end
func router_decide (i32 i32) -> (i64)
  local i32
  loop
    local.get 2
    i32.const 1
    i32.add
    local.set 2
    local.get 2
    i32.const 8000000
    i32.lt_u
    br_if 0
  end
  i64.const 0
end
`

// BenchmarkShadow measures a route with a filter alone, with a new version as its
// shadow, and with one that takes as long as a filter may, with its latency.
func BenchmarkShadow(b *testing.B) {
	module, err := wasmasm.Module(spins)
	if err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct{ name, keys string }{
		{"without", ""}, {"same", sameKeys}, {"slow", "path = \"spins.wasm\"\n"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			address, dir := testkit.FreeAddress(b), b.TempDir()
			write(b, filepath.Join(dir, "spins.wasm"), string(module))
			text := trialRouter(address, bench.keys)
			if bench.keys == "" {
				text = strings.Replace(text, "[filters.f.shadow]\n\n", "", 1)
			}
			write(b, filepath.Join(dir, "router.toml"), text)
			a, err := app.New(b.Context(), app.Options{ConfigPath: filepath.Join(dir, "router.toml"), LogOutput: new(log)})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = a.Stop(context.Background()) })
			if err := a.Start(b.Context()); err != nil {
				b.Fatal(err)
			}
			conn, err := amqp091.Dial("amqp://me:secret@" + address + "/v")
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = conn.Close() })
			ch, err := conn.Channel()
			if err != nil {
				b.Fatal(err)
			}
			out, err := ch.Consume("out", "", true, false, false, false, nil)
			if err != nil {
				b.Fatal(err)
			}
			tokens := make(chan struct{}, 64) // messages under way
			b.ResetTimer()
			go func() {
				for range b.N {
					tokens <- struct{}{}
					_ = ch.PublishWithContext(b.Context(), "", "in", false, false, amqp091.Publishing{Body: []byte(`{"type":"x"}`)})
				}
			}()
			for range b.N {
				<-out
				<-tokens
			}
			b.StopTimer()
			h := a.Status().Routes[0].Duration
			b.ReportMetric(quantile(h, 0.5)*1e6, "p50-µs")
			b.ReportMetric(quantile(h, 0.99)*1e6, "p99-µs")
			if r, err := a.Shadow("f"); err == nil {
				b.ReportMetric(float64(r.Trial.Compared), "compared")
			}
		})
	}
}

func quantile(h app.Histogram, q float64) float64 {
	var all, below uint64
	for _, n := range h.Counts {
		all += n
	}
	for i, n := range h.Counts {
		if below += n; float64(below) >= q*float64(all) && i < len(h.Bounds) {
			return h.Bounds[i]
		}
	}
	return h.Bounds[len(h.Bounds)-1]
}
