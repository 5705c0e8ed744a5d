package conformance_test

import (
	"testing"

	"github.com/wasmrouter/router/filters"
	"github.com/wasmrouter/router/filters/conformance"
)

// stockConfigs are configurations that the stock filters start with.
var stockConfigs = map[string]map[string]any{
	"content-router": {"field": "body:order.type", "routes": map[string]any{"created": "queue:orders.created"}, "default": "drop"},
	"messagepack":    {"decode": "msgpack-to-json", "encode": "json-to-msgpack"},
}

func TestStockFiltersConform(t *testing.T) {
	for _, name := range filters.List() {
		if len(name) > 5 && name[:5] == "demo:" {
			continue // they misbehave on purpose
		}
		t.Run(name, func(t *testing.T) {
			module, _ := filters.Lookup(name)
			report := conformance.Check(t.Context(), engine, module, conformance.CheckOptions{
				Options: conformance.Options{Name: name},
				Config:  stockConfigs[name],
			})
			t.Logf("\n%s", report)
			if report.Failed() != nil {
				t.Errorf("failed: %v", report.Failed())
			}
		})
	}
}
