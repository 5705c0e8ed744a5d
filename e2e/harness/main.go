package harness

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	// What the binary is made of, so that go test does not answer from its cache
	// when any of it has changed.
	_ "github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/internal/testkit"
)

// Binary is the router under test, built once for all tests of a package unless
// ROUTER_E2E_BINARY names one, and CacheDir where it keeps compiled filters. Both are
// set by [Main].
var Binary, CacheDir string

type suite struct {
	m        interface{ Run() int }
	commands string
}

// Main is the body of a package's TestMain: it builds the router, runs the tests,
// stops what they have started, and exits. Commands is the directory of the router's
// sources as the test sees it.
func Main(m interface{ Run() int }, commands string) {
	flag.Parse()
	testbroker.Main(suite{m, commands})
}

// Run builds the binary and runs the tests.
func (s suite) Run() int {
	dir, err := os.MkdirTemp("", "router-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	CacheDir = filepath.Join(dir, "cache")
	if Binary, err = testkit.BuildRouter(context.Background(), dir, s.commands); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return s.m.Run()
}
