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

// confirmTick is the shortest wait between two looks at a confirm that is
// nearly due. While the broker has blocked the connection it gets no nearer.
const confirmTick = 100 * time.Millisecond

// maxRefusals is how many publishes in a row a channel may refuse before another is
// tried. A channel of RabbitMQ 3.10 to which a quorum queue's leader was lost may refuse
// for ever what a new one takes.
const maxRefusals = 5

// slowRefusal is how long a refusal may take before another channel is tried at once. A
// queue that is full refuses without a wait; a broker that has looked for the leader of a
// quorum queue on a node that it cannot reach refuses after 7 s, each time anew, while a
// new channel would find the leader.
const slowRefusal = 2 * time.Second

var errRefuses = errors.New("the broker refuses what is published on it")

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

func (l *link) run() {
	cause := l.settleAll()
	l.end(cause)
	close(l.done)
	_ = l.ch.Close() // an error means that it is closed already
}

// settleAll settles publishes as the broker answers until the link must end,
// and returns why.
func (l *link) settleAll() error {
	timeout := l.b.cfg.ConfirmTimeout
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	refusals := 0
	for {
		p := l.first()
		if p == nil {
			select {
			case <-l.work:
			case e := <-l.closes:
				return l.lost(e)
			case <-l.stop:
				return errDead
			}
			continue
		}
		select {
		case <-p.dc.Done():
		default:
			select {
			case <-p.dc.Done():
			case <-l.stop:
				return errDead
			case <-timer.C:
				left := timeout - (l.conn.gate.clock() - p.at)
				if left <= 0 {
					l.conn.deaf()
					return fmt.Errorf("the broker did not answer within %v", timeout)
				}
				timer.Reset(max(left, confirmTick))
				continue
			}
		}
		acked := p.dc.Acked()
		if !acked && l.ch.IsClosed() {
			return l.lost(<-l.closes)
		}
		if err := l.match(); err != nil {
			return err
		}
		var err error
		switch {
		case p.returned != "":
			err = fmt.Errorf("%w: %s", router.ErrUnroutable, p.returned)
		case !acked:
			err = fmt.Errorf("%w: %s", router.ErrNacked, where(p.exchange, p.key))
		}
		if !acked && l.conn.gate.clock()-p.at > slowRefusal {
			refusals = maxRefusals
			l.conn.deaf()
		} else {
			refusals++
			l.conn.hears()
		}
		if acked {
			refusals = 0
		}
		last := refusals >= maxRefusals && l.closeIfLast()
		l.settle(p, err)
		if last {
			return errRefuses
		}
	}
}

// lost returns why the channel was closed: e, or if there is none, the end of
// the connection.
func (l *link) lost(e *amqp091.Error) error {
	if e != nil {
		return e
	}
	return errDead
}

// settle takes the head off and settles it.
func (l *link) settle(p *pending, err error) {
	receipt, probe, to := p.receipt, p.probe, address{p.exchange, p.key}
	size := len(p.env.Body)
	if p.suspect && speaksFor(err) {
		l.b.suspects.clear(p.exchange)
	}
	n := &l.b.count
	n.inFlightBytes.Add(-int64(size))
	switch {
	case err == nil:
		n.confirmed.Add(1)
	case errors.Is(err, router.ErrUnroutable):
		n.returned.Add(1)
	case errors.Is(err, router.ErrNacked):
		n.nacked.Add(1)
	case errors.Is(err, router.ErrUnconfirmed):
		n.unconfirmed.Add(1)
	default:
		n.refused.Add(1)
	}
	l.mu.Lock()
	*p = pending{}
	l.head = (l.head + 1) % len(l.ring)
	l.n--
	l.seen = max(0, l.seen-1)
	l.bytes -= size
	wake := l.wanting
	l.wanting = false
	l.mu.Unlock()
	if wake {
		select {
		case l.room <- struct{}{}:
		default:
		}
	}
	receipt.Settle(err)
	if probe { // after the receipt: it may end the ctx of the Send that waits
		l.mu.Lock()
		l.proofs.settle(to, !errors.Is(err, router.ErrNacked))
		l.mu.Unlock()
	}
}

// end settles everything that is left after the link was lost for cause.
func (l *link) end(cause error) {
	l.mu.Lock()
	l.dead = true
	for l.n > 0 && l.ring[(l.head+l.n-1)%len(l.ring)].dc == nil { // being published
		l.mu.Unlock()
		<-l.work
		l.mu.Lock()
	}
	left := l.n
	l.mu.Unlock()
	if err := l.match(); err != nil { // what was returned is returned, whatever came after
		cause = err
	}

	open := 0
	for i := range left {
		if p := l.at(i); !p.dc.Acked() && p.returned == "" {
			open++
		}
	}
	var exception *amqp091.Error
	blamed := errors.As(cause, &exception) && exception.Server && l.blame(exception, left, open)
	for range left {
		p := l.at(0)
		var err error
		switch {
		case p.returned != "":
			err = fmt.Errorf("%w: %s", router.ErrUnroutable, p.returned)
		case p.dc.Acked() && !l.stray:
		case blamed && culprit(exception, p.exchange, p.key, open) != nil:
			err = culprit(exception, p.exchange, p.key, open)
		default:
			err = fmt.Errorf("%w: %w", router.ErrUnconfirmed, cause)
		}
		l.settle(p, err)
	}
}

func (l *link) at(i int) *pending { return &l.ring[(l.head+i)%len(l.ring)] }

// blame reports whether some publish can be blamed for the exception. If it
// was caused by one of many and does not say which, the sender is told to
// publish as many one at a time, so that the next exception names it.
func (l *link) blame(e *amqp091.Error, left, open int) bool {
	if !e.Recover { // the connection's, or not caused by a publish
		return false
	}
	for i := range left {
		if p := l.at(i); !p.dc.Acked() && p.returned == "" && culprit(e, p.exchange, p.key, open) != nil {
			if refusesExchange(e) {
				l.b.suspects.mark(p.exchange)
			}
			return true
		}
	}
	l.suspects = 2 * open
	return false
}
