// Package testkit has what the tests of several packages do in the same way.
package testkit

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// BuildRouter builds the router into dir, unless ROUTER_E2E_BINARY names one, and
// returns where it is. Commands is the directory of its sources as the test sees
// it. The compiler's words go to standard error.
func BuildRouter(ctx context.Context, dir, commands string) (string, error) {
	if binary := os.Getenv("ROUTER_E2E_BINARY"); binary != "" {
		return binary, nil
	}
	// The cache of tests notes which files one reads: a change of the command counts
	// too.
	sources, _ := filepath.Glob(filepath.Join(commands, "*.go"))
	for _, name := range sources {
		_, _ = os.ReadFile(name)
	}
	binary := filepath.Join(dir, "router")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/wasmrouter/router/cmd/router")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("build the router: %w", err)
	}
	return binary, nil
}

// Await polls until done says yes, and fails the test after patience; the text of
// done says in what state it is.
func Await(tb testing.TB, patience time.Duration, what string, done func() (bool, string)) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; {
		ok, state := done()
		if ok {
			return
		}
		if time.Now().After(end) {
			tb.Fatalf("waited %v for %s: %s", patience, what, state)
		}
		<-tick.C
	}
}

// FreeAddress returns an address of this machine that nobody listened to just now.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
