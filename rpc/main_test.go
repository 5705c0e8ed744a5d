package rpc_test

import (
	"os"
	"testing"

	"github.com/wasmrouter/router/internal/testbroker"
)

func TestMain(m *testing.M) {
	if os.Getenv(childURL) != "" {
		hang()
	}
	testbroker.Main(m)
}
