// Garbage is a filter that leaves five times the size of each message behind.
package main

import "github.com/wasmrouter/router/filters/sdk/go/filter"

var last []byte

func main() {}

//go:wasmexport router_decide
func exportDecide(at, n uint32) int64 { return filter.Handle(at, n, decide) }

func decide(m *filter.Message, d *filter.Delta) {
	last = make([]byte, 5*len(m.Body()))
	d.Drop("seen")
}
