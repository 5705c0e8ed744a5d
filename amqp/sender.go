package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/pool"
	"github.com/wasmrouter/router/router"
)

// Sender returns a sender with a confirm-mode channel of its own. The channel
// is opened by the first Send, and replaced by the next Send after a loss;
// Send waits for that as long as its ctx lasts. Name is for logs.
//
// When a channel is lost, every receipt of it is settled before anything is
// published on the next one, and ctx is looked at once more in between: a
// caller that ends the ctx of a running Send from such a receipt knows that
// nothing overtakes what it has to send again.
func (b *Broker) Sender(name string) router.Sender {
	s := &sender{b: b, name: name}
	s.ctx, s.cancel = context.WithCancelCause(b.sendCtx)
	b.mu.Lock()
	b.senders[s] = struct{}{}
	b.mu.Unlock()
	return s
}

type sender struct {
	b      *Broker
	name   string
	busy   atomic.Bool // a Send is running
	serial int         // so many publishes still go one at a time; Send's own
	apart  string      // the suspect that the last publish went to; Send's own

	ctx    context.Context // ended by Close, with mu held
	cancel context.CancelCauseFunc

	// mu protects lease.
	mu    sync.Mutex
	lease *pool.Lease[*link]
}

// Send implements [router.Sender].
func (s *sender) Send(ctx context.Context, target router.Target, env *router.Envelope, receipt router.Receipt) error {
	p := pending{receipt: receipt, env: env}
	p.exchange, p.key = target.Address()
	if err := s.check(target, p, frameSize); err != nil {
		return err
	}
	s.busy.Store(true)
	defer s.busy.Store(false)
	for {
		l, err := s.link(ctx)
		if err != nil {
			return err
		}
		err = s.sendOn(ctx, l, target, p)
		if !errors.Is(err, errDead) {
			return err
		}
		<-l.done
	}
}

func (s *sender) check(target router.Target, p pending, frame int) error {
	err := check(target, p.exchange, p.key, p.env, frame, s.b.cfg.AllowCC)
	if err != nil {
		s.b.count.unsendable.Add(1)
	}
	return err
}

func (s *sender) sendOn(ctx context.Context, l *link, target router.Target, p pending) error {
	if size := l.conn.lib.Config.FrameSize; size != frameSize {
		if err := s.check(target, p, size); err != nil {
			return err
		}
	}
	if target.Kind == router.TargetNotify {
		if err := s.b.ensureNotify(ctx, l.conn, p.exchange, p.key); err != nil {
			return err
		}
	}
	limit := s.b.cfg.MaxInFlight
	var apart string
	if p.suspect = s.b.suspects.has(p.exchange); p.suspect {
		apart = "suspect " + p.exchange // whose name may be empty
	}
	if s.serial > 0 || apart != s.apart {
		limit = 1
	}
	if err := l.await(ctx, len(p.env.Body), limit); err != nil {
		return err
	}
	if err := l.prove(ctx, address{p.exchange, p.key}); err != nil {
		return err
	}
	if err := l.conn.gate.wait(ctx, l.done); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.apart = apart
	p.at = l.conn.gate.clock()
	if !l.begin(p) {
		return errDead
	}
	dc, err := l.ch.PublishWithDeferredConfirm(p.exchange, p.key, mandatory(p.exchange, p.key), false, publishing(p.env, l.conn.user))
	if err != nil {
		l.finish(nil)
		return errDead
	}
	l.b.count.published.Add(1)
	l.finish(dc)
	if s.serial > 0 {
		s.serial--
	}
	return nil
}

// link returns the sender's link, a new one if it has none or a dead one.
func (s *sender) link(ctx context.Context) (*link, error) {
	s.mu.Lock()
	lease := s.lease
	s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil, s.errClosed()
	}
	if lease != nil {
		l := lease.Item()
		if l == nil { // Close was called just now
			return nil, s.errClosed()
		}
		select {
		case <-l.done:
		default:
			return l, nil
		}
		s.serial = max(s.serial, l.suspects)
		s.mu.Lock()
		if s.lease == lease {
			s.lease = nil
		}
		s.mu.Unlock()
		lease.Discard()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })()
	lease, err := s.b.pool.Acquire(ctx)
	if err != nil {
		switch why := errors.Unwrap(err); {
		case s.ctx.Err() != nil || errors.Is(err, pool.ErrClosed):
			return nil, s.errClosed()
		case why != nil: // of openLink, which knows what it waited for
			return nil, why
		}
		return nil, context.Cause(ctx) // it waited in line
	}
	l := lease.Item() // before Close can end the lease
	s.mu.Lock()
	closed := s.ctx.Err() != nil
	if !closed {
		s.lease = lease
	}
	s.mu.Unlock()
	if closed {
		lease.Release()
		return nil, s.errClosed()
	}
	return l, nil
}

func (s *sender) errClosed() error {
	return fmt.Errorf("sender %s: %w", s.name, router.ErrClosed)
}

// Close implements [router.Sender]. It does not wait for the broker; only a
// Send that is held up inside a write keeps the receipts open for longer than
// two seconds.
func (s *sender) Close() {
	s.mu.Lock()
	s.cancel(s.errClosed())
	lease := s.lease
	s.lease = nil
	s.mu.Unlock()
	s.b.mu.Lock()
	delete(s.b.senders, s)
	s.b.mu.Unlock()
	if lease == nil {
		return
	}
	l := lease.Item()
	if l.idle() && !s.busy.Load() {
		lease.Release()
		return
	}
	l.ask()
	late := time.NewTimer(closeTimeout)
	defer late.Stop()
	select {
	case <-l.done:
	case <-late.C:
		if l.conn.tasks.run(lease.Discard) {
			return
		}
	}
	lease.Discard()
}
