package recording

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/wasmrouter/router/wasmhost/compile"
)

func TestMain(m *testing.M) {
	compile.Main()
	os.Exit(run(m))
}

// run has all tests share a directory of compiled filters.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "recording")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Setenv("XDG_CACHE_HOME", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
