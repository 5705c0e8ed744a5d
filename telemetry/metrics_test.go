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
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wasmrouter/router/internal/testkit"
	"github.com/wasmrouter/router/pool"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/telemetry"
	"github.com/wasmrouter/router/telemetry/tracing"
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
		FilterFailures: 110,
		Received:       101, Redelivered: 102, Duplicates: 103, Retries: 104, DeadLetterFailures: 105,
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
	for k, name := range []string{"queue:out", "queue:tenant-7", "queue:tenant-8"} {
		to := router.TargetStat{Target: name, Named: k == 0}
		for i := range to.Sent {
			to.Sent[i] = uint64(1000 + 100*k + i)
		}
		orders.Targets = append(orders.Targets, to)
	}
	services := new(telemetry.ServiceStat)
	testkit.Fill(services)
	traffic, embedded := new(telemetry.TrafficStat), new(telemetry.EmbeddedStat)
	testkit.Fill(traffic)
	testkit.Fill(embedded)
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
				{Hook: "decide", Calls: 421, Fuel: telemetry.FuelStat{Calls: 422, Sum: 423, Most: 424}, Failures: map[string]uint64{"trap": 401, "deadline": 402}, Duration: histogram(20 * time.Microsecond)},
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
			Closing: 511, Canceled: 512, Made: 513, ResetFailures: 514, Expired: 515, Invalidated: 516, LateUses: 517,
		}}},
		Connections: []telemetry.ConnStat{
			{
				Purpose: "send", Connected: true, Blocked: true, BlockedFor: 1500 * time.Millisecond, Connects: 602, Reconnects: 601,
				Undecodable: 6, Quarantine: true, Lacks: true, LastLoss: time.Unix(1700000001, 0),
			},
			{Purpose: "listen orders.in", Listens: true, Consuming: true},
		},
		Services: []telemetry.ServiceStat{{Name: "prices", Client: services.Client, Server: services.Server, Listener: services.Listener}},
		Ready:    new(true),
		Traffic:  traffic, Embedded: embedded,
		Traces: &telemetry.TraceStat{Ended: 901, Sent: 902, Failed: 903},
		Logs:   &telemetry.LogStat{Debug: 904, Info: 905, Warn: 906, Error: 907, Suppressed: 908},
		Config: &telemetry.ConfigStat{Successful: true, LastSuccess: time.Unix(1700000000, 250e6)},
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

// ours are the labels whose values the configuration, the router's own words, the
// broker's address or what a filter defines when it starts decide: there are few of
// them, and a message has no part in them.
var ours = []string{
	"route", "target", "verdict", "result", "reason", "filter", "hook", "state", "name", "label", "pool", "purpose", "service", "how", "kind", "level",
	"version", "revision", "goversion",
}

var variableLabels = regexp.MustCompile(`variableLabels: \{(.*?)\}`)

// The golden must not lack a metric that is described, and no value of a message is a
// label.
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
		labels := variableLabels.FindStringSubmatch(d.String())
		if labels == nil {
			t.Fatalf("no labels in %s", d)
		}
		for _, label := range strings.FieldsFunc(labels[1], func(r rune) bool { return r == ',' }) {
			if !slices.Contains(ours, label) {
				t.Errorf("%s has the label %s: who decides its values?", name, label)
			}
		}
	}
	if n < 40 {
		t.Errorf("%d metrics are described", n)
	}
}

// A number in the snapshot that no metric shows is lost.
func TestEveryFigureIsAMetric(t *testing.T) {
	var s telemetry.Snapshot
	want := testkit.Fill(&s, "router.HistogramStat", "tracing.Exemplar")
	families, err := newRegistry(t, source(s)).Gather()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[float64]bool{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			shown[m.GetCounter().GetValue()+m.GetGauge().GetValue()] = true
		}
	}
	for n, path := range want {
		if !shown[n] {
			t.Errorf("%s is in no metric", path)
		}
	}
	if len(want) < 100 {
		t.Errorf("there are %d figures", len(want))
	}
}

// What a route, a filter's hook and a connection add to the metrics is bounded,
// and docs/OBSERVE.md says how far.
func TestSeriesAreBounded(t *testing.T) {
	count := func(s telemetry.Snapshot) (n int) {
		families, err := newRegistry(t, source(s)).Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				n += 1 + len(m.GetHistogram().GetBucket())
				if m.GetHistogram() != nil {
					n += 2 // the sum and the bucket of all
				}
			}
		}
		return n
	}
	many := map[string]uint64{}
	for i := range 1000 {
		many[fmt.Sprint(i)] = 1
	}
	targets := []router.TargetStat{{Target: "queue:chosen"}, {Target: router.ReplyTargets, Named: true}}
	for i := range router.MaxTargets + 1 { // and the dead-letter queue
		targets = append(targets, router.TargetStat{Target: fmt.Sprint("queue:", i), Named: true})
	}
	none := count(telemetry.Snapshot{})
	for what, test := range map[string]struct {
		s    telemetry.Snapshot
		most int
	}{
		"a route":      {telemetry.Snapshot{Routes: []telemetry.RouteStat{{Name: "r", RouteStat: router.RouteStat{DeadLetters: many, Targets: targets}}}}, 455},
		"a filter":     {telemetry.Snapshot{Filters: []telemetry.FilterStat{{Name: "f", Discarded: many, Recycled: many, Unstarted: many, KV: &telemetry.KVStat{}}}}, 215},
		"a hook":       {telemetry.Snapshot{Filters: []telemetry.FilterStat{{Name: "f", Hooks: []telemetry.HookStat{{Hook: "decide", Failures: many}}}}}, 105},
		"a connection": {telemetry.Snapshot{Connections: []telemetry.ConnStat{{Purpose: "send", Listens: true, LastLoss: time.Now()}}}, 10},
	} {
		if n := count(test.s) - none; n > test.most {
			t.Errorf("%s adds %d series, want %d at most", what, n, test.most)
		} else {
			t.Logf("%s: %d", what, n)
		}
	}
}

// The last traced message of each bucket can be looked up from the histogram.
func TestTheDurationHasExemplars(t *testing.T) {
	at := time.Unix(1700000000, 0)
	s := source{Routes: []telemetry.RouteStat{{
		Name: "orders", RouteStat: router.RouteStat{Duration: histogram(3*time.Millisecond, time.Minute)},
		Exemplars: []tracing.Exemplar{
			{TraceID: "0af7651916cd43dd8448eb211c80319c", Took: 3 * time.Millisecond, At: at},
			{TraceID: "1af7651916cd43dd8448eb211c80319c", Took: time.Minute, At: at},
		},
	}}}
	m, err := telemetry.New(telemetry.Config{Source: s, Build: build})
	if err != nil {
		t.Fatal(err)
	}
	w, req := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
	req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	m.Handler().ServeHTTP(w, req)
	for _, want := range []string{
		`router_message_duration_seconds_bucket{route="orders",le="0.005"} 1 # {trace_id="0af7651916cd43dd8448eb211c80319c"} 0.003`,
		`router_message_duration_seconds_bucket{route="orders",le="+Inf"} 2 # {trace_id="1af7651916cd43dd8448eb211c80319c"} 60.0`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s is missing from\n%s", want, w.Body.String())
		}
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
	want := "router_build_info"
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
