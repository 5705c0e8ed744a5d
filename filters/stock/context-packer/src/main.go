// Context-packer sets a message's tenant and trace context when it comes in and
// redacts it when it goes out. See the README beside it.
package main

import "github.com/wasmrouter/router/filters/sdk/go/filter"

var settings config

func init() {
	filter.OnInit = func(m *filter.Message) error {
		err := settings.read(m)
		filter.Needs = settings.needs()
		return err
	}
}

func main() {}

//go:wasmexport router_unpack
func exportUnpack(at, n uint32) int64 { return filter.Handle(at, n, unpack) }

//go:wasmexport router_pack
func exportPack(at, n uint32) int64 { return filter.Handle(at, n, pack) }

func unpack(m *filter.Message, d *filter.Delta) {
	if settings.tenant.apply(m, d) {
		settings.trace.apply(m, d)
	}
}

func pack(m *filter.Message, d *filter.Delta) { settings.redact.apply(m, d) }
