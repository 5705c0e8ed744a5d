package shadow

import (
	"testing"
	"time"

	"github.com/wasmrouter/router/router"
)

// BenchmarkRun measures what a message pays for a new version: nothing is tried,
// it is a shadow, or it decides. Filters cost next to nothing here.
func BenchmarkRun(b *testing.B) {
	do := sets("by", "x", "q")
	for _, state := range []string{"without", "rolled-back", "shadow", "promoted"} {
		b.Run(state, func(b *testing.B) {
			old, fresh := decider(do), decider(do)
			trial := New(Config{Name: "f", Old: old, New: fresh})
			defer trial.Close()
			source := router.FilterSource(trial)
			switch state {
			case "without":
				source = old
			case "rolled-back":
				_, _ = trial.Rollback()
			case "promoted":
				_, _ = trial.Promote()
			}
			l, err := source.Instance(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			env := message(1, "body")
			d := router.Decision{}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				own := env.Clone()
				own.Origin.Received = time.Unix(1, int64(n))
				d.Reset()
				if err := l.Run(b.Context(), router.Decide, &own, &d); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(trial.Stat().Trial.Compared)/float64(b.N), "compared/op")
		})
	}
}
