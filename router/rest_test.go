package router

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// resting is a filter that rests until it is woken.
type resting struct {
	*filter
	rest  atomic.Pointer[RestError]
	over  chan struct{}
	calls atomic.Int32
}

func newResting(after time.Duration) *resting {
	r := &resting{over: make(chan struct{})}
	r.rest.Store(&RestError{Filter: "decider", After: after, Over: r.over, Err: errors.New("it keeps failing")})
	r.filter = decide(func(e *Envelope, d *Decision) error {
		if e.MessageID == "later" {
			d.Action, d.Delay = Retry, time.Hour
			return nil
		}
		r.calls.Add(1)
		if rest := r.rest.Load(); rest != nil {
			return rest
		}
		d.Action, d.Targets = Forward, append(d.Targets, queue("decided"))
		return nil
	})
	return r
}

// wake ends the rest; the lane hears of it if it is told.
func (r *resting) wake(tell bool) {
	r.rest.Store(nil)
	if tell {
		close(r.over)
	}
}

func TestMessagesWaitForAFilterThatRests(t *testing.T) {
	for _, tell := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker()
			f := newResting(time.Minute)
			r, stop := start(t, config(b, func(c *RouteConfig) { c.Filters = []RouteFilter{{Source: f}} }))
			tags := []uint64{b.deliver("1", "x"), b.deliver("2", "x"), b.deliver("3", "x")}
			time.Sleep(10*time.Minute + time.Second)
			if f.calls.Load() != 11 || len(b.sent()) != 0 || b.said(tags[0]) != "[]" {
				t.Errorf("%d calls in 10 rests, sent %v, settled %s", f.calls.Load(), b.sent(), b.said(tags[0]))
			}
			if st := r.Stat(); st.Inflight != 1 || len(st.DeadLetters) != 0 {
				t.Errorf("%+v", st)
			}
			f.wake(tell)
			if !tell {
				time.Sleep(time.Minute)
			}
			synctest.Wait()
			if diff := cmp.Diff([]string{"queue:decided 1", "queue:decided 2", "queue:decided 3"}, b.sent()); diff != "" {
				t.Error(diff)
			}
			for _, tag := range tags {
				if b.said(tag) != "[ack]" {
					t.Errorf("settled %s", b.said(tag))
				}
			}
			stop()
		})
	}
}

// A route that stops does not wait for the rest's end, and gives everything
// back in order: nothing behind a message that waits is handled before it.
func TestStopDuringARest(t *testing.T) {
	for _, order := range []Order{OrderQueue, OrderNone} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker()
			f := newResting(time.Hour)
			r, stop := start(t, config(b, func(c *RouteConfig) {
				c.Order = order
				c.Filters = []RouteFilter{{Source: f}}
				c.Source.DrainTimeout = time.Minute
			}))
			tags := []uint64{b.deliver("1", "x"), b.deliver("2", "x"), b.deliver("3", "x")}
			synctest.Wait()
			began := time.Now()
			stop()
			if took := time.Since(began); took > time.Second {
				t.Errorf("stopping took %v", took)
			}
			for i, tag := range tags {
				if got := b.said(tag); got != "[requeue]" {
					t.Errorf("message %d was settled %s", i+1, got)
				}
			}
			if st := r.Stat(); f.calls.Load() != 1 || st.Inflight != 0 || st.Held != 0 || len(st.DeadLetters) != 0 {
				t.Errorf("%d calls, %+v", f.calls.Load(), st)
			}
		})
	}
}

// A message that was held and is tried again when the filter begins to rest goes
// back, and so do those behind it, although the filter would take them.
func TestStopDuringARestWithMessagesHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		calls := map[string]int{}
		rest := &RestError{Filter: "decider", After: time.Hour, Err: errors.New("it keeps failing")}
		f := decide(func(e *Envelope, d *Decision) error {
			calls[e.MessageID]++
			switch {
			case calls[e.MessageID] == 1:
				d.Action, d.Delay = Retry, time.Second
			case e.MessageID == "1":
				return rest
			}
			return nil
		})
		_, stop := start(t, config(b, func(c *RouteConfig) {
			c.Order = OrderNone
			c.Filters = []RouteFilter{{Source: f}}
		}))
		two, one := b.deliver("2", "x"), b.deliver("1", "x") // due together, the younger goes first
		time.Sleep(2 * time.Second)
		stop()
		if got := fmt.Sprintln(b.said(one), b.said(two), calls); got != "[requeue] [requeue] map[1:2 2:1]\n" {
			t.Error(got)
		}
	})
}

// The message of a lost session is not waited for, nor kept when it was to be
// tried again: it comes again.
func TestARestEndsWithTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		f := newResting(time.Hour)
		r, stop := start(t, config(b, func(c *RouteConfig) {
			c.Order = OrderNone
			c.Filters = []RouteFilter{{Source: f}}
		}))
		old := []uint64{b.deliver("later", "x"), b.deliver("1", "x")}
		synctest.Wait()
		b.mu.Lock()
		b.dead[0], b.session = true, 1
		b.mu.Unlock()
		f.wake(false)
		again := b.deliver("1", "x", func(e *Envelope) { e.Origin.Redelivered = true })
		synctest.Wait()
		if got := b.said(again); got != "[ack]" {
			t.Errorf("the message of the new session was settled %s", got)
		}
		if st := r.Stat(); st.Settled[verdictStale] != 2 || st.Inflight != 0 || st.Held != 0 {
			t.Errorf("%+v", st)
		}
		b.settled[old[0]], b.settled[old[1]] = []string{"gone"}, []string{"gone"}
		stop()
	})
}

// What fails while the lane waits for a filter is looked at afterwards.
func TestWhatFailsDuringARestIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.hold = true
		b.answer = func(n int, _ Target, _ *Envelope) error {
			if n == 0 {
				return ErrNacked
			}
			return nil
		}
		rested := false
		f := decide(func(e *Envelope, _ *Decision) error {
			if e.MessageID == "2" && !rested {
				rested = true
				return &RestError{Filter: "decider", After: time.Minute, Err: errors.New("it keeps failing")}
			}
			return nil
		})
		_, stop := start(t, config(b, func(c *RouteConfig) { c.Filters = []RouteFilter{{Source: f}} }))
		tags := []uint64{b.deliver("1", "x"), b.deliver("2", "x")}
		synctest.Wait()
		b.release()
		time.Sleep(2 * time.Minute)
		if diff := cmp.Diff([]string{"queue:out 1", "queue:out 1", "queue:out 2"}, b.sent()); diff != "" {
			t.Error(diff)
		}
		if b.said(tags[0]) != "[ack]" || b.said(tags[1]) != "[ack]" {
			t.Errorf("settled %s and %s", b.said(tags[0]), b.said(tags[1]))
		}
		stop()
	})
}

// A filter that messages may pass by is not waited for.
func TestMessagesPassAFilterThatRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		f := newResting(time.Hour)
		r, stop := start(t, config(b, func(c *RouteConfig) { c.Filters = []RouteFilter{{Source: f, OnError: PolicyPass}} }))
		tag := b.deliver("1", "x")
		synctest.Wait()
		if b.said(tag) != "[ack]" || r.Stat().FilterFailures != 1 {
			t.Errorf("settled %s, %+v", b.said(tag), r.Stat())
		}
		stop()
	})
}
