package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wasmrouter/router/internal/testkit"
)

// patience bounds every wait of these tests. It is no measure: nothing that
// works takes as long.
const patience = 2 * time.Minute

// process is a `router run` that was started.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	admin string // host and port of the admin listener
	done  chan struct{}
	code  int // after done

	mu    sync.Mutex // protects lines and wake
	lines []logLine
	wake  chan struct{} // closed and replaced when a line comes
}

// logLine is one line of the router's JSON log.
type logLine struct {
	Level string `json:"level"`
	Msg   string `json:"msg"`
	Addr  string `json:"addr"`
	raw   string
}

// configFile writes router.toml into a folder of its own. The router's own
// settings come before text.
func configFile(t *testing.T, url, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "router.toml")
	writeConfig(t, path, url, text)
	return path
}

func writeConfig(t *testing.T, path, url, text string) {
	t.Helper()
	head := fmt.Sprintf("[broker]\nurl = %q\n[process]\ncache_dir = %q\n[log]\nformat = \"json\"\n", url, cacheDir)
	if err := os.WriteFile(path, []byte(head+text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// launch starts the router and returns at once.
func launch(t *testing.T, config string) *process {
	t.Helper()
	p := &process{t: t, done: make(chan struct{}), wake: make(chan struct{})}
	p.cmd = exec.Command(binary, "run", "-c", config, "--admin", "127.0.0.1:0")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// This goroutine ends with the process; the cleanup ends that and waits.
	go func() {
		defer close(p.done)
		p.read(out)
		_ = p.cmd.Wait()
		p.code = p.cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the router's log:\n%s", p.tail(40))
		}
	})
	return p
}

// start starts the router and returns when all its routes consume.
func start(t *testing.T, config string) *process {
	t.Helper()
	begin := time.Now()
	p := launch(t, config)
	p.awaitReady()
	t.Logf("the router was ready after %s", time.Since(begin).Round(time.Millisecond))
	return p
}

func (p *process) read(out io.Reader) {
	r := bufio.NewReader(out)
	for {
		raw, err := r.ReadBytes('\n')
		if len(raw) > 0 {
			line := logLine{raw: strings.TrimSpace(string(raw))}
			_ = json.Unmarshal(raw, &line) // what is no JSON stays as raw text
			p.mu.Lock()
			p.lines = append(p.lines, line)
			close(p.wake)
			p.wake = make(chan struct{})
			p.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// awaitLine returns the first line after the first skip lines for which match
// holds, and its index.
func (p *process) awaitLine(what string, skip int, match func(logLine) bool) (logLine, int) {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		p.mu.Lock()
		lines, wake := p.lines, p.wake
		p.mu.Unlock()
		for ; skip < len(lines); skip++ {
			if match(lines[skip]) {
				return lines[skip], skip
			}
		}
		select {
		case <-wake:
		case <-p.done:
			p.t.Fatalf("the router ended with code %d before it logged %s:\n%s", p.code, what, p.tail(20))
		case <-deadline:
			p.t.Fatalf("the router did not log %s:\n%s", what, p.tail(20))
		}
	}
}

// logged returns how many lines there are so far.
func (p *process) logged() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

func (p *process) tail(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, l := range p.lines[max(0, len(p.lines)-n):] {
		b.WriteString(l.raw + "\n")
	}
	return b.String()
}

func (p *process) awaitReady() {
	p.t.Helper()
	line, _ := p.awaitLine("its admin address", 0, func(l logLine) bool { return l.Msg == "admin listener" })
	p.admin = line.Addr
	await(p.t, "the router to be ready", func() (bool, string) {
		code, body, err := p.get("/readyz")
		if err != nil {
			return false, err.Error()
		}
		return code == http.StatusOK, body
	})
}

func (p *process) get(path string) (int, string, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + p.admin + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// metric returns the sum of the samples of a metric whose labels hold all of
// the given parts, for example `route="orders"`.
func (p *process) metric(name string, labels ...string) float64 {
	p.t.Helper()
	code, body, err := p.get("/metrics")
	if err != nil || code != http.StatusOK {
		p.t.Fatalf("metrics: %d %v", code, err)
	}
	v, err := sumOf(body, name, labels...)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// sumOf adds up samples in Prometheus' text format.
func sumOf(text, name string, labels ...string) (sum float64, err error) {
	found := false
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		found = true
		i := strings.LastIndexByte(rest, ' ')
		all := true
		for _, l := range labels {
			all = all && strings.Contains(rest[:i], l)
		}
		if !all {
			continue
		}
		v, err := strconv.ParseFloat(rest[i+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("sample %q: %w", line, err)
		}
		sum += v
	}
	if !found {
		return 0, errors.New("there is no metric " + name)
	}
	return sum, nil
}

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("signal %v: %v", sig, err)
	}
}

// kill ends the router with SIGKILL and waits for it.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error means that it has ended already
	<-p.done
}

// alive reports whether the router still runs.
// peak returns the most memory that the process has had, as the kernel writes it.
func (p *process) peak() string {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "?"
}

func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// terminate sends SIGTERM, waits, and fails the test unless the router ends
// with code 0.
func (p *process) terminate() {
	p.t.Helper()
	begin := time.Now()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
		p.t.Logf("the router ended %s after SIGTERM", time.Since(begin).Round(time.Millisecond))
	case <-time.After(patience):
		p.t.Fatalf("the router does not end after SIGTERM:\n%s", p.tail(20))
	}
	if p.code != 0 {
		p.t.Errorf("the router ended with code %d after SIGTERM, want 0:\n%s", p.code, p.tail(20))
	}
}

// await polls until done says yes; its text says in what state it is.
func await(t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	testkit.Await(t, patience, what, done)
}

func TestSumOfSamples(t *testing.T) {
	text := "# HELP a_total x\na_total{route=\"x\",result=\"ok\"} 3\na_total{route=\"x\",result=\"no\"} 4\na_total{route=\"y\",result=\"ok\"} 8\na_total_more 100\nb 1.5e3\n"
	for _, tc := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"a_total", nil, 15},
		{"a_total", []string{`route="x"`}, 7},
		{"a_total", []string{`route="x"`, `result="ok"`}, 3},
		{"a_total", []string{`route="z"`}, 0},
		{"b", nil, 1500},
	} {
		if got, err := sumOf(text, tc.name, tc.labels...); err != nil || got != tc.want {
			t.Errorf("%s%v = %v, %v, want %v", tc.name, tc.labels, got, err, tc.want)
		}
	}
	if _, err := sumOf(text, "a"); err == nil {
		t.Error("a metric that is not there has a sum")
	}
}
