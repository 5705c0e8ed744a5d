//go:build clock

package matrix

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// jumper is a file of the command: with each SIGUSR2 the wall clock is a day back, or a day
// ahead, in turn.
const jumper = `package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

func init() {
	jumps := make(chan os.Signal, 1)
	signal.Notify(jumps, syscall.SIGUSR2)
	go func() {
		for by := int64(-86400); ; by = -by {
			<-jumps
			time.Jumped = by
		}
	}()
}
`

// jumpingRouter builds the router with a wall clock that jumps: the clock of the machine
// is everybody's. Package time has another Now for it.
func jumpingRouter(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	original := filepath.Join(strings.TrimSpace(string(source)), "src", "time", "time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	const now = "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {\n"
	if strings.Count(string(text), now) != 1 {
		t.Fatalf("package time of %s does not have the function Now that this test changes", runtime.Version())
	}
	changed := strings.Replace(string(text), now, strings.Replace(now, "\tif", "\tsec += Jumped\n\tif", 1), 1) +
		"\n// Jumped is by how many seconds the wall clock has been changed.\nvar Jumped int64\n"
	commands, err := filepath.Abs(filepath.Join("..", "..", "cmd", "router"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{original: changed, filepath.Join(commands, "jumper.go"): jumper}
	replace := map[string]string{}
	for path, content := range files {
		replace[path] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(replace[path], []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "router")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", list, "-o", binary, commands).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// awaitFed waits for the end of a load that comes by and by.
func awaitFed(tr *harness.Trial) {
	tr.T.Helper()
	harness.Await(tr.T, "the end of the load", func() (bool, string) {
		sent, more := tr.Fed()
		return !more, strconv.Itoa(sent) + " sent"
	})
}

// TestF32ClockJumps has the router's wall clock go a day back and two days ahead, again
// and again, under load and through heartbeats: no connection is lost, and no message
// repeated. It builds all of Go's library anew and is therefore not among the tests that
// every change must pass.
func TestF32ClockJumps(t *testing.T) {
	before := harness.Binary
	harness.Binary = jumpingRouter(t)
	t.Cleanup(func() { harness.Binary = before })

	const perSec = 200
	tr := harness.NewFedTrial(t, rabbitnode.Shared(t), harness.Load{Seed: harness.Seed(t), Count: 30 * perSec, Keys: keys, Pad: 64}, nil, perSec)
	tr.Window = 0
	tr.Broker += "heartbeat = \"1s\"\n"
	tr.Begin(tr.Node.URL(), byKey...)
	away := func() time.Duration {
		t.Helper()
		_, body, err := tr.Router.Get("/api/status")
		var status struct{ Now time.Time }
		if err == nil {
			err = json.Unmarshal([]byte(body), &status)
		}
		if err != nil {
			t.Fatal(err)
		}
		return time.Until(status.Now)
	}
	for i := range 6 {
		tr.Struck("wall clock jumps")
		tr.Router.Signal(syscall.SIGUSR2)
		harness.Await(t, "the jump", func() (bool, string) {
			d := away()
			return (i%2 == 0) == (d < -12*time.Hour) && d.Abs() > 12*time.Hour, d.String()
		})
		tr.Recovered()
		time.Sleep(2500 * time.Millisecond) // the fault itself: more than two heartbeats
	}
	awaitFed(tr)
	harness.AwaitEmpty(t, tr.Node, tr.In)
	if n := tr.Router.Metric("router_amqp_reconnects_total"); n != 0 {
		t.Errorf("%v connections were lost", n)
	}
	tr.End()
}
