package conformance_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/wasmrouter/router/filters/conformance"
)

// Compilers of the conformance filters, by the name of the source.
const (
	flagsC  = "clang --target=wasm32 -std=c11 -O2 -mbulk-memory -ffreestanding -Wall -Wextra -Werror -I ../sdk/c"
	linkC   = "wasm-ld --no-entry --strip-all --stack-first -z stack-size=32768"
	buildGo = "GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 go build -buildmode=c-shared -buildvcs=false -ldflags='-s -w' -o $OUT ./guest/conformance-go"
)

func buildC(source, flags string) string {
	return flagsC + " " + flags + " -c " + source + " -o $OUT.o && " + linkC + " -o $OUT $OUT.o"
}

// conformanceFilters are the conformance filters of the SDKs that live here.
var conformanceFilters = map[string]string{
	"c":              buildC("guest/conformance.c", ""),
	"go":             buildGo,
	"assemblyscript": "asc guest/conformance.ts --outFile $OUT -O3 --runtime incremental --exportStart _initialize",
	"rust":           "../sdk/rust/testdata/build.sh guest/conformance.rs $OUT",
	"wat":            "../sdk/wat/testdata/build.sh guest/conformance.wat $OUT",
}

func TestConformanceFilters(t *testing.T) {
	for name, command := range conformanceFilters {
		t.Run(name, func(t *testing.T) {
			module := built(t, command)
			t.Run("commands", func(t *testing.T) {
				passes(t, conformance.CheckCommands(t.Context(), engine, module))
			})
			t.Run("any filter", func(t *testing.T) {
				passes(t, conformance.Check(t.Context(), engine, module, conformance.CheckOptions{
					Options: conformance.Options{Name: name, Metrics: true, KV: true},
				}))
			})
		})
	}
}

func passes(t *testing.T, r conformance.Report) {
	t.Helper()
	t.Logf("\n%s", r)
	for _, f := range r.Failed() {
		t.Error(f)
	}
}

// Each line of each vector counts: with any of them changed the filter fails.
func TestVectorsAreCompared(t *testing.T) {
	vectors, err := conformance.Vectors()
	if err != nil {
		t.Fatal(err)
	}
	module := built(t, conformanceFilters["c"])
	for _, v := range vectors {
		if r := conformance.CheckVector(t.Context(), engine, module, v); r.Verdict != conformance.Pass {
			t.Fatal(r)
		}
		for i := range v.Steps {
			for j, line := range v.Steps[i].Want {
				changes := []string{line + "x"}
				if !strings.HasPrefix(line, "metric ") { // what is asked for twice is told twice
					changes = append(changes, line+"\n"+line)
				}
				for _, wrong := range changes {
					changed := v
					changed.Steps = slices.Clone(v.Steps)
					changed.Steps[i].Want = slices.Replace(slices.Clone(v.Steps[i].Want), j, j+1, strings.Split(wrong, "\n")...)
					if r := conformance.CheckVector(t.Context(), engine, module, changed); r.Verdict != conformance.Fail {
						t.Errorf("%s, step %d: %q in place of %q: %s", v.Name, i+1, wrong, line, r)
					}
				}
			}
		}
	}
}
