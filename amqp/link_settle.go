package amqp

import (
	"errors"
	"fmt"
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

// run settles publishes until the link ends, and closes its channel.
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
	refusals, slow := 0, false
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
		switch {
		case acked:
			refusals = 0
			l.conn.hears()
		case l.conn.gate.clock()-p.at > slowRefusal:
			refusals = maxRefusals
			if !slow { // a channel counts once
				l.conn.deaf()
			}
			slow = true
		default:
			refusals++
			l.conn.hears()
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
