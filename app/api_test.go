package app_test

import (
	"bufio"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/admin"
	"github.com/wasmrouter/router/internal/apitest"
	"github.com/wasmrouter/router/internal/testkit"
)

// request is one to the admin listener, and the code that is to be answered.
type request struct {
	operation string // as in openapi.yaml
	path      string // with what stands for its {parameters}, and its query
	body      string
	code      int
}

// requests has each operation answered, and what can go wrong with it. Whoever
// adds an endpoint adds it here.
var requests = []request{
	{"GET /healthz", "", "", 200},
	{"GET /readyz", "", "", 200},
	{"GET /metrics", "", "", 200},
	{"GET /api/openapi.yaml", "", "", 200},
	{"GET /api/status", "", "", 200},
	{"GET /api/plan", "", "", 200},
	{"GET /api/config", "", "", 200},
	{"GET /api/broker", "", "", 200},
	{"GET /api/decisions", "", "", 200},
	{"GET /api/decisions", "/api/decisions?route=r&limit=1", "", 200},
	{"GET /api/decisions", "/api/decisions?route=none", "", 404},
	{"GET /api/decisions", "/api/decisions?limit=0", "", 400},
	{"GET /api/events", "/api/events?kinds=loud", "", 400},
	{"GET /api/log-level", "", "", 200},
	{"POST /api/log-level", "", `{"level":"debug"}`, 200},
	{"POST /api/log-level", "", `{"level":"loud"}`, 400},
	{"GET /api/filters/{filter}/shadow", "/api/filters/f/shadow", "", 200},
	{"GET /api/filters/{filter}/shadow", "/api/filters/g/shadow", "", 404},
	{"POST /api/filters/{filter}/promote", "/api/filters/f/promote", "", 200},
	{"POST /api/filters/{filter}/promote", "/api/filters/f/promote", "", 409},
	{"POST /api/filters/{filter}/promote", "/api/filters/none/promote", "", 404},
	{"POST /api/filters/{filter}/rollback", "/api/filters/f/rollback", "", 200},
	{"POST /api/filters/{filter}/rollback", "/api/filters/f/rollback", "", 409},
	{"POST /api/filters/{filter}/rollback", "/api/filters/g/rollback", "", 404},
	{"GET /api/filters/{filter}", "/api/filters/f", "", 200},
	{"GET /api/filters/{filter}", "/api/filters/none", "", 404},
	{"POST /api/filters/{filter}/reload", "/api/filters/f/reload", "", 200},
	{"POST /api/filters/{filter}/reload", "/api/filters/none/reload", "", 404},
	{"POST /api/routes/{route}/pause", "/api/routes/r/pause", "", 200},
	{"GET /readyz", "", "", 200},
	{"GET /api/status", "", "", 200},
	{"POST /api/routes/{route}/resume", "/api/routes/r/resume", "", 200},
	{"POST /api/routes/{route}/pause", "/api/routes/none/pause", "", 404},
	{"POST /api/routes/{route}/resume", "/api/routes/calls:replies/resume", "", 404},
	{"GET /api/record", "", "", 200},
	{"POST /api/record", "", `{"routes":["calls"]}`, 409},
	{"DELETE /api/record/{route}", "/api/record/calls", "", 200},
	{"DELETE /api/record/{route}", "/api/record/none", "", 404},
	{"POST /api/record", "", `{"sample":0.5,"for":"1ms"}`, 200},
	{"POST /api/record", "", `{"sample":2}`, 400},
	{"POST /api/record", "", `{"routes":["none"]}`, 404},
	{"GET /api/dead-letters", "", "", 200},
	{"GET /api/dead-letters/{queue}", "/api/dead-letters/in.dead?limit=5&reason=trap&older_than=0s&header=tenant", "", 200},
	{"GET /api/dead-letters/{queue}", "/api/dead-letters/in.dead?older_than=long", "", 400},
	{"GET /api/dead-letters/{queue}", "/api/dead-letters/in.dead?header==", "", 400},
	{"GET /api/dead-letters/{queue}", "/api/dead-letters/in", "", 404},
	{"GET /api/dead-letters/{queue}/{id}", "/api/dead-letters/in.dead/" + knownLetter, "", 200},
	{"GET /api/dead-letters/{queue}/{id}", "/api/dead-letters/in.dead/" + knownLetter + "?body=auto", "", 200},
	{"GET /api/dead-letters/{queue}/{id}", "/api/dead-letters/in.dead/" + knownLetter + "?body=xml", "", 400},
	{"GET /api/dead-letters/{queue}/{id}", "/api/dead-letters/in.dead/0123456789abcdef", "", 404},
	{"POST /api/dead-letters/{queue}/replay", "/api/dead-letters/in.dead/replay", "", 400},
	{"POST /api/dead-letters/{queue}/replay", "/api/dead-letters/in.dead/replay", `{"all":true,"to":"nowhere"}`, 400},
	{"POST /api/dead-letters/{queue}/replay", "/api/dead-letters/in.dead/replay", `{"all":true,"edit":"none"}`, 400},
	{"POST /api/dead-letters/{queue}/replay", "/api/dead-letters/in.dead/replay", `{"all":true,"rate":-1}`, 400},
	{"POST /api/dead-letters/{queue}/replay", "/api/dead-letters/in.dead/replay", `{"ids":["0123456789abcdef"],"dry_run":true}`, 200},
	{"POST /api/dead-letters/{queue}/replay", "/api/dead-letters/in.dead/replay", `{"reason":"trap","limit":1,"to":"queue:nowhere"}`, 200},
	{"POST /api/dead-letters/{queue}/purge", "/api/dead-letters/in.dead/purge", `{"all":true}`, 400},
	{"POST /api/dead-letters/{queue}/purge", "/api/dead-letters/other/purge", `{"all":true,"confirm":"other"}`, 404},
	{"POST /api/dead-letters/{queue}/purge", "/api/dead-letters/in.dead/purge", `{"reason":"trap","confirm":"in.dead"}`, 200},
	{"POST /api/reload", "", "", 200},
	{"POST /-/reload", "", "", 200},
}

// Everything that the admin listener serves is in openapi.yaml and the other way
// round, and what it answers is as the file says.
func TestTheAPIIsAsItsFileSays(t *testing.T) {
	api, err := apitest.Load(admin.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	in := start(t, apiRouter(t))
	in.postKnownLetter()
	query := in.Served()
	served := slices.Sorted(maps.Keys(query))
	if diff := cmp.Diff(api.Operations(), served); diff != "" {
		t.Errorf("what openapi.yaml describes (-) and what is served (+):\n%s", diff)
	}
	answered := map[string]bool{"GET /api/events": in.streams(api)}
	defer in.beingRecorded("calls")()
	for _, r := range requests {
		code, kind, body := in.request(r)
		if code != r.code {
			t.Errorf("%s %s: %d, want %d: %s", r.operation, r.body, code, r.code, body)
		}
		if err := api.Check(r.operation, code, kind, body); err != nil {
			t.Error(err)
		}
		answered[r.operation] = answered[r.operation] || code < 300
	}
	parameter := regexp.MustCompile(`\{(\w+)\}`)
	for _, operation := range served {
		if !answered[operation] {
			t.Errorf("%s: requests has none that is answered", operation)
		}
		path := []string{}
		for _, m := range parameter.FindAllStringSubmatch(operation, -1) {
			path = append(path, m[1])
		}
		for kind, want := range map[string][]string{"path": path, "query": query[operation]} {
			slices.Sort(want)
			got, err := api.Parameters(operation, kind)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("the parameters in the %s of %s: %v %s", kind, operation, err, diff)
			}
		}
	}
}

// apiRouter is a configuration that has something of everything to tell.
func apiRouter(t *testing.T) string {
	return strings.Replace(embeddedRouter(t, testkit.FreeAddress(t), "20s"), "[admin]\n", "[admin]\nbodies = true\n", 1) + `
[filters.f]
path = "stock:content-router"
limits = { time = "60ms" }
grants = { metrics = true }
config = { field = "body:type", routes = { x = "queue:out" }, default = "pass" }
shadow = { path = "stock:content-router" }

[filters.g]
path = "stock:messagepack"
config = { encode = "json-to-msgpack" }

[routes.calls]
listen = "calls"
format = "oslo"
mode = "proxy"
send = ["queue:server"]
allow = ["queue:out"]
filters = ["f"]

[queues.calls]
[queues.server]
`
}

// beingRecorded has a route recorded until the recording is stopped.
func (in *instance) beingRecorded(route string) (ended func()) {
	in.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		in.request(request{"POST /api/record", "", `{"routes":["` + route + `"]}`, 200})
	}()
	testkit.Await(in.t, patience, "the recording", func() (bool, string) {
		_, _, body := in.request(request{"GET /api/record", "", "", 200})
		return strings.Contains(string(body), route), string(body)
	})
	return func() { <-done }
}

// request makes a request to the instance's admin listener.
func (in *instance) request(r request) (code int, kind string, body []byte) {
	in.t.Helper()
	method, path, _ := strings.Cut(r.operation, " ")
	if r.path != "" {
		path = r.path
	}
	req, err := http.NewRequestWithContext(in.t.Context(), method, "http://"+in.AdminAddr()+path, strings.NewReader(r.body))
	if err != nil {
		in.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		in.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err = io.ReadAll(resp.Body); err != nil {
		in.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), body
}

// streams has each kind of event happen and come, and reports whether all did.
func (in *instance) streams(api *apitest.API) bool {
	in.t.Helper()
	resp, err := http.Get("http://" + in.AdminAddr() + "/api/events")
	if err != nil {
		in.t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		in.t.Errorf("events: %d, %s", resp.StatusCode, got)
	}
	schemas := map[string]string{"status": "Status", "decision": "Decision", "log": "LogEvent", "reload": "ReloadEvent"}
	kind := ""
	for lines := bufio.NewScanner(resp.Body); len(schemas) > 0 && lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "event":
			kind = value
		case name == "data" && schemas[kind] != "":
			if err := api.Valid(schemas[kind], []byte(value)); err != nil {
				in.t.Error(err)
			}
			delete(schemas, kind)
			if kind == "status" { // it is the first, and we are heard
				in.happen()
			}
		}
	}
	return len(schemas) == 0
}

// happen has a message go through route r, and a reload fail, which is logged.
func (in *instance) happen() {
	in.t.Helper()
	conn, err := amqp091.Dial(in.broker())
	if err != nil {
		in.t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		in.t.Fatal(err)
	}
	if err := ch.PublishWithContext(in.t.Context(), "", "in", false, false, amqp091.Publishing{Body: []byte("secret")}); err != nil {
		in.t.Fatal(err)
	}
	text, err := os.ReadFile(in.path)
	if err != nil {
		in.t.Fatal(err)
	}
	write(in.t, in.path, string(text)+"\n[routes.x]\nlisen = \"x\"\n")
	if err := in.ReloadAndLog(in.t.Context()); err == nil {
		in.t.Error("a configuration with a mistake is taken")
	}
	write(in.t, in.path, string(text))
}

// broker is the address of the router's own broker.
func (in *instance) broker() string {
	in.t.Helper()
	text, err := os.ReadFile(in.path)
	if err != nil {
		in.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), `"embedded://`)
	address, _, _ := strings.Cut(rest, `"`)
	return "amqp://" + address
}
