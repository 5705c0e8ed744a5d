package wasmhost

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sort"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wasmrouter/router/router"
)

// loops is a function body that goes round n times.
func loops(n int) string {
	return fmt.Sprintf(`(local $i i32)
	  (loop $l
	    (local.set $i (i32.add (local.get $i) (i32.const 1)))
	    (br_if $l (i32.lt_u (local.get $i) (i32.const %d))))`, n)
}

// starter works when it is started, in each of the four places.
func starter(t *testing.T, start, initialize, config, needs int) []byte {
	return wat(t, `(module `+handlers+`
	  (func $start `+loops(start)+`)
	  (start $start)
	  (func (export "_initialize") `+loops(initialize)+`)
	  (func (export "router_init") (param i32 i32) (result i64) `+loops(config)+` (i64.const 0))
	  (func (export "router_needs") (result i64) `+loops(needs)+` (i64.const 0)))`)
}

// The fuel of a start is one budget, and it is the same each time.
func TestStartFuel(t *testing.T) {
	h := newHost(t, Config{})
	try := func(module []byte, fuel int64) error {
		f, err := h.Load(context.Background(), FilterConfig{Name: "test", Module: module, Limits: Limits{StartFuel: fuel}})
		if err == nil {
			err = f.Close(context.Background())
		}
		return err
	}
	least := func(module []byte) int64 {
		return int64(sort.Search(1<<22, func(fuel int) bool { return fuel >= 1000 && try(module, int64(fuel)) == nil }))
	}
	small := least(starter(t, 10_000, 20_000, 30_000, 40_000))
	if small < 100_000 || small > 101_000 {
		t.Errorf("100,000 rounds take %d of fuel", small)
	}
	for _, more := range [][4]int{{1}, {0, 1}, {0, 0, 1}, {0, 0, 0, 1}} {
		module := starter(t, 10_000+5000*more[0], 20_000+5000*more[1], 30_000+5000*more[2], 40_000+5000*more[3])
		if got := least(module); got != small+5000 {
			t.Errorf("5000 rounds more at %v take %d of fuel in all, %d without them", more, got, small)
		}
		err := try(module, small+4999)
		if err == nil || !strings.Contains(err.Error(), "fuel used up") {
			t.Errorf("one unit too few: %v", err)
		}
	}
}

// A budget larger than any work ends no start, but its time does.
func TestStartFuelDoesNotReplaceStartTime(t *testing.T) {
	module := wat(t, `(module `+handlers+` (func $s (loop $l (br $l))) (start $s))`)
	_, err := newHost(t, Config{}).Load(context.Background(), FilterConfig{
		Name: "test", Module: module, Limits: Limits{StartFuel: 1 << 62, StartTime: 10 * time.Millisecond},
	})
	if err == nil || !strings.Contains(err.Error(), "time limit exceeded") {
		t.Error(err)
	}
}

// A memory of which the module declares no maximum grows to the limit and no further.
func TestMemoryLimit(t *testing.T) {
	_, in := load(t, FilterConfig{Limits: Limits{Memory: 4 * pageSize, Recycle: 100}, Module: wat(t, `(module
	  ;; PRELUDE
	  ;; Has a page, and one for messages; grows by as many as the body has bytes.
	  (func (export "router_decide") (param $p i32) (param $n i32) (result i64)
	    (if (i32.lt_s (memory.grow (i32.load offset=28 (local.get $p))) (i32.const 0))
	      (then (return (i64.const -4))))
	    (i64.const 0)))`)})
	var d router.Decision
	for _, c := range []struct {
		more int
		ok   bool
	}{{3, false}, {1, true}, {1, true}, {1, false}, {0, true}} {
		if err := in.Run(context.Background(), router.Decide, small(strings.Repeat("x", c.more)), &d); (err == nil) != c.ok {
			t.Errorf("%d pages more: %v", c.more, err)
		}
	}
}

func TestTableLimit(t *testing.T) {
	h := newHost(t, Config{})
	module := func(elements string) []byte {
		return wat(t, `(module
		  ;; PRELUDE
		  (table $t `+elements+` externref)
		  (table $u 20 funcref)
		  ;; Grows by as many elements as the body has bytes.
		  (func (export "router_decide") (param $p i32) (param $n i32) (result i64)
		    (if (i32.lt_s (table.grow $t (ref.null extern) (i32.load offset=28 (local.get $p))) (i32.const 0))
		      (then (return (i64.const -4))))
		    (i64.const 0)))`)
	}
	_, err := h.Load(context.Background(), FilterConfig{Name: "test", Module: module("81"), Limits: Limits{Table: 100}})
	if err == nil || !strings.Contains(err.Error(), "raise limits.table") {
		t.Errorf("101 elements: %v", err)
	}
	f, err := h.Load(context.Background(), FilterConfig{Name: "test", Module: module("80"), Limits: Limits{Table: 100}})
	if err != nil {
		t.Fatal(err)
	}
	in, err := f.Instance(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var d router.Decision
	for _, c := range []struct {
		more int
		ok   bool
	}{{21, false}, {19, true}, {1, true}, {1, false}, {0, true}} {
		err := in.Run(context.Background(), router.Decide, small(strings.Repeat("x", c.more)), &d)
		if (err == nil) != c.ok {
			t.Errorf("%d elements more: %v", c.more, err)
		}
	}
}

func TestLogRate(t *testing.T) {
	module := wat(t, `(module
	  (import "router" "log" (func $log (param i32 i32 i32)))
	  ;; PRELUDE
	  (func (export "router_decide") (param i32 i32) (result i64)
	    (call $log (i32.const 1) (i32.const 0) (i32.const 4))
	    (i64.const 0)))`)
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, Config{Logger: slog.New(slog.NewJSONHandler(io.Discard, nil))})
		f, err := h.Load(context.Background(), FilterConfig{Name: "test", Module: module, Limits: Limits{LogRate: 3}})
		if err != nil {
			t.Fatal(err)
		}
		in, err := f.Instance(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		for _, c := range []struct {
			after   time.Duration
			written uint64
		}{{0, 12}, {time.Second, 3}, {100 * time.Millisecond, 0}, {time.Hour, 12}} {
			time.Sleep(c.after)
			before := f.Stat().LogsDropped
			for range 20 {
				var d router.Decision
				if err := in.Run(context.Background(), router.Decide, message(""), &d); err != nil {
					t.Fatal(err)
				}
			}
			if got := 20 - (f.Stat().LogsDropped - before); got != c.written {
				t.Errorf("%s later, %d lines of 20, want %d", c.after, got, c.written)
			}
		}
	})
}

func TestLimitsHaveBounds(t *testing.T) {
	if err := (Limits{}).withDefaults().validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for _, c := range []struct {
		set  func(l *Limits, v int64)
		name string
		low  int64
		high int64
	}{
		{func(l *Limits, v int64) { l.StartFuel = v }, "start_fuel", 1000, 1 << 62},
		{func(l *Limits, v int64) { l.Table = int(v) }, "table", 1, 10_000_000},
		{func(l *Limits, v int64) { l.Stack = v }, "stack", 64 << 10, 48 << 20},
		{func(l *Limits, v int64) { l.LogRate = int(v) }, "log_rate", 1, 10_000},
		{func(l *Limits, v int64) { l.Instances = int(v) }, "instances", 2, 65_536},
		{func(l *Limits, v int64) { l.Recycle = int(v) }, "recycle", 10, 100},
		{func(l *Limits, v int64) { l.RestartBackoff = time.Duration(v) }, "restart_backoff", int64(time.Millisecond), int64(time.Minute)},
		{func(l *Limits, v int64) { l.MaxBackoff = time.Duration(v) }, "max_backoff", int64(100 * time.Millisecond), int64(time.Hour)},
	} {
		for v, ok := range map[int64]bool{c.low - 1: false, c.low: true, c.high: true, c.high + 1: false, -1: false} {
			var l Limits
			c.set(&l, v)
			err := l.withDefaults().validate()
			if v == 0 { // the default
				ok = true
			}
			switch {
			case ok && err != nil:
				t.Errorf("%s = %d: %v", c.name, v, err)
			case !ok && (err == nil || !strings.HasPrefix(err.Error(), "limits."+c.name+" = ") || !strings.Contains(err.Error(), ", because ")):
				t.Errorf("%s = %d: %v", c.name, v, err)
			}
		}
	}
}
