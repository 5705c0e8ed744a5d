package rpc_test

import (
	"os"
	"testing"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

func TestMain(m *testing.M) {
	if os.Getenv(childURL) != "" {
		hang()
	}
	rabbitnode.Main(m)
}
