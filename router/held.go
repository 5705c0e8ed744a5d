package router

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// takeFailed returns the flights that came back with errors, oldest first.
func (l *lane) takeFailed() []*flight {
	l.mu.Lock()
	failed := l.failed
	l.failed = nil
	l.hasFailed.Store(false)
	l.mu.Unlock()
	slices.SortFunc(failed, bySeq)
	return failed
}

// hold keeps f to be tried again after delay, or after the route's backoff when
// delay is 0.
func (l *lane) hold(f *flight, delay time.Duration) {
	l.proved, l.trying = l.proved[:0], nil
	if l.stopping {
		l.giveBack(f)
		return
	}
	if delay <= 0 {
		delay = l.route.cfg.Retry.delay(f.attempts)
	}
	f.due = time.Now().Add(delay)
	compare := byDue
	if l.ordered {
		compare = bySeq
	}
	i, _ := slices.BinarySearchFunc(l.held, f, compare)
	l.held = slices.Insert(l.held, i, f)
	l.route.stat.held.Add(1)
}

// retryHeld tries again what is due. In an ordered lane that is everything that
// was sent before, oldest first, up to one whose filters are to be run again
// later, and as far as it goes without a failure. The first message to each target
// goes alone: a broker may refuse some messages and take those after them, as it does
// while a quorum queue elects its leader.
func (l *lane) retryHeld(work context.Context) {
	now := time.Now()
	held := l.held
	l.held = nil
	l.proved = append(l.proved, l.trying...) // nothing of it has come back
	l.trying = nil
	for i, f := range held {
		if l.paused() || f.due.After(now) && (!l.ordered || len(f.outputs) == 0) {
			l.held = append(l.held, held[i:]...)
			if !l.ordered {
				slices.SortFunc(l.held, byDue)
			}
			return
		}
		l.route.stat.held.Add(-1)
		if l.stopping || !f.delivery.Settler.Live() {
			l.giveBack(f)
			continue
		}
		alone := l.ordered && !l.sure(f)
		l.attempt(work, f)
		if alone {
			l.held = append(l.held, held[i+1:]...)
			return
		}
	}
}

// sure reports whether a message has arrived at every target of f since the last
// failure; if not, it notes what f tries.
func (l *lane) sure(f *flight) bool {
	for i := range f.outputs {
		if o := &f.outputs[i]; !o.done && !o.final && !slices.Contains(l.proved, o.target) {
			l.trying = append(l.trying, o.target)
		}
	}
	return len(f.outputs) > 0 && len(l.trying) == 0
}

// forgetStale frees what waits to be tried again and belongs to sessions that
// have ended: the broker delivers it again, perhaps long before it is due.
func (l *lane) forgetStale() {
	l.held = slices.DeleteFunc(l.held, func(f *flight) bool {
		if f.delivery.Settler.Live() {
			return false
		}
		l.route.stat.held.Add(-1)
		f.count(verdictStale)
		f.free(verdictStale)
		return true
	})
}

// abandon gives what waits to be tried again back to the broker.
func (l *lane) abandon() {
	for _, f := range l.held {
		l.route.stat.held.Add(-1)
		l.giveBack(f)
	}
	l.held = nil
}

// sweep gives back what is left once run has returned and the sender has
// settled every receipt.
func (l *lane) sweep() {
	for _, f := range l.takeFailed() {
		l.giveBack(f)
	}
	l.abandon()
	for {
		select {
		case d := <-l.in:
			l.decline(d)
		default:
			return
		}
	}
}

// giveBack ends a flight without an acknowledgement.
func (l *lane) giveBack(f *flight) {
	if !f.delivery.Settler.Live() {
		f.count(verdictStale)
		f.free(verdictStale)
		return
	}
	f.count(verdictRequeue)
	f.delivery.Settler.Requeue(f.delivery.Tag)
	f.free(verdictRequeue)
}

func bySeq(a, b *flight) int {
	switch {
	case a.seq < b.seq:
		return -1
	case a.seq > b.seq:
		return 1
	}
	return 0
}

func byDue(a, b *flight) int { return a.due.Compare(b.due) }

// delay returns the backoff before the try after the given number of tries.
func (p RetryPolicy) delay(attempts int) time.Duration {
	d := p.MaxBackoff
	if shift := max(0, attempts-1); shift < 63 && p.Backoff <= p.MaxBackoff>>shift {
		d = p.Backoff << shift
	}
	return d - rand.N(d/4+1)
}
