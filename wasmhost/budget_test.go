package wasmhost

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// credit is the fuel global of a guest that is not there.
type credit struct {
	api.MutableGlobal
	value uint64
}

func (c *credit) Get() uint64  { return c.value }
func (c *credit) Set(v uint64) { c.value = v }

func TestTimeOfACall(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name   string
		slices []time.Duration // the first one is not measured
		used   int64           // fuel for each
		ended  bool
	}{
		{"within", []time.Duration{ms, 9 * ms, 9 * ms, 9 * ms, 9 * ms, 9 * ms}, fuelSlice + 1, false},
		{"over", []time.Duration{ms, 9 * ms, 9 * ms, 9 * ms, 9 * ms, 9 * ms, 9 * ms}, fuelSlice + 1, true},
		{"the process stood still", []time.Duration{ms, time.Second, time.Second, ms}, fuelSlice + 1, false},
		{"a large operation", []time.Duration{ms, time.Second, time.Second, ms}, 100 * fuelSlice, true},
		{"always slow", []time.Duration{ms, 30 * ms, 30 * ms, 30 * ms, 30 * ms, 30 * ms, 30 * ms}, fuelSlice + 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &credit{}
				b := budget{fuel: g, crowd: newCrowd()}
				b.start(50*ms, 1e9)
				defer func() {
					r := recover()
					err, _ := r.(error)
					if ended := errors.Is(err, errTime); ended != c.ended || r != nil && !ended {
						t.Errorf("ended with %v", r)
					}
				}()
				for _, d := range c.slices {
					b.charge(c.used)
					time.Sleep(d)
					b.yield(g)
				}
			})
		})
	}
}

// What is copied on the guest's behalf takes time but no fuel.
func TestTimeOfCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &credit{}
		b := budget{fuel: g, crowd: newCrowd()}
		b.start(20*time.Millisecond, 1e9)
		defer func() {
			if r := recover(); r != errTime { //nolint:errorlint // the very value
				t.Errorf("ended with %v", r)
			}
			if got := b.used(); got != 0 {
				t.Errorf("%d units of fuel", got)
			}
		}()
		for range 10 {
			b.copied(copiesPerLook)
			time.Sleep(5 * time.Millisecond)
		}
		t.Error("not ended")
	})
}
