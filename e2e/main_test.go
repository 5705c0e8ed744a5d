package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	// What the binary is made of, so that go test does not answer from its cache
	// when any of it has changed.
	_ "github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testkit"
)

// binary is the router under test, built once for all tests unless
// ROUTER_E2E_BINARY names one, and cacheDir where it keeps compiled filters.
var binary, cacheDir string

type suite struct{ m *testing.M }

func TestMain(m *testing.M) {
	flag.Parse()
	rabbitnode.Main(suite{m})
}

// Run builds the binary and runs the tests.
func (s suite) Run() int {
	dir, err := os.MkdirTemp("", "router-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	cacheDir = filepath.Join(dir, "cache")
	if binary, err = testkit.BuildRouter(context.Background(), dir, "../cmd/router"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return s.m.Run()
}
