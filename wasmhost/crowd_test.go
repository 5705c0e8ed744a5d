package wasmhost

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestLongCallsShareThePlaces runs five calls at once, of which each is long
// after longCall, and looks at how many go on at the same time then.
func TestLongCallsShareThePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		places := make(crowd, 2)
		var running, most, short atomic.Int64
		for range 5 {
			go func() {
				g := &credit{}
				b := budget{fuel: g, crowd: places}
				b.start(time.Hour, 1e12)
				for range 200 {
					if b.place {
						most.Store(max(most.Load(), running.Add(1)))
					} else {
						short.Add(1)
					}
					time.Sleep(turn)
					if b.place {
						running.Add(-1)
					}
					b.charge(fuelSlice + 1)
					b.yield(g)
				}
				b.end()
			}()
		}
		synctest.Wait()
		time.Sleep(time.Hour)
		synctest.Wait()
		if most.Load() != 2 {
			t.Errorf("%d long calls ran at once; there are 2 places", most.Load())
		}
		if n := short.Load(); n < 5*int64(longCall/turn) || n > 5*int64(longCall/turn+3) {
			t.Errorf("%d turns without a place; calls are short for %v", n, longCall)
		}
		if len(places) != 0 {
			t.Errorf("%d places were not given back", len(places))
		}
	})
}

func TestACallGivesItsPlaceBackHoweverItEnds(t *testing.T) {
	places := make(crowd, 1)
	g := &credit{}
	b := budget{fuel: g, crowd: places, place: true}
	places.enter()
	b.end()
	b.end()
	if len(places) != 0 || b.place {
		t.Error("the place is still taken")
	}
}
