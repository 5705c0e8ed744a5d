package telemetry_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wasmrouter/router/pool"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/telemetry"
)

var update = flag.Bool("update", false, "write the golden files anew")

const golden = "testdata/metrics.txt"

type source telemetry.Snapshot

func (s source) Snapshot() telemetry.Snapshot { return telemetry.Snapshot(s) }

func histogram(ds ...time.Duration) router.HistogramStat {
	var h router.Histogram
	for _, d := range ds {
		h.Observe(d)
	}
	return h.Stat()
}

// everything is a snapshot in which no figure is zero and no two are equal
// where they could be mixed up.
func everything() source {
	orders := telemetry.RouteStat{Name: "orders", RouteStat: router.RouteStat{
		Received: 101, Redelivered: 102, Duplicates: 103, Retries: 104, DeadLetterFailures: 105,
		DeadLetters: map[string]uint64{"unroutable": 106, "filter-trap": 107},
		Inflight:    108, Held: 109,
		Duration: histogram(time.Microsecond, 3*time.Millisecond, time.Minute),
	}}
	for i := range orders.Settled {
		orders.Settled[i] = uint64(200 + i)
	}
	for i := range orders.Sent {
		orders.Sent[i] = uint64(300 + i)
	}
	return source{
		Routes:       []telemetry.RouteStat{orders},
		ErrorReplies: []telemetry.ErrorReplyStat{{Route: "orders", Results: map[string]uint64{"sent": 801, "refused": 802}}},
		Shadows:      []telemetry.ShadowStat{{Filter: "decide", State: "canary", Compared: 811, Differences: 812, Served: 813, Failures: 814, Shed: 815}},
		Proxies: []telemetry.ProxyStat{{
			Route: "orders", Pending: 803, KeepAlives: 804, Late: 805, Results: map[string]uint64{"answered": 806, "timeout": 807},
		}},
		Filters: []telemetry.FilterStat{{
			Name: "tenant",
			Hooks: []telemetry.HookStat{
				{Hook: "decide", Failures: map[string]uint64{"trap": 401, "deadline": 402}, Duration: histogram(20 * time.Microsecond)},
				{Hook: "pack", Duration: histogram(2 * time.Second)},
			},
			Lent: 403, Idle: 404, Created: 405, MemoryBytes: 408, LogsDropped: 409,
			Restarts: 416, Unstarted: map[string]uint64{"deadline": 417}, Discarded: map[string]uint64{"trap": 406, "memory": 418},
			Recycled: map[string]uint64{"memory": 407, "calls": 419}, Failing: true, Backoff: 420 * time.Millisecond,
			KV: &telemetry.KVStat{Entries: 411, Bytes: 412, Hits: 413, Misses: 414, Evictions: 415},
			User: []telemetry.UserMetric{
				{Name: "seen", Label: "created", Kind: telemetry.UserCounter, Value: 410},
				{Name: "depth", Kind: telemetry.UserGauge, Value: -41.1},
				{Name: "parse", Kind: telemetry.UserHistogram, Histogram: histogram(time.Second)},
			},
		}},
		Pools: []telemetry.PoolStat{{Name: "channels", Stat: pool.Stat{
			Max: 501, Idle: 502, Lent: 503, Making: 504, Waiting: 505, Acquires: 506, Waits: 507,
			WaitTime: 508 * time.Millisecond, MakeFailures: 509, Discards: 510,
		}}},
		Connections: []telemetry.ConnStat{
			{Purpose: "send", Connected: true, Blocked: true, BlockedFor: 1500 * time.Millisecond, Reconnects: 601, Undecodable: 6, Quarantine: true},
			{Purpose: "listen orders.in"},
		},
		Calls: telemetry.CallStat{
			Waiting: 701, Unmatched: 702,
			Durations: map[string]router.HistogramStat{"ok": histogram(10 * time.Millisecond)},
		},
		Config: telemetry.ConfigStat{Successful: true, LastSuccess: time.Unix(1700000000, 250e6)},
	}
}

var build = telemetry.Build{Version: "1.2.3", Revision: "abc", GoVersion: "go1.26"}

func newRegistry(t *testing.T, s telemetry.Source) *prometheus.Registry {
	t.Helper()
	// Pedantic: what is sent must be what was described.
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(telemetry.NewCollector(s, build)); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryMetricHasItsValue(t *testing.T) {
	r := newRegistry(t, everything())
	if *update {
		w := httptest.NewRecorder()
		m, err := telemetry.New(telemetry.Config{Source: everything(), Build: build})
		if err != nil {
			t.Fatal(err)
		}
		m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		var own bytes.Buffer
		for line := range strings.Lines(w.Body.String()) {
			if strings.HasPrefix(strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "), "router_") {
				own.WriteString(line)
			}
		}
		if err := os.WriteFile(golden, own.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.Open(golden)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = want.Close() }()
	if err := testutil.GatherAndCompare(r, want); err != nil {
		t.Error(err)
	}
}

// The golden must not lack a metric that is described.
func TestEveryMetricIsInTheGolden(t *testing.T) {
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	descs := make(chan *prometheus.Desc, 1000)
	telemetry.NewCollector(everything(), build).Describe(descs)
	close(descs)
	n := 0
	for d := range descs {
		n++
		_, name, _ := strings.Cut(d.String(), `fqName: "`)
		name, _, _ = strings.Cut(name, `"`)
		if !bytes.Contains(text, []byte("# TYPE "+name+" ")) {
			t.Errorf("%s is missing", name)
		}
	}
	if n < 40 {
		t.Errorf("%d metrics are described", n)
	}
}

func TestMetricsPassPromlint(t *testing.T) {
	problems, err := testutil.GatherAndLint(newRegistry(t, everything()))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestAnEmptySnapshotGivesMetrics(t *testing.T) {
	families, err := newRegistry(t, source{}).Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	want := "router_build_info router_calls_waiting router_config_last_reload_successful router_replies_unmatched_total"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("got %s", got)
	}
}

// A mistake in the source must not cost the operator all the other metrics.
func TestASourceCannotBreakAScrape(t *testing.T) {
	s := source{
		Routes: []telemetry.RouteStat{
			{Name: "a", RouteStat: router.RouteStat{Received: 1}},
			{Name: "a", RouteStat: router.RouteStat{Received: 2}},
			{Name: "b\xff", RouteStat: router.RouteStat{DeadLetters: map[string]uint64{"other": 1000}}},
		},
		Filters: []telemetry.FilterStat{{Name: "f"}, {Name: "f"}},
		Pools:   []telemetry.PoolStat{{Name: "p"}, {Name: "p"}},
	}
	for i := range 100 {
		s.Routes[2].DeadLetters[fmt.Sprintf("r%03d", i)] = 1
		s.Filters[0].User = append(s.Filters[0].User, telemetry.UserMetric{Name: fmt.Sprintf("u%03d", i)})
	}
	r := newRegistry(t, s)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		switch f.GetName() {
		case "router_messages_received_total":
			if v := f.GetMetric()[0].GetCounter().GetValue(); v != 1 || len(f.GetMetric()) != 2 {
				t.Errorf("received: %v", f)
			}
		case "router_filter_user_total":
			if n := len(f.GetMetric()); n != 64 {
				t.Errorf("%d series of a filter's own", n)
			}
		case "router_dead_letters_total":
			sum := 0.0
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
			if n := len(f.GetMetric()); n > 65 || sum != 1100 {
				t.Errorf("%d reasons, %v in all", n, sum)
			}
		}
	}
}

type panics struct{}

func (panics) Snapshot() telemetry.Snapshot { panic("boom") }

func TestAPanicInTheSourceIsContained(t *testing.T) {
	var buf bytes.Buffer
	m, err := telemetry.New(telemetry.Config{Source: panics{}, Build: build, Logger: slog.New(slog.NewTextHandler(&buf, nil))})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if !strings.Contains(w.Body.String(), "\ngo_goroutines ") || !strings.Contains(buf.String(), "boom") {
		t.Errorf("status %d, log %s", w.Code, buf.String())
	}
}

func TestThePageHoldsRuntimeAndProcess(t *testing.T) {
	m, err := telemetry.New(telemetry.Config{Source: everything(), Build: build})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(m.Handler())
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`router_build_info{goversion="go1.26",revision="abc",version="1.2.3"} 1`,
		"\ngo_goroutines ", "\nprocess_open_fds ",
		`router_message_duration_seconds_bucket{route="orders",le="2.5e-06"} 1`,
		`router_message_duration_seconds_bucket{route="orders",le="+Inf"} 3`,
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if got, err := m.Registry().Gather(); err != nil || len(got) < 50 {
		t.Errorf("%d families, %v", len(got), err)
	}
}

func TestNewReportsItsConfigsFaults(t *testing.T) {
	if _, err := telemetry.New(telemetry.Config{}); err == nil || !strings.Contains(err.Error(), "Source") {
		t.Errorf("no source: %v", err)
	}
	r := prometheus.NewRegistry()
	if _, err := telemetry.New(telemetry.Config{Source: source{}, Registry: r}); err != nil {
		t.Fatal(err)
	}
	_, err := telemetry.New(telemetry.Config{Source: source{}, Registry: r})
	if are := new(prometheus.AlreadyRegisteredError); !errors.As(err, are) {
		t.Errorf("twice in one registry: %v", err)
	}
}
