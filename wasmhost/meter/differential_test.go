package meter

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// differential runs the same calls, in order, on a fresh instance of the source
// and of the metered module, and wants the same outcome of each.
func differential(t *testing.T, wasm []byte, list []invoke) (units []int64) {
	t.Helper()
	metered := mustInstrument(t, wasm, Limits{})
	plain := newHost(t).instantiate(t, wasm)
	in := newHost(t).instantiate(t, metered.Bytes)
	for _, c := range list {
		want := plain.call(c.name, c.args...)
		before := in.used()
		got := in.call(c.name, c.args...)
		units = append(units, in.used()-before)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s(%d) without and with metering (-want +got):\n%s", c.name, c.args, diff)
		}
	}
	return units
}

var corpus = []struct {
	name  string
	calls []invoke
	units []int64 // of each call
}{
	{
		name:  "fib",
		calls: calls("g", "fib 0", "fib 15", "add 3 4"),
		units: []int64{1, 1, 1973, 0},
	},
	{
		name: "control",
		calls: calls("swap 1 2", "sum 10", "sum 100000", "carry 10", "switch 0", "switch 1", "switch 2", "switch 9",
			"primes 1000", "pick 1 2 0", "pick 1 2 1", "dead", "trap 5", "trap 0", "sat 9221120237041090560", "ext 200"),
		units: []int64{1, 11, 100001, 5, 1, 1, 1, 1, 6457, 1, 1, 1, 1, 1, 1, 1},
	},
	{
		name: "bulk",
		calls: calls("fill 10 7 1000", "load 10", "load 1009", "load 1010", "copy 2000 10 500", "load 2000", "init 3000 0 12",
			"load 3007", "drop", "init 0 0 1", "fill 65530 1 7", "fill 0 1 -1", "copy 0 0 -1", "size", "grow 2", "size", "grow 2",
			"grow 1000000", "grow -1", "grow 1", "size", "tinit 0 0 3", "call 0", "call 1", "call 2", "tinit 0 0 -1", "call 5", "call 99",
			"tcopy 0 0 3", "callb 1", "tfill 4 5", "call 8", "call 9", "tsize", "tgrow 10", "tsize", "call 15", "tgrow 100", "tgrow -1",
			"isnull 9", "setnull 0", "isnull 0", "tdrop", "tinit 0 0 1"),
	},
	{
		name:  "simd",
		calls: calls("shuffle", "abs -7", "dot 300 -20", "lane 123456789012345", "sum 1000", "conv 1092616192", "bits 4"),
	},
	{
		name: "element",
		calls: calls("a 0", "a 1", "a 2", "a 3", "a 4", "a 5", "b 0", "b 1", "b 4", "b 5", "p 0", "p 1", "p 2", "p 3",
			"g", "xsize"),
	},
}

func TestMeteredModulesGiveTheSameResults(t *testing.T) {
	for _, c := range corpus {
		t.Run(c.name, func(t *testing.T) {
			units := differential(t, wat(t, c.name), c.calls)
			if again := differential(t, wat(t, c.name), c.calls); !cmp.Equal(units, again) {
				t.Errorf("a second run cost %v, the first %v", again, units)
			}
			if c.units != nil && !cmp.Equal(c.units, units) {
				t.Errorf("units: %v, want %v", units, c.units)
			}
		})
	}
}

func TestOutputDependsOnInputAlone(t *testing.T) {
	for _, c := range corpus {
		wasm := wat(t, c.name)
		kept := bytes.Clone(wasm)
		first, second := mustInstrument(t, wasm, Limits{}), mustInstrument(t, wasm, Limits{})
		if !bytes.Equal(first.Bytes, second.Bytes) {
			t.Errorf("%s: two runs gave different modules", c.name)
		}
		if !bytes.Equal(kept, wasm) {
			t.Errorf("%s: the input was changed", c.name)
		}
	}
}

func TestMeteredModuleIsRefusedAsInput(t *testing.T) {
	m := mustInstrument(t, wat(t, "fib"), Limits{})
	_, err := Instrument(m.Bytes, Limits{})
	if err == nil || !strings.Contains(err.Error(), FuelModule) {
		t.Errorf("metering twice: %v, want a refusal that names %s", err, FuelModule)
	}
}
