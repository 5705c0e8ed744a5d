package wasmhost

import (
	"runtime"
	"time"
)

// longCall is how long a call runs before it has to share a place in the crowd.
const longCall = 2 * time.Millisecond

// crowd is the places of guests whose calls take long. There is one processor
// fewer of them than the process has: while guests keep all of them busy, the
// Go runtime looks at the network only every 10 ms, and messages of every route
// would wait for that.
type crowd chan struct{}

func newCrowd() crowd { return make(crowd, max(1, runtime.GOMAXPROCS(0)-1)) }

// enter waits for a place.
func (c crowd) enter() { c <- struct{}{} }

// leave gives the place to who waits longest.
func (c crowd) leave() { <-c }
