package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

// binary is the router under test, built once for all tests, and cacheDir
// where it keeps compiled filters.
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
	binary, cacheDir = filepath.Join(dir, "router"), filepath.Join(dir, "cache")
	build := exec.CommandContext(context.Background(), "go", "build", "-o", binary, "github.com/wasmrouter/router/cmd/router")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the router:", err)
		return 1
	}
	return s.m.Run()
}
