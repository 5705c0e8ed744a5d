package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost/compile"
)

// TestMain runs the tests, or, under the command's name, the command itself: a
// link to the test binary is what scripts run as "router".
func TestMain(m *testing.M) {
	compile.Main()
	if filepath.Base(os.Args[0]) == "router" {
		main()
		return
	}
	testbroker.Main(suite{m})
}

// patience bounds every wait. It is no measure.
const patience = time.Minute

type suite struct{ m *testing.M }

var binDir, cacheDir string

// Run puts the command on the path and runs the tests.
func (s suite) Run() int {
	dir, err := os.MkdirTemp("", "router-cli-")
	if err == nil {
		defer os.RemoveAll(dir)
		binDir, cacheDir = filepath.Join(dir, "bin"), filepath.Join(dir, "cache")
		err = os.Mkdir(binDir, 0o755)
	}
	var self string
	if err == nil {
		self, err = os.Executable()
	}
	if err == nil {
		err = os.Symlink(self, filepath.Join(binDir, "router"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return s.m.Run()
}

// environment is what every command under test runs in.
func environment() []string {
	return []string{
		"PATH=" + binDir + string(os.PathListSeparator) + os.Getenv("PATH"),
		"XDG_CACHE_HOME=" + cacheDir, "NO_COLOR=1", "GORACE=" + os.Getenv("GORACE"), "GOCOVERDIR=" + os.Getenv("GOCOVERDIR"),
	}
}

// toolchain is what commands that build with Go need beside environment: what was
// built before is not built anew.
func toolchain(t *testing.T) []string {
	t.Helper()
	cache, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"HOME=" + os.Getenv("HOME"), "GOCACHE=" + strings.TrimSpace(string(cache))}
}

// TestScript runs testdata/script. Beside testscript's own commands there is
//
//	router CODE ARG...     run the command and expect that exit code
//
// orders.rec is a recording; see writeRecording. empty.rec has no message.
//
// Scripts under testdata/script/broker find a broker at $ROUTER_URL, whose host
// and port are $BROKER, names of their own in $Q, and
//
//	consumed QUEUE         wait until the queue has a consumer
//	bound EXCHANGE N       wait until N queues are bound to the exchange
func TestScript(t *testing.T) {
	testscript.Run(t, params("testdata/script"))
}

// writeRecording writes a recording of three messages of a route orders, which a
// filter by_type sent to the queue b by their type, or refused.
func writeRecording(path string) error {
	var blocks record.Blocks
	for i, kind := range []string{"a", "b", "none"} {
		env := router.NewEnvelope(map[string]any{"no": int32(i)}, []byte(`{"type":"`+kind+`"}`))
		env.MessageID, env.Origin = kind, router.Origin{Queue: "in", RoutingKey: "in", Received: time.Unix(1, 0)}
		d := record.Decision{Action: record.ActionDeadLetter, Reason: "rejected", Filter: "by_type", Stage: "decide", Attempts: 1}
		if kind != "none" {
			d = record.Decision{Action: record.ActionForward, Attempts: 1, Sent: []record.Sent{
				{Target: router.Target{Kind: router.TargetQueue, Queue: "b"}, Envelope: env.Clone()},
			}}
		}
		if _, err := blocks.Add(&record.Record{At: time.Unix(2, 0), Route: "orders", Received: env, Decision: d}); err != nil {
			return err
		}
	}
	blocks.AddSummary(record.Summary{Seen: 3, Taken: 3, Why: "its time was over"})
	return os.WriteFile(path, append([]byte(record.Header), blocks.Take()...), 0o600)
}

func TestScriptWithBroker(t *testing.T) {
	node := rabbitnode.Shared(t)
	p := params("testdata/script/broker")
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		env.Setenv("ROUTER_URL", node.URL())
		env.Setenv("BROKER", node.Addr())
		env.Setenv("Q", rabbitnode.Queue(t, filepath.Base(env.WorkDir)))
		env.Values[nodeKey{}] = node
		return setup(env)
	}
	testscript.Run(t, p)
}

func params(dir string) testscript.Params {
	return testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			for _, v := range environment() {
				name, value, _ := strings.Cut(v, "=")
				env.Setenv(name, value)
			}
			root, err := filepath.Abs("../..")
			env.Setenv("ROOT", root)
			return errors.Join(err, writeRecording(filepath.Join(env.WorkDir, "orders.rec")),
				os.WriteFile(filepath.Join(env.WorkDir, "empty.rec"), []byte(record.Header), 0o600))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"router": runRouter, "consumed": waitConsumed, "bound": waitBound},
		// What a script's golden text says is brought up to date by
		// UPDATE_SCRIPTS=1.
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		RequireExplicitExec: true,
	}
}

// nodeKey is where scripts find their broker.
type nodeKey struct{}

// waitConsumed is the script command "consumed QUEUE".
func waitConsumed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: consumed QUEUE")
	}
	waitFor(ts, fmt.Sprintf(
		`case rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<%q>>)) of {ok, Q} -> length(rabbit_amqqueue:consumers(Q)) > 0; _ -> false end`, args[0]))
}

// waitBound is the script command "bound EXCHANGE N".
func waitBound(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: bound EXCHANGE N")
	}
	waitFor(ts, fmt.Sprintf(`length(rabbit_binding:list_for_source(rabbit_misc:r(<<"/">>, exchange, <<%q>>))) >= %s`, args[0], args[1]))
}

// waitFor waits until the broker evaluates an expression to true.
func waitFor(ts *testscript.TestScript, expression string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		text, err := ts.Value(nodeKey{}).(*rabbitnode.Node).Eval(ctx, expression)
		ts.Check(err)
		if strings.TrimSpace(text) == "true" {
			return
		}
	}
}

// runRouter is the script command "router CODE ARG...".
func runRouter(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: router CODE ARG...")
	}
	code := "0"
	if err := ts.Exec("router", args[1:]...); err != nil {
		code = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if code != args[0] {
		ts.Fatalf("router %s: exit code %s, want %s", strings.Join(args[1:], " "), code, args[0])
	}
	if strings.Contains(ts.ReadFile("stderr"), "goroutine ") {
		ts.Fatalf("a stack trace is printed")
	}
}
