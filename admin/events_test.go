package admin_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/wasmrouter/router/admin"
)

// listen listens to events and returns their lines. Cancel leaves.
func listen(t *testing.T, s *admin.Server, query string) (lines *bufio.Scanner, cancel context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.Addr()+"/api/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("events%s: %d", query, resp.StatusCode)
	}
	lines = bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return lines, cancel
}

// next returns the kind and the data of the next event, "" at the end.
func next(lines *bufio.Scanner) (kind, data string) {
	for lines.Scan() {
		switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
		case "event":
			kind = value
		case "data":
			return kind, value
		}
	}
	return "", ""
}

func TestEventsComeToWhoeverListensToThem(t *testing.T) {
	var asked atomic.Int64
	cfg := full()
	cfg.Events = admin.NewEvents(func() any { return asked.Add(1) })
	s := start(t, cfg)
	cfg.Events.Publish(admin.EventLog, "nobody hears it")
	if asked.Load() != 0 || cfg.Events.Wanted(admin.EventLog) {
		t.Error("there is work while nobody listens")
	}
	all, _ := listen(t, s, "")
	logs, leave := listen(t, s, "?kinds=log,reload")
	if kind, data := next(all); kind != "status" || data != "1" {
		t.Errorf("the first event is %s %s", kind, data)
	}
	cfg.Events.Publish(admin.EventDecision, map[string]string{"a": "<b>\n"})
	cfg.Events.Publish(admin.EventLog, "hot")
	for _, want := range [][2]string{{"decision", `{"a":"<b>\n"}`}, {"log", `"hot"`}} {
		kind, data := next(all)
		for kind == "status" {
			kind, data = next(all)
		}
		if kind != want[0] || data != want[1] {
			t.Errorf("got %s %s, want %s", kind, data, want)
		}
	}
	if kind, data := next(logs); kind != "log" || data != `"hot"` {
		t.Errorf("who listens to logs gets %s %s", kind, data)
	}
	for kind := ""; kind != "status"; { // it comes by itself
		kind, _ = next(all)
	}
	leave()
	if a := ask(t, s, "GET", "/api/events?kinds=loud"); a.Code != 400 || !strings.Contains(a.Body, "status, decision, log, reload") {
		t.Errorf("kinds that there are not: %+v", a)
	}
	if a := ask(t, s, "GET", "/api/events?kind=log"); a.Code != 400 {
		t.Errorf("a parameter that there is not: %+v", a)
	}
}

func TestListenersAreBounded(t *testing.T) {
	cfg := full()
	cfg.Events = admin.NewEvents(func() any { return nil })
	s := start(t, cfg)
	var first *bufio.Scanner
	var leave context.CancelFunc
	for i := range 16 {
		lines, cancel := listen(t, s, "?kinds=status")
		if kind, _ := next(lines); kind != "status" {
			t.Fatalf("listener %d gets %q", i, kind)
		}
		first, leave = lines, cancel
	}
	if a := ask(t, s, "GET", "/api/events"); a.Code != http.StatusServiceUnavailable {
		t.Errorf("one more: %+v", a)
	}
	leave()
	for first.Scan() { // it has left when the server has let go
	}
	for code := 0; code != http.StatusOK; { // and that may take it a moment
		resp, err := http.Get("http://" + s.Addr() + "/api/events?kinds=log")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		code = resp.StatusCode
	}
}

// Whoever does not read is dropped, and nobody waits for him.
func TestASlowListenerIsDropped(t *testing.T) {
	cfg := full()
	cfg.Events = admin.NewEvents(func() any { return nil })
	s := start(t, cfg)
	slow, _ := listen(t, s, "?kinds=log")
	big := strings.Repeat("x", 100<<10)
	n := 0
	for ; cfg.Events.Wanted(admin.EventLog); n++ {
		cfg.Events.Publish(admin.EventLog, big)
	}
	got := 0
	for kind, _ := next(slow); kind != ""; kind, _ = next(slow) {
		got++
	}
	if n <= 128 || got == 0 || got >= n {
		t.Errorf("of %d events it got %d", n, got)
	}
}

func TestStreamsEndWithTheServer(t *testing.T) {
	cfg := full()
	cfg.Listen = "127.0.0.1:0"
	cfg.Events = admin.NewEvents(func() any { return nil })
	s := start(t, cfg)
	lines, _ := listen(t, s, "")
	next(lines)
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for kind, _ := next(lines); kind != ""; {
		kind, _ = next(lines)
	}
	if cfg.Events.Wanted(admin.EventStatus) {
		t.Error("somebody still listens")
	}
}
