package admin_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/admin"
)

// start serves cfg on a free port of loopback, or where cfg says.
func start(t *testing.T, cfg admin.Config) *admin.Server {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	s, err := admin.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

type answer struct {
	Code int
	Type string
	Body string
}

// ask sends one request; header holds pairs, "Host" sets the host.
func ask(t *testing.T, s *admin.Server, method, path string, header ...string) answer {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:"+port+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Add(header[i], header[i+1])
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("X-Content-Type-Options"); got != "nosniff" && resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%s %s: X-Content-Type-Options %q", method, path, got)
	}
	return answer{resp.StatusCode, resp.Header.Get("Content-Type"), string(body)}
}

func full() admin.Config {
	return admin.Config{
		Pprof:   true,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "router_up 1\n") }),
		Reload:  func(context.Context) error { return nil },
	}
}

func TestTheConsoleIsForEverybodyAndSaysNothing(t *testing.T) {
	cfg := full()
	cfg.Token, cfg.Endpoints = "s3cret", []admin.Endpoint{admin.Get("status", func() any { return "status" })}
	s := start(t, cfg)
	for _, path := range []string{"/console/", "/console/main.js", "/console/console.css", "/console/icon.svg"} {
		resp, err := http.Get("http://" + s.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if policy := resp.Header.Get("Content-Security-Policy"); resp.StatusCode != 200 || !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") {
			t.Errorf("%s: %d, %q", path, resp.StatusCode, policy)
		}
	}
	if got := ask(t, s, "GET", "/console/", "Host", "router.example.com").Code; got != 200 {
		t.Errorf("by another name: %d", got)
	}
	for path, want := range map[string]int{"/api/status": 401, "/console/../api/status": 307, "//api/status": 401, "/console": 401} {
		if got := ask(t, s, "GET", path).Code; got != want {
			t.Errorf("%s without a token: %d, want %d", path, got, want)
		}
	}
	if a := ask(t, s, "GET", "/api/status", "Authorization", "Bearer s3cret", "Sec-Fetch-Site", "same-origin"); a.Code != 200 {
		t.Errorf("the console with the token: %+v", a)
	}
	if a := ask(t, s, "GET", "/api/status", "Authorization", "Bearer s3cret", "Sec-Fetch-Site", "cross-site"); a.Code != 403 {
		t.Errorf("another page: %+v", a)
	}
}

func TestWhatTheAPIHasNotIsNotFound(t *testing.T) {
	cfg := full()
	var held any
	cfg.Endpoints = []admin.Endpoint{admin.Get("broker", func() any { return held })}
	s := start(t, cfg)
	if a := ask(t, s, "GET", "/api/broker"); a.Code != http.StatusNotFound || !strings.Contains(a.Body, "no broker of its own") {
		t.Errorf("no broker: %+v", a)
	}
	held = map[string]int{"memory": 7}
	if a := ask(t, s, "GET", "/api/broker"); a != (answer{http.StatusOK, "application/json", `{"memory":7}` + "\n"}) {
		t.Errorf("a broker: %+v", a)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	const (
		jsonType = "application/json"
		textType = "text/plain; charset=utf-8"
	)
	live, ready := true, true
	var why []string
	cfg := full()
	cfg.Health = func() bool { return live }
	cfg.Ready = func() (bool, []string) { return ready, why }
	s := start(t, cfg)
	for _, c := range []struct {
		name, path, accept string
		live, ready        bool
		why                []string
		want               answer
	}{
		{"live", "/healthz", "", true, false, nil, answer{200, jsonType, `{"status":"ok"}` + "\n"}},
		{"dead", "/healthz", "text/plain", false, true, nil, answer{503, textType, "unhealthy\n"}},
		{"ready", "/readyz", "", true, true, nil, answer{200, jsonType, `{"status":"ready"}` + "\n"}},
		{"ready in text", "/readyz", "text/plain", true, true, nil, answer{200, textType, "ready\n"}},
		{
			"not ready", "/readyz", "*/*", true, false,
			[]string{"route orders: no consumer", "draining"},
			answer{503, jsonType, `{"error":"not ready","reasons":["route orders: no consumer","draining"]}` + "\n"},
		},
		{
			"not ready in text", "/readyz", "text/plain", true, false,
			[]string{"route orders\x1b[2J: no consumer", "draining"},
			answer{503, textType, "not ready\nroute orders\uFFFD[2J: no consumer\ndraining\n"},
		},
	} {
		live, ready, why = c.live, c.ready, c.why
		header := []string{}
		if c.accept != "" {
			header = append(header, "Accept", c.accept)
		}
		if diff := cmp.Diff(c.want, ask(t, s, "GET", c.path, header...)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestEndpoints(t *testing.T) {
	s := start(t, full())
	bare := start(t, admin.Config{})
	for _, c := range []struct {
		method, path string
		code, bare   int
	}{
		{"GET", "/healthz", 200, 200},
		{"HEAD", "/healthz", 200, 200},
		{"POST", "/healthz", 405, 405},
		{"GET", "/readyz", 200, 200},
		{"GET", "/metrics", 200, 404},
		{"GET", "/debug/pprof/", 200, 404},
		{"GET", "/debug/pprof/heap", 200, 404},
		{"GET", "/debug/pprof/cmdline", 404, 404},
		{"GET", "/debug/vars", 404, 404},
		{"POST", "/-/reload", 200, 404},
		{"GET", "/-/reload", 405, 404},
		{"POST", "/api/reload", 200, 404},
		{"GET", "/api/openapi.yaml", 200, 200},
		{"GET", "/", 302, 302},
		{"GET", "/console/", 200, 200},
		{"POST", "/console/", 405, 405},
		{"GET", "/console/../secret", 307, 307},
		{"GET", "/nothing", 404, 404},
	} {
		if got := ask(t, s, c.method, c.path).Code; got != c.code {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, got, c.code)
		}
		if got := ask(t, bare, c.method, c.path).Code; got != c.bare {
			t.Errorf("nothing on: %s %s: %d, want %d", c.method, c.path, got, c.bare)
		}
	}
}

func TestReload(t *testing.T) {
	cfg := full()
	entered, leave := make(chan struct{}), make(chan error)
	cfg.Reload = func(ctx context.Context) error {
		if ctx.Done() != nil {
			t.Error("the client can end a reload by leaving")
		}
		entered <- struct{}{}
		return <-leave
	}
	s := start(t, cfg)

	done := make(chan answer)
	go func() { done <- ask(t, s, "POST", "/-/reload") }()
	<-entered
	if got := ask(t, s, "POST", "/-/reload"); got.Code != 409 {
		t.Errorf("a second one: %+v", got)
	}
	leave <- errors.New("router.toml:7:12: unknown key")
	want := answer{500, "application/json", `{"error":"router.toml:7:12: unknown key"}` + "\n"}
	if diff := cmp.Diff(want, <-done); diff != "" {
		t.Error(diff)
	}
}

func TestATokenIsAskedForBeforeAnythingIsTold(t *testing.T) {
	cfg := full()
	cfg.Token = "s3cret"
	s := start(t, cfg)
	for _, path := range []string{"/metrics", "/debug/pprof/", "/api/status", "/nothing", "/-/reload", "/healthz/", "//healthz"} {
		for _, header := range [][]string{
			nil,
			{"Authorization", "Bearer wrong"},
			{"Authorization", "Bearer "},
			{"Authorization", "Bearer"},
			{"Authorization", "Basic s3cret"},
			{"Authorization", "s3cret"},
		} {
			if got := ask(t, s, "GET", path, header...); got.Code != 401 {
				t.Errorf("%s with %q: %d", path, header, got.Code)
			}
		}
	}
	if got := ask(t, s, "POST", "/-/reload").Code; got != 401 {
		t.Errorf("POST: %d", got)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if got := ask(t, s, "GET", path).Code; got != 200 {
			t.Errorf("%s: %d", path, got)
		}
	}
	for _, scheme := range []string{"Bearer", "bearer"} {
		if got := ask(t, s, "GET", "/metrics", "Authorization", scheme+" s3cret").Code; got != 200 {
			t.Errorf("%s: %d", scheme, got)
		}
	}
	if got := ask(t, s, "POST", "/-/reload", "Authorization", "Bearer s3cret").Code; got != 200 {
		t.Errorf("POST: %d", got)
	}
}

func TestReasonsAreToldToWhoHasTheToken(t *testing.T) {
	cfg := full()
	cfg.Token = "s3cret"
	cfg.Ready = func() (bool, []string) { return false, []string{"dial mq.internal:5671"} }
	s := start(t, cfg)
	if got := ask(t, s, "GET", "/readyz"); got.Code != 503 || strings.Contains(got.Body, "mq.internal") {
		t.Errorf("a stranger gets %+v", got)
	}
	if got := ask(t, s, "GET", "/readyz", "Authorization", "Bearer s3cret"); got.Code != 503 || !strings.Contains(got.Body, "mq.internal") {
		t.Errorf("the operator gets %+v", got)
	}
}

func TestOnlyOwnHostNamesAreAnswered(t *testing.T) {
	local := start(t, full())
	cfg := full()
	cfg.Listen, cfg.Token = "0.0.0.0:0", "s3cret"
	open := start(t, cfg)
	for _, c := range []struct {
		host        string
		local, open int
	}{
		{"localhost", 200, 200},
		{"LocalHost:1", 200, 200},
		{"127.0.0.1:9690", 200, 200},
		{"[::1]:9690", 200, 200},
		{"[::1]", 200, 200},
		{"127.9.9.9", 200, 200},
		{"10.0.0.7:9690", 421, 200}, // an address cannot be rebound
		{"evil.example", 421, 421},
		{"localhost.evil.example:9690", 421, 421},
		{"127.0.0.1.evil.example", 421, 421},
	} {
		if got := ask(t, local, "GET", "/healthz", "Host", c.host).Code; got != c.local {
			t.Errorf("loopback, host %q: %d, want %d", c.host, got, c.local)
		}
		if got := ask(t, open, "GET", "/healthz", "Host", c.host).Code; got != c.open {
			t.Errorf("open, host %q: %d, want %d", c.host, got, c.open)
		}
	}
	if got := ask(t, open, "GET", "/metrics", "Host", "router.svc:9690", "Authorization", "Bearer s3cret").Code; got != 200 {
		t.Errorf("with the token, by name: %d", got)
	}
}

func TestWebPagesCannotReload(t *testing.T) {
	cfg := full()
	cfg.Reload = func(context.Context) error { t.Error("reloaded"); return nil }
	s := start(t, cfg)
	for _, header := range [][]string{
		{"Origin", "http://evil.example"},
		{"Origin", "null"},
		{"Origin", "http://" + s.Addr() + ".evil.example"},
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"}, // another port of this machine
		{"Origin", "http://" + s.Addr(), "Sec-Fetch-Site", "cross-site"},
		{"Origin", "http://evil.example", "Host", "evil.example"}, // a name made to lead here
	} {
		if got := ask(t, s, "POST", "/-/reload", header...).Code; got != 403 && got != 421 {
			t.Errorf("%q: %d", header, got)
		}
	}
	for site, want := range map[string]int{"cross-site": 403, "same-site": 403, "same-origin": 200, "none": 200} {
		if got := ask(t, s, "GET", "/debug/pprof/", "Sec-Fetch-Site", site).Code; got != want {
			t.Errorf("a profile for a page, %s: %d, want %d", site, got, want)
		}
	}
	console := start(t, full())
	for _, header := range [][]string{
		{"Origin", "http://" + console.Addr(), "Sec-Fetch-Site", "same-origin"},
		{"Origin", "http://" + console.Addr()}, // as of a browser that does not know the other
	} {
		if got := ask(t, console, "POST", "/-/reload", header...).Code; got != 200 {
			t.Errorf("the console with %q: %d", header, got)
		}
	}
}

func TestAnAddressThatOthersCanReachNeedsAToken(t *testing.T) {
	for _, listen := range []string{":9690", "0.0.0.0:9690", "[::]:9690", "10.0.0.7:9690", "router.example:9690", "localhost.example:1"} {
		_, err := admin.New(admin.Config{Listen: listen})
		if !errors.Is(err, admin.ErrInsecure) || !strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: %v", listen, err)
		}
		if _, err := admin.New(admin.Config{Listen: listen, Token: "t"}); err != nil {
			t.Errorf("%s with a token: %v", listen, err)
		}
	}
	for _, listen := range []string{"127.0.0.1:0", "localhost:0", "[::1]:0", "[::ffff:127.0.0.1]:0"} {
		if _, err := admin.New(admin.Config{Listen: listen}); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
	for _, cfg := range []admin.Config{{}, {Listen: "localhost"}, {Listen: "127.0.0.1:0", Token: "t\n"}} {
		if _, err := admin.New(cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
	for listen, told := range map[string]bool{"0.0.0.0:0": true, "127.0.0.1:0": false} {
		var log bytes.Buffer
		start(t, admin.Config{Listen: listen, Token: "t", Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if got := strings.Contains(log.String(), "other machines can reach the admin listener"); got != told {
			t.Errorf("%s: the log is %q", listen, &log)
		}
	}
}

func TestStartReportsAPortInUse(t *testing.T) {
	s := start(t, admin.Config{})
	other, err := admin.New(admin.Config{Listen: s.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(t.Context()); err == nil || !strings.Contains(err.Error(), s.Addr()) {
		t.Errorf("got %v", err)
	}
	if err := other.Close(t.Context()); err != nil || other.Addr() != "" {
		t.Errorf("Close of one that did not start: %v, %q", err, other.Addr())
	}
	if err := other.Start(t.Context()); err == nil {
		t.Error("started after Close")
	}
}

func TestCloseWaitsForRequestsAndIsBounded(t *testing.T) {
	cfg := full()
	cfg.Listen = "127.0.0.1:0"
	entered, leave := make(chan struct{}), make(chan struct{})
	cfg.Reload = func(context.Context) error { close(entered); <-leave; return nil }
	s := start(t, cfg)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
		_, _ = io.ReadAll(conn) // ends when the server cuts it
		_ = conn.Close()
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	<-gone
	close(leave)
}

func TestHugeHeadersAreRefused(t *testing.T) {
	s := start(t, full())
	if got := ask(t, s, "GET", "/healthz", "X-Long", strings.Repeat("x", 64<<10)).Code; got != 431 {
		t.Errorf("got %d", got)
	}
}

func TestAPanicIsLoggedAndHarmsNoOne(t *testing.T) {
	cfg := full()
	cfg.Metrics = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })
	var buf lockedBuffer
	cfg.Logger = slog.New(slog.NewTextHandler(&buf, nil))
	s := start(t, cfg)
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.Addr()+"/metrics", nil)
	tr := &http.Transport{DisableKeepAlives: true}
	if resp, err := tr.RoundTrip(req); err == nil {
		_ = resp.Body.Close()
		t.Errorf("got %d", resp.StatusCode)
	}
	if got := ask(t, s, "GET", "/healthz").Code; got != 200 {
		t.Errorf("afterwards: %d", got)
	}
	if got := buf.String(); !strings.Contains(got, "boom") || !strings.Contains(got, "component=admin") {
		t.Errorf("log: %s", got)
	}
}

// lockedBuffer is written to by the server's goroutines.
type lockedBuffer struct {
	mu  sync.Mutex // protects buf
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
