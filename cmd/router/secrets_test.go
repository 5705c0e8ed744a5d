package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testkit"
)

// secretsConfig has a secret wherever one can be.
const secretsConfig = `[broker]
url = "amqp://%[1]s/"
username = "canary"
password = "${file:password}"
[log]
level = "debug"
format = "json"
[admin]
token = "${file:token}"
[filters.sign]
path = "stock:hmac"
config = { mode = "sign", keys = { "1" = "${file:key}" } }
[filters.schema]
path = "stock:json-schema"
config = { schema = { properties = { n = { type = "integer" } } } }
[queues.%[2]q]
[queues.%[3]q]
[routes.r]
listen = %[2]q
filters = ["schema", "sign"]
send = ["queue:%[3]s"]
allow = ["queue:%[3]s"]
max_message = "1KiB"
`

// Nothing that the process gives out holds a password, a token, a key, or a body
// or header value of a message, whatever goes wrong, and each record of its log
// is one line of bounded length.
func TestNothingGivenOutHoldsASecret(t *testing.T) {
	const canary = "c4n4ry-"
	node := rabbitnode.Shared(t)
	queue := rabbitnode.Queue(t)
	for _, call := range []string{
		`rabbit_auth_backend_internal:add_user(<<"canary">>, <<"` + canary + `password-0123456789">>, <<"test">>)`,
		`rabbit_auth_backend_internal:set_permissions(<<"canary">>, <<"/">>, <<".*">>, <<".*">>, <<".*">>, <<"test">>)`,
	} {
		if _, err := node.Eval(t.Context(), call); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		_, _ = node.Eval(context.Background(), `rabbit_auth_backend_internal:delete_user(<<"canary">>, <<"test">>)`)
	})
	dir := t.TempDir()
	for _, name := range []string{"password", "token", "key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(canary+name+"-0123456789\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := fmt.Sprintf(secretsConfig, node.Addr(), queue, queue+".out")
	p := launchIn(t, dir, text)
	var line struct{ Addr string }
	if err := json.Unmarshal([]byte(p.await("admin listener")), &line); err != nil {
		t.Fatal(err)
	}
	p.admin = "http://" + line.Addr
	p.token = canary + "token-0123456789"
	p.ready()

	ch := dialAs(t, node, "guest", "guest", "")
	put := func(m amqp091.Publishing) {
		t.Helper()
		if err := ch.Publish("", queue, true, false, m); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat(canary+"header\n\x1b[31m", 4000)
	evil := "id\r\n{\"level\":\"ERROR\",\"msg\":\"forged\"}\x1b[2J\u202e\u009b31m"
	put(amqp091.Publishing{MessageId: evil, Headers: amqp091.Table{"secret": long}, Body: []byte(`{"n":1,"x":"` + canary + `body"}`)})
	put(amqp091.Publishing{MessageId: evil, Headers: amqp091.Table{"secret": long}, Body: []byte(`{"n":"` + canary + `body"}`)}) // not what the schema says
	put(amqp091.Publishing{MessageId: evil, Body: []byte(canary + "body")})                                                      // no JSON
	put(amqp091.Publishing{MessageId: evil, Body: []byte(strings.Repeat(canary+"body", 1000))})                                  // too large
	put(amqp091.Publishing{MessageId: evil, ReplyTo: canary + "reply", Expiration: "60000", Body: []byte{0xff, 0xfe}})
	testkit.Await(t, patience, "every message to be settled", func() (bool, string) {
		dead, err := node.QueueLen(t.Context(), queue+".dead")
		sent, err2 := node.QueueLen(t.Context(), queue+".out")
		return err == nil && err2 == nil && dead == 4 && sent == 1, fmt.Sprint(dead, sent, err, err2)
	})
	given := map[string]string{}
	for _, path := range []string{
		"/healthz", "/readyz", "/metrics", "/debug/pprof/", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1",
		"/debug/pprof/cmdline", "/api/config", "/api/decisions", "/api/plan", "/api/status", "/console/", "/nothing",
	} {
		_, given[path] = p.get("GET", path)
	}
	p.write(strings.Replace(text, "amqp://", "amqp://canary:"+canary+"url%zz@", 1))
	if code, body := p.get("POST", "/-/reload"); code != http.StatusInternalServerError {
		t.Errorf("reloading a broken configuration: %d %s", code, body)
	} else {
		given["a refused reload"] = body
	}
	p.write(text)
	for _, args := range [][]string{{"check", "-o", "json"}, {"check"}, {"explain"}} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(binDir, "router"), append(args, "-c", p.path)...)
		cmd.Env = environment()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("router %s: %v\n%s", args, err, out)
		}
		given["router "+strings.Join(args, " ")] = string(out)
	}
	p.signal(syscall.SIGQUIT) // Go's runtime prints every stack
	p.rest()
	_ = p.cmd.Wait()
	p.ended = true
	given["log"] = p.text.String()

	for what, text := range given {
		if i := strings.Index(text, canary); i >= 0 {
			t.Errorf("%s holds a secret: …%.200q", what, text[max(0, i-60):])
		}
	}
	records := strings.Split(strings.TrimSpace(given["log"]), "\n")
	deadLettered := 0
	for _, line := range records {
		if strings.HasPrefix(line, "SIGQUIT") {
			break // the runtime's own words
		}
		if !json.Valid([]byte(line)) || len(line) > 4<<10 || strings.ContainsAny(line, "\x1b\u202e\u009b") {
			t.Errorf("a record is not one bounded line of JSON: %.300q", line)
		}
		if strings.Contains(line, "message dead-lettered") {
			deadLettered++
		}
	}
	if deadLettered == 0 {
		t.Error("no message is named in the log, so that nothing is shown")
	}
}

// A variable of OpenTelemetry's that cannot be read is named, and not shown.
func TestVariablesOfTracesAreNotShown(t *testing.T) {
	const canary = "c4n4ry"
	dir := t.TempDir()
	path := filepath.Join(dir, "router.toml")
	text := "[broker]\nurl = \"amqp://127.0.0.1:1/\"\n[admin]\nlisten = \"\"\n[queues.q]\n[routes.r]\nlisten = \"q\"\nsend = [\"queue:q\"]\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, v := range [][2]string{
		{"OTEL_EXPORTER_OTLP_HEADERS", "Authorization Bearer " + canary},
		{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=b," + canary},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:" + canary + "@127.0.0.1:1:2/%zz"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://user:" + canary + "@127.0.0.1:1:2/%zz"},
	} {
		for _, args := range [][]string{{"run", "-c", path}, {"send", "queue:q", "--body", "x", "--url", "amqp://127.0.0.1:1/"}} {
			cmd := exec.CommandContext(t.Context(), filepath.Join(binDir, "router"), args...)
			cmd.Env = append(environment(), "OTEL_TRACES_EXPORTER=otlp", v[0]+"="+v[1])
			out, err := cmd.CombinedOutput()
			if err == nil || strings.Contains(string(out), canary) || !strings.Contains(string(out), v[0]+": ") {
				t.Errorf("router %s with a bad %s: %v\n%s", args[0], v[0], err, out)
			}
		}
	}
}
