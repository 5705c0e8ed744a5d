package wasmhost

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/router"
)

// supply is where the lanes of a filter get their instances. It is safe for
// concurrent use.
type supply struct {
	gate  *gate
	start func() (*guest, error)

	// An instance that waits to replace one that was lost: making one takes
	// milliseconds for some languages, which no message should wait for.
	spares chan *guest
	refill chan struct{}
	stop   context.CancelFunc
	keeper sync.WaitGroup

	created   atomic.Uint64
	unstarted [len(classes)]atomic.Uint64
}

func newSupply(g *gate, start func() (*guest, error)) *supply {
	return &supply{gate: g, start: start, spares: make(chan *guest, 1), refill: make(chan struct{}, 1)}
}

// keep begins to keep a spare in place of first, for as long as it is used.
func (s *supply) keep(first *guest) {
	s.spares <- first
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.keeper.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.refill:
				s.fill(ctx)
			}
		}
	})
}

// fill makes a spare if there is none. A filter that keeps failing gets one only
// when it works again: what a lane tries it with is enough.
func (s *supply) fill(ctx context.Context) {
	for len(s.spares) == 0 {
		rest, _ := s.gate.replace(true)
		if rest == nil {
			if g, err := s.replacement(false); err == nil {
				s.spares <- g // only this goroutine sends
				s.gate.spare()
			}
			return // the next lane will try, and report
		}
		if !rest.Wait(ctx) {
			return
		}
	}
}

// first returns an instance for a new lane, nil if there is no room for one.
func (s *supply) first() (*guest, error) {
	defer s.wanted()
	select {
	case g := <-s.spares:
		return g, nil
	default:
	}
	if !s.gate.enter() {
		return nil, nil
	}
	g, err := s.start()
	if err != nil {
		s.gate.leave()
		return nil, err
	}
	s.created.Add(1)
	return g, nil
}

// take returns an instance in place of one that was lost, or when to ask again.
// Trial is for the gate.
func (s *supply) take() (g *guest, trial bool, rest *router.RestError) {
	if rest := s.gate.resting(); rest != nil {
		return nil, false, rest
	}
	defer s.wanted()
	select {
	case g := <-s.spares:
		return g, false, nil
	default:
	}
	if rest, trial = s.gate.replace(false); rest != nil {
		return nil, false, rest
	}
	g, err := s.replacement(trial)
	if err != nil {
		return nil, false, &router.RestError{Filter: s.gate.filter, Err: err}
	}
	return g, trial, nil
}

// replacement starts an instance for which there is room.
func (s *supply) replacement(trial bool) (*guest, error) {
	began := time.Now()
	g, err := s.start()
	s.gate.started(time.Since(began))
	if err != nil {
		s.gate.leave()
		s.gate.failed(trial, "start: "+err.Error())
		s.unstarted[classIndex(asFailure(err).class)].Add(1)
		return nil, err
	}
	s.created.Add(1)
	return g, nil
}

// wanted tells the keeper that the spare may have been taken.
func (s *supply) wanted() {
	select {
	case s.refill <- struct{}{}:
	default:
	}
}

// close waits for the keeper and frees the spare. The wait is bounded by the
// time limit of a start.
func (s *supply) close() {
	s.stop()
	s.keeper.Wait()
	select {
	case g := <-s.spares:
		g.farewell()
	default:
	}
}
