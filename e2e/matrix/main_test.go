// Package matrix plays every row of the fault matrix, F1 to F32, against the router's
// binary: numbered messages are on their way when the fault strikes, and an auditor
// accounts for every one of them. docs/GUARANTEES.md has the table.
package matrix

import (
	"testing"

	"github.com/wasmrouter/router/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m, "../../cmd/router") }
