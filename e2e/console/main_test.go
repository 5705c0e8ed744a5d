package console

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/wasmrouter/router/internal/chromium"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/wasmhost/compile"
)

// screens is where pictures of the pages go.
var screens = flag.String("screens", "", "a directory for pictures of the console's pages")

// All tests keep compiled filters in cacheDir, and look at pages in browser.
var (
	cacheDir string
	browser  *chromium.Browser
)

type suite struct{ m *testing.M }

func TestMain(m *testing.M) {
	compile.Main()
	flag.Parse()
	testbroker.Main(suite{m})
}

// Run runs the tests with a cache of their own.
func (s suite) Run() int {
	dir, err := os.MkdirTemp("", "router-console-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	cacheDir = filepath.Join(dir, "cache")
	if browser, err = chromium.Start(filepath.Join(dir, "profile")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer browser.Close()
	return s.m.Run()
}
