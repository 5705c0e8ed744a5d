package app_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/filters"
	"github.com/wasmrouter/router/internal/testkit"
)

// A filter whose file was replaced is reloaded, and nothing else whose file was.
func TestReloadOfOneFilter(t *testing.T) {
	module, _ := filters.Lookup("content-router")
	other := slices.Concat(module, []byte{0, 5, 4, 'n', 'e', 'w', '2'}) // the same with a section that says nothing
	text := embeddedRouter(t, testkit.FreeAddress(t), "20s")
	for _, name := range []string{"f", "g"} {
		text += fmt.Sprintf(`
[filters.%[1]s]
path = "%[1]s.wasm"
config = { field = "body:type", routes = { x = "queue:out" }, default = "pass" }
[routes.%[1]s]
listen = "to-%[1]s"
filters = ["%[1]s"]
send = ["queue:out"]
allow = ["queue:out"]
[queues.to-%[1]s]
`, name)
	}
	in := prepare(t)
	replace := func(name string, with []byte) {
		write(t, filepath.Join(filepath.Dir(in.path), name+".wasm"), string(with))
	}
	replace("f", module)
	replace("g", module)
	in.build(text)
	if err := in.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	in.ready()
	before := in.report("f")
	if before.Plan.SHA256 != in.report("g").Plan.SHA256 || !slices.Equal(before.Routes, []string{"f"}) || before.Module.ABI != 1 || before.Module.Functions == 0 || before.Status.Name != "f" {
		t.Errorf("%+v", before)
	}

	replace("f", other)
	replace("g", other)
	if code, _, body := in.request(request{"POST /api/filters/f/reload", "", "", 200}); code != 200 || strings.Contains(string(body), before.Plan.SHA256) {
		t.Errorf("reload: %d %s", code, body)
	}
	after := in.report("f")
	if after.Plan.SHA256 == before.Plan.SHA256 || after.Plan.Bytes != len(other) {
		t.Errorf("the filter is still %+v", after.Plan)
	}
	if got := in.report("g").Plan.SHA256; got != before.Plan.SHA256 {
		t.Error("the other filter was reloaded, too")
	}
	in.ready()

	replace("f", []byte("no module"))
	if code, _, body := in.request(request{"POST /api/filters/f/reload", "", "", 500}); code != 500 || !strings.Contains(string(body), "f.wasm") {
		t.Errorf("reload of what is no module: %d %s", code, body)
	}
	if got := in.report("f").Plan.SHA256; got != after.Plan.SHA256 {
		t.Error("what was refused is in use")
	}
	in.ready()
}

// report asks for all about a filter.
func (in *instance) report(filter string) (r app.FilterReport) {
	in.t.Helper()
	code, _, body := in.request(request{"GET /api/filters/" + filter, "", "", 200})
	if err := json.Unmarshal(body, &r); err != nil || code != 200 {
		in.t.Fatalf("filter %s: %d %s", filter, code, body)
	}
	return r
}
