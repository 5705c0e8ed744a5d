package harness

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wasmrouter/router/internal/testkit"
)

// Patience bounds every wait of these tests. It is no measure: nothing that
// works takes as long.
const Patience = 2 * time.Minute

// Process is a `router run` that was started. Its methods fail the test to which it
// belongs and may be called from the test's goroutine alone.
type Process struct {
	t     *testing.T
	cmd   *exec.Cmd
	admin string        // host and port of the admin listener
	done  chan struct{} // closed when it has ended
	code  int           // after done

	mu    sync.Mutex // protects lines and wake
	lines []LogLine
	wake  chan struct{} // closed and replaced when a line comes
}

// LogLine is one line of the router's JSON log.
type LogLine struct {
	Level string `json:"level"`
	Msg   string `json:"msg"`
	Addr  string `json:"addr"`
	Raw   string `json:"-"`
}

// ConfigFile writes router.toml into a folder of its own; see [WriteConfig].
func ConfigFile(t *testing.T, url, text string, process ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "router.toml")
	WriteConfig(t, path, url, text, process...)
	return path
}

// WriteConfig writes a configuration: the harness's own settings, further lines of the
// table process, and the broker's addresses, joined by commas, then text. Lines of text
// before its first table belong to the table broker.
func WriteConfig(t *testing.T, path, url, text string, process ...string) {
	t.Helper()
	broker := fmt.Sprintf("url = %q", url)
	if strings.Contains(url, ",") {
		broker = fmt.Sprintf(`urls = ["%s"]`, strings.ReplaceAll(url, ",", `", "`))
	}
	head := fmt.Sprintf("[process]\ncache_dir = %q\n%s\n[log]\nformat = \"json\"\n[broker]\n%s\n",
		CacheDir, strings.Join(process, "\n"), broker)
	if err := os.WriteFile(path, []byte(head+text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Launch starts the router and returns at once.
func Launch(t *testing.T, config string) *Process {
	t.Helper()
	p := &Process{t: t, done: make(chan struct{}), wake: make(chan struct{})}
	p.cmd = exec.Command(Binary, "run", "-c", config, "--admin", "127.0.0.1:0")
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
		p.Kill()
		if t.Failed() {
			t.Logf("the router's log:\n%s", p.Tail(40))
		}
	})
	return p
}

// Start starts the router and returns when all its routes consume.
func Start(t *testing.T, config string) *Process {
	t.Helper()
	begin := time.Now()
	p := Launch(t, config)
	p.AwaitReady()
	t.Logf("the router was ready after %s", time.Since(begin).Round(time.Millisecond))
	return p
}

func (p *Process) read(out io.Reader) {
	r := bufio.NewReader(out)
	for {
		raw, err := r.ReadBytes('\n')
		if len(raw) > 0 {
			line := LogLine{Raw: strings.TrimSpace(string(raw))}
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

// AwaitLine returns the first line after the first skip lines for which match
// holds, and its index.
func (p *Process) AwaitLine(what string, skip int, match func(LogLine) bool) (LogLine, int) {
	p.t.Helper()
	deadline := time.After(Patience)
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
			p.t.Fatalf("the router ended with code %d before it logged %s:\n%s", p.code, what, p.Tail(20))
		case <-deadline:
			p.t.Fatalf("the router did not log %s:\n%s", what, p.Tail(20))
		}
	}
}

// Lines returns the lines so far.
func (p *Process) Lines() []LogLine {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines[:len(p.lines):len(p.lines)]
}

// Logged returns how many lines there are so far.
func (p *Process) Logged() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

// Tail returns the last n lines of the log.
func (p *Process) Tail(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, l := range p.lines[max(0, len(p.lines)-n):] {
		b.WriteString(l.Raw + "\n")
	}
	return b.String()
}

// AwaitReady waits until all routes consume.
func (p *Process) AwaitReady() {
	p.t.Helper()
	Await(p.t, "the router to be ready", func() (bool, string) {
		code, body, err := p.Get("/readyz")
		if err != nil {
			return false, err.Error()
		}
		return code == http.StatusOK, body
	})
}

// AwaitUnready waits until the router says that it is not ready, with that among its
// reasons.
func (p *Process) AwaitUnready(reason string) {
	p.t.Helper()
	Await(p.t, fmt.Sprintf("the router to be unready because of %q", reason), func() (bool, string) {
		code, body, err := p.Get("/readyz")
		if err != nil {
			return false, err.Error()
		}
		return code == http.StatusServiceUnavailable && strings.Contains(body, reason), body
	})
}

// Get asks the admin listener for a path and returns the status and the body. It
// waits for the listener first.
func (p *Process) Get(path string) (int, string, error) {
	if p.admin == "" {
		line, _ := p.AwaitLine("its admin address", 0, func(l LogLine) bool { return l.Msg == "admin listener" })
		p.admin = line.Addr
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + p.admin + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// Signal sends the router a signal.
func (p *Process) Signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("signal %v: %v", sig, err)
	}
}

// Kill ends the router with SIGKILL and waits for it.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // an error means that it has ended already
	<-p.done
}

// Peak returns the most memory that the process has had, as the kernel writes it.
func (p *Process) Peak() string {
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

// Pid returns the router's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the router has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the router to end by itself and returns its exit code.
func (p *Process) Wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(Patience):
		p.t.Fatalf("the router does not end:\n%s", p.Tail(20))
	}
	return p.code
}

// Alive reports whether the router still runs.
func (p *Process) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Terminate sends SIGTERM, waits, fails the test unless the router ends with code 0,
// and returns how long that took.
func (p *Process) Terminate() time.Duration {
	p.t.Helper()
	begin := time.Now()
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(Patience):
		p.t.Fatalf("the router does not end after SIGTERM:\n%s", p.Tail(20))
	}
	if p.code != 0 {
		p.t.Errorf("the router ended with code %d after SIGTERM, want 0:\n%s", p.code, p.Tail(20))
	}
	return time.Since(begin)
}

// Await polls until done says yes; its text says in what state it is.
func Await(t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	testkit.Await(t, Patience, what, done)
}
