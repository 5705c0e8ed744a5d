package wasmhost

import (
	"context"
	"strings"
	"testing"

	"github.com/wasmrouter/router/router"
)

// deep goes as many calls deep as the body has bytes times a thousand, and
// comes back.
const deep = `(module
  ;; PRELUDE
  (func $down (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (call $down (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
      (else (i32.const 0))))
  (func (export "router_decide") (param $p i32) (param $n i32) (result i64)
    (drop (call $down (i32.mul (i32.load offset=28 (local.get $p)) (i32.const 1000))))
    (i64.const 0)))`

func TestDeepStacksAreGivenBack(t *testing.T) {
	_, in := load(t, FilterConfig{Module: wat(t, deep), Limits: Limits{Time: 10e9}})
	fn := &in.(*Instance).guest.handlers[router.Decide]
	fresh := fn.stackSize()
	if fresh == 0 || fresh > keptStack {
		t.Fatalf("a fresh stack of %d bytes: wazero keeps it elsewhere", fresh)
	}
	for _, thousands := range []int{1, 100} {
		var d router.Decision
		if err := in.Run(context.Background(), router.Decide, message(strings.Repeat("x", thousands)), &d); err != nil {
			t.Fatal(err)
		}
		if n := fn.stackSize(); n > keptStack || thousands == 1 && n == fresh {
			t.Errorf("%d thousand calls deep: a stack of %d bytes is kept", thousands, n)
		}
	}
}

func TestStackIsBoundedBeforeTheRuntimeBoundsIt(t *testing.T) {
	for _, c := range []struct {
		limit int64
		fits  int // thousands of calls deep
		over  int
	}{{64 << 10, 1, 10}, {0, 100, 3000}, {40 << 20, 300, 3000}} {
		_, in := load(t, FilterConfig{Module: wat(t, deep), Limits: Limits{Time: 10e9, Stack: c.limit}})
		var d router.Decision
		if err := in.Run(context.Background(), router.Decide, message(strings.Repeat("x", c.fits)), &d); err != nil {
			t.Fatalf("limit %d: %v", c.limit, err)
		}
		fn := &in.(*Instance).guest.handlers[router.Decide]
		err := in.Run(context.Background(), router.Decide, message(strings.Repeat("x", c.over)), &d)
		if classOf(t, err) != ClassTrap || !strings.Contains(err.Error(), "stack overflow") {
			t.Errorf("limit %d: %v", c.limit, err)
		}
		// The stack doubles, and is looked at when a slice of fuel is gone.
		if n, most := int64(fn.stackSize()), 4*max(c.limit, 1<<20); c.limit > 0 && n > most {
			t.Errorf("limit %d: the stack had %d bytes", c.limit, n)
		}
	}
}
