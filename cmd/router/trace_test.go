package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/broker"
	"github.com/wasmrouter/router/internal/otlptest"
	"github.com/wasmrouter/router/internal/testkit"
)

// The hand tools take part in traces when the environment asks for them: what they
// send, call and answer is one trace with what a router makes of it, also when that
// calls in its own name.
func TestHandToolsTakePartInTraces(t *testing.T) {
	collector := otlptest.New(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	srv := broker.New(broker.Config{})
	t.Cleanup(srv.Close)
	addr, err := srv.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "amqp://guest:guest@" + addr + "/"
	path := filepath.Join(t.TempDir(), "router.toml")
	text := fmt.Sprintf(`[broker]
url = %q
[admin]
listen = ""
[queues.in]
[queues.out]
[routes.plain]
listen = "in"
send = ["queue:out"]
[routes.calls]
listen = "topic:edge"
format = "oslo"
mode = "proxy"
send = ["topic:compute"]
`, url)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	background := func(args ...string) (ended func()) {
		var errs bytes.Buffer
		code := make(chan int, 1)
		go func() { code <- execute(ctx, args, strings.NewReader(""), io.Discard, &errs) }()
		return func() {
			if c := <-code; c != exitOK {
				t.Errorf("%s: %d: %s", args[0], c, &errs)
			}
		}
	}
	consumed := func(queues ...string) {
		testkit.Await(t, time.Minute, "consumers", func() (bool, string) {
			n := map[string]int{}
			for _, q := range srv.Stat().Queues {
				n[q.Name] = q.Consumers
			}
			return !slices.ContainsFunc(queues, func(q string) bool { return n[q] == 0 }), fmt.Sprint(n)
		})
	}
	ended := []func(){background("run", "-c", path)}
	consumed("in", "edge")
	ended = append(ended, background("serve", "--url", url, "--topic", "compute", "--server", "h1"), background("serve", "--url", url, "out"))
	consumed("compute", "out")
	for _, args := range [][]string{
		{"send", "queue:in", "--body", "x"},
		{"call", "--topic", "edge", "--method", "m", "--args", "{}"},
		{"notify", "--topic", "news", "--event-type", "e"},
	} {
		var errs bytes.Buffer
		if c := execute(t.Context(), append(args, "--url", url), strings.NewReader(""), io.Discard, &errs); c != exitOK {
			t.Fatalf("%s: %d: %s", args[0], c, &errs)
		}
	}
	stop()
	for _, wait := range ended {
		wait()
	}
	want := `producer publish in
  consumer process in
    producer publish out
      consumer process out
producer call openstack:edge
  consumer process edge
    internal filter format:oslo
    internal filter format:oslo
    producer publish openstack:compute
      consumer process compute
        producer publish
          consumer process
            internal filter format:oslo
            internal filter format:oslo
            internal filter format:oslo
            producer publish
producer publish openstack:news.info
`
	if diff := cmp.Diff(want, otlptest.Tree(collector.Spans())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
