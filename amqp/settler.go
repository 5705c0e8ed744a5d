package amqp

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	ackBatch = 64                    // acknowledgements that are sent at once
	ackDelay = time.Millisecond      // the longest one waits for others
	ackGap   = 50 * time.Millisecond // then those behind an unsettled delivery go one by one
)

// What is known of a delivery behind the settled prefix.
const (
	tagOpen uint8 = iota
	tagAcked
	tagSent // acknowledged alone, or to be given back
	tagLeft // goes back with the channel; nothing may be acknowledged past it
)

// acknowledger is the part of a channel that settles.
type acknowledger interface {
	Ack(tag uint64, multiple bool) error
	Nack(tag uint64, multiple, requeue bool) error
}

// settler settles the deliveries of one consumer session. Acknowledgements are
// gathered: the longest prefix of settled deliveries goes as one. It belongs
// to one channel, and does nothing once that is gone.
type settler struct {
	ch     acknowledger
	count  *counters
	leaves func() bool // what is requeued from now on is left; nil is never
	urgent int         // pending settlements that do not wait for more
	half   int         // of the window: so many behind an unsettled delivery do not wait

	dead atomic.Bool
	kick chan struct{}

	// mu protects the fields below; it is not held while talking to the broker.
	mu      sync.Mutex
	states  []uint8 // of tags ready+1 to top, at tag % len
	ready   uint64  // every tag up to here is settled
	top     uint64  // highest tag delivered
	last    uint64  // highest tag up to ready that is acked and not sent
	acks    int     // how many up to ready are acked and not sent
	ahead   int     // how many beyond ready are acked and not sent
	low     uint64  // no tag below is among those ahead
	requeue []uint64
	open    int           // delivered and not settled
	drained chan struct{} // closed when open gets 0; nil unless draining
}

func newSettler(ch acknowledger, count *counters, prefetch int) *settler {
	size := 16
	for size < 2*prefetch {
		size *= 2
	}
	return &settler{
		ch: ch, count: count,
		urgent: max(1, min(ackBatch, prefetch/2)),
		half:   max(1, prefetch/2),
		states: make([]uint8, size),
		kick:   make(chan struct{}, 1),
	}
}

func (s *settler) state(tag uint64) *uint8 { return &s.states[tag&uint64(len(s.states)-1)] }

// delivered notes a delivery that will be settled. It reports false for a tag that
// has come before: the same delivery again, which is settled once.
func (s *settler) delivered(tag uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tag <= s.top {
		return false
	}
	if tag-s.ready > uint64(len(s.states)) {
		old := s.states
		s.states = make([]uint8, 2*len(old))
		for t := s.ready + 1; t <= s.top; t++ {
			*s.state(t) = old[t&uint64(len(old)-1)]
		}
	}
	s.top = tag
	s.open++
	return true
}

// Live implements [router.Settler].
func (s *settler) Live() bool { return !s.dead.Load() }

// Ack implements [router.Settler].
func (s *settler) Ack(tag uint64) { s.settle(tag, tagAcked) }

// Requeue implements [router.Settler].
func (s *settler) Requeue(tag uint64) { s.settle(tag, tagSent) }

func (s *settler) settle(tag uint64, as uint8) {
	if s.dead.Load() {
		s.count.acksDropped.Add(1)
		return
	}
	s.mu.Lock()
	if tag <= s.ready || tag > s.top || *s.state(tag) != tagOpen {
		s.mu.Unlock()
		return // settled before
	}
	if as == tagSent && s.leaves != nil && s.leaves() {
		as = tagLeft
	}
	*s.state(tag) = as
	s.open--
	before := s.pending()
	hadAhead := s.ahead > 0
	switch as {
	case tagAcked:
		if s.ahead == 0 || tag < s.low {
			s.low = tag
		}
		s.ahead++
	case tagSent:
		s.requeue = append(s.requeue, tag)
	}
	for s.ready < s.top {
		st := s.state(s.ready + 1)
		if *st == tagOpen || *st == tagLeft {
			break
		}
		s.ready++
		if *st == tagAcked {
			s.ahead--
			s.acks++
			s.last = s.ready
		}
		*st = tagOpen
	}
	now := s.pending()
	wake := before == 0 && now > 0 ||
		before < s.urgent && now >= s.urgent ||
		!hadAhead && s.ahead > 0 || s.ahead >= s.half
	if s.open == 0 && s.drained != nil {
		close(s.drained)
		s.drained = nil
	}
	s.mu.Unlock()
	if wake {
		select {
		case s.kick <- struct{}{}:
		default:
		}
	}
}

// pending returns how many settlements can be sent now. Mu is held.
func (s *settler) pending() int { return s.acks + len(s.requeue) }

// drain returns a channel that is closed when every delivery is settled.
func (s *settler) drain() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := make(chan struct{})
	if s.open == 0 {
		close(done)
	} else {
		s.drained = done
	}
	return done
}

// run sends settlements until stop is closed, then the rest, or until lost is
// closed.
func (s *settler) run(stop, lost <-chan struct{}) {
	delay := time.NewTimer(ackDelay)
	delay.Stop()
	gap := time.NewTimer(ackGap)
	gap.Stop()
	defer delay.Stop()
	defer gap.Stop()
	waiting := false // delay runs
	gapping := false // gap runs
	for {
		select {
		case <-s.kick:
			s.mu.Lock()
			now, ahead := s.pending(), s.ahead
			s.mu.Unlock()
			switch {
			case ahead >= s.half:
				s.flush(true)
			case now >= s.urgent:
				s.flush(false)
			case now > 0 && !waiting:
				delay.Reset(ackDelay)
				waiting = true
			}
			if ahead > 0 && !gapping {
				gap.Reset(ackGap)
				gapping = true
			}
		case <-delay.C:
			waiting = false
			s.flush(false)
		case <-gap.C:
			gapping = s.flush(true)
			if gapping {
				gap.Reset(ackGap)
			}
		case <-stop:
			s.flush(true)
			return
		case <-lost:
			s.die()
			return
		}
	}
}

// flush sends what can be sent; with gaps also what is settled behind an
// unsettled delivery. It reports whether there was any of that.
func (s *settler) flush(gaps bool) bool {
	s.mu.Lock()
	requeue, last, n := s.requeue, s.last, s.acks
	s.requeue, s.acks = nil, 0
	var single []uint64
	if gaps && s.ahead > 0 {
		// Not from the prefix on: one delivery that takes hours would have
		// everything since looked at again each time.
		for t := max(s.ready+1, s.low); s.ahead > 0 && t <= s.top; t++ {
			if st := s.state(t); *st == tagAcked {
				*st = tagSent
				single = append(single, t)
				s.ahead--
			}
		}
	}
	s.mu.Unlock()

	var err error
	for _, t := range requeue { // before an acknowledgement passes them
		if err == nil {
			err = s.ch.Nack(t, false, true)
		}
	}
	if n > 0 && err == nil {
		err = s.ch.Ack(last, n > 1)
	}
	for _, t := range single {
		if err == nil {
			err = s.ch.Ack(t, false)
		}
	}
	if err != nil { // the session is over; the broker delivers them again
		s.dead.Store(true)
		s.count.acksDropped.Add(uint64(len(requeue) + n + len(single)))
		return false
	}
	s.count.requeued.Add(uint64(len(requeue)))
	s.count.acked.Add(uint64(n + len(single)))
	return len(single) > 0
}

// die ends the session: what is settled and not sent is dropped.
func (s *settler) die() {
	s.dead.Store(true)
	s.mu.Lock()
	n := s.pending() + s.ahead
	s.acks, s.ahead, s.requeue = 0, 0, nil
	s.mu.Unlock()
	s.count.acksDropped.Add(uint64(n))
}
