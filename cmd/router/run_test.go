package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

// process is a `router run` that was started.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	path  string // of the configuration
	admin string
	token string      // for the admin listener
	lines chan string // of the log; closed at its end
	text  strings.Builder
	ended bool
}

// start starts `router run` and returns when its admin listener listens.
func start(t *testing.T, config string) *process {
	t.Helper()
	p := launch(t, config)
	var line struct{ Addr string }
	if err := json.Unmarshal([]byte(p.await("admin listener")), &line); err != nil {
		t.Fatal(err)
	}
	p.admin = "http://" + line.Addr
	return p
}

func launch(t *testing.T, config string) *process {
	t.Helper()
	return launchIn(t, t.TempDir(), config)
}

// launchIn starts `router run` with a configuration in dir, and with further
// variables of the environment.
func launchIn(t *testing.T, dir, config string, env ...string) *process {
	t.Helper()
	p := &process{t: t, path: filepath.Join(dir, "router.toml")}
	p.write(config)
	p.begin(dir, env, "run", "-c", p.path, "--admin", "127.0.0.1:0")
	return p
}

// begin starts the command in dir, with its log as p.lines.
func (p *process) begin(dir string, env []string, args ...string) {
	t := p.t
	t.Helper()
	p.lines = make(chan string, 1000)
	p.cmd = exec.Command(filepath.Join(binDir, "router"), args...)
	p.cmd.Dir = dir
	p.cmd.Env = append(environment(), env...)
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(p.lines)
		for sc := bufio.NewScanner(out); sc.Scan(); {
			p.lines <- sc.Text()
		}
	})
	t.Cleanup(func() {
		if !p.ended {
			_ = p.cmd.Process.Kill() // an error means that it has ended
			p.rest()
			_ = p.cmd.Wait()
		}
		reading.Wait()
		if t.Failed() {
			t.Logf("log:\n%s", &p.text)
		}
	})
}

func (p *process) write(config string) {
	p.t.Helper()
	if err := os.WriteFile(p.path, []byte(config), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// await returns the next log line that holds text.
func (p *process) await(text string) string {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("the router ended without logging %q", text)
			}
			p.text.WriteString(line + "\n")
			if strings.Contains(line, text) {
				return line
			}
		case <-timeout:
			p.t.Fatalf("the router does not log %q", text)
		}
	}
}

func (p *process) rest() {
	for line := range p.lines {
		p.text.WriteString(line + "\n")
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// ends waits for the end and checks the exit code.
func (p *process) ends(code int) {
	p.t.Helper()
	stuck := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer stuck.Stop()
	p.rest()
	_ = p.cmd.Wait() // the code tells
	p.ended = true
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("exit code %d, want %d", got, code)
	}
}

// get asks the admin listener.
func (p *process) get(method, path string) (int, string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.admin+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func (p *process) ready() {
	p.t.Helper()
	p.until("/readyz", func(code int, _ string) bool { return code == http.StatusOK })
}

// until asks again and again until the answer is good.
func (p *process) until(path string, good func(code int, body string) bool) {
	p.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		code, body := p.get("GET", path)
		if good(code, body) {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("GET %s is still %d %s", path, code, body)
		}
	}
}

// routes is a configuration with a route of fresh queues.
func routes(t *testing.T, url string) (text, queue string) {
	t.Helper()
	queue = rabbitnode.Queue(t)
	return fmt.Sprintf(`[broker]
url = %q
[log]
format = "json"
[queues.%q]
[queues.%q]
[routes.r]
listen = %q
send = ["queue:%s"]
`, url, queue, queue+".out", queue, queue+".out"), queue
}

func TestRunUntilTold(t *testing.T) {
	node := rabbitnode.Shared(t)
	text, queue := routes(t, node.URL())
	p := start(t, text)
	p.ready()
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "", "/metrics": "router_build_info{", "/debug/pprof/": "goroutine",
	} {
		if code, body := p.get("GET", path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("GET %s: %d %.200s", path, code, body)
		}
	}
	if code, _ := p.get("GET", "/nothing"); code != http.StatusNotFound {
		t.Errorf("GET /nothing: %d", code)
	}
	p.signal(syscall.SIGTERM)
	p.await(`"msg":"stopping"`)
	p.await(`"msg":"drained"`)
	p.ends(exitOK)
	if n, err := node.QueueLen(t.Context(), queue); err != nil || n != 0 {
		t.Errorf("the queue holds %d: %v", n, err)
	}
	if log := p.text.String(); strings.Contains(log, "guest:guest") {
		t.Error("the log shows the password")
	}
}

func TestRunReloads(t *testing.T) {
	text, _ := routes(t, rabbitnode.Shared(t).URL())
	p := start(t, text)
	p.ready()
	p.write(text + "prefecth = 3\n")
	p.signal(syscall.SIGHUP)
	if line := p.await(`"level":"ERROR"`); !strings.Contains(line, `did you mean \"prefetch\"`) {
		t.Errorf("a broken configuration is logged as %s", line)
	}
	if code, body := p.get("POST", "/-/reload"); code != http.StatusInternalServerError || !strings.Contains(body, "prefecth") {
		t.Errorf("POST /-/reload of a broken configuration: %d %s", code, body)
	}
	if line := p.await(`"level":"ERROR"`); !strings.Contains(line, "prefecth") {
		t.Errorf("a broken configuration is logged as %s", line)
	}
	p.ready()
	p.write(text + "prefetch = 3\n")
	p.signal(syscall.SIGHUP)
	if line := p.await(`"msg":"reloaded"`); !strings.Contains(line, `"changed":1`) {
		t.Errorf("a reload is logged as %s", line)
	}
	if code, body := p.get("POST", "/-/reload"); code != http.StatusOK {
		t.Errorf("POST /-/reload: %d %s", code, body)
	}
	if line := p.await(`"msg":"reloaded"`); !strings.Contains(line, `"changed":0`) {
		t.Errorf("a reload of the same is logged as %s", line)
	}
	p.signal(syscall.SIGINT)
	p.ends(exitOK)
}

func TestSecondSignalForces(t *testing.T) {
	text, queue := routes(t, rabbitnode.Shared(t).URL())
	// A filter that is busy for longer than anybody waits.
	text = strings.Replace(text, "[routes.r]\n", "[filters.slow]\npath = \"demo:loop\"\nlimits = { time = \"1m\", fuel = 1000000000000000 }\n[routes.r]\nfilters = [\"slow\"]\nallow = [\"queue:*\"]\n", 1)
	p := start(t, text)
	p.ready()
	send := exec.Command(filepath.Join(binDir, "router"), "send", "queue:"+queue, "--body", "x")
	send.Env = append(environment(), "ROUTER_URL="+rabbitnode.Shared(t).URL())
	if out, err := send.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p.until("/metrics", func(_ int, body string) bool {
		return strings.Contains(body, `router_messages_received_total{route="r"} 1`)
	})
	p.signal(syscall.SIGTERM)
	p.await(`"msg":"stopping"`)
	if code, body := p.get("GET", "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "draining") {
		t.Errorf("/readyz while draining: %d %s", code, body)
	}
	p.signal(syscall.SIGTERM)
	p.await("router: second signal, stopping at once")
	p.ends(exitForced)
}

func TestRunWithoutABroker(t *testing.T) {
	text, queue := routes(t, "amqp://me:c4n4ry@127.0.0.1:1/")
	p := start(t, text)
	p.await(`"msg":"started"`)
	code, body := p.get("GET", "/readyz")
	if code != http.StatusServiceUnavailable || !strings.Contains(body, "broker: not connected") || !strings.Contains(body, queue) {
		t.Errorf("/readyz: %d %s", code, body)
	}
	p.signal(syscall.SIGTERM)
	p.ends(exitOK)
	if strings.Contains(p.text.String()+body, "c4n4ry") {
		t.Error("the password is shown")
	}
}

// A signal ends a start that waits for a broker which does not answer.
func TestSignalDuringStart(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	text, _ := routes(t, "amqp://"+ln.Addr().String()+"/")
	text = strings.Replace(text, "[broker]\n", "[broker]\ndial_timeout = \"10m\"\n", 1)
	p := start(t, text)
	p.signal(syscall.SIGTERM)
	p.ends(exitOK)
	if strings.Contains(p.text.String(), `"msg":"started"`) {
		t.Error("it started all the same")
	}
}

func TestRunFailsOnAConflict(t *testing.T) {
	node := rabbitnode.Shared(t)
	text, _ := routes(t, node.URL())
	p := start(t, text)
	p.ready()
	q := start(t, strings.ReplaceAll(text, "[routes.r]", "durable = false\n[routes.r]"))
	q.ends(exitFailed)
	if log := q.text.String(); !strings.Contains(log, "\nrouter: amqp: ") || !strings.Contains(log, "durable") {
		t.Errorf("the error is not told:\n%s", log)
	}
	p.signal(syscall.SIGTERM)
	p.ends(exitOK)
}
