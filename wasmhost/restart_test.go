package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
)

// belt is a broker for one route: it hands over what is put on it, and counts
// what becomes of it.
type belt struct {
	feed chan *router.Delivery

	mu       sync.Mutex // protects what follows
	put      int
	acked    int
	requeued int
	sent     map[string]int // by target
}

func newBelt() *belt { return &belt{feed: make(chan *router.Delivery, 1000), sent: map[string]int{}} }

func (b *belt) deliver(bodies ...string) {
	for _, body := range bodies {
		b.mu.Lock()
		b.put++
		d := &router.Delivery{Envelope: *message(body), Settler: b, Tag: uint64(b.put)}
		b.mu.Unlock()
		b.feed <- d
	}
}

func (b *belt) Listen(ctx context.Context, _ router.Source, handle func(*router.Delivery)) error {
	for {
		select {
		case d := <-b.feed:
			handle(d)
		case <-ctx.Done():
			for b.open() > 0 {
				time.Sleep(time.Millisecond)
			}
			return nil
		}
	}
}

func (b *belt) open() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.put - b.acked - b.requeued
}

func (b *belt) count(n *int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*n++
}

func (b *belt) Ack(uint64)     { b.count(&b.acked) }
func (b *belt) Requeue(uint64) { b.count(&b.requeued) }
func (b *belt) Live() bool     { return true }

func (b *belt) Send(_ context.Context, t router.Target, _ *router.Envelope, r router.Receipt) error {
	b.mu.Lock()
	b.sent[t.Queue]++
	b.mu.Unlock()
	r.Settle(nil)
	return nil
}

func (b *belt) Close() {}

// delivered returns how many messages went where.
func (b *belt) delivered() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.sent)
}

// run runs a route with the filter, and returns what stops it and waits.
func (b *belt) run(t *testing.T, f *Filter, lanes int) (stop func()) {
	t.Helper()
	order := router.OrderQueue
	if lanes > 1 {
		order = router.OrderNone
	}
	r, err := router.NewRoute(t.Context(), router.RouteConfig{
		Name: "r", Source: router.Source{Queue: "in", Prefetch: 100, DrainTimeout: time.Hour},
		Filters: []router.RouteFilter{{Source: f}}, Send: []router.Target{queue("out")}, Order: order, Lanes: lanes,
		Retry:      router.RetryPolicy{MaxAttempts: 1, Backoff: time.Second, MaxBackoff: time.Second},
		DeadLetter: queue("dead"), MaxMessage: 1 << 20, Listener: b, NewSender: func(string) router.Sender { return b },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return func() { cancel(); running.Wait() }
}

// loadOne loads a filter with a log to look at.
func loadOne(t *testing.T, cfg FilterConfig) (*Filter, *logBuffer) {
	t.Helper()
	logs := &logBuffer{}
	cfg.Name = "test"
	f, err := newHost(t, Config{Logger: slog.New(slog.NewJSONHandler(logs, nil))}).Load(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f, logs
}

func repeat(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

// untilClock traps until the clock shows the time that the message was received
// at and the given time more.
func untilClock(t *testing.T, after time.Duration) []byte {
	return wat(t, fmt.Sprintf(`(module
	  (import "router" "time_ns" (func $time (result i64)))
	  ;; PRELUDE
	  (func (export "router_decide") (param $p i32) (param $n i32) (result i64)
	    (if (i64.lt_s (call $time) (i64.const %d)) (then (unreachable)))
	    (i64.const 0)))`, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(after).UnixNano()))
}

func TestAFilterThatAlwaysTraps(t *testing.T) {
	for name, module := range map[string][]byte{"Go": goGuest(t), "WAT": watFile(t, "hostile")} {
		bad := map[string]string{"Go": "!", "WAT": "u"}[name]
		for _, lanes := range []int{1, 8} {
			t.Run(fmt.Sprintf("%s, %d lanes", name, lanes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f, logs := loadOne(t, FilterConfig{Module: module})
					b := newBelt()
					stop := b.run(t, f, lanes)
					b.deliver(repeat(bad, 100)...)
					const minutes = 10
					time.Sleep(minutes * time.Minute)
					s := f.Stat()
					lost := 0
					for _, n := range s.Discarded {
						lost += int(n)
					}
					// The free ones, those while rests double up to 30 s, and then two
					// a minute; all lanes may be in a call when the first rest begins.
					if most := freeRestarts + lanes + 10 + 2*minutes; lost > most || lost < 20 || int(s.Restarts) > lost || int(s.Created) > lost+lanes+1 {
						t.Errorf("%d instances lost in %d minutes, at most %d are allowed: %+v", lost, minutes, most, s)
					}
					// What was tried is with the dead letters; the rest waits.
					if diff := cmp.Diff(map[string]int{"dead": lost}, b.delivered()); diff != "" || b.open() != 100-lost {
						t.Errorf("%d open: %s", b.open(), diff)
					}
					if s.Failing == nil || s.Failing.InARow != lost || s.Failing.Rest != 30*time.Second || s.Failing.Next <= 0 {
						t.Errorf("%+v", s.Failing)
					}
					warnings := 0
					for _, line := range logs.lines(t) {
						if line["component"] == "wasmhost" {
							warnings++
						}
					}
					if warnings != 1 {
						t.Errorf("%d lines in the log: %v", warnings, logs.lines(t))
					}
					// Nobody waits for the end of the rest.
					began := time.Now()
					stop()
					if took := time.Since(began); took > time.Second {
						t.Errorf("stopping took %s", took)
					}
					if b.requeued != 100-lost || b.acked != lost {
						t.Errorf("%d given back, %d acknowledged, of 100 of which %d were lost", b.requeued, b.acked, lost)
					}
				})
			})
		}
	}
}

func TestAFilterRecovers(t *testing.T) {
	for _, lanes := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			const healed = 5 * time.Minute
			f, logs := loadOne(t, FilterConfig{Module: untilClock(t, healed), Grants: Grants{Clock: true}})
			b := newBelt()
			stop := b.run(t, f, lanes)
			b.deliver(repeat("x", 100)...)
			time.Sleep(healed)
			if f.Stat().Failing == nil {
				t.Error("it is not known to fail")
			}
			dead := b.delivered()["dead"]
			time.Sleep(31 * time.Second) // one rest, not one for each lane
			if diff := cmp.Diff(map[string]int{"dead": dead, "out": 100 - dead}, b.delivered()); diff != "" || b.open() != 0 {
				t.Errorf("%d open: %s", b.open(), diff)
			}
			if s := f.Stat(); s.Failing != nil || s.Live != lanes || s.Idle != 1 {
				t.Errorf("%+v", s)
			}
			lines := logs.lines(t)
			if len(lines) != 2 || lines[0]["level"] != "WARN" || lines[1]["level"] != "INFO" {
				t.Errorf("%v", lines)
			}
			stop()
		})
	}
}

// A few bad messages among many good ones are no reason to rest, but starting
// takes a quarter of a processor at most.
func TestSlowStartsAreRationed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, logs := loadOne(t, FilterConfig{Module: watFile(t, "hostile")})
		synctest.Wait() // until the keeper is idle
		start := f.supply.start
		f.supply.start = func() (*guest, error) {
			time.Sleep(200 * time.Millisecond)
			return start()
		}
		b := newBelt()
		stop := b.run(t, f, 1)
		began := time.Now()
		const bad = 200
		for range bad {
			b.deliver("u", "-", "-")
		}
		for b.open() > 0 {
			time.Sleep(time.Millisecond)
		}
		spent, took := bad*200*time.Millisecond, time.Since(began)
		if took < (spent-10*200*time.Millisecond)*startShare || took > 2*spent*startShare {
			t.Errorf("%s of starts within %s", spent, took)
		}
		if diff := cmp.Diff(map[string]int{"dead": bad, "out": 2 * bad}, b.delivered()); diff != "" {
			t.Error(diff)
		}
		if s := f.Stat(); s.Failing != nil || len(logs.lines(t)) != 0 {
			t.Errorf("%+v", s.Failing)
		}
		stop()
	})
}

// A message that cannot be shown to the filter says nothing about it.
func TestMessagesThatDoNotReachTheFilterDoNotCount(t *testing.T) {
	f, in := load(t, FilterConfig{Module: watFile(t, "pass"), Limits: Limits{Memory: 1 << 20}})
	run := func(size int) {
		var d router.Decision
		_ = in.Run(context.Background(), router.Decide, small(strings.Repeat("x", size)), &d)
	}
	g := f.supply.gate
	g.failed(false, "trap")
	run(2 << 20)
	state := func() string {
		g.mu.Lock()
		defer g.mu.Unlock()
		return fmt.Sprintf("level %d, %d in a row", g.level, g.inARow)
	}
	if got := state(); got != "level 1, 1 in a row" {
		t.Error(got)
	}
	run(1)
	if got := state(); got != "level 0, 0 in a row" {
		t.Errorf("after a success: %s", got)
	}
}

// A filter that cannot be started harms no message: they wait until it can.
func TestMessagesOutliveStartsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := loadOne(t, FilterConfig{Module: watFile(t, "hostile")})
		synctest.Wait() // until the keeper is idle
		start, broken := f.supply.start, time.Now().Add(10*time.Minute)
		starts := 0
		var mu sync.Mutex
		f.supply.start = func() (*guest, error) {
			mu.Lock()
			defer mu.Unlock()
			if starts++; time.Now().Before(broken) {
				return nil, &failure{class: ClassMemory, err: errors.New("no memory")}
			}
			return start()
		}
		b := newBelt()
		stop := b.run(t, f, 1)
		b.deliver("u", "-", "-", "-")
		time.Sleep(10 * time.Minute)
		if diff := cmp.Diff(map[string]int{"dead": 1}, b.delivered()); diff != "" || b.open() != 3 {
			t.Errorf("%d open: %s", b.open(), diff)
		}
		s := f.Stat()
		mu.Lock()
		n := starts
		mu.Unlock()
		if s.Failing == nil || s.Failing.Cause != "start: memory: no memory" || s.Unstarted[ClassMemory] != uint64(n) || n > 2+freeRestarts+10+20 {
			t.Errorf("%d starts: %+v, %+v", n, s, s.Failing)
		}
		time.Sleep(31 * time.Second)
		if diff := cmp.Diff(map[string]int{"dead": 1, "out": 3}, b.delivered()); diff != "" {
			t.Error(diff)
		}
		stop()
	})
}

// An error that the filter reports is the message's fault.
func TestReportedErrorsAreNoReasonToRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, logs := loadOne(t, FilterConfig{Module: watFile(t, "hostile")})
		b := newBelt()
		stop := b.run(t, f, 1)
		b.deliver(repeat("=", 100)...)
		synctest.Wait()
		if diff := cmp.Diff(map[string]int{"dead": 100}, b.delivered()); diff != "" {
			t.Error(diff)
		}
		if s := f.Stat(); s.Failing != nil || s.Restarts != 0 || len(logs.lines(t)) != 0 {
			t.Errorf("%+v", s)
		}
		stop()
	})
}

func TestInstancesAreLimited(t *testing.T) {
	f, _ := loadOne(t, FilterConfig{Module: watFile(t, "hostile"), Limits: Limits{Instances: 3}})
	var lanes []router.Filter
	for range 5 {
		in, err := f.Instance(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		lanes = append(lanes, in)
	}
	run := func(i int) error {
		var d router.Decision
		return lanes[i].Run(t.Context(), router.Decide, message("-"), &d)
	}
	if s := f.Stat(); s.Live > 3 || s.Live+s.Idle > 3 || s.Created > 3 {
		t.Errorf("%+v", s)
	}
	// Which lanes have the three is up to when the spare ones were ready.
	var rest *router.RestError
	var have, lack []int
	for i := range lanes {
		switch err := run(i); {
		case err == nil:
			have = append(have, i)
		case errors.As(err, &rest):
			lack = append(lack, i)
		default:
			t.Fatalf("lane %d: %v", i, err)
		}
	}
	if len(have) != 3 || len(lack) != 2 {
		t.Fatalf("lanes %v have an instance and %v have none, want three and two", have, lack)
	}
	lanes[have[0]].Close()
	err := error(rest)
	for errors.As(err, &rest) { // again while the free place is one where a spare instance is made
		<-rest.Over
		err = run(lack[1])
	}
	if err != nil {
		t.Errorf("when one has left: %v", err)
	}
	if err := run(have[1]); err != nil {
		t.Errorf("one that had an instance: %v", err)
	}
}
