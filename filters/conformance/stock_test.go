package conformance_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/wasmrouter/router/filters"
	"github.com/wasmrouter/router/filters/conformance"
)

// caseConfig returns the configuration of the first golden case of a stock
// filter that it does not refuse.
func caseConfig(t *testing.T, name string) map[string]any {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "stock", name, "cases", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		config, refused := "{}", false
		for _, f := range a.Files {
			switch f.Name {
			case "config":
				config = string(f.Data)
			case "want":
				refused = refused || strings.HasPrefix(string(f.Data), "refused")
			}
		}
		if refused {
			continue
		}
		var table any
		d := json.NewDecoder(strings.NewReader(config))
		d.UseNumber()
		if err := d.Decode(&table); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		return tomlTypes(table).(map[string]any)
	}
	t.Fatalf("%s has no case that is not refused", name)
	return nil
}

// tomlTypes gives JSON's numbers the types that a configuration has.
func tomlTypes(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = tomlTypes(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = tomlTypes(v[k])
		}
	}
	return v
}

func TestStockFiltersConform(t *testing.T) {
	for _, name := range filters.List() {
		if strings.HasPrefix(name, "demo:") {
			continue // they misbehave on purpose
		}
		t.Run(name, func(t *testing.T) {
			module, _ := filters.Lookup(name)
			passes(t, conformance.Check(t.Context(), engine, module, conformance.CheckOptions{
				Options: conformance.Options{Name: name, KV: true, Metrics: true},
				Config:  caseConfig(t, name),
			}))
		})
	}
}
