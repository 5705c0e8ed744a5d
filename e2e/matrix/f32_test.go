package matrix

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestF32StartWithFewDescriptors starts the router with fewer file descriptors than it
// needs, from so few that it cannot read its configuration: each time it ends with one line
// that says so. With 6 or 7 Go's runtime ends it, with lines of its own; from 10 on it may
// start, if it has its filters compiled.
func TestF32StartWithFewDescriptors(t *testing.T) {
	t.Parallel()
	config := harness.ConfigFile(t, "amqp://127.0.0.1:1", harness.Chain("trial", "in", "out"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, files := range []int{4, 8} {
		out, err := exec.CommandContext(ctx, "prlimit", fmt.Sprintf("--nofile=%d", files), harness.Binary, "run", "-c", config, "--admin", "127.0.0.1:0").CombinedOutput()
		var ended *exec.ExitError
		if !errors.As(err, &ended) || ended.ExitCode() != 1 {
			t.Errorf("with %d descriptors: %v, want code 1\n%s", files, err, out)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if last := lines[len(lines)-1]; !strings.HasPrefix(last, "router: ") || !strings.Contains(last, "too many open files") {
			t.Errorf("with %d descriptors the last line is %q", files, last)
		}
	}
}

// TestF32DescriptorsExhausted takes a running router's file descriptors away and then
// its connections: it says what it lacks, lives, and goes on when it has them back.
func TestF32DescriptorsExhausted(t *testing.T) {
	t.Parallel()
	n := rabbitnode.Shared(t)
	tr := harness.NewTrial(t, n, harness.Load{Seed: harness.Seed(t), Count: harness.Messages(t, 10_000), Keys: 8, Pad: 64})
	name := rabbitnode.Queue(t, "router") // a name as fresh as that
	tr.Broker = fmt.Sprintf("connection_name = %q\n", name)
	tr.Begin(n.URL())
	limit := func(files int) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "prlimit", "--pid", fmt.Sprint(tr.Router.Pid()), fmt.Sprintf("--nofile=%d:", files)).CombinedOutput()
		if err != nil {
			t.Fatalf("prlimit: %v\n%s", err, out)
		}
	}
	before := tr.Router.Resources().Files
	for i := range 2 {
		tr.Until((i + 1) * tr.Load.Count / 4)
		tr.Struck("no file descriptors left")
		skip := tr.Router.Logged()
		limit(3) // fewer than it has: it gets no other
		if closed, err := n.CloseConnections(t.Context(), name, "fault"); err != nil || closed == 0 {
			t.Fatalf("%d connections closed: %v", closed, err)
		}
		tr.Router.AwaitLine("that it lacks file descriptors", skip, func(l harness.LogLine) bool {
			return strings.Contains(l.Raw, "too many open files")
		})
		limit(1024)
		tr.Recovered()
	}
	harness.AwaitEmpty(t, n, tr.In)
	after := tr.Router.Resources().Files
	tr.Note("open files", "%d before, %d after", before, after)
	if after > before+5 {
		t.Errorf("%d files are open, before the faults %d", after, before)
	}
	tr.End()
}
