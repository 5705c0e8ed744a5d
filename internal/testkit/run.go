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
	return Leakless(m.Run())
}

// Leakless returns the code that a run of tests ended with, but 1 if all passed and
// goroutines are left.
func Leakless(code int) int {
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "goroutines are left after the tests:", err)
		return 1
	}
	return 0
}
