package wasmhost

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wasmrouter/router/router"
)

func TestLanesInParallel(t *testing.T) {
	h := newHost(t, Config{})
	f, err := h.Load(context.Background(), FilterConfig{Name: "test", Module: watFile(t, "hostile")})
	if err != nil {
		t.Fatal(err)
	}
	neverRests(f)
	const lanes, messages = 4, 200
	var wg sync.WaitGroup
	for range lanes {
		wg.Go(func() {
			in, err := f.Instance(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			defer in.Close()
			for n := range messages {
				var d router.Decision
				do, class := "-", "" // passes
				if n%10 == 9 {
					do, class = "u", ClassTrap
				}
				err := in.Run(context.Background(), router.Decide, message(do), &d)
				if class == "" && err != nil || class != "" && (err == nil || classOf(t, err) != class) {
					t.Errorf("message %d: %v", n, err)
				}
				if n%50 == 0 {
					f.Stat()
				}
			}
		})
	}
	wg.Wait()
	s := f.Stat()
	if s.Stages[0].Calls != lanes*messages || s.Stages[0].Failures[ClassTrap] != lanes*messages/10 || s.Discarded[ClassTrap] != lanes*messages/10 || s.Live != 0 {
		t.Errorf("%+v", s)
	}
}

func TestInstancesDoNotShareState(t *testing.T) {
	f, one := load(t, FilterConfig{Module: watFile(t, "hostile")})
	two, err := f.Instance(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	count := func(in router.Filter) string {
		var d router.Decision
		err := in.Run(context.Background(), router.Decide, message("="), &d)
		if classOf(t, err) != ClassError {
			t.Fatal(err)
		}
		_, n, _ := strings.Cut(err.Error(), "error: ")
		return n
	}
	if a, b, c := count(one), count(one), count(two); a != "1" || b != "2" || c != "1" {
		t.Errorf("counts %s, %s and, in the other instance, %s", a, b, c)
	}
}

func TestDiscardedInstancesAreFreed(t *testing.T) {
	_, in := load(t, FilterConfig{Module: watFile(t, "hostile")})
	fail := func(n int) {
		for range n {
			var d router.Decision
			if err := in.Run(context.Background(), router.Decide, message("u"), &d); classOf(t, err) != ClassTrap {
				t.Fatal(err)
			}
		}
	}
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	fail(20)
	before := heap()
	fail(300)
	// Each instance has 64 KiB of memory and more: 300 of them are 20 MiB.
	if grown := heap() - before; grown > 5<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

func TestCloseWaitsForTheSpare(t *testing.T) {
	// Starting an instance takes a while, and the keeper is at it when the filter
	// is closed.
	module := wat(t, `(module `+handlers+`
	  (func (export "_initialize") (local $i i32)
	    (loop $l
	      (local.set $i (i32.add (local.get $i) (i32.const 1)))
	      (br_if $l (i32.lt_u (local.get $i) (i32.const 10000000))))))`)
	for range 3 {
		f, err := newHost(t, Config{}).Load(context.Background(), FilterConfig{Module: module})
		if err != nil {
			t.Fatal(err)
		}
		in, err := f.Instance(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for len(f.supply.refill) > 0 { // until the keeper has begun
			runtime.Gosched()
		}
		in.Close()
		if err := f.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if s := f.Stat(); s.Created != 2 || s.Idle != 0 {
			t.Errorf("%+v", s)
		}
	}
}

func TestStartFunction(t *testing.T) {
	module := wat(t, `(module
	  (import "router" "log" (func $log (param i32 i32 i32)))
	  (import "router" "time_ns" (func $time (result i64)))
	  (import "router" "header_get" (func $get (param i32 i32 i32 i32) (result i32)))
	  ;; PRELUDE
	  (global $ready (mut i32) (i32.const 0))
	  (func $start (local $i i32)
	    (loop $l
	      (local.set $i (i32.add (local.get $i) (i32.const 1)))
	      (br_if $l (i32.lt_u (local.get $i) (i32.const 1000000))))
	    (call $log (i32.const 1) (i32.const 0) (i32.const 4))
	    (if (i64.ne (call $time) (i64.const 0)) (then (unreachable)))
	    (if (i32.ne (call $get (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 0)) (i32.const -1)) (then (unreachable)))
	    (global.set $ready (i32.const 1)))
	  (start $start)
	  (func (export "router_decide") (param i32 i32) (result i64)
	    (if (i32.eqz (global.get $ready)) (then (unreachable)))
	    (i64.const 0)))`)
	_, in := load(t, FilterConfig{Module: module})
	var d router.Decision
	if err := in.Run(context.Background(), router.Decide, message(""), &d); err != nil {
		t.Error(err)
	}
}

func TestFuelIsABudgetOfItsOwn(t *testing.T) {
	// A million iterations fit the time, not the fuel.
	module := wat(t, `(module `+strings.Replace(handlers, "(i64.const 0)", `
		(local $i i32)
		(loop $l
		  (local.set $i (i32.add (local.get $i) (i32.const 1)))
		  (br_if $l (i32.lt_u (local.get $i) (i32.load offset=24 (local.get 0)))))
		(loop $l
		  (local.set $i (i32.add (local.get $i) (i32.const 1)))
		  (br_if $l (i32.lt_u (local.get $i) (i32.const 1000000))))
		(i64.const 0)`, 1)+`)`)
	for _, c := range []struct {
		fuel int64
		want string
	}{{0, ""}, {3_000_000, ""}, {500_000, "fuel used up"}, {1000, "fuel used up"}} {
		_, in := load(t, FilterConfig{Module: module, Limits: Limits{Fuel: c.fuel, Time: 10e9}})
		var d router.Decision
		for range 2 {
			err := in.Run(context.Background(), router.Decide, message(""), &d)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || classOf(t, err) != ClassDeadline) {
				t.Errorf("fuel %d: %v", c.fuel, err)
			}
		}
	}
}

func TestHostFunctionsCostFuel(t *testing.T) {
	// A hundred calls, in a loop that costs next to nothing itself.
	for name, call := range map[string]string{
		"body_read": `(drop (call $read (i32.const 0) (i32.const 0) (i32.const 65536)))`,
		"random":    `(call $random (i32.const 0) (i32.const 8192))`,
		"log":       `(call $log (i32.const 3) (i32.const 0) (i32.const 10))`,
		"fd_write":  `(drop (call $write (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 8)))`,
		// Its value is rendered although there is no room for it.
		"header_get": `(drop (call $header (i32.const 16) (i32.const 4) (i32.const 0) (i32.const 0)))`,
	} {
		module := wat(t, `(module
		  (import "router" "body_read" (func $read (param i32 i32 i32) (result i32)))
		  (import "router" "random" (func $random (param i32 i32)))
		  (import "router" "log" (func $log (param i32 i32 i32)))
		  (import "router" "header_get" (func $header (param i32 i32 i32 i32) (result i32)))
		  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
		  ;; PRELUDE
		  (data (i32.const 16) "deep")
		  (func (export "router_decide") (param i32 i32) (result i64)
		    (local $i i32)
		    (loop $l
		      `+call+`
		      (local.set $i (i32.add (local.get $i) (i32.const 1)))
		      (br_if $l (i32.lt_u (local.get $i) (i32.const 100))))
		    (i64.const 0)))`)
		h := newHost(t, Config{Logger: slog.New(slog.NewJSONHandler(io.Discard, nil))})
		few := int64(3000)
		if name == "header_get" {
			few = 50_000 // what the calls alone cost, many times
		}
		for fuel, want := range map[int64]string{few: ClassDeadline, 10_000_000: ""} {
			f, err := h.Load(context.Background(), FilterConfig{Name: "test", Module: module, Limits: Limits{Fuel: fuel, Time: time.Minute}})
			if err != nil {
				t.Fatal(err)
			}
			in, err := f.Instance(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			var d router.Decision
			env := message(strings.Repeat("x", 65536))
			env.SetHeader("deep", map[string]any{"x": strings.Repeat("y", 4096)})
			err = in.Run(context.Background(), router.Decide, env, &d)
			if want == "" && err != nil || want != "" && (err == nil || classOf(t, err) != want) {
				t.Errorf("%s with %d of fuel: %v", name, fuel, err)
			}
			in.Close()
		}
	}
}

func TestGoodbye(t *testing.T) {
	// router_close logs; a lane that ends calls it, a failed instance does not.
	module := wat(t, `(module
	  (import "router" "metric_def" (func $def (param i32 i32 i32) (result i32)))
	  (import "router" "metric_add" (func $add (param i32 i64)))
	  ;; PRELUDE
	  (data (i32.const 0) "closed")
	  (func (export "_initialize") (drop (call $def (i32.const 0) (i32.const 0) (i32.const 6))))
	  (func (export "router_close") (call $add (i32.const 0) (i64.const 1)) (loop $l (br $l)))
	  (func (export "router_decide") (param i32 i32) (result i64) (unreachable)))`)
	f, in := load(t, FilterConfig{Module: module, Grants: Grants{Metrics: true}})
	var d router.Decision
	if err := in.Run(context.Background(), router.Decide, message(""), &d); classOf(t, err) != ClassTrap {
		t.Error(err)
	}
	in.Close() // nothing is left to say goodbye to
	if got := f.Stat().Metrics[0].Value; got != 0 {
		t.Errorf("router_close was called %v times after a failure", got)
	}
	other, err := f.Instance(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	other.Close() // must come back although router_close does not
	if got := f.Stat().Metrics[0].Value; got != 1 {
		t.Errorf("router_close was called %v times, want once", got)
	}
}
