package wasmhost

import (
	"math"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// fuelSlice is how much fuel a guest gets before the host looks at the clock
// again and lets other goroutines and the garbage collector have their turn:
// 0.2 to 1 ms of running.
const fuelSlice = 100_000

// epoch makes a monotonic clock out of time.Since, which reads less than
// time.Now does.
var epoch = time.Now()

func monotonic() time.Duration { return time.Since(epoch) }

// budget bounds one call into a guest. The metered module counts its fuel down
// in a global of its own and calls yield when it is gone.
type budget struct {
	fuel     api.MutableGlobal
	left     int64         // fuel not handed out yet
	limit    time.Duration // how long the call may run
	deadline time.Duration // on the monotonic clock; 0 until the first yield
}

// start begins a call that may run for limit and burn fuel. The clock is first
// read when the first slice of fuel is gone: short calls never pay for it.
func (b *budget) start(limit time.Duration, fuel int64) {
	slice := min(fuel, fuelSlice)
	b.limit, b.deadline = limit, 0
	b.left = fuel - slice
	if b.fuel != nil { // nil while the start function runs
		b.fuel.Set(uint64(slice))
	}
}

// startUnmetered begins a call that only the clock bounds.
func (b *budget) startUnmetered(limit time.Duration) {
	b.start(limit, math.MaxInt64)
}

// yield is called from the guest when its fuel is below zero. It ends the call
// by a panic when the budget is used up. The time in which others ran is not
// the guest's.
func (b *budget) yield(fuel api.MutableGlobal) {
	now := monotonic()
	if b.deadline == 0 {
		b.deadline = now + b.limit
	}
	if now > b.deadline {
		panic(errTime)
	}
	owed := int64(fuel.Get())
	slice := min(b.left, fuelSlice)
	if owed < -fuelSlice { // one bulk operation may overdraw
		slice = min(b.left, fuelSlice-owed)
	}
	if slice <= 0 || owed+slice < 0 {
		panic(errFuel)
	}
	b.left -= slice
	fuel.Set(uint64(owed + slice))

	runtime.Gosched()
	b.deadline += monotonic() - now
}

// charge makes the guest pay for work that the host does for it, so that a loop
// of host calls reaches its next yield as soon as any other loop.
func (b *budget) charge(units int64) {
	if b.fuel != nil {
		b.fuel.Set(uint64(int64(b.fuel.Get()) - units))
	}
}
