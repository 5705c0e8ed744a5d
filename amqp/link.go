package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/router"
)

// link is a channel in confirm mode: what the pool holds. One sender at a time
// publishes on it. Its goroutine settles the publishes in their order.
type link struct {
	b       *Broker
	conn    *conn
	ch      *amqp091.Channel
	closes  chan *amqp091.Error
	returns chan amqp091.Return

	work chan struct{} // a publish was finished or aborted
	room chan struct{} // a publish was settled while wanting was set
	stop chan struct{} // closed by kill
	done chan struct{} // closed when everything is settled; the link is dead

	killOnce sync.Once
	suspects int  // left by an exception that nobody could be blamed for; read after done
	stray    bool // a return fits no publish, so that any may be the returned one; run's own

	// mu protects the fields below. It is not held while publishing nor while
	// a receipt is settled.
	mu      sync.Mutex
	ring    []pending
	head, n int
	seen    int // entries from the head that returns have been matched past
	bytes   int
	wanting bool
	dead    bool
	proofs  proofs
}

// pending is a publish that the broker has not answered.
type pending struct {
	dc       *amqp091.DeferredConfirmation // nil while it is being published
	receipt  router.Receipt
	env      *router.Envelope
	exchange string
	key      string
	at       time.Duration // by the gate's clock
	returned string        // the broker's reason, if it returned the message
	suspect  bool          // its exchange is among the suspects
	probe    bool          // nothing follows it to its address until it is settled
}

// openLink opens a channel on the send connection, waiting for that.
func (b *Broker) openLink(ctx context.Context) (*link, error) {
	for {
		c, err := b.supply.get(ctx)
		if err != nil {
			return nil, err
		}
		l, err := b.openLinkOn(ctx, c)
		if err == nil || !c.ends(ctx, err) {
			return l, err
		}
	}
}

func (b *Broker) openLinkOn(ctx context.Context, c *conn) (*link, error) {
	l := &link{
		b: b, conn: c,
		// A return that found no room would be dropped, and its publish pass
		// for a success.
		returns: make(chan amqp091.Return, b.cfg.MaxInFlight+1),
		closes:  make(chan *amqp091.Error, 1),
		work:    make(chan struct{}, 1),
		room:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
		ring:    make([]pending, b.cfg.MaxInFlight),
		proofs:  newProofs(),
	}
	var err error
	l.ch, err = c.channel(ctx, func(ch *amqp091.Channel) error { return ch.Confirm(false) })
	if err != nil {
		return nil, fmt.Errorf("open a channel: %w", err)
	}
	l.ch.NotifyReturn(l.returns)
	l.ch.NotifyClose(l.closes)
	if !c.tasks.run(l.run) {
		return nil, errDead
	}
	return l, nil
}

var errDead = errors.New("channel is gone")

// await returns when there is room for a message of that size, or errDead, or
// ctx's error. Without others in flight there is room for any size.
func (l *link) await(ctx context.Context, size, limit int) error {
	for {
		l.mu.Lock()
		if l.dead {
			l.mu.Unlock()
			return errDead
		}
		if l.n < limit && (l.n == 0 || l.bytes+size <= l.b.cfg.MaxInFlightBytes) {
			l.mu.Unlock()
			return nil
		}
		l.wanting = true
		l.mu.Unlock()
		select {
		case <-l.room:
		case <-l.done:
			return errDead
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// begin notes a publish before it is made, so that its return finds it.
func (l *link) begin(p pending) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return false
	}
	p.probe = l.proofs.begin(address{p.exchange, p.key})
	l.ring[(l.head+l.n)%len(l.ring)] = p
	l.n++
	l.bytes += len(p.env.Body)
	l.b.count.inFlightBytes.Add(int64(len(p.env.Body)))
	return true
}

// finish hands the last begun publish to the settling goroutine; with a nil dc
// it was not published, and is forgotten.
func (l *link) finish(dc *amqp091.DeferredConfirmation) {
	l.mu.Lock()
	p := &l.ring[(l.head+l.n-1)%len(l.ring)]
	p.dc = dc
	if dc == nil {
		l.bytes -= len(p.env.Body)
		l.b.count.inFlightBytes.Add(-int64(len(p.env.Body)))
		if p.probe {
			l.proofs.settle(address{p.exchange, p.key}, false)
		}
		*p = pending{}
		l.n--
	}
	first := l.n == 1 || dc == nil || l.dead
	l.mu.Unlock()
	if first { // else the goroutine finds it after its predecessor
		select {
		case l.work <- struct{}{}:
		default:
		}
	}
}

// idle reports whether nothing is in flight.
func (l *link) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n == 0 && !l.dead
}

// closeIfLast has the link take no further publish if one at most is in flight, and
// reports whether that is so.
func (l *link) closeIfLast() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n > 1 {
		return false
	}
	l.dead = true
	return true
}

// ask has the link end; what is in flight is settled as unconfirmed.
func (l *link) ask() { l.killOnce.Do(func() { close(l.stop) }) }

// kill ends the link and returns when everything is settled.
func (l *link) kill() {
	l.ask()
	<-l.done
}

// first returns the oldest publish, or nil if there is none that has been
// finished. Only the settling goroutine removes finished ones.
func (l *link) first() *pending {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == 0 {
		return nil
	}
	if p := &l.ring[l.head]; p.dc != nil {
		return p
	}
	return nil
}

func (l *link) at(i int) *pending { return &l.ring[(l.head+i)%len(l.ring)] }
