package oslo_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

// python is a process with the real oslo.messaging; see testdata/peer.py. It
// is safe for concurrent use.
type python struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr bytes.Buffer // complete when done is closed
	done   chan struct{}

	mu    sync.Mutex // protects last, lines and writing to stdin
	last  int
	lines map[string]chan string // what was said under a key
}

// shared is the process that most tests use.
var shared struct {
	sync.Mutex
	python *python
	err    error
}

// thePython returns the process that the tests share; the first call starts it.
func thePython(t *testing.T) *python {
	t.Helper()
	node := rabbitnode.Shared(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.python == nil && shared.err == nil {
		shared.python, shared.err = launchPython(node.URL())
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.python
}

func endPython() {
	shared.Lock()
	defer shared.Unlock()
	if shared.python != nil {
		shared.python.end()
	}
}

// startPython starts a process of the test's own, which is gone after it.
func startPython(t *testing.T, url string) *python {
	t.Helper()
	p, err := launchPython(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	return p
}

func launchPython(url string) (*python, error) {
	cmd := exec.Command("/usr/bin/python3", "testdata/peer.py", strings.Replace(url, "amqp:", "rabbit:", 1))
	cmd.Env = append(os.Environ(), "PYTHONWARNINGS=ignore", "PYTHONDONTWRITEBYTECODE=1")
	p := &python{cmd: cmd, done: make(chan struct{}), lines: map[string]chan string{}}
	cmd.Stderr = &p.stderr
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start Python: %w", err)
	}
	go func() {
		defer close(p.done)
		r := bufio.NewReader(out)
		for {
			line, err := r.ReadString('\n')
			if key, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " "); ok {
				p.of(key) <- text
			}
			if err != nil {
				break
			}
		}
		_ = cmd.Wait() // how it ended is told by whoever misses it
	}()
	return p, nil
}

// of returns what is said under the key, one JSON text for each time.
func (p *python) of(key string) chan string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lines[key] == nil {
		p.lines[key] = make(chan string, 10000)
	}
	return p.lines[key]
}

// next waits for what is said next under the key.
func (p *python) next(t *testing.T, key string) string {
	t.Helper()
	select {
	case text := <-p.of(key):
		return text
	case <-p.done:
		t.Fatalf("Python has ended: %v\n%s", p.cmd.ProcessState, p.stderr.Bytes())
	case <-time.After(patience):
		t.Fatalf("Python says nothing under %q", key)
	}
	return ""
}

// expect waits for what is said under the key, in any order.
func (p *python) expect(t *testing.T, key string, want ...string) {
	t.Helper()
	got := make([]string, len(want))
	for i := range want {
		got[i] = p.next(t, key)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("under %s (-want +got):\n%s", key, diff)
	}
}

// begin makes Python run a command, and returns the key of its result.
func (p *python) begin(t *testing.T, op string, fields ...string) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	if _, err := fmt.Fprintf(p.stdin, "%d %s {%s}\n", p.last, op, strings.Join(fields, ", ")); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(p.last)
}

// do makes Python run a command, and returns {"result": …} or {"error": …}.
func (p *python) do(t *testing.T, op string, fields ...string) string {
	t.Helper()
	return p.next(t, p.begin(t, op, fields...))
}

// must makes Python run a command that has no result.
func (p *python) must(t *testing.T, op string, fields ...string) {
	t.Helper()
	if got := p.do(t, op, fields...); got != `{"result": null}` {
		t.Fatalf("%s %s: %s", op, fields, got)
	}
}

// end ends the process and waits for it.
func (p *python) end() {
	_ = p.stdin.Close()
	kill := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	<-p.done
}
