package waiter_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/wasmrouter/router/waiter"
)

// entry is what the model knows of an id.
type entry struct {
	call     *waiter.Call[int]
	waiting  bool
	answered bool
	value    int
	err      error
}

// A table and a plain map, given the same random calls, must agree on who
// waits, with what each call ended, and what was dropped as what.
func TestTheTableBehavesAsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := waiter.New[int]()
		last := map[string]*entry{} // the newest call of each id
		var all []*entry
		var want waiter.Stat
		closed := false
		id := rapid.Map(rapid.IntRange(0, 5), strconv.Itoa)

		end := func(e *entry, err error) { e.waiting, e.err = false, err }
		endAll := func(err error) {
			for _, e := range last {
				if e.waiting {
					end(e, err)
					want.Failed++
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"register": func(t *rapid.T) {
				id := id.Draw(t, "id")
				c, err := table.Register(id)
				e := last[id]
				switch {
				case closed:
					if !errors.Is(err, waiter.ErrClosed) {
						t.Fatalf("got %v", err)
					}
				case e != nil && e.waiting:
					if !errors.Is(err, waiter.ErrDuplicate) {
						t.Fatalf("got %v", err)
					}
				case err != nil:
					t.Fatal(err)
				default:
					want.Registered++
					last[id] = &entry{call: c, waiting: true}
					all = append(all, last[id])
				}
			},
			"deliver": func(t *rapid.T) {
				id, v := id.Draw(t, "id"), rapid.Int().Draw(t, "v")
				e := last[id]
				if got := table.Deliver(id, v); got != (e != nil && e.waiting) {
					t.Fatalf("Deliver is %v", got)
				}
				switch {
				case e == nil:
					want.Unknown++
				case e.waiting:
					e.waiting, e.answered, e.value = false, true, v
					want.Delivered++
				case e.answered:
					want.Duplicate++
				default:
					want.Late++
				}
			},
			"beat": func(t *rapid.T) {
				id := id.Draw(t, "id")
				e := last[id]
				if e != nil && e.waiting {
					want.Beats++
				} else {
					want.LateBeats++
				}
				if got := table.Beat(id); got != (e != nil && e.waiting) {
					t.Fatalf("Beat is %v", got)
				}
			},
			"wait": func(t *rapid.T) {
				if len(all) == 0 {
					t.Skip("no calls")
				}
				e := rapid.SampledFrom(all).Draw(t, "call")
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				if e.waiting {
					end(e, context.Canceled)
					want.Canceled++
				}
				if v, err := e.call.Wait(ctx, 0); v != e.value || !errors.Is(err, e.err) {
					t.Fatalf("got %d, %v; want %d, %v", v, err, e.value, e.err)
				}
			},
			"end": func(t *rapid.T) {
				if len(all) == 0 {
					t.Skip("no calls")
				}
				e := rapid.SampledFrom(all).Draw(t, "call")
				if e.waiting {
					end(e, waiter.ErrClosed)
					want.Abandoned++
				}
				e.call.Close()
			},
			"fail": func(*rapid.T) {
				lost := errors.New("lost")
				table.Fail(lost)
				endAll(lost)
			},
			"close": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "rarely") != 0 {
					t.Skip("not now")
				}
				table.Close()
				closed = true
				endAll(waiter.ErrClosed)
			},
			"": func(t *rapid.T) {
				want.Waiting = len(slices.DeleteFunc(slices.Clone(all), func(e *entry) bool { return !e.waiting }))
				if got := table.Stat(); got != want {
					t.Fatalf("got  %+v\nwant %+v", got, want)
				}
			},
		})
	})
}
