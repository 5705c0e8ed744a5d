// Package e2e runs the router's binary against real RabbitMQ nodes while things
// go wrong, and judges by the ids of the messages what became of each.
package e2e

import (
	"testing"

	"github.com/wasmrouter/router/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m, "../cmd/router") }
