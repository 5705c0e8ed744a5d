package wasmhost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
)

// logBuffer collects log records as JSON lines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// lines returns the records without their time.
func (l *logBuffer) lines(t *testing.T) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []map[string]any
	for dec := json.NewDecoder(bytes.NewReader(l.buf.Bytes())); dec.More(); {
		var line map[string]any
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		delete(line, "time")
		all = append(all, line)
	}
	return all
}

func TestHostFunctions(t *testing.T) {
	var logs logBuffer
	h := newHost(t, Config{Logger: slog.New(slog.NewJSONHandler(&logs, nil))})
	cfg := FilterConfig{
		Name: "host", Module: cGuest(t, "host"), Grants: Grants{Metrics: true},
		Config: map[string]any{"mode": map[string]any{"name": "careful"}},
	}
	f, err := h.Load(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Needs{BodyPrefix: 4, Stateless: true}, f.Needs()); diff != "" {
		t.Error(diff)
	}
	run := func() (*router.Envelope, []byte) {
		in, err := f.Instance(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		env := message("0123456789")
		var d router.Decision
		if err := in.Run(context.Background(), router.Decide, env, &d); err != nil {
			t.Fatal(err)
		}
		random, _ := env.Header("random")
		return env, random.([]byte)
	}
	env, random := run()
	got := map[string]any{}
	for _, k := range []string{"flags", "body_len", "mode", "got", "len", "absent_len", "part", "past", "time", "late", "log"} {
		got[k], _ = env.Header(k)
	}
	want := map[string]any{
		"flags": int64(flagBodyCut | flagNoHeader | flagNoProps), "body_len": int64(4), "mode": "careful", "got": "acme", "len": int64(4),
		"absent_len": int64(-1), "part": "23456", "past": int64(0), "time": int64(1700000000_000000005), "late": int64(-1), "log": int64(2),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	// Without the grant, the same message gives the same bytes, in any instance.
	_, again := run()
	if !bytes.Equal(random, again) || bytes.Equal(random, make([]byte, 8)) {
		t.Errorf("random: %x, then %x", random, again)
	}
	in, err := f.Instance(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"another", message("").MessageID} {
		env := message("0123456789")
		env.MessageID = id
		var d router.Decision
		if err := in.Run(context.Background(), router.Decide, env, &d); err != nil {
			t.Fatal(err)
		}
		got, _ := env.Header("random")
		if same := bytes.Equal(random, got.([]byte)); same != (id != "another") {
			t.Errorf("random of %s: %x, and of the first message: %x", id, got, random)
		}
	}
	in.Close()

	want1 := map[string]any{
		"level": "WARN", "msg": "filter log", "component": "filter", "filter": "host",
		"text": `one\x0atwo\x1b[31m\xff`, "id": "3f2a9c1e-7d44-4a43-9d52-0f6b1c2d3e4f",
	}
	lines := logs.lines(t)
	if len(lines) != 4 {
		t.Fatalf("%d lines", len(lines))
	}
	lines = lines[:2]
	if diff := cmp.Diff([]map[string]any{want1, want1}, lines); diff != "" {
		t.Error(diff)
	}

	stat := f.Stat().Metrics
	if len(stat) != 3 || stat[2].Histogram.Count != 4 || stat[2].Histogram.Sum != 4*time.Millisecond {
		t.Fatalf("%+v", stat)
	}
	stat[2].Histogram = router.HistogramStat{}
	wantMetrics := []MetricStat{{Name: "calls_total", Kind: Counter, Value: 12}, {Name: "level", Kind: Gauge, Value: 3.5}, {Name: "work_seconds", Kind: Duration}}
	if diff := cmp.Diff(wantMetrics, stat); diff != "" {
		t.Error(diff)
	}

	cfg.Grants.Random, cfg.Grants.Clock = true, true
	if f, err = h.Load(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	before := time.Now().UnixNano()
	env, random = run()
	_, again = run()
	if at, _ := env.Header("time"); at.(int64) < before {
		t.Errorf("with the grant, the time is %d, before %d", at, before)
	}
	if bytes.Equal(random, again) {
		t.Errorf("with the grant, random bytes repeat: %x", random)
	}
}

func TestLogLimits(t *testing.T) {
	var logs logBuffer
	h := newHost(t, Config{Logger: slog.New(slog.NewJSONHandler(&logs, nil))})
	f, err := h.Load(context.Background(), FilterConfig{Name: "flood", Module: watFile(t, "hostile"), Limits: Limits{Time: 2 * time.Millisecond, LogLines: 3, Memory: 1 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	f.logs.limiter.SetLimit(0) // nothing refills while the test counts
	in, err := f.Instance(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var d router.Decision
	if err := in.Run(context.Background(), router.Decide, message("g"), &d); classOf(t, err) != ClassDeadline {
		t.Error(err)
	}
	lines := logs.lines(t)
	if len(lines) != 3 || f.Stat().LogsDropped == 0 {
		t.Fatalf("%d lines, %d dropped", len(lines), f.Stat().LogsDropped)
	}
	for _, l := range lines { // NUL bytes, each escaped to four characters
		if text := l["text"].(string); text != strings.Repeat(`\x00`, maxLogLine/4-1)+"..." {
			t.Errorf("%d bytes: %.40q", len(text), text)
		}
	}
	// Over all calls the rate is limited too.
	neverRests(f)
	const burst = 200
	for range 2 * burst / 3 {
		if err := in.Run(context.Background(), router.Decide, message("g"), &d); err == nil {
			t.Fatal("no deadline")
		}
	}
	if n := len(logs.lines(t)); n != burst {
		t.Errorf("%d lines, want %d", n, burst)
	}
}

func TestGoGuestFailures(t *testing.T) {
	var logs logBuffer
	h := newHost(t, Config{Logger: slog.New(slog.NewJSONHandler(&logs, nil))})
	f, err := h.Load(context.Background(), FilterConfig{Name: "go", Module: goGuest(t), Limits: Limits{Time: 400 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	in, err := f.Instance(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for _, c := range []struct{ do, name, class, log string }{
		{"!", "panic", ClassExit + ClassTrap, "panic: told to"},
		{"e", "os.Exit", ClassExit, ""},
		{"l", "endless loop", ClassDeadline, ""},
		{"m", "memory eater", ClassMemory + ClassExit, ""},
		{"r", "endless recursion", ClassExit + ClassTrap + ClassDeadline + ClassMemory, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer ticker(t)()
			var d router.Decision
			err := in.Run(context.Background(), router.Decide, message(c.do), &d)
			t.Log(err)
			if got := classOf(t, err); !strings.Contains(c.class, got) {
				t.Errorf("class %s, want one of %s", got, c.class)
			}
			var all strings.Builder
			for _, l := range logs.lines(t) {
				all.WriteString(l["text"].(string) + "\n")
			}
			if !strings.Contains(all.String(), c.log) {
				t.Errorf("the log has not %q: %s", c.log, all.String())
			}
			if err := in.Run(context.Background(), router.Decide, message("{}"), &d); err != nil {
				t.Errorf("the next message: %v", err)
			}
			if diff := cmp.Diff([]router.Target{queue("orders.high")}, d.Targets); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSpareIsRefilled(t *testing.T) {
	f, in := load(t, FilterConfig{Module: watFile(t, "hostile")})
	for range 3 {
		var d router.Decision
		if err := in.Run(context.Background(), router.Decide, message("u"), &d); classOf(t, err) != ClassTrap {
			t.Fatal(err)
		}
		// The keeper's next spare, or the lane's own instance, must both do.
		if err := in.Run(context.Background(), router.Decide, message("="), &d); err == nil || errors.Unwrap(err).Error() != "1" {
			t.Fatal(err)
		}
	}
	g, _, rest := f.supply.take()
	if rest != nil {
		t.Fatal(rest)
	}
	g.farewell()
	s := <-f.supply.spares // blocks until the keeper has made one
	s.farewell()
	if st := f.Stat(); st.Discarded[ClassTrap] != 3 || st.Restarts != 3 || st.Created < 5 {
		t.Errorf("%+v", st)
	}
}

func TestGuestsAreRecycled(t *testing.T) {
	// The guest grows by a page with each call, as far as it can, and says in
	// router_close that it goes.
	grows := `(module
	  (import "router" "metric_def" (func $def (param i32 i32 i32) (result i32)))
	  (import "router" "metric_add" (func $add (param i32 i64)))
	  ` + strings.Replace(handlers, "(i64.const 0)", `
		(drop (memory.grow (i32.const 1))) (i64.const 0)`, 1) + `
	  (data (i32.const 0) "closed")
	  (func (export "_initialize") (drop (call $def (i32.const 0) (i32.const 0) (i32.const 6))))
	  (func (export "router_close") (call $add (i32.const 0) (i64.const 1)))`
	const pages = 40
	for _, c := range []struct {
		needs   string
		recycle int
		calls   int    // until it is recycled
		times   uint64 // in four times as many
	}{
		{`(func (export "router_needs") (result i64) (i64.const 263)))`, 0, pages * 3 / 4, 4}, // stateless
		{`(func (export "router_needs") (result i64) (i64.const 7)))`, 0, pages * 3 / 4, 4},
		{`)`, 10, pages / 10, 4},
		{`)`, 50, pages / 2, 4},
		{`)`, 100, pages, 0},
	} {
		f, in := load(t, FilterConfig{
			Module: wat(t, grows+c.needs), Grants: Grants{Metrics: true},
			Limits: Limits{Memory: pages * pageSize, Recycle: c.recycle},
		})
		for n := range 4 * c.calls {
			if s := f.Stat(); s.Recycled["memory"] != min(c.times, uint64(n/c.calls)) {
				t.Fatalf("recycled at %d%%, after %d calls: %+v", c.recycle, n, s)
			}
			var d router.Decision
			if err := in.Run(context.Background(), router.Decide, small("x"), &d); err != nil {
				t.Fatal(err)
			}
		}
		s := f.Stat()
		if s.Recycled["memory"] != c.times || len(s.Discarded) != 0 || s.Metrics[0].Value != float64(c.times) {
			t.Errorf("recycled at %d%%: %+v", c.recycle, s)
		}
	}
}

// A guest whose memory is large from the start is not replaced for it, nor one
// that fails messages but stays within its share.
func TestGuestsThatDoNotGrowAreKept(t *testing.T) {
	module := wat(t, `(module `+strings.NewReplacer(`"memory") 1`, `"memory") 10`, "(i64.const 0)", "(i64.const -3)").Replace(handlers)+`)`)
	f, in := load(t, FilterConfig{Module: module, Limits: Limits{Memory: 10 * pageSize, Recycle: 50}})
	for range 100 {
		var d router.Decision
		if err := in.Run(context.Background(), router.Decide, small("x"), &d); classOf(t, err) != ClassError {
			t.Fatal(err)
		}
	}
	if s := f.Stat(); len(s.Recycled)+len(s.Discarded) != 0 || s.Restarts != 0 {
		t.Errorf("%+v", s)
	}
}

func TestDurationsAreSampled(t *testing.T) {
	f, in := load(t, FilterConfig{Module: watFile(t, "pass")})
	const calls = timedCalls + 10*sampleEvery
	for n := range uint64(calls) {
		var d router.Decision
		if err := in.Run(context.Background(), router.Decide, small("x"), &d); err != nil {
			t.Fatal(err)
		}
		s := f.Stat().Stages[0]
		var sum uint64
		for _, c := range s.Duration.Counts {
			sum += c
		}
		if s.Calls != n+1 || sum != s.Duration.Count || s.Calls-s.Duration.Count >= sampleEvery {
			t.Fatalf("after %d calls: %+v", n+1, s)
		}
	}
}

func TestMetricDefinitions(t *testing.T) {
	var m guestMetrics
	for i := range maxMetrics {
		if id := m.define(Counter, []byte("m"+strings.Repeat("x", i%10)+string(rune('a'+i%26))+string(rune('a'+i/26)))); id != i {
			t.Fatalf("metric %d has the id %d", i, id)
		}
	}
	if id := m.define(Counter, []byte("one_more")); id != -1 {
		t.Errorf("metric %d", id)
	}
	for _, name := range []string{"", "A", "1a", "a-b", "a b", strings.Repeat("a", 65), "\xff"} {
		if new(guestMetrics).define(Counter, []byte(name)) != -1 {
			t.Errorf("%q was accepted", name)
		}
	}
	if new(guestMetrics).define(3, []byte("a")) != -1 {
		t.Error("kind 3 was accepted")
	}
}

func TestWASI(t *testing.T) {
	// Each call does one thing and stores the error number, or what it read, in
	// the header r.
	module := wat(t, `(module
	  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $env (param i32 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $stat (param i32 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
	  ;; PRELUDE
	  (data (i32.const 500) "\10\27\00\00\10\27\00\00\10\27\00\00\10\27\00\00")  ;; two iovecs of 10,000 bytes
	  (data (i32.const 0) "\01\30\01\00\08\00\00\00r")  ;; SET_HEADER r, 8 bytes at 9
	  (data (i32.const 100) "\6e\00\00\00\05\00\00\00")  ;; an iovec: address 110, length 5
	  (data (i32.const 110) "ab\ncd")
	  (func $answer (param i64) (result i64) (i64.store (i32.const 9) (local.get 0)) (i64.const 17))
	  (func (export "router_decide") (param $p i32) (param $n i32) (result i64)
	    (local $c i32)
	    (local.set $c (i32.load8_u (i32.add (local.get $p) (i32.load offset=24 (local.get $p)))))
	    (if (i32.eq (local.get $c) (i32.const 0x61)) (then (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 200))) (return (call $answer (i64.load (i32.const 200))))))
	    (if (i32.eq (local.get $c) (i32.const 0x62)) (then (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 200))) (return (call $answer (i64.load (i32.const 200))))))
	    (if (i32.eq (local.get $c) (i32.const 0x63)) (then (return (call $answer (i64.extend_i32_u (call $clock (i32.const 9) (i64.const 0) (i32.const 200)))))))
	    (if (i32.eq (local.get $c) (i32.const 0x64)) (then
	      (i64.store (i32.const 200) (i64.const -1))
	      (drop (call $env (i32.const 200) (i32.const 204))) (return (call $answer (i64.load (i32.const 200))))))
	    (if (i32.eq (local.get $c) (i32.const 0x65)) (then (drop (call $write (i32.const 1) (i32.const 100) (i32.const 1) (i32.const 200))) (return (call $answer (i64.load32_u (i32.const 200))))))
	    (if (i32.eq (local.get $c) (i32.const 0x6c)) (then (drop (call $write (i32.const 1) (i32.const 500) (i32.const 2) (i32.const 200))) (return (call $answer (i64.load32_u (i32.const 200))))))
	    (if (i32.eq (local.get $c) (i32.const 0x66)) (then (return (call $answer (i64.extend_i32_u (call $write (i32.const 3) (i32.const 100) (i32.const 1) (i32.const 200)))))))
	    (if (i32.eq (local.get $c) (i32.const 0x67)) (then (return (call $answer (i64.extend_i32_u (call $seek (i32.const 1) (i64.const 0) (i32.const 0) (i32.const 200)))))))
	    (if (i32.eq (local.get $c) (i32.const 0x68)) (then (drop (call $stat (i32.const 1) (i32.const 200))) (return (call $answer (i64.load (i32.const 200))))))
	    (if (i32.eq (local.get $c) (i32.const 0x69)) (then (return (call $answer (i64.extend_i32_u (call $stat (i32.const 3) (i32.const 200)))))))
	    (if (i32.eq (local.get $c) (i32.const 0x6d)) (then (drop (call $random (i32.const 200) (i32.const 8))) (return (call $answer (i64.load (i32.const 200))))))
	    (if (i32.eq (local.get $c) (i32.const 0x6a)) (then
	      (i64.store (i32.const 300) (i64.const 77)) (i64.store (i32.const 308) (i64.const 0)) (i64.store (i32.const 324) (i64.const 1000000))
	      (drop (call $poll (i32.const 300) (i32.const 400) (i32.const 1) (i32.const 200)))
	      (return (call $answer (i64.add (i64.load (i32.const 400)) (i64.load (i32.const 408)))))))
	    (return (call $answer (i64.extend_i32_u (call $poll (i32.const 300) (i32.const 400) (i32.const 0) (i32.const 200)))))))`)
	var logs logBuffer
	h := newHost(t, Config{Logger: slog.New(slog.NewJSONHandler(&logs, nil))})
	f, err := h.Load(context.Background(), FilterConfig{Name: "wasi", Module: module})
	if err != nil {
		t.Fatal(err)
	}
	in, err := f.Instance(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	run := func(do string) any {
		env := message(do)
		var d router.Decision
		if err := in.Run(context.Background(), router.Decide, env, &d); err != nil {
			t.Fatalf("%s: %v", do, err)
		}
		got, _ := env.Header("r")
		return got
	}
	for _, c := range []struct {
		do   string
		want int64
	}{
		{"a", 1700000000_000000005}, // realtime: the message's
		{"b", 1000},
		{"b", 2000}, // monotonic: counts its readings
		{"c", wasiInval},
		{"d", 0},
		{"e", 5},
		{"e", 5},
		{"f", wasiBadF},
		{"g", wasiBadF},
		{"h", 2},
		{"i", wasiBadF},
		{"j", 77},
		{"b", 1_003_000}, // a sleep moves the clock
		{"k", wasiInval},
		{"l", maxWrite}, // of 20,000 bytes
	} {
		if got := run(c.do); got != c.want {
			t.Errorf("%s: %v, want %d", c.do, got, c.want)
		}
	}
	// Chance is the message's.
	if one, two := run("m"), run("m"); one != two || one == int64(0) {
		t.Errorf("random_get: %v, then %v", one, two)
	}
	var text []string
	for _, l := range logs.lines(t) {
		text = append(text, l["level"].(string)+" "+l["text"].(string))
	}
	if diff := cmp.Diff([]string{"INFO ab", "INFO cdab"}, text); diff != "" {
		t.Error(diff)
	}
}
