package demo_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmrouter/router/app/demo"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/wasmhost/compile"
)

func TestMain(m *testing.M) {
	compile.Main()
	testbroker.Main(m)
}

// folders makes the demo keep its files where the test can look for them.
func folders(t *testing.T) (temp string) {
	t.Helper()
	temp = t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Cleanup(func() {
		if left, err := filepath.Glob(filepath.Join(temp, "router-demo-*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	})
	return temp
}

func TestDemoTellsWhereEachMessageWent(t *testing.T) {
	for name, url := range map[string]string{"RabbitMQ": rabbitnode.Shared(t).URL(), "embedded": ""} {
		t.Run(name, func(t *testing.T) { tellsWhereEachWent(t, url) })
	}
}

func tellsWhereEachWent(t *testing.T, url string) {
	folders(t)
	var out bytes.Buffer
	if err := demo.Run(t.Context(), demo.Options{URL: url, Out: &out}); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	text := out.String()
	for _, kind := range []string{"cast", "call", "fanout", "notification", "serializer", "unroutable", "poison", "runaway filter"} {
		_, story, ok := strings.Cut(text, "  "+kind+" ")
		if story, _, _ = strings.Cut(story, "\n\n"); !ok || !strings.Contains(story, " in ") || !strings.Contains(story, "why: ") {
			t.Errorf("%s: where it went and why is not told: %q", kind, story)
		}
	}
	if n := strings.Count(text, "4111 1111 1111 1111"); n != 1 {
		t.Errorf("the card's number is shown %d times, want once, as sent:\n%s", n, text)
	}
}

func TestDemoEndsWhenInterrupted(t *testing.T) {
	node := rabbitnode.Shared(t)
	folders(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := cancelAt{text: "fanout", cancel: cancel}
	err := demo.Run(ctx, demo.Options{URL: node.URL(), Out: &out})
	if err == nil || err.Error() != "interrupted" {
		t.Errorf("the demo ends with %v\n%s", err, &out.Buffer)
	}
}

// cancelAt cancels when a text is written.
type cancelAt struct {
	bytes.Buffer
	text   string
	cancel context.CancelFunc
}

func (c *cancelAt) Write(p []byte) (int, error) {
	if strings.Contains(string(p), c.text) {
		c.cancel()
	}
	return c.Buffer.Write(p)
}

func TestDemoWithoutABroker(t *testing.T) {
	folders(t)
	err := demo.Run(t.Context(), demo.Options{URL: "amqp://me:c4n4ry@127.0.0.1:1/", Out: os.Stderr})
	if err == nil || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "c4n4ry") {
		t.Errorf("the demo ends with %v", err)
	}
}
