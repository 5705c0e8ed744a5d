// Package oslo holds the interop tests: the real oslo.messaging on one side,
// this module's packages, its router or its command line on the other.
//
// All tests share one RabbitMQ node and one Python process, which runs every
// command in a thread of its own, so that they run in parallel.
package oslo_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	// What the binary is made of, so that go test does not answer from its cache
	// when any of it has changed.
	_ "github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/internal/testkit"
)

// patience bounds every wait of these tests. It is no measure: nothing that
// works takes as long.
const patience = 2 * time.Minute

// binary is the router under test, built once for all tests unless
// ROUTER_E2E_BINARY names one, and cacheDir where it keeps compiled filters.
var binary, cacheDir string

type suite struct{ m *testing.M }

func TestMain(m *testing.M) {
	flag.Parse()
	testbroker.Main(suite{m})
}

// Run builds the binary and runs the tests.
func (s suite) Run() int {
	defer endPython()
	dir, err := os.MkdirTemp("", "router-oslo-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	cacheDir = filepath.Join(dir, "cache")
	if binary, err = testkit.BuildRouter(context.Background(), dir, "../../cmd/router"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return s.m.Run()
}
