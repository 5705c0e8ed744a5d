package broker_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/wasmrouter/router/broker"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestTheDriversOwnTests runs the integration tests of amqp091-go against this
// broker and against RabbitMQ. What passes there passes here.
func TestTheDriversOwnTests(t *testing.T) {
	t.Parallel()
	tests := buildDriverTests(t)
	port := freePort(t)
	rabbit, err := rabbitnode.Start(t.Context(), rabbitnode.Config{
		Plugins: []string{"rabbitmq_management"},
		Conf:    "management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = " + port + "\ncollect_statistics_interval = 100",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rabbit.Stop)
	s, address := startServer(t, func(c *broker.Config) { c.Product = "RabbitMQ" }) // some tests ask for it
	here := side{url: "amqp://guest:guest@" + address + "/", management: serveTest(t, manage(s)), ctl: serveTest(t, control(func(args []string) error {
		if slices.Equal(args, []string{"set_vm_memory_high_watermark", "0.4"}) {
			s.Faults().Unblock()
		} else {
			s.Faults().Block()
		}
		return nil
	}))}
	there := side{real: true, url: rabbit.URL(), management: "http://127.0.0.1:" + port, ctl: serveTest(t, control(func(args []string) error {
		_, err := rabbit.Ctl(t.Context(), args...)
		return err
	}))}

	var want, got map[string]bool
	var both sync.WaitGroup
	both.Go(func() { want = tests.run(t, there) })
	both.Go(func() { got = tests.run(t, here) })
	both.Wait()
	want[slow] = true // RabbitMQ takes a minute for it
	n := 0
	for _, name := range slices.Sorted(maps.Keys(want)) {
		switch {
		case want[name] && !got[name]:
			t.Errorf("%s passes on RabbitMQ and not here", name)
		case want[name]:
			n++
		default:
			t.Logf("%s fails on RabbitMQ; here it passes: %v", name, got[name])
		}
	}
	for name, ok := range got {
		if _, known := want[name]; !ok && !known {
			t.Errorf("%s: not so on RabbitMQ", name)
		}
	}
	t.Logf("%d tests pass on both", n)
	if n < 94 {
		t.Errorf("only %d tests pass on both", n)
	}
}

// slow is a test that opens 80,000 channels.
const slow = "TestChannelCounterShouldNotPanicIssue136"

// alarm is a test that makes the broker block everybody.
const alarm = "TestConnection_Close_WhenMemoryAlarmIsActive"

// side is a broker under test.
type side struct {
	url, management string
	real            bool   // it is RabbitMQ
	ctl             string // the address that takes the arguments of rabbitmqctl
}

// driverTests is the driver's test program.
type driverTests struct {
	program, ctl string
	names        []string // of those that need a broker
}

var testName = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)

// buildDriverTests builds the tests of a copy of the module. The address of the
// management interface, which is written into them, becomes a variable.
func buildDriverTests(t *testing.T) driverTests {
	t.Helper()
	from, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/rabbitmq/amqp091-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir, out := t.TempDir(), t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(strings.TrimSpace(string(from)))); err != nil {
		t.Fatal(err)
	}
	calls := filepath.Join(dir, "internal", "utils", "http.go")
	text, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	for old, with := range map[string]string{
		`"io"`:                       "\"io\"\n\t\"os\"",
		`"http://localhost:15672`:    `os.Getenv("MANAGEMENT")+"`,
		`"http://localhost:"+port+"`: `os.Getenv("MANAGEMENT")+"`,
	} {
		if !bytes.Contains(text, []byte(old)) {
			t.Fatalf("%s no longer has %s", calls, old)
		}
		text = bytes.Replace(text, []byte(old), []byte(with), 1)
	}
	// The copy is read-only, as modules are.
	if err := errors.Join(os.Remove(calls), os.WriteFile(calls, text, 0o600)); err != nil {
		t.Fatal(err)
	}
	d := driverTests{program: filepath.Join(out, "driver.test"), ctl: filepath.Join(out, "rabbitmqctl")}
	files, _ := filepath.Glob(filepath.Join(dir, "*_test.go"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte("\n//go:build integration\n")) {
			continue
		}
		for _, m := range testName.FindAllSubmatch(text, -1) {
			d.names = append(d.names, string(m[1]))
		}
	}
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "integration", "-o", d.program, ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const script = "#!/usr/bin/python3\nimport os, sys, urllib.request\nurllib.request.urlopen(os.environ['CTL'], ' '.join(sys.argv[1:]).encode()).read()\n"
	if err := os.WriteFile(d.ctl, []byte(script), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	return d
}

// run runs the tests and returns which of them pass. Those of recovery, which sleep
// most of the time, run at once; the one that blocks the broker runs last.
func (d *driverTests) run(t *testing.T, s side) map[string]bool {
	var core, alone []string
	for _, name := range d.names {
		switch {
		case name == alarm || name == slow && s.real:
		case strings.HasPrefix(name, "TestConnectionRecovery"), name == slow:
			alone = append(alone, name)
		default:
			core = append(core, name)
		}
	}
	passed := map[string]bool{}
	var mu sync.Mutex // protects passed
	play := func(names ...string) {
		for name, ok := range d.play(t, s, names) {
			mu.Lock()
			passed[name] = ok
			mu.Unlock()
		}
	}
	var all sync.WaitGroup
	all.Go(func() { play(core...) })
	for _, name := range alone {
		all.Go(func() { play(name) })
	}
	all.Wait()
	play(alarm)
	return passed
}

var outcome = regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): (\S+)`)

// play runs some tests in one process. What goroutines they leave counts as a test
// of its own.
func (d *driverTests) play(t *testing.T, s side, names []string) map[string]bool {
	cmd := exec.CommandContext(t.Context(), d.program, "-test.v", "-test.timeout", "3m", "-test.run", "^("+strings.Join(names, "|")+")$")
	cmd.Dir = filepath.Dir(d.program)
	cmd.Env = append(os.Environ(), "AMQP_URL="+s.url, "MANAGEMENT="+s.management, "RABBITMQ_RABBITMQCTL_PATH="+d.ctl, "CTL="+s.ctl)
	out, _ := cmd.CombinedOutput() // a failure is seen below
	passed := map[string]bool{}
	for _, m := range outcome.FindAllSubmatch(out, -1) {
		passed[string(m[2])] = string(m[1]) == "PASS"
		if string(m[1]) != "PASS" {
			t.Logf("%s: %s: %s", s.url, m[2], out)
		}
	}
	if bytes.Contains(out, []byte("found unexpected goroutines")) {
		passed["goroutines after "+names[0]] = false
		t.Logf("%s: %s", s.url, out)
	}
	return passed
}

// manage is as much of RabbitMQ's management interface as those tests need.
func manage(s *broker.Server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/connections/", func(w http.ResponseWriter, _ *http.Request) {
		list := []map[string]any{}
		for _, c := range s.Stat().Connections {
			list = append(list, map[string]any{"name": c.Name, "client_properties": map[string]string{"connection_name": c.Name}})
		}
		_ = json.NewEncoder(w).Encode(list)
	})
	mux.HandleFunc("DELETE /api/connections/{name}", func(w http.ResponseWriter, r *http.Request) {
		s.Faults().CloseConnections(func(name string) bool { return name == r.PathValue("name") },
			320, "CONNECTION_FORCED - Closed via management plugin")
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// control hands the arguments of rabbitmqctl to f.
func control(f func(args []string) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, err := body.ReadFrom(r.Body)
		if err == nil {
			err = f(strings.Fields(body.String()))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
}

func serveTest(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// freePort returns a port that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
