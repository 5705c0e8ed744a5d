// Package matrix plays every row of the fault matrix, F1 to F32, against the router's
// binary: numbered messages are on their way when the fault strikes, and an auditor
// accounts for every one of them. docs/GUARANTEES.md has the table.
package matrix

import (
	"flag"
	"testing"

	"github.com/wasmrouter/router/e2e/harness"
)

// Rows wait most of the time, so more of them go together than there are processors,
// unless -parallel says otherwise.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "4") // a flag that there is, and a number
	harness.Main(m, "../../cmd/router")
}
