package transport_test

import (
	"testing"

	"github.com/wasmrouter/router/internal/testbroker"
)

func TestMain(m *testing.M) { testbroker.Main(m) }
