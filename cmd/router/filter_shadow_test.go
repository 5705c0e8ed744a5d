package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/internal/testkit"
)

// ask runs a command about the filter f of p's router.
func (p *process) ask(code int, args ...string) (stdout, stderr string) {
	p.t.Helper()
	var out, errs bytes.Buffer
	args = append([]string{"filter"}, append(args, "-c", p.path, "--admin", p.admin)...)
	if got := execute(p.t.Context(), args, strings.NewReader(""), &out, &errs); got != code {
		p.t.Errorf("router %s: exit code %d, want %d: %s", strings.Join(args, " "), got, code, &errs)
	}
	return out.String(), errs.String()
}

// A new version is looked at, promoted and rolled back by hand, in a router that
// runs.
func TestAShadowByHand(t *testing.T) {
	address := testkit.FreeAddress(t)
	config := fmt.Sprintf(`[broker]
url = "embedded://me:secret@%s"
[log]
format = "json"
[admin]
bodies = true
token = "of-the-admin"
[queues.in]
[queues.out]
[queues.new]
[filters.f]
path = "stock:content-router"
config = { field = "body:type", routes = { x = "queue:out" } }
[filters.f.shadow]
path = "stock:content-router"
config = { field = "body:type", routes = { x = "queue:new" } }
[filters.plain]
path = "stock:messagepack"
config = { encode = "json-to-msgpack" }
[routes.r]
listen = "in"
filters = ["f"]
allow = ["queue:*"]
`, address)
	p := start(t, config)
	p.token = "of-the-admin"
	p.ready()
	// Escape characters in a message must not reach the terminal.
	body := "{\"type\":\"x\",\"n\":\"\x1b[31m\"}"
	send := []string{"send", "queue:in", "--url", "amqp://me:secret@" + address, "--body", body}
	var errs bytes.Buffer
	if code := execute(t.Context(), send, strings.NewReader(""), &errs, &errs); code != exitOK {
		t.Fatalf("send: %d: %s", code, &errs)
	}
	p.until("/api/filters/f/shadow", func(code int, body string) bool {
		return code == http.StatusOK && strings.Contains(body, `"differences":1`)
	})
	out, _ := p.ask(exitOK, "shadow", "f")
	for _, want := range []string{
		"filter f\n", "state        shadow since ", "compared     1 message\n", "differences  1 message: targets 1",
		"of queue in, in decide\n    targets: queue:out → queue:new\n", `of body: {"type":"x","n":"`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("without %q:\n%s", want, out)
		}
	}
	if strings.ContainsRune(out, 0x1b) {
		t.Errorf("an escape character is printed: %q", out)
	}
	out, _ = p.ask(exitOK, "promote", "f")
	if !strings.Contains(out, "promoted since") || !strings.Contains(out, `write it into the file: path = "stock:content-router"`) {
		t.Error(out)
	}
	_, stderr := p.ask(exitUsage, "promote", "f")
	if want := "router: no such step: the new version of filter f decides everything already; write it into the configuration\n"; stderr != want {
		t.Errorf("%q, want %q", stderr, want)
	}
	out, _ = p.ask(exitOK, "rollback", "f", "-o", "json")
	var report app.ShadowReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.Trial.State != "rolled-back" || report.Trial.Reason != "by command" || report.Filter != "f" {
		t.Errorf("%v: %s", err, out)
	}
	_, stderr = p.ask(exitUsage, "shadow", "plain")
	if !strings.HasPrefix(stderr, "router: filter plain: it has no new version") {
		t.Error(stderr)
	}
	_, stderr = p.ask(exitUsage, "shadow", "none")
	if stderr != "router: there is no filter \"none\"; there are: f, plain\n" {
		t.Error(stderr)
	}
	p.ask(exitUsage, "shadow")
	p.ask(exitUsage, "shadow", "f", "-o", "yaml")
	p.admin = "http://" + testkit.FreeAddress(t)
	if _, stderr = p.ask(exitFailed, "shadow", "f"); !strings.Contains(stderr, "is the router running") {
		t.Error(stderr)
	}
}
