package testkit

import (
	"fmt"
	"os"

	"go.uber.org/goleak"
)

// Run runs the tests of m, which share a directory of compiled filters, and returns the
// code to end with: 1 also if they leave goroutines behind.
func Run(m interface{ Run() int }) int {
	dir, err := os.MkdirTemp("", "router-test-")
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
