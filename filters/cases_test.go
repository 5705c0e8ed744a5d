package filters_test

import (
	"flag"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmrouter/router/app/workbench"
	"github.com/wasmrouter/router/filters"
	"github.com/wasmrouter/router/router"
)

var update = flag.Bool("update", false, "write what the filters do into the golden cases")

// runCases runs every golden case of a stock filter against a module.
func runCases(t *testing.T, name string, module []byte) {
	t.Helper()
	s, err := workbench.Open("stock:"+name, workbench.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Module, s.Dir = module, filepath.Join("stock", name)
	report, err := bench.Test(t.Context(), s, workbench.TestOptions{Update: *update})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Cases) < 10 {
		t.Errorf("stock/%s/cases has %d cases; at least 10 are expected", name, len(report.Cases))
	}
	for _, c := range report.Cases {
		t.Run(c.Name, func(t *testing.T) {
			switch {
			case c.Updated:
				t.Logf("updated:\n%s", c.Diff)
			case !c.Passed:
				t.Errorf("%s: %s (- wanted, + got)\n%s", c.File, c.Error, c.Diff)
			}
		})
	}
}

// describe says what a filter did, as golden cases have it.
func describe(before, after *router.Envelope, d *router.Decision) string {
	o := workbench.Outcome{Before: *before, After: *after, Decision: *d}
	return o.Describe()
}

func stock(t testing.TB, name string) []byte {
	t.Helper()
	module, ok := filters.Lookup(name)
	if !ok {
		t.Fatalf("no stock filter %q", name)
	}
	return module
}

func TestGoldenCases(t *testing.T) {
	for _, name := range filters.List() {
		if strings.HasPrefix(name, "demo:") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runCases(t, name, stock(t, name))
		})
	}
}
