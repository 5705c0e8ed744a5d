package matrix

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestF29Reload swaps a filter's file, changes its configuration, and offers broken
// files and configurations while messages are on their way: what is good takes effect,
// what is broken changes nothing, and nothing is lost or comes twice.
func TestF29Reload(t *testing.T) {
	t.Parallel()
	n := rabbitnode.Shared(t)
	tr := harness.NewTrial(t, n, harness.Load{Seed: harness.Seed(t), Count: harness.Messages(t, 10_000), Keys: 8, Pad: 64})
	tr.Window = 0
	tr.Files = map[string][]byte{"f.wasm": troubleFilter(t)}
	text := func(mark string) string {
		return strings.Replace(harness.Chain(tr.Route, tr.In, tr.Out), `"by_kind"]`, `"by_kind", "f"]`, 1) +
			fmt.Sprintf("[filters.f]\npath = \"f.wasm\"\nconfig = { mark = %q }\nlimits = { time = \"10s\" }\n", mark)
	}
	tr.BeginWith(n.URL(), text("0"))

	module := filepath.Join(filepath.Dir(tr.Config), "f.wasm")
	custom := func(name string) []byte { // the same filter in other bytes
		return append(append([]byte{}, tr.Files["f.wasm"]...), append([]byte{0, byte(len(name) + 1), byte(len(name))}, name...)...)
	}
	mark := "0"
	type step struct {
		name   string
		config string
		module []byte
		broken bool
	}
	steps := []step{
		{name: "filter swapped", module: custom("second")},
		{name: "filter's configuration changed", config: "1"},
		{name: "broken configuration", config: "3", broken: true},
		{name: "broken filter", module: []byte("\x00asm\x01\x00\x00\x00\x0b"), broken: true},
		{name: "filter and configuration changed", module: custom("third"), config: "2"},
		{name: "nothing changed"},
	}
	part := tr.Load.Count / (len(steps) + 1)
	for i, s := range steps {
		tr.Until((i + 1) * part / 2)
		tr.Struck(s.name)
		if s.module != nil {
			replace(t, module, s.module)
		}
		if s.config != "" {
			next := text(s.config)
			if s.broken {
				next += "nonsense = 1\n"
			}
			harness.WriteConfig(t, tr.Config, n.URL(), next)
		}
		skip := tr.Router.Logged()
		tr.Router.Signal(syscall.SIGHUP)
		line, _ := tr.Router.AwaitLine("the reload's end", skip, func(l harness.LogLine) bool {
			return l.Msg == "reloaded" || l.Level == "ERROR"
		})
		if (line.Level == "ERROR") != s.broken {
			t.Errorf("%s: %s", s.name, line.Raw)
		}
		ok := tr.Router.Metric("router_config_last_reload_successful")
		if (ok == 0) != s.broken {
			t.Errorf("%s: the last reload counts as successful: %v", s.name, ok)
		}
		switch {
		case s.broken: // mended, with what ran all the time
			harness.WriteConfig(t, tr.Config, n.URL(), text(mark))
			replace(t, module, tr.Files["f.wasm"])
		case s.config != "":
			mark = s.config
		}
		if s.module != nil && !s.broken {
			tr.Files["f.wasm"] = s.module
		}
		tr.Recovered()
	}

	harness.AwaitEmpty(t, n, tr.In)
	// Each message bears the mark of the configuration that it met; the marks come
	// one after the other, and no other ones.
	c := harness.Dial(t, n)
	last, marks := "", []string{}
	var again []amqp091.Publishing
	c.Drain(tr.Out, func(d amqp091.Delivery) {
		if m, _ := d.Headers["mark"].(string); m != last {
			last = m
			marks = append(marks, m)
		}
		again = append(again, amqp091.Publishing{DeliveryMode: d.DeliveryMode, MessageId: d.MessageId, Headers: d.Headers, Body: d.Body})
	})
	if got := strings.Join(marks, " "); got != "0 1 2" {
		t.Errorf("the messages bear the marks %s, want 0 1 2", got)
	}
	c.Publish(tr.Out, again...) // for the audit
	tr.End()
}

// replace puts a file in another's place at once.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
