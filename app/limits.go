package app

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/wasmhost"
)

// limits hands the limits over to the host.
func limits(l config.Limits) wasmhost.Limits {
	return wasmhost.Limits{
		Time: l.Time.Std(), StartTime: l.StartTime.Std(),
		Memory: l.Memory.Bytes(), Output: l.Output.Bytes(), ModuleSize: l.ModuleSize.Bytes(),
		CompileTime: l.CompileTime.Std(), CompileMemory: l.CompileMemory.Bytes(),
		LogLines: l.LogLines, Targets: l.Targets, Emit: l.Emit, Fuel: l.Fuel, StartFuel: l.StartFuel,
		Table: l.Table, Stack: l.Stack.Bytes(), LogRate: l.LogRate, Instances: l.Instances, Recycle: l.Recycle,
		RestartBackoff: l.RestartBackoff.Std(), MaxBackoff: l.MaxBackoff.Std(),
		KVSize: l.KVSize.Bytes(), KVTTL: l.KVTTL.Std(),
	}
}

// limit is one limit as a plan shows it.
type limit struct{ name, value, initial string }

func (l limit) changed() bool { return l.value != l.initial }

func (l limit) String() string {
	if l.changed() {
		return fmt.Sprintf("%s %s (default %s)", l.name, l.value, l.initial)
	}
	return l.name + " " + l.value
}

// limitsOf lists all limits under the names that they have in router.toml.
func limitsOf(have config.Limits) []limit {
	var all []limit
	initial := reflect.ValueOf(config.Default().Filter.Limits)
	for field, value := range reflect.ValueOf(have).Fields() {
		all = append(all, limit{field.Tag.Get("toml"), fmt.Sprint(value), fmt.Sprint(initial.FieldByIndex(field.Index))})
	}
	return all
}

// limitsPerRow keeps rows short enough to read.
const limitsPerRow = 6

func writeLimits(w io.Writer, have config.Limits) {
	label := "limits"
	row := make([]string, 0, limitsPerRow)
	all := limitsOf(have)
	for i, l := range all {
		row = append(row, l.String())
		if len(row) == limitsPerRow || i == len(all)-1 {
			fmt.Fprintf(w, "  %s\t%s\n", label, strings.Join(row, ", "))
			label, row = "", row[:0]
		}
	}
}
