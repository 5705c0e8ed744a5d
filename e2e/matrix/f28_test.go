package matrix

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/filters"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// hostileRoute is a route whose filter does harm.
type hostileRoute struct {
	name    string
	module  []byte
	limits  string
	grants  string
	reasons string // of its dead letters, one of these
	count   int    // of messages
	queue   string
}

// demoRoutes have the filters of router demo.
func demoRoutes(t *testing.T) []hostileRoute {
	t.Helper()
	var routes []hostileRoute
	// Only the endless one is to meet its time limit; the others have so much
	// that they meet the limit they are made for, however busy the machine is.
	for _, h := range []hostileRoute{
		{name: "loop", limits: `time = "50ms"`, reasons: "filter-deadline"},
		{name: "hungry", limits: `time = "30s"`, reasons: "filter-memory"},
		{name: "trap", limits: `time = "30s"`, reasons: "filter-trap"},
		{name: "deep", limits: `time = "30s"`, reasons: "filter-trap"},
	} {
		module, ok := filters.Lookup("demo:" + h.name)
		if !ok {
			t.Fatalf("there is no demo filter %s", h.name)
		}
		h.module, h.count = module, 10
		routes = append(routes, h)
	}
	return routes
}

// suiteRoutes have the filters of the host's hostile suite that it stops: those
// that it refuses cannot be in a configuration.
func suiteRoutes(t *testing.T) []hostileRoute {
	t.Helper()
	const dir = "../../wasmhost/testdata"
	prelude, err := os.ReadFile(filepath.Join(dir, "prelude.wat"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "hostile", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	var routes []hostileRoute
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			name, isText := strings.CutSuffix(f.Name, ".wat")
			h := hostileRoute{name: name, limits: `time = "200ms", memory = "4MiB"`, count: 2}
			for line := range strings.Lines(string(f.Data)) {
				key, value, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, ";; ")), ": ")
				switch key {
				case "stopped":
					for class := range strings.FieldsSeq(value) {
						h.reasons += " filter-" + class
					}
				case "memory":
					h.limits = fmt.Sprintf(`time = "200ms", memory = %q`, value)
				case "output":
					h.limits += fmt.Sprintf(`, output = %q`, value)
				case "grants":
					h.grants = value + " = true"
				}
				if !strings.HasPrefix(line, ";; ") {
					break
				}
			}
			if !isText || h.reasons == "" {
				continue
			}
			src, out := filepath.Join(tmp, name+".wat"), filepath.Join(tmp, name+".wasm")
			if err := os.WriteFile(src, []byte(strings.Replace(string(f.Data), ";; PRELUDE", string(prelude), 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			if text, err := exec.CommandContext(t.Context(), "wat2wasm", src, "-o", out).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, text)
			}
			if h.module, err = os.ReadFile(out); err != nil {
				t.Fatal(err)
			}
			routes = append(routes, h)
		}
	}
	return routes
}

// TestF28HostileFilters runs every filter that does harm beside a route that works:
// each of their messages becomes a dead letter that says why, and the process lives.
// How late the other route's messages came, and how much memory the process took, is
// noted.
func TestF28HostileFilters(t *testing.T) {
	routes := append(demoRoutes(t), suiteRoutes(t)...)
	if len(routes) < 60 {
		t.Errorf("%d hostile filters are too few", len(routes))
	}
	n := rabbitnode.Shared(t)
	c := harness.Dial(t, n)
	calm := newCalmRoute(t, n)
	text := calm.config()
	result := harness.NewResult(t, harness.Seed(t))
	for i := range routes {
		h := &routes[i]
		h.queue = rabbitnode.Queue(t, h.name)
		c.Declare(h.queue)
		text += fmt.Sprintf(`
[filters.%[1]s]
path = "%[1]s.wasm"
limits = { %[3]s }
grants = { %[4]s }
[routes.%[1]s]
listen = "%[2]s"
filters = ["%[1]s"]
allow = ["queue:none"]
`, h.name, h.queue, h.limits, h.grants)
	}
	config := harness.ConfigFile(t, n.URL(), text)
	for _, h := range routes {
		if err := os.WriteFile(filepath.Join(filepath.Dir(config), h.name+".wasm"), h.module, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := harness.Start(t, config)

	alone := calm.alone(p)
	for _, h := range routes {
		var msgs []amqp091.Publishing
		for i := range h.count {
			msgs = append(msgs, amqp091.Publishing{
				DeliveryMode: amqp091.Persistent, Body: []byte(h.name),
				Headers: amqp091.Table{"id": int64(i), "tenant": "acme", "nested": amqp091.Table{"a": []any{int64(1), "two"}}},
			})
		}
		c.Publish(h.queue, msgs...)
		result.Attempted += h.count
		result.Acknowledged += h.count
	}
	end := time.Now().Add(harness.Patience)
	beside := calm.probe(p, func(i int) bool {
		if time.Now().After(end) {
			t.Fatalf("the hostile filters are not stopped:\n%s", p.Tail(20))
		}
		if i%20 != 0 {
			return true
		}
		for _, h := range routes {
			if left, err := n.QueueLen(t.Context(), h.queue); err != nil {
				t.Fatal(err)
			} else if left > 0 {
				return true
			}
		}
		return false
	})
	result.Note("another route alone", "%s", spread(alone))
	result.Note("another route beside", "%s", spread(beside))

	if !p.Alive() {
		t.Fatal("the router ended")
	}
	for _, h := range routes {
		var want, got []string
		for i := range h.count {
			want = append(want, fmt.Sprintf("%d %s %s", i, h.name, h.name))
		}
		c.Drain(h.queue+".dead", func(d amqp091.Delivery) {
			got = append(got, fmt.Sprintf("%d %s %s", harness.IDOf(d), d.Body, d.Headers["x-router-filter"]))
			result.DeadLetters[harness.ReasonOf(d)]++
			if !slices.Contains(strings.Fields(h.reasons), harness.ReasonOf(d)) {
				t.Errorf("%s: a dead letter for %s, want%s: %v", h.name, harness.ReasonOf(d), h.reasons, d.Headers["x-router-error"])
			}
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("dead letters of the filter %s (-want +got):\n%s", h.name, diff)
		}
	}
	result.Note("filters", "%d", len(routes))
	result.Note("memory at most", "%s", p.Peak())
	p.Terminate()
}
