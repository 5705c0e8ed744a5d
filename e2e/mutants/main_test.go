// Package mutants proves the harness: it plays faults against routers that were built
// with one mistake each, and demands that the auditor sees them lose messages.
package mutants

import (
	"testing"

	"github.com/wasmrouter/router/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m, "../../cmd/router") }
