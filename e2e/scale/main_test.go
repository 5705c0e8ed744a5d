// Package scale runs several router processes that share routes over one RabbitMQ, lets
// some of them die, and measures what each further process, queue and route brings.
// docs/SCALING.md says how to use that.
package scale

import (
	"testing"

	"github.com/wasmrouter/router/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m, "../../cmd/router") }
