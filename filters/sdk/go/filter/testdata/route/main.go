// Command route reads three headers and chooses the target.
package main

import "github.com/wasmrouter/router/filters/sdk/go/filter"

func init() {
	filter.Needs = filter.NeedHeaders | filter.Stateless
	filter.NoGarbage = true
	filter.NeedHeader("tenant", "type", "region")
}

func main() {}

//go:wasmexport router_decide
func decide(at, n uint32) int64 { return filter.Handle(at, n, route) }

func route(m *filter.Message, d *filter.Delta) {
	tenant, _ := m.HeaderText("tenant")
	kind, _ := m.HeaderText("type")
	region, _ := m.HeaderText("region")
	if tenant == "acme" && kind == "created" && region == "eu" {
		d.Target("queue:orders.created")
	}
}
