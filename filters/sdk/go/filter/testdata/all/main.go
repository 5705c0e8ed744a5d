// All is a filter that uses what the stock filters do not. Its twin is
// sdk/c/testdata/all.c.
package main

import (
	"errors"

	"github.com/wasmrouter/router/filters/sdk/go/filter"
)

var seen, took int32

func init() {
	filter.Needs = 0
	filter.OnInit = func(*filter.Message) error {
		seen = filter.DefineMetric(filter.Counter, "seen")
		took = filter.DefineMetric(filter.Histogram, "took")
		if seen < 0 || took < 0 {
			return errors.New("no metrics")
		}
		return nil
	}
}

func main() {}

//go:wasmexport router_decide
func exportDecide(at, n uint32) int64 { return filter.Handle(at, n, decide) }

//go:wasmexport router_pack
func exportPack(at, n uint32) int64 {
	return filter.Handle(at, n, func(_ *filter.Message, d *filter.Delta) { d.Retry(250, "later") })
}

//go:wasmexport router_encode
func exportEncode(at, n uint32) int64 {
	return filter.Handle(at, n, func(_ *filter.Message, d *filter.Delta) { d.ErrorRetryable("busy", "try again") })
}

//go:wasmexport router_unpack
func exportUnpack(at, n uint32) int64 { return filter.Handle(at, n, unpack) }

func unpack(_ *filter.Message, d *filter.Delta) {
	old, empty := []byte("value"), []byte{}
	d.SetHeaderBool("set", filter.KVSet("k", old, 0))
	d.SetHeaderBool("refused", !filter.KVSet("", old, 0))
	value, _ := filter.KVGet("k", id[:0])
	d.SetHeaderInt("get", int64(len(value)))
	d.SetHeader("value", string(value))
	d.SetHeaderBool("taken", !filter.KVSwap("k", nil, empty, 1000))
	d.SetHeaderBool("other", !filter.KVSwap("k", empty, empty, 1000))
	d.SetHeaderBool("swapped", filter.KVSwap("k", old, empty, 1000))
	d.SetHeaderBool("again", filter.KVSwap("k", empty, old, 1000))
	d.SetHeaderBool("first", filter.KVSwap("new", nil, empty, 1000))
	_, found := filter.KVGet("absent", nil)
	d.SetHeaderBool("none", !found)
	filter.KVAdd("n", 40, 1000)
	d.SetHeaderInt("sum", filter.KVAdd("n", 2, 0))
	d.SetHeaderBool("deleted", filter.KVDelete("k") && !filter.KVDelete("k"))
}

var (
	body [4]byte
	id   [8]byte
)

func decide(_ *filter.Message, d *filter.Delta) {
	filter.AddMetric(seen, 1)
	filter.ObserveMetric(took, 0.5)
	filter.Random(id[:])
	filter.Log(filter.LevelWarn, "hello")
	d.SetHeaderBool("time", filter.TimeNS() > 0)
	d.SetHeaderInt("int", -7)
	d.SetHeaderBytes("bytes", body[:filter.ReadBody(2, body[:])])
	d.DelHeader("k")
	d.Drop("split")
	d.Emit()
	d.SetBody([]byte("one"))
	d.Target("queue:a")
	d.Emit()
	d.ClearHeaders()
	d.SetProp(filter.Type, "second")
	d.Target("exchange:ex/key")
	d.Target("server:ctl/compute.host")
}
