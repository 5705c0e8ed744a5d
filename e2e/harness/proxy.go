package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wasmrouter/router/internal/testkit"
)

// Proxy is a way from a router to a broker on which things go wrong: Toxiproxy,
// in a process of its own. Its methods fail the test to which it belongs.
type Proxy struct {
	t    *testing.T
	api  string
	addr string
}

// Toxic is one thing that goes wrong, by Toxiproxy's names: latency (latency and
// jitter in ms), bandwidth (rate in KB/s), slicer (average_size and size_variation in
// bytes, delay in µs), timeout (timeout in ms; 0 swallows everything until it is
// removed), reset_peer (timeout in ms), limit_data (bytes). Stream is "upstream", to
// the broker, or "downstream", from it.
type Toxic struct {
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Stream     string         `json:"stream"`
	Toxicity   float64        `json:"toxicity"` // share of connections, 1 for all
	Attributes map[string]any `json:"attributes"`
}

var toxiproxy struct {
	sync.Once // builds it
	path      string
	err       error
}

// buildToxiproxy builds the proxy's server from the module of tools. Go's build cache
// makes that quick from the second time on.
func buildToxiproxy() (string, error) {
	toxiproxy.Do(func() {
		toxiproxy.path = filepath.Join(filepath.Dir(CacheDir), "toxiproxy")
		root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
		if err != nil {
			toxiproxy.err = fmt.Errorf("find the module: %w", err)
			return
		}
		build := exec.Command("go", "build", "-modfile", filepath.Join(string(bytes.TrimSpace(root)), "tools", "go.mod"),
			"-o", toxiproxy.path, "github.com/Shopify/toxiproxy/v2/cmd/server")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			toxiproxy.err = fmt.Errorf("build Toxiproxy: %w", err)
		}
	})
	return toxiproxy.path, toxiproxy.err
}

// NewProxy starts a proxy before the broker at addr; it ends with the test.
func NewProxy(t *testing.T, addr string) *Proxy {
	t.Helper()
	path, err := buildToxiproxy()
	if err != nil {
		t.Fatal(err)
	}
	api := testkit.FreeAddress(t)
	host, port, _ := net.SplitHostPort(api)
	cmd := exec.Command(path, "-host", host, "-port", port)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p := &Proxy{t: t, api: "http://" + api, addr: testkit.FreeAddress(t)}
	Await(t, "Toxiproxy", func() (bool, string) {
		err := p.call(http.MethodPost, "/proxies", map[string]any{"name": "broker", "listen": p.addr, "upstream": addr, "enabled": true})
		return err == nil, fmt.Sprint(err)
	})
	return p
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.addr }

// URL is the broker's address through the proxy.
func (p *Proxy) URL() string { return "amqp://guest:guest@" + p.addr + "/" }

// Add makes something go wrong from now on, for connections that there are too.
func (p *Proxy) Add(toxic Toxic) {
	p.t.Helper()
	if toxic.Toxicity == 0 {
		toxic.Toxicity = 1
	}
	p.must(http.MethodPost, "/proxies/broker/toxics", toxic)
}

// Remove ends what Add began.
func (p *Proxy) Remove(name string) {
	p.t.Helper()
	p.must(http.MethodDelete, "/proxies/broker/toxics/"+name, nil)
}

// Up says whether the proxy takes connections. Down also cuts those that there are.
func (p *Proxy) Up(up bool) {
	p.t.Helper()
	p.must(http.MethodPost, "/proxies/broker", map[string]any{"enabled": up})
}

func (p *Proxy) must(method, path string, body any) {
	p.t.Helper()
	if err := p.call(method, path, body); err != nil {
		p.t.Fatal(err)
	}
}

func (p *Proxy) call(method, path string, body any) error {
	doc, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.api+path, bytes.NewReader(doc))
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("Toxiproxy: %s %s: %d %s", method, path, resp.StatusCode, text)
	}
	return nil
}
