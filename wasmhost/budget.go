package wasmhost

import (
	"runtime"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// fuelSlice is how much fuel a guest gets before the host looks at the clock
// again. Native code cannot be interrupted: until then the garbage collector,
// and with it the process, may have to wait. A slice is some 10 us of ordinary
// code, and some 20 ms of code that does nothing but miss the caches.
const fuelSlice = 4000

// longestSlice is the most time that one slice is charged for. What is beyond it
// was not the guest's: the operating system ran something else, or had used up
// what the process may have.
const longestSlice = 10 * time.Millisecond

// copiesPerLook is how many bytes are copied between two looks at the clock.
const copiesPerLook = 512 << 10

// turn is how long a guest runs before others have theirs.
const turn = 100 * time.Microsecond

// epoch makes a monotonic clock out of time.Since, which reads less than
// time.Now does.
var epoch = time.Now()

func monotonic() time.Duration { return time.Since(epoch) }

// budget bounds one call into a guest. The metered module counts its fuel down
// in a global of its own and calls yield when it is gone.
type budget struct {
	fuel  api.MutableGlobal
	total int64         // fuel of the call
	left  int64         // fuel not handed out yet
	limit time.Duration // how long the call may run
	spent time.Duration // how long it has run

	crowd crowd
	place bool // the call has a place in the crowd

	copies int // bytes copied since the clock was read on account of them

	// On the monotonic clock; 0 until the first yield.
	slice time.Duration // when the slice began
	turn  time.Duration // when the turn began
	most  time.Duration // that the slice is charged for
}

// start begins a call that may run for limit and burn fuel. The clock is first
// read when the first slice of fuel is gone: short calls never pay for it.
func (b *budget) start(limit time.Duration, fuel int64) {
	b.limit, b.spent, b.slice = limit, 0, 0
	b.total, b.left, b.copies = fuel, fuel, 0
	slice := min(fuel, fuelSlice)
	b.left -= slice
	b.fuel.Set(uint64(slice))
}

// yield is called from the guest when its fuel is below zero. It ends the call
// by a panic when the budget is used up.
func (b *budget) yield(fuel api.MutableGlobal) {
	now := b.look()
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

	b.most = longestSlice * time.Duration(max(1, slice/fuelSlice))
	b.share(now)
}

// look reads the clock and ends the call by a panic when its time is over. The
// time in which others ran is not the guest's.
func (b *budget) look() time.Duration {
	now := monotonic()
	if b.slice == 0 {
		b.turn, b.most = now, longestSlice
	} else {
		b.spent += min(now-b.slice, b.most)
	}
	if b.spent > b.limit {
		panic(errTime)
	}
	return now
}

// share lets others run when the turn is over, and begins another slice of time.
func (b *budget) share(now time.Duration) {
	if now-b.turn >= turn {
		b.giveWay()
		now = monotonic()
		b.turn = now
	}
	b.slice = now
}

// copied notes bytes that were copied on the guest's behalf. Their number depends
// on what the stack has been through, so they are no fuel, but they take time.
func (b *budget) copied(n int) {
	if b.copies += n; b.copies >= copiesPerLook {
		b.copies = 0
		b.share(b.look())
	}
}

// used returns the fuel that the last call has burned.
func (b *budget) used() int64 {
	return b.total - b.left - int64(b.fuel.Get())
}

// giveWay lets others run. A long call goes on once it has a place in the crowd.
func (b *budget) giveWay() {
	b.end()
	runtime.Gosched()
	if b.spent >= longCall {
		b.crowd.enter()
		b.place = true
	}
}

// end gives back what the call holds.
func (b *budget) end() {
	if b.place {
		b.crowd.leave()
		b.place = false
	}
}

// charge makes the guest pay for work that the host does for it, so that a loop
// of host calls reaches its next yield as soon as any other loop.
func (b *budget) charge(units int64) {
	b.fuel.Set(uint64(int64(b.fuel.Get()) - units))
}
