package top_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/app/remote"
	"github.com/wasmrouter/router/app/top"
	"github.com/wasmrouter/router/internal/testkit"
	"github.com/wasmrouter/router/wasmhost/compile"
)

func TestMain(m *testing.M) {
	compile.Main()
	goleak.VerifyTestMain(m)
}

// running starts a router that is its own broker, and returns who asks it.
func running(t *testing.T) (*app.App, *remote.Client) {
	t.Helper()
	dir := t.TempDir()
	text := `
[broker]
url = "embedded://` + testkit.FreeAddress(t) + `"
[queues.in]
[queues.out]
[routes.a-route-with-a-long-name]
listen = "in"
send = ["queue:out"]
[process]
cache_dir = "` + dir + `/cache"
[admin]
listen = "127.0.0.1:0"
token = "s3cret"
`
	path := filepath.Join(dir, "router.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), app.Options{ConfigPath: path, LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := remote.Open(remote.Options{Config: path, Address: a.AdminAddr()})
	if err != nil {
		t.Fatal(err)
	}
	return a, c
}

// terminal is a screen of which each frame is kept.
type terminal struct {
	mu     sync.Mutex // protects frames
	frames []string
	drawn  func(n int)
}

func (s *terminal) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.frames = append(s.frames, string(p))
	n := len(s.frames)
	s.mu.Unlock()
	if s.drawn != nil {
		s.drawn(n)
	}
	return len(p), nil
}

var escapes = regexp.MustCompile("\x1b\\[[?0-9]*[a-zA-Z]")

// It fills the terminal, whatever its size, until q is typed, and leaves it as it was.
func TestTopOnATerminal(t *testing.T) {
	_, c := running(t)
	keys, typed := io.Pipe()
	defer typed.Close()
	sizes := [][2]int{{120, 30}, {40, 6}, {0, 0}}
	asked := 0
	screen := &terminal{drawn: func(n int) {
		if n == len(sizes) {
			go func() { _, _ = typed.Write([]byte("xq")) }()
		}
	}}
	err := top.Run(t.Context(), top.Config{Client: c, Out: screen, Keys: keys, Size: func() (int, int, error) {
		size := sizes[min(asked, len(sizes)-1)]
		asked++
		return size[0], size[1], nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	frames := screen.frames
	if len(frames) < 4 || !strings.HasPrefix(frames[0], "\x1b[?1049h\x1b[?25l") || frames[len(frames)-1] != "\x1b[?25h\x1b[?1049l" {
		t.Fatalf("%q", frames)
	}
	for i, size := range [][2]int{{120, 30}, {40, 6}, {80, 24}} {
		lines := strings.Split(escapes.ReplaceAllString(frames[i], ""), "\r\n")
		if len(lines) > size[1] || lines[len(lines)-1] != "q quits" || !strings.HasPrefix(lines[0], "router ") {
			t.Errorf("%d columns and %d rows get %q", size[0], size[1], lines)
		}
		for _, line := range lines {
			if n := utf8.RuneCountInString(line); n > size[0] {
				t.Errorf("of %d columns a line takes %d: %q", size[0], n, line)
			}
		}
	}
	if !strings.Contains(frames[0], "a-route-with-a-long-name") {
		t.Errorf("the route is not there: %q", frames[0])
	}
}

func TestTopWithoutATerminal(t *testing.T) {
	_, c := running(t)
	var out bytes.Buffer
	if err := top.Run(t.Context(), top.Config{Client: c, Out: &out, Updates: 1}); err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^\S+Z a-route-with-a-long-name \w+ received=0/s sent=0/s dropped=0/s dead=0/s in_hand=0 p50=- p99=-\n$`)
	if !line.MatchString(out.String()) {
		t.Errorf("got %q", &out)
	}
}

// It waits for a router that has gone, but not for one that never was there or does
// not let it in.
func TestTopWhileThereIsNoRouter(t *testing.T) {
	a, c := running(t)
	ctx, stop := context.WithCancel(t.Context())
	screen := &terminal{}
	screen.drawn = func(n int) {
		switch text := screen.frames[n-1]; {
		case strings.Contains(text, "received="):
			go func() { _ = a.Stop(context.Background()) }()
		case strings.Contains(text, "asking again"):
			stop()
		}
	}
	if err := top.Run(ctx, top.Config{Client: c, Out: screen}); err != nil {
		t.Error(err)
	}
	if err := top.Run(t.Context(), top.Config{Client: c, Out: io.Discard}); err == nil || !strings.Contains(err.Error(), "nobody listens") {
		t.Errorf("no router: %v", err)
	}
	b, _ := running(t)
	stranger, err := remote.Open(remote.Options{Address: "http://" + b.AdminAddr()})
	if err != nil {
		t.Fatal(err)
	}
	err = top.Run(t.Context(), top.Config{Client: stranger, Out: io.Discard})
	if e, ok := errors.AsType[*remote.Error](err); !ok || e.Code != http.StatusUnauthorized || !strings.Contains(err.Error(), "token") {
		t.Errorf("without the token: %v", err)
	}
}

func TestStatusAsTables(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	h := app.Histogram{Bounds: []float64{0.001, 0.01}, Counts: []uint64{98, 1, 1}}
	s := &app.Status{
		Version: "1.2", Now: began.Add(90 * time.Second), Started: began, Reasons: []string{"broker: not connected\x1b[2J"},
		Routes: []app.RouteStatus{
			{
				Name: "orders", Queue: "in", Consuming: true, Received: 100, Inflight: 3, Retries: 4, Duration: h,
				Sent: map[string]uint64{"ok": 90}, Settled: map[string]uint64{"drop": 7}, DeadLetters: map[string]uint64{"a": 1, "b": 2},
			},
			{Name: "idle", Queue: "q", Paused: true},
		},
		Filters:     []app.FilterStatus{{Name: "f", Instances: 2, MemoryBytes: 3 << 20, Calls: 100, Failures: map[string]uint64{"trap": 5}, Duration: h, Failing: "trap"}},
		Connections: []app.ConnectionStatus{{Purpose: "send", Host: "mq", LastError: "refused", Reconnects: 9}, {Purpose: "listen in", Host: "mq", Connected: true, Consuming: true}},
	}
	var out bytes.Buffer
	if err := top.WriteStatus(&out, "here", s); err != nil {
		t.Fatal(err)
	}
	const want = "router 1.2 at here: not ready, up 1m30s\n  broker: not connected\uFFFD[2J\n" + `
ROUTE   QUEUE  STATE      RECEIVED  SENT  DROPPED  DEAD  RETRIES  IN HAND  P50   P99
orders  in     consuming  100       90    7        3     4        3        ≤1ms  ≤10ms
idle    q      paused     0         0     0        0     0        0        -     -

FILTER  INSTANCES  MEMORY   CALLS  FAILURES  P50   P99    STATE
f       2          3.0 MiB  100    5         ≤1ms  ≤10ms  failing

CONNECTION  HOST  STATE                   RECONNECTS
send        mq    not connected: refused  9
listen in   mq    consuming               0
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
