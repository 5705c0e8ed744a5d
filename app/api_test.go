package app_test

import (
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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
	query := in.Served()
	served := slices.Sorted(maps.Keys(query))
	if diff := cmp.Diff(api.Operations(), served); diff != "" {
		t.Errorf("what openapi.yaml describes (-) and what is served (+):\n%s", diff)
	}
	answered := map[string]bool{}
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
	return embeddedRouter(t, testkit.FreeAddress(t), "20s") + `
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
