package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

func TestACrashLeavesNoCore(t *testing.T) {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: before.Max, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_CORE, &before) }()
	text, _ := routes(t, rabbitnode.Shared(t).URL())
	p := start(t, text)
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		// Less than a core has, and the one value with which none is handed to a
		// program that collects them.
		if f := strings.Fields(line); strings.HasPrefix(line, "Max core file size") && f[4] != "1" && f[4] != "0" {
			t.Errorf("cores may have %s bytes", f[4])
		}
	}
	p.signal(syscall.SIGTERM)
	p.ends(exitOK)
}
