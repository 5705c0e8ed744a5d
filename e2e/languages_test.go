package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

// languages are those that `router filter new` knows.
var languages = []string{"c", "go", "rust", "as", "wat"}

// TestLanguages goes from nothing to a filter that routes real messages, in every
// language, with the binary and the commands that docs/FILTERS.md shows.
func TestLanguages(t *testing.T) {
	n := rabbitnode.Shared(t)
	c := dial(t, n)
	config := configFile(t, n.URL(), "")
	dir := filepath.Dir(config)

	var text strings.Builder
	in, out := make(map[string]string), make(map[string]string)
	for _, lang := range languages {
		name := "orders_" + lang
		for _, args := range [][]string{
			{"new", "--lang", lang, name}, {"build", name}, {"test", name}, {"check", name}, {"bench", name, "--time", "20ms"},
		} {
			author(t, dir, args...)
		}
		var facts struct {
			SHA256 string `json:"sha256"`
		}
		if err := json.Unmarshal(author(t, dir, "inspect", name, "--output", "json"), &facts); err != nil || len(facts.SHA256) != 64 {
			t.Fatalf("%s: sha256 %q, %v", name, facts.SHA256, err)
		}
		in[lang], out[lang] = rabbitnode.Queue(t, "in-"+lang), rabbitnode.Queue(t, "out-"+lang)
		c.declare(in[lang], out[lang])
		fmt.Fprintf(&text, `
[filters.%s]
path = "%s/%s.wasm"
sha256 = %q
config = { queue = %q, field = "order.kind" }
[routes.%s]
listen = %q
filters = [%q]
allow = [%q]
`, name, name, name, facts.SHA256, out[lang], lang, in[lang], name, "queue:"+out[lang])
	}
	writeConfig(t, config, n.URL(), text.String())
	start(t, config)

	const count = 50
	for _, lang := range languages {
		var msgs []amqp091.Publishing
		for i := range count {
			msgs = append(msgs, amqp091.Publishing{
				DeliveryMode: amqp091.Persistent, Headers: amqp091.Table{"id": int64(i)},
				Body: fmt.Appendf(nil, `{"id": %d, "order": {"kind": "caf\u00e9 %d"}}`, i, i),
			})
		}
		c.publish(in[lang], append(msgs, amqp091.Publishing{Headers: amqp091.Table{"id": int64(count)}, Body: []byte(`{"order": {}}`)})...)
	}
	for _, lang := range languages {
		awaitEmpty(t, n, in[lang])
		var want, got, dead []string
		for i := range count {
			want = append(want, fmt.Sprintf(`%d café %d {"id": %d, "order": {"kind": "caf\u00e9 %d"}}`, i, i, i, i))
		}
		c.drain(out[lang], func(d amqp091.Delivery) {
			got = append(got, fmt.Sprintf("%d %v %s", idOf(d), d.Headers["kind"], d.Body))
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: messages (-want +got):\n%s", lang, diff)
		}
		c.drain(in[lang]+".dead", func(d amqp091.Delivery) {
			dead = append(dead, fmt.Sprintf("%d %s %v", idOf(d), reasonOf(d), d.Headers["x-router-error"]))
		})
		if !slices.Equal(dead, []string{fmt.Sprintf("%d rejected the body has no such field", count)}) {
			t.Errorf("%s: dead letters %q", lang, dead)
		}
	}
}

// author runs router filter in a directory and returns what it printed.
func author(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"filter"}, args...)...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("router filter %s: %v\n%s%s", strings.Join(args, " "), err, stdout, stderr.String())
	}
	return stdout
}
