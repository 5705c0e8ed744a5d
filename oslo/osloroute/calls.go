package osloroute

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/oslo"
)

// A call whose time is up ends with the failure that oslo.messaging's own
// clients end it with.
const (
	ClassTimeout  = "MessagingTimeout"
	ModuleTimeout = "oslo_messaging.exceptions"
)

// keptEnded is how many calls that have ended are remembered, so that a reply
// which the broker delivers again, because its acknowledgement was lost, finds
// its caller once more. As many can be unacknowledged at once, and some.
const keptEnded = 1024

// errBusy: there are as many calls as there may be.
var errBusy = errors.New("too many calls wait for a reply")

// CallsConfig describes the calls of one route.
type CallsConfig struct {
	// Route is the route's name, which failures tell.
	Route string
	// Queue is where replies come to.
	Queue string
	// Post takes the failures of calls that nobody answers in time. The Calls
	// close it. Required.
	Post *Post
}

// Calls are the calls that a route makes in its own name: which of them is whose,
// until the last reply to it has been relayed or its time is up. An entry takes
// less than 300 bytes. Its methods are safe for concurrent use. Close ends its
// goroutine.
type Calls struct {
	cfg   CallsConfig
	began time.Time     // the zero of deadlines, which no step of the wall clock moves
	wake  chan struct{} // holds one token: an earlier deadline, or all is quiet
	end   context.CancelFunc
	done  chan struct{}

	mu      sync.Mutex // protects the fields below
	pending map[callID]*pendingCall
	due     dueHeap
	ended   map[callID]caller // the last of them
	ring    [keptEnded]callID // in the order of ending
	next    int               // the oldest in ring
	users   int               // lanes that may add calls
	quiet   chan struct{}     // closed when neither users nor calls are left; nil while nobody waits

	relayed, keepAlives, late, timeouts, busy, stopped atomic.Uint64
}

type callID [16]byte

// pendingCall is one call.
type pendingCall struct {
	id       callID
	to       caller
	deadline time.Duration // since the calls began
	again    time.Duration // each keep-alive gives it as long; 0: its deadline is the caller's own
	tell     bool          // the caller is to learn that its time is up
	place    int           // in the heap
}

// CallsStat counts calls at one moment.
type CallsStat struct {
	Pending    int
	Relayed    uint64 // last replies passed on to their callers
	KeepAlives uint64 // other replies passed on
	Late       uint64 // replies to no call that waits, dropped
	Timeouts   uint64 // calls that nobody answered in time
	Busy       uint64 // calls refused because there were too many
	Stopped    uint64 // calls given up because the route ended
	Failures   PostStat
}

// NewCalls starts the table of a route's calls.
func NewCalls(cfg CallsConfig) *Calls {
	ctx, end := context.WithCancel(context.Background())
	c := &Calls{
		cfg: cfg, began: time.Now(), wake: make(chan struct{}, 1), end: end, done: make(chan struct{}),
		pending: make(map[callID]*pendingCall), ended: make(map[callID]caller),
	}
	go func() {
		defer close(c.done)
		c.run(ctx)
	}()
	return c
}

// Queue returns the queue that replies come to.
func (c *Calls) Queue() string { return c.cfg.Queue }

// Stat returns the counts.
func (c *Calls) Stat() CallsStat {
	c.mu.Lock()
	n := len(c.pending)
	c.mu.Unlock()
	return CallsStat{
		n, c.relayed.Load(), c.keepAlives.Load(), c.late.Load(), c.timeouts.Load(),
		c.busy.Load(), c.stopped.Load(), c.cfg.Post.Stat(),
	}
}

// idOf is the id under which a call is made in the route's name. It is the same
// each time, so that a request that is sent again is the same call.
func idOf(to caller) string { return deriveID(to.queue, to.id) }

func parseID(id string) (key callID, ok bool) {
	if len(id) != hex.EncodedLen(len(key)) {
		return key, false
	}
	_, err := hex.Decode(key[:], []byte(id))
	return key, err == nil
}

// terms are how long and how many calls may wait.
type terms struct {
	max      int
	deadline time.Time     // the caller's own, with a monotonic reading; zero if it named none
	timeout  time.Duration // else from now, and from each keep-alive
	tell     bool
}

// add makes a call, or gives one that is made already new terms, and returns
// its id. The error is errBusy.
func (c *Calls) add(to caller, t terms) (string, error) {
	id := idOf(to)
	key, _ := parseID(id)
	call := &pendingCall{id: key, to: to, deadline: t.deadline.Sub(c.began), tell: t.tell}
	if t.deadline.IsZero() {
		call.deadline, call.again = time.Since(c.began)+t.timeout, t.timeout
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.pending[key]; ok {
		old.deadline, old.again, old.tell = call.deadline, call.again, call.tell
		heap.Fix(&c.due, old.place)
		c.signal()
		return id, nil
	}
	if len(c.pending) >= t.max {
		c.busy.Add(1)
		return "", errBusy
	}
	c.pending[key] = call
	heap.Push(&c.due, call)
	if call.place == 0 {
		c.signal()
	}
	return id, nil
}

// find returns whose call a reply is to. One that the broker delivers again may
// be to a call that has ended.
func (c *Calls) find(id string, again bool) (caller, bool) {
	key, ok := parseID(id)
	if !ok {
		return caller{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if call, ok := c.pending[key]; ok {
		return call.to, true
	}
	to, ok := c.ended[key]
	return to, ok && again
}

// replied notes that a reply has been passed on.
func (c *Calls) replied(id string, last bool) {
	key, _ := parseID(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	call, ok := c.pending[key]
	switch {
	case !ok: // it was delivered again
	case last:
		c.remove(call)
		delete(c.ended, c.ring[c.next])
		c.ring[c.next], c.ended[key] = key, call.to
		c.next = (c.next + 1) % keptEnded
		c.relayed.Add(1)
	default:
		c.keepAlives.Add(1)
		if call.again > 0 {
			call.deadline = time.Since(c.began) + call.again
			heap.Fix(&c.due, call.place)
		}
	}
}

// forget ends a call that was not sent, or whose reply is lost, and returns
// whether there was one.
func (c *Calls) forget(id string) bool {
	key, _ := parseID(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	call, ok := c.pending[key]
	if ok {
		c.remove(call)
	}
	return ok
}

// remove takes a call off the table. c.mu is held.
func (c *Calls) remove(call *pendingCall) {
	delete(c.pending, call.id)
	heap.Remove(&c.due, call.place)
	c.settle()
}

// settle tells whoever waits for it that nothing is left. c.mu is held.
func (c *Calls) settle() {
	if c.quiet != nil && c.users == 0 && len(c.pending) == 0 {
		close(c.quiet)
		c.quiet = nil
	}
}

// use notes that a lane may add calls from now on, or no longer.
func (c *Calls) use(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users += n
	c.settle()
}

func (c *Calls) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run ends calls whose time is up.
func (c *Calls) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		call, wait := c.overdue()
		if call != nil {
			c.timeouts.Add(1)
			if call.tell {
				c.cfg.Post.wait(ctx, call.to, oslo.Failure{
					Class: ClassTimeout, Module: ModuleTimeout,
					Message: fmt.Sprintf("route %s: no reply in time", c.cfg.Route),
				})
			}
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-timer.C:
		}
	}
}

// overdue takes a call off the table whose time is up; with none it returns how
// long it takes until there may be one.
func (c *Calls) overdue() (*pendingCall, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.due) == 0 {
		return nil, time.Hour
	}
	call := c.due[0]
	if wait := call.deadline - time.Since(c.began); wait > 0 {
		return nil, wait
	}
	c.remove(call)
	return call, 0
}

// Drain waits until no lane can add calls and all have ended, at most until ctx
// ends. Those that are left then end with a failure.
func (c *Calls) Drain(ctx context.Context) {
	quiet := make(chan struct{})
	c.mu.Lock()
	c.quiet = quiet
	c.settle()
	c.mu.Unlock()
	select {
	case <-quiet:
		return
	case <-ctx.Done():
	}
	c.mu.Lock()
	c.quiet = nil
	left := c.due
	c.due = nil
	clear(c.pending)
	c.mu.Unlock()
	for _, call := range left {
		c.stopped.Add(1)
		if call.tell {
			c.cfg.Post.wait(ctx, call.to, oslo.Failure{
				Class: ClassStopped, Module: Module,
				Message: fmt.Sprintf("route %s: the router stopped before the reply came", c.cfg.Route),
			})
		}
	}
}

// Close ends what is left as Drain does, sends the failures that callers are
// still to get, at most until ctx ends, and frees everything.
func (c *Calls) Close(ctx context.Context) {
	now, cancel := context.WithCancel(ctx)
	cancel()
	c.Drain(now)
	c.end()
	<-c.done
	c.cfg.Post.Close(ctx)
}

// dueHeap holds calls, the one whose time is up first in front.
type dueHeap []*pendingCall

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return cmp.Less(h[i].deadline, h[j].deadline) }

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements [heap.Interface].
func (h *dueHeap) Push(x any) {
	call := x.(*pendingCall)
	call.place = len(*h)
	*h = append(*h, call)
}

// Pop implements [heap.Interface].
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	call := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return call
}
