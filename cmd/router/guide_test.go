package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wasmrouter/router/app/workbench"
	"github.com/wasmrouter/router/internal/doctest"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// The commands of docs/FILTERS.md lead, in every language and with the real
// compilers, from nothing to a filter that routes messages on a broker.
func TestFromNothingToAFilterThatRoutes(t *testing.T) {
	blocks, err := doctest.Language("sh", "../../docs/FILTERS.md")
	if err != nil {
		t.Fatal(err)
	}
	node := rabbitnode.Shared(t)
	scripts := map[string]string{}
	for _, b := range blocks {
		if m := regexp.MustCompile(`^router filter new --lang (\w+) orders\n`).FindStringSubmatch(b.Text); m != nil {
			scripts[m[1]] = b.Text
		}
	}
	for _, lang := range workbench.LanguageNames() {
		t.Run(lang, func(t *testing.T) {
			script := scripts[lang]
			if n := strings.Count(script, "\n"); n < 1 || n > 5 {
				t.Fatalf("docs/FILTERS.md has %d commands; at most 5 are promised", n)
			}
			dir := t.TempDir()
			out := shellIn(t, dir, script)
			for _, want := range []string{" passed, 0 failed\n", "orders/orders.wasm: ok, decide, ", "orders: "} {
				if !strings.Contains(out, want) {
					t.Errorf("the commands do not print %q", want)
				}
			}
			routesOrders(t, node, filepath.Join(dir, "orders", "orders.wasm"))
		})
	}
}

// shellIn runs commands with the router in the path and returns what they print.
func shellIn(t *testing.T, dir, script string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(environment(), toolchain(t)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	t.Logf("%s", out)
	return string(out)
}

// routesOrders runs a router with the filter and sends it two messages.
func routesOrders(t *testing.T, node *rabbitnode.Node, module string) {
	t.Helper()
	in := rabbitnode.Queue(t)
	p := start(t, fmt.Sprintf(`[broker]
url = %q
[log]
format = "json"
[process]
allow_outside_paths = true
[queues.%q]
[queues.%q]
[queues.%q]
[filters.orders]
path = %q
config = { queue = %q }
[routes.r]
listen = %q
filters = ["orders"]
allow = ["queue:%s"]
`, node.URL(), in, in+".out", in+".dead", module, in+".out", in, in+".out"))
	p.ready()
	out := shellIn(t, t.TempDir(), fmt.Sprintf(`export ROUTER_URL=%s
router send queue:%[2]s --body '{"type": "created"}'
router send queue:%[2]s --body '{"no": "type"}'
router listen %[2]s.out --count 1 -o json
router listen %[2]s.dead --count 1 -o json
`, node.URL(), in))
	for _, want := range []string{`"kind":"created"`, `"body":"{\"type\": \"created\"}"`, "the body has no such field"} {
		if !strings.Contains(out, want) {
			t.Errorf("the messages that were routed do not hold %s", want)
		}
	}
}
