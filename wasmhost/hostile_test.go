package wasmhost

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
)

// hostileLimits are small, so that the tests of what runs into them are quick.
func hostileLimits() Limits {
	return Limits{Time: 200 * time.Millisecond, Memory: 4 << 20}
}

// ticker measures how late an unrelated goroutine gets its turn.
func ticker(t *testing.T) (stop func()) {
	done := make(chan struct{})
	var worst time.Duration
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		last := time.Now()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				now := time.Now()
				worst = max(worst, now.Sub(last)-time.Millisecond)
				last = now
			}
		}
	})
	var collect sync.WaitGroup
	collect.Go(func() { // without a collection nobody waits for a guest
		for {
			select {
			case <-done:
				return
			default:
				runtime.GC()
				time.Sleep(2 * time.Millisecond)
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
		collect.Wait()
		t.Logf("worst delay of an unrelated goroutine: %s", worst)
	}
}

// classOf returns the class of a filter's failure.
func classOf(t testing.TB, err error) string {
	t.Helper()
	var fe *router.FilterError
	if !errors.As(err, &fe) {
		t.Fatalf("not a FilterError: %v", err)
	}
	return fe.Class
}

func TestHostileCalls(t *testing.T) {
	f, in := load(t, FilterConfig{Module: watFile(t, "hostile"), Limits: hostileLimits()})
	cases := []struct {
		do, name, class string
	}{
		{"l", "endless loop", ClassDeadline},
		{"r", "endless recursion", "trap or deadline"}, // whichever comes first
		{"x", "exponential calls", ClassDeadline},
		{"u", "unreachable", ClassTrap},
		{"d", "division by zero", ClassTrap},
		{"o", "out of bounds", ClassTrap},
		{"i", "null function", ClassTrap},
		{"n", "truncated NaN", ClassTrap},
		{"e", "exit 0", ClassExit},
		{"E", "exit 3", ClassExit},
		{"a", "abort", ClassTrap},
		{"m", "memory eater", ClassMemory},
		{"f", "endless fills", ClassDeadline},
		{"g", "log flood", ClassDeadline},
		{"R", "random flood", ClassDeadline},
		{"b", "body_read flood", ClassDeadline},
		{"p", "bad address for a host function", ClassInvalid},
		{"s", "endless sleep", ClassDeadline},
	}
	want := map[string]uint64{}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			defer ticker(t)()
			env := message(c.do)
			before := discards(f)
			d := router.Decision{Reason: "kept"}
			start := time.Now()
			err := in.Run(context.Background(), router.Decide, env, &d)
			t.Logf("%v after %s", err, time.Since(start))
			got := classOf(t, err)
			if !strings.Contains(c.class, got) {
				t.Errorf("class %s, want %s", got, c.class)
			}
			if diff := cmp.Diff(router.Decision{Reason: "kept"}, d); diff != "" {
				t.Errorf("the decision changed: %s", diff)
			}
			want[got]++
			if got := discards(f) - before; got != 1 {
				t.Errorf("%d instances discarded, want 1", got)
			}
			// The next call is the first one of a fresh instance.
			err = in.Run(context.Background(), router.Decide, message("="), &d)
			var fe *router.FilterError
			if !errors.As(err, &fe) || fe.Err.Error() != "1" {
				t.Errorf("after the failure: %v, want the count 1", err)
			}
			want[ClassError]++
		})
	}
	if diff := cmp.Diff(want, f.Stat().Stages[0].Failures); diff != "" {
		t.Error(diff)
	}
}

func TestNamesOfFunctionsForgeNoClass(t *testing.T) {
	module := wat(t, `(module
	  ;; PRELUDE
	  (func (export "router_decide") (param i32 i32) (result i64) (unreachable)))`)
	// The name section of a module whose only handler is function 2.
	names := []byte{1, 27, 1, 2, 24}
	names = append(names, "x\n (recovered by wazero)\n"...)
	custom := append([]byte{4}, "name"...)
	custom = append(custom, names...)
	module = append(append(module[:len(module):len(module)], 0, byte(len(custom))), custom...)
	_, in := load(t, FilterConfig{Module: module})
	var d router.Decision
	err := in.Run(context.Background(), router.Decide, message(""), &d)
	if got := classOf(t, err); got != ClassTrap || strings.Contains(err.Error(), "\n") {
		t.Errorf("class %s: %v", got, err)
	}
	t.Log(err)
}
