package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wasmrouter/router/router"
)

// refusedPause is the shortest pause after the broker has refused a login or a
// declaration: trying quickly would only look like an attack.
const refusedPause = 5 * time.Second

// NoWait returns a ctx with which [Broker.Declare] and a Sender's Send do not
// wait for a connection: without one they fail at once, with an error that
// wraps [router.ErrDisconnected] and says why there is none.
func NoWait(ctx context.Context) context.Context { return context.WithValue(ctx, noWait{}, true) }

type noWait struct{}

// supply keeps one connection: that for sending, or that of the listeners which
// share one. One goroutine dials, declares the topology if it is for sending,
// and dials again after a loss; everybody else asks for the connection of the
// moment.
type supply struct {
	b      *Broker
	line   line
	listen bool // it is the listeners'

	// mu protects the fields below.
	mu      sync.Mutex
	started bool
	cur     *conn
	tries   uint64 // that have ended
	err     error  // of the last try; beside cur, why the topology is not all declared
	changed chan struct{}
}

// state returns the connection of the moment, if any, and a channel that is
// closed at the next change. It starts the goroutine when first called.
func (s *supply) state() (c *conn, tries uint64, changed <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		s.started = true
		if !s.b.sending.run(s.run) {
			s.err = router.ErrClosed
		}
	}
	return s.cur, s.tries, s.changed, s.err
}

func (s *supply) set(c *conn, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cur, s.err = c, err
	if c != nil || err != nil {
		s.tries++
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// get waits for a connection until ctx ends, or not at all with [NoWait].
func (s *supply) get(ctx context.Context) (*conn, error) {
	for {
		c, _, changed, err := s.state()
		if c != nil && !c.isLost() {
			return c, nil
		}
		if errors.Is(err, router.ErrClosed) {
			return nil, err
		}
		if ctx.Value(noWait{}) != nil {
			if err == nil {
				return nil, router.ErrDisconnected
			}
			return nil, fmt.Errorf("%w: %w", router.ErrDisconnected, err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, waitedFor(ctx, err)
		case <-s.b.sendCtx.Done():
			return nil, router.ErrClosed
		}
	}
}

// waitedFor is ctx's error, and what kept the broker from being reached.
func waitedFor(ctx context.Context, err error) error {
	if err == nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w while waiting for the broker: %w", context.Cause(ctx), err)
}

// once waits for a connection, or for the end of the try that runs or comes
// next.
func (s *supply) once(ctx context.Context) (*conn, error) {
	c, first, changed, err := s.state()
	for {
		if c != nil && !c.isLost() {
			return c, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, waitedFor(ctx, err)
		case <-s.b.sendCtx.Done():
			return nil, router.ErrClosed
		}
		var tries uint64
		c, tries, changed, err = s.state()
		if c == nil && err != nil && tries > first {
			return nil, err
		}
	}
}

// lacks returns why the topology is not all declared on the connection of the moment.
func (s *supply) lacks() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur == nil {
		return nil
	}
	return s.err
}

func (s *supply) run() {
	b, ctx := s.b, s.b.sendCtx
	log := throttle{to: b.log.With("purpose", s.line.purpose)}
	failures := 0
	for ctx.Err() == nil {
		var lacks error
		c, err := b.dial(ctx, &s.line)
		if err == nil && !s.listen {
			if lacks, err = s.declare(ctx, c); err != nil {
				c.closeUnless(b.hardCtx)
			}
		}
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			s.line.down(err)
			s.set(nil, err)
			least := time.Duration(0)
			if errors.Is(err, errRefused) {
				least = refusedPause
			}
			wait := b.pause(failures, least)
			failures++
			log.warn("no connection to "+s.line.purpose+" on", err, "attempt", failures, "retry_in", readable(wait))
			sleep(ctx, wait)
			continue
		}
		log.to.Info("connected", "host", c.host)
		s.line.up(c)
		since := time.Now()
		s.keep(ctx, c, lacks, &log)
		s.set(nil, nil)
		if ctx.Err() != nil {
			c.closeUnless(b.hardCtx)
			s.line.down(nil)
			break
		}
		log.to.Warn("connection lost", "host", c.host, "err", c.err)
		s.line.down(c.err)
		if !s.listen {
			b.pool.Invalidate()
		}
		c.close(0)
		if time.Since(since) > steady {
			failures = 0
		}
		if failures > 0 {
			sleep(ctx, b.pause(failures, 0))
		}
		failures++
	}
	s.set(nil, router.ErrClosed)
}

// declare declares the topology. What the broker has refused of it, in lacks, does not
// keep the rest from being used; err is the connection's.
func (s *supply) declare(ctx context.Context, c *conn) (lacks, err error) {
	limit, cancel := context.WithTimeoutCause(ctx, s.b.cfg.ConfirmTimeout, fmt.Errorf("declare: the broker did not answer within %v", s.b.cfg.ConfirmTimeout))
	defer cancel()
	err = s.b.declare(limit, c, common(*s.b.topology.Load()))
	if err == nil || limit.Err() != nil || c.lib.IsClosed() {
		return nil, err
	}
	return err, nil
}

// keep hands c out until it is lost or ctx ends, and meanwhile goes on declaring what
// it lacks: an operator may mend it.
func (s *supply) keep(ctx context.Context, c *conn, lacks error, log *throttle) {
	for failures := 0; ; failures++ {
		s.line.lacking(lacks)
		s.set(c, lacks)
		var again <-chan time.Time
		if lacks != nil {
			least := time.Duration(0)
			if errors.Is(lacks, errRefused) {
				least = refusedPause
			}
			wait := s.b.pause(failures, least)
			again = time.After(wait)
			log.warn("not all of the topology is there; what is, is used", lacks, "attempt", failures+1, "retry_in", readable(wait))
		} else {
			log.reset()
		}
		select {
		case <-again:
		case <-c.lost:
			return
		case <-ctx.Done():
			return
		}
		var err error
		if lacks, err = s.declare(ctx, c); err != nil {
			lacks = err // the connection's end follows
		} else if lacks == nil {
			log.to.Info("the topology is complete")
		}
	}
}

// steady is how long a connection must have lasted for the next loss to count
// as the first.
const steady = 5 * time.Second
