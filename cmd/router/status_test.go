package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/internal/testkit"
)

// asking runs a command that asks a router.
func asking(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = execute(t.Context(), args, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

func TestStatusAndTopOfARunningRouter(t *testing.T) {
	address := testkit.FreeAddress(t)
	text := `
[broker]
url = "embedded://` + testkit.FreeAddress(t) + `"
[admin]
listen = "` + address + `"
token = "s3cret"
[queues.in]
[queues.out]
[routes.r]
listen = "in"
send = ["queue:out"]
`
	dir := t.TempDir()
	p := &process{t: t, path: filepath.Join(dir, "router.toml")}
	p.write(text)
	p.begin(dir, nil, "run", "-c", p.path)
	p.await("consuming")
	code, out, errs := asking(t, "status", "-c", p.path)
	if code != exitOK || errs != "" || !strings.Contains(out, " at http://"+address+": ready, up ") || !strings.Contains(out, "consuming") {
		t.Errorf("status: %d\n%s%s", code, out, errs)
	}
	var s app.Status
	code, out, errs = asking(t, "status", "--admin", address, "-c", p.path, "-o", "json")
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != exitOK || !s.Ready || len(s.Routes) != 1 {
		t.Errorf("status -o json: %d %v\n%s%s", code, err, out, errs)
	}
	if code, out, errs := asking(t, "top", "-n", "1", "--admin", "http://"+address, "-c", p.path); code != exitOK || errs != "" || !strings.Contains(out, " r consuming received=") {
		t.Errorf("top: %d\n%s%s", code, out, errs)
	}
	p.write(strings.Replace(text, "s3cret", "other", 1))
	if code, _, errs := asking(t, "status", "-c", p.path); code != exitFailed || !strings.Contains(errs, "token") {
		t.Errorf("without the token: %d %s", code, errs)
	}
}

func TestStatusOfARouterThatIsNotReady(t *testing.T) {
	address := testkit.FreeAddress(t)
	p := launch(t, "[broker]\nurl = \"amqp://127.0.0.1:1\"\n[routes.r]\nlisten = \"in\"\nsend = [\"queue:out\"]\n")
	var line struct{ Addr string }
	if err := json.Unmarshal([]byte(p.await("admin listener")), &line); err != nil {
		t.Fatal(err)
	}
	code, out, errs := asking(t, "status", "-c", p.path, "--admin", line.Addr)
	if code != exitFailed || errs != "" || !strings.Contains(out, ": not ready, ") || !strings.Contains(out, "  broker: not connected") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	if code, out, errs := asking(t, "status", "-c", p.path, "--admin", address); code != exitFailed || out != "" || strings.Count(errs, "\n") != 1 {
		t.Errorf("no router: %d\n%s%s", code, out, errs)
	}
}
