package wasmhost

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
)

// A filter costs the same everywhere: the same messages, in the same order,
// burn the same fuel in another instance and in another host, whatever language
// it is in and whatever it does.
func TestFuelIsTheSameEverywhere(t *testing.T) {
	for _, c := range []struct {
		name   string
		module []byte
		steady bool // the same message burns the same, from the second on
	}{
		{"C", cGuest(t, "route"), true},
		{"Go", goGuest(t), false}, // its collector runs when it likes, at the same calls
		{"WAT", watFile(t, "frame"), true},
		{"exceptions", assemble(t, throwingFilter), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, first := load(t, FilterConfig{Module: c.module})
			second, err := f.Instance(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(second.Close)
			_, third := load(t, FilterConfig{Module: c.module})

			want := fuelOf(t, first)
			if slices.Contains(want, 0) {
				t.Errorf("calls without fuel: %d", want)
			}
			for _, in := range []router.Filter{second, third} {
				if diff := cmp.Diff(want, fuelOf(t, in)); diff != "" {
					t.Errorf("another instance (-first +this):\n%s", diff)
				}
			}
			if c.steady && !slices.Equal(want[len(want)-3:], slices.Repeat(want[len(want)-1:], 3)) {
				t.Errorf("the same message burned %d", want[len(want)-3:])
			}
		})
	}
}

// throwingFilter throws for each message, from a recursion whose depth is the
// length of the frame.
const throwingFilter = `
	tag e (i32)
	` + decide + `
	  block i32
	    try_table | catch e 0
	      local.get 1
	      i32.const 64
	      i32.div_u
	      call down
	    end
	    unreachable
	  end
	  drop
	  i64.const 0
	end
	func down (i32)
	  local.get 0
	  i32.eqz
	  if
	    i32.const 7
	    throw e
	  end
	  local.get 0
	  i32.const 1
	  i32.sub
	  call down
	end`

// fuelOf returns what messages of several sizes burn, one after the other.
func fuelOf(t *testing.T, in router.Filter) []int64 {
	t.Helper()
	bodies := []string{`{"type":"order.created"}`, strings.Repeat("x", 3000), ""}
	for i := range 20 {
		bodies = append(bodies, fmt.Sprintf(`{"type":"order.%d","n":%d}`, i, i*i))
	}
	bodies = append(bodies, slices.Repeat([]string{`{"type":"order.created"}`}, 3)...)
	var fuel []int64
	for _, body := range bodies {
		var d router.Decision
		if err := in.Run(context.Background(), router.Decide, message(body), &d); err != nil {
			t.Fatal(err)
		}
		fuel = append(fuel, in.(*Instance).Fuel())
	}
	return fuel
}

func TestFuelOfTheLastCall(t *testing.T) {
	f, filter := load(t, FilterConfig{Module: assemble(t, `
		`+decide+`
		  local.get 1
		  i32.const 1000
		  i32.gt_s
		  if
		    loop
		      br 0
		    end
		  end
		  i64.const 0
		end`), Limits: Limits{Fuel: 50_000}})
	in := filter.(*Instance)
	if got := in.Fuel(); got != 0 {
		t.Errorf("%d before the first call", got)
	}
	run := func(body string) error {
		var d router.Decision
		return in.Run(context.Background(), router.Decide, small(body), &d)
	}
	if err := run(""); err != nil || in.Fuel() != 2 {
		t.Errorf("%d for router_buffer and a function, %v", in.Fuel(), err)
	}
	if err := run(""); err != nil || in.Fuel() != 1 {
		t.Errorf("%d for a function, %v", in.Fuel(), err)
	}
	if err := run(strings.Repeat("x", 2000)); classOf(t, err) != ClassDeadline || in.Fuel() != 50_001 {
		t.Errorf("%d for a call that used up its fuel, %v", in.Fuel(), err)
	}
	if err := run(""); err != nil || in.Fuel() != 2 {
		t.Errorf("%d for the next guest, %v", in.Fuel(), err)
	}
	if diff := cmp.Diff(FuelStat{Calls: 4, Sum: 2 + 1 + 50_001 + 2, Most: 50_001}, f.Stat().Stages[0].Fuel); diff != "" {
		t.Errorf("all of it (-want +got):\n%s", diff)
	}
}
