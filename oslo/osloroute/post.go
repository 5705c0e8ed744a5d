package osloroute

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

// waitingFailures bounds how many failures wait to be sent while the broker
// cannot be reached.
const waitingFailures = 1024

// Post sends failures to callers whose messages reach nobody. It is best
// effort: nothing waits for it, what it has no room for is counted and dropped,
// and so is what no queue takes. It is safe for concurrent use. Close ends its
// goroutine.
type Post struct {
	sender router.Sender
	in     chan posted
	closed chan struct{} // closed when no more is to be taken
	once   sync.Once
	end    context.CancelFunc
	done   chan struct{} // closed when the goroutine has ended

	sent, unroutable, failed, overflow, refused atomic.Uint64
}

// posted is one failure on its way.
type posted struct {
	to      caller
	failure oslo.Failure
}

// PostStat counts failures at one moment.
type PostStat struct {
	Sent       uint64 // the caller's queue has them
	Unroutable uint64 // the caller's queue is gone
	Failed     uint64 // not taken by the broker for another reason
	Overflow   uint64 // too many at once
	Refused    uint64 // the request named a queue that the router may not reply to
}

// Add returns the sums of both.
func (s PostStat) Add(t PostStat) PostStat {
	return PostStat{s.Sent + t.Sent, s.Unroutable + t.Unroutable, s.Failed + t.Failed, s.Overflow + t.Overflow, s.Refused + t.Refused}
}

// NewPost returns a Post that sends with sender, and closes it when it ends.
func NewPost(sender router.Sender) *Post {
	ctx, end := context.WithCancel(context.Background())
	p := &Post{sender: sender, in: make(chan posted, waitingFailures), closed: make(chan struct{}), end: end, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.run(ctx)
		p.sender.Close()
	}()
	return p
}

// send answers a call with a failure, some time. It does not block.
func (p *Post) send(to caller, f oslo.Failure) {
	select {
	case <-p.closed:
		p.overflow.Add(1)
		return
	default:
	}
	select {
	case p.in <- posted{to, f}:
	default:
		p.overflow.Add(1)
	}
}

// wait answers a call with a failure, as soon as there is room for it. Once ctx
// has ended it does not wait for that.
func (p *Post) wait(ctx context.Context, to caller, f oslo.Failure) {
	select {
	case p.in <- posted{to, f}:
	case <-ctx.Done():
		p.send(to, f)
	case <-p.closed:
		p.overflow.Add(1)
	}
}

func (p *Post) run(ctx context.Context) {
	var open sync.WaitGroup // receipts
	defer open.Wait()
	for {
		select {
		case one := <-p.in:
			p.deliver(ctx, one, &open)
			continue
		default:
		}
		select {
		case one := <-p.in:
			p.deliver(ctx, one, &open)
		case <-p.closed:
			if len(p.in) == 0 {
				return
			}
		}
	}
}

func (p *Post) deliver(ctx context.Context, one posted, open *sync.WaitGroup) {
	reply := oslo.Reply{MsgID: one.to.id, UniqueID: oslo.NewID(), Failure: &one.failure, Ending: true}
	env := sealReply(&reply)
	open.Add(1)
	if err := p.sender.Send(ctx, router.Target{Kind: router.TargetQueue, Queue: one.to.queue}, &env, &receipt{p, open}); err != nil {
		(&receipt{p, open}).Settle(err)
	}
}

type receipt struct {
	p    *Post
	open *sync.WaitGroup
}

// Settle implements [router.Receipt].
func (r *receipt) Settle(err error) {
	switch {
	case err == nil:
		r.p.sent.Add(1)
	case errors.Is(err, router.ErrUnroutable):
		r.p.unroutable.Add(1)
	default:
		r.p.failed.Add(1)
	}
	r.open.Done()
}

// Close sends what was taken so far, at most until ctx ends, and frees the
// sender. What comes later is dropped.
func (p *Post) Close(ctx context.Context) {
	p.once.Do(func() { close(p.closed) })
	defer p.end()
	select {
	case <-p.done:
		return
	case <-ctx.Done():
	}
	p.end()          // a Send that waits gives up
	p.sender.Close() // and so does whoever waits for a receipt
	<-p.done
}

// Stat returns the counts.
func (p *Post) Stat() PostStat {
	return PostStat{p.sent.Load(), p.unroutable.Load(), p.failed.Load(), p.overflow.Load(), p.refused.Load()}
}
