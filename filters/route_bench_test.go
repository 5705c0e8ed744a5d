package filters_test

import (
	"slices"
	"syscall"
	"testing"

	"github.com/wasmrouter/router/router"
)

// routeGuests read three headers and set the target, in each language's SDK.
var routeGuests = []struct{ language, command string }{
	{"c", buildC + "sdk/c/testdata/route.c"},
	{"rust", buildRust + "sdk/rust/testdata/route.rs"},
	{"assemblyscript", buildAS + "route.ts"},
	{"go", buildGo + "route"},
}

// twelve is a message with 1 KiB of body and 12 headers.
func twelve() router.Envelope {
	return router.NewEnvelope(map[string]any{
		"tenant": "acme", "type": "created", "region": "eu", "trace": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"priority": int32(7), "attempt": int64(1), "sampled": true, "source": "shop", "version": "2.1", "user": "u-1234567",
		"session": "s-0123456789abcdef", "weight": 0.5,
	}, make([]byte, 1024))
}

func TestRouteGuestsDecideAlike(t *testing.T) {
	for _, g := range routeGuests {
		t.Run(g.language, func(t *testing.T) {
			in, err := loadFilter(t, g.language, built(t, g.command), nil)
			if err != nil {
				t.Fatal(err)
			}
			for region, want := range map[string][]router.Target{"eu": {{Kind: router.TargetQueue, Queue: "orders.created"}}, "us": nil} {
				env, d := twelve(), router.Decision{}
				env.SetHeader("region", region)
				if err := in.Run(t.Context(), router.Decide, &env, &d); err != nil || !slices.Equal(d.Targets, want) {
					t.Errorf("%s: %v, %v", region, d.Targets, err)
				}
			}
		})
	}
}

// BenchmarkThreeHeaders is the price of one call with all limits on.
func BenchmarkThreeHeaders(b *testing.B) {
	for _, g := range routeGuests {
		b.Run(g.language, func(b *testing.B) {
			in, err := loadFilter(b, g.language, built(b, g.command), nil)
			if err != nil {
				b.Fatal(err)
			}
			env := twelve()
			var d router.Decision
			ctx := b.Context()
			b.ReportAllocs()
			begin := processorTime(b)
			for b.Loop() {
				d.Reset()
				if err := in.Run(ctx, router.Decide, &env, &d); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(processorTime(b)-begin)/float64(b.N), "cpu-ns/op")
		})
	}
}

func processorTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
