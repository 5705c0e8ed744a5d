package matrix

import (
	"strings"
	"testing"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestF28Leak has a filter leak 4 KiB with each message: its instances are replaced before
// they meet their limit, so that no message fails, and the router does not grow.
func TestF28Leak(t *testing.T) {
	t.Parallel()
	n := rabbitnode.Shared(t)
	count := harness.Times(1_000_000, 20_000)
	tr := harness.NewTrial(t, n, harness.Load{Seed: harness.Seed(t), Count: count, Keys: keys, Pad: 64})
	tr.Window = 0
	tr.Files = map[string][]byte{"leak.wasm": troubleFilter(t)}
	tr.BeginWith(n.URL(), strings.Replace(harness.Chain(tr.Route, tr.In, tr.Out, byKey...), `"by_kind"]`, `"by_kind", "leak"]`, 1)+
		"[filters.leak]\npath = \"leak.wasm\"\nconfig = { leaks = true }\nlimits = { time = \"10s\", memory = \"4MiB\" }\n")
	tr.Struck("a filter that leaks")
	var samples []harness.Resources
	for i := range 40 {
		tr.Until(count / 40 * i)
		samples = append(samples, tr.Router.Resources())
	}
	harness.AwaitEmpty(t, n, tr.In)
	judgeGrowth(tr, append(samples, tr.Router.Resources()))
	// An instance has room for fewer than 1,024 leaks.
	recycled := tr.Router.Metric("router_filter_instances_recycled_total", `filter="leak"`, `reason="memory"`)
	tr.Note("instances replaced", "%v, after %.0f calls of one", recycled, float64(count)/max(recycled, 1))
	if least := float64(count/1024 - keys); recycled < least {
		t.Errorf("%v instances were replaced, want at least %v", recycled, least)
	}
	tr.End()
}
