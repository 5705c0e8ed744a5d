package router

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestForwardWithoutTargetsIsNotDropped(t *testing.T) {
	for name, send := range map[string][]Target{"queue:out": {queue("out")}, "queue:in.dead": nil} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker()
			_, stop := start(t, config(b, func(c *RouteConfig) {
				c.Send = send
				c.Filters = []RouteFilter{{Source: decide(func(_ *Envelope, d *Decision) error {
					d.Action = Forward
					return nil
				})}}
			}))
			b.deliver("1", "x")
			synctest.Wait()
			if diff := cmp.Diff([]string{name + " 1"}, b.sent()); diff != "" {
				t.Error(diff)
			}
			stop()
		})
	}
}

func TestMissingDeadLetterQueueIsFoundAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		missing := atomic.Bool{}
		missing.Store(true)
		b.answer = func(_ int, to Target, _ *Envelope) error {
			if to.Queue == "out" || missing.Load() {
				return ErrUnroutable
			}
			return nil
		}
		_, stop := start(t, config(b))
		tag := b.deliver("1", "x")
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.said(tag); got != "[]" {
			t.Fatalf("settled %s without a dead letter", got)
		}
		missing.Store(false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := b.said(tag); got != "[ack]" {
			t.Errorf("settled %s although the dead-letter queue is there", got)
		}
		if h := b.published[len(b.published)-1].Env.Headers(); h[HeaderLeftOut] != nil || h[HeaderError] == nil {
			t.Errorf("the dead letter says less than it could: %v", h)
		}
		stop()
	})
}

func TestDeadLetterThatIsTooLargeSaysLess(t *testing.T) {
	for name, test := range map[string]struct {
		headers int // the most that can be sent
		left    string
		own     bool // the original's headers are there
	}{
		"details": {5, "details", true},
		"headers": {12, "headers", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				b.answer = func(_ int, to Target, e *Envelope) error {
					if to.Queue == "out" {
						return ErrNacked
					}
					_, own := e.Header("own0")
					if len(e.Headers()) > test.headers || own && !test.own {
						return fmt.Errorf("%w: too many headers", ErrUnsendable)
					}
					return nil
				}
				r, stop := start(t, config(b, func(c *RouteConfig) { c.Retry.MaxAttempts = 1 }))
				tag := b.deliver("1", "x", func(e *Envelope) {
					e.SetHeader("own0", "a")
					e.SetHeader("own1", "b")
				})
				time.Sleep(time.Second)
				synctest.Wait()
				if got := b.said(tag); got != "[ack]" {
					t.Fatalf("settled %s", got)
				}
				last := b.published[len(b.published)-1]
				h := last.Env.Headers()
				if h[HeaderLeftOut] != test.left || h[HeaderReason] != "nacked" || last.Body != "x" {
					t.Errorf("%v", h)
				}
				if _, own := h["own1"]; own != test.own {
					t.Errorf("the message's own headers: %v", h)
				}
				if got := r.Stat().DeadLetters["nacked"]; got != 1 {
					t.Errorf("counted %d dead letters", got)
				}
				stop()
			})
		})
	}
}

// stuckSender waits in Send until its ctx ends.
type stuckSender struct{ sends chan struct{} }

func (s stuckSender) Send(ctx context.Context, _ Target, _ *Envelope, _ Receipt) error {
	s.sends <- struct{}{}
	<-ctx.Done()
	return context.Cause(ctx)
}
func (stuckSender) Close() {}

func TestStopEndsBehindABlockedSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		s := stuckSender{make(chan struct{}, 100)}
		r, stop := start(t, config(b, func(c *RouteConfig) {
			c.Source.Prefetch = 1
			c.NewSender = func(string) Sender { return s }
		}))
		var tags []uint64
		for i := range 5 { // more than the lane takes, as over several sessions
			tags = append(tags, b.deliver(fmt.Sprint(i), "x"))
		}
		synctest.Wait()
		stop()
		for i, tag := range tags[:3] {
			if got := b.said(tag); got != "[requeue]" {
				t.Errorf("delivery %d was settled %s", i, got)
			}
		}
		if st := r.Stat(); st.Inflight != 0 || st.Held != 0 || st.Settled[verdictRequeue] != st.Received {
			t.Errorf("%+v", st)
		}
	})
}

func TestWaitingSendDoesNotOvertake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		// The first Send of message 2 waits for a channel while that of message 1
		// is lost with the old one.
		var receipt Receipt
		waits, nack := true, true
		var sent []string
		s := senderFunc(func(ctx context.Context, _ Target, e *Envelope, r Receipt) error {
			switch {
			case e.MessageID == "1" && receipt == nil:
				receipt = r
				return nil
			case e.MessageID == "2" && waits:
				waits = false
				receipt.Settle(ErrUnconfirmed)
				if ctx.Err() != nil {
					return ctx.Err()
				}
			}
			sent = append(sent, e.MessageID)
			if e.MessageID == "2" && nack {
				nack = false
				r.Settle(ErrNacked)
				return nil
			}
			r.Settle(nil)
			return nil
		})
		r, stop := start(t, config(b, func(c *RouteConfig) {
			c.NewSender = func(string) Sender { return s }
			c.Retry.MaxAttempts = 2
		}))
		b.deliver("1", "x")
		b.deliver("2", "x")
		b.deliver("3", "x")
		time.Sleep(time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"1", "2", "2", "3"}, sent); diff != "" {
			t.Error(diff)
		}
		if got := r.Stat(); got.Retries != 2 || got.Sent[sentUnconfirmed] != 1 {
			t.Errorf("what waited counts as tried: %+v", got)
		}
		stop()
	})
}

type senderFunc func(context.Context, Target, *Envelope, Receipt) error

func (f senderFunc) Send(ctx context.Context, t Target, e *Envelope, r Receipt) error {
	return f(ctx, t, e, r)
}
func (senderFunc) Close() {}

func TestStaleFlightsDoNotHoldUpTheNextSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		first := true
		r, stop := start(t, config(b, func(c *RouteConfig) {
			c.Filters = []RouteFilter{{Source: decide(func(_ *Envelope, d *Decision) error {
				if first {
					first = false
					d.Action, d.Delay = Retry, time.Hour
				}
				return nil
			})}}
		}))
		old := b.deliver("1", "x")
		synctest.Wait()
		b.mu.Lock()
		b.dead[0], b.session = true, 1
		b.mu.Unlock()
		again := b.deliver("1", "x", func(e *Envelope) { e.Origin.Redelivered = true })
		synctest.Wait()
		if got := b.said(again); got != "[ack]" {
			t.Errorf("the message of the new session was settled %s", got)
		}
		if st := r.Stat(); st.Held != 0 || st.Inflight != 0 || st.Settled[verdictStale] != 1 {
			t.Errorf("%+v", st)
		}
		b.settled[old] = []string{"gone"}
		stop()
	})
}

func TestWhatIsLeftAfterTheDrainTimeoutIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.hold = true
		r, stop := start(t, config(b, func(c *RouteConfig) {
			c.NewSender = func(string) Sender { return &settlingSender{fakeSender{b: b}} }
		}))
		tag := b.deliver("1", "x")
		synctest.Wait()
		stop()
		if got := b.said(tag); got != "[requeue]" {
			t.Errorf("settled %s", got)
		}
		if st := r.Stat(); st.Inflight != 0 || st.Sent[sentUnconfirmed] != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// settlingSender settles what is open when it is closed, as a Sender must.
type settlingSender struct{ fakeSender }

func (s *settlingSender) Send(ctx context.Context, t Target, e *Envelope, r Receipt) error {
	return s.fakeSender.Send(ctx, t, e, lateReceipt{r})
}

func (s *settlingSender) Close() { s.b.release() }

type lateReceipt struct{ r Receipt }

func (l lateReceipt) Settle(error) { l.r.Settle(ErrUnconfirmed) }

func TestDuplicateWindow(t *testing.T) {
	redelivered := func(e *Envelope) { e.Origin.Redelivered = true }
	for name, test := range map[string]struct {
		fail  map[string]int // target → so many publishes fail
		steps func(b *broker)
		want  []string
	}{
		"partial": {
			fail: map[string]int{"b": 1},
			steps: func(b *broker) {
				b.deliver("1", "x")
				synctest.Wait()
				b.mu.Lock()
				b.dead[0], b.session = true, 1
				b.mu.Unlock()
				b.deliver("1", "x", redelivered)
			},
			want: []string{"queue:a 1", "queue:b 1", "queue:b 1"},
		},
		"dead letter": {
			fail: map[string]int{"b": 100},
			steps: func(b *broker) {
				b.deliver("1", "x")
				time.Sleep(10 * time.Second)
				synctest.Wait()
				b.deliver("1", "x", redelivered)
				time.Sleep(10 * time.Second)
				synctest.Wait()
			},
			want: []string{
				"queue:a 1", "queue:b 1", "queue:b 1", "queue:b 1", "queue:in.dead 1",
				"queue:b 1", "queue:b 1", "queue:b 1",
			},
		},
		"the same message anew": {
			fail: map[string]int{"b": 1},
			steps: func(b *broker) {
				b.fails["b"] = 0
				b.deliver("1", "x")
				synctest.Wait()
				b.fails["a"], b.fails["b"] = 1, 1
				b.deliver("1", "x") // another one, which arrives nowhere
				synctest.Wait()
				b.mu.Lock()
				b.dead[0], b.session = true, 1
				b.mu.Unlock()
				b.deliver("1", "x", redelivered)
			},
			want: []string{"queue:a 1", "queue:b 1", "queue:a 1", "queue:a 1", "queue:b 1", "queue:b 1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				b.fails = test.fail
				b.answer = func(_ int, to Target, _ *Envelope) error {
					if b.fails[to.Queue] > 0 {
						b.fails[to.Queue]--
						return ErrNacked
					}
					return nil
				}
				r, stop := start(t, config(b, func(c *RouteConfig) { c.Send = []Target{queue("a"), queue("b")} }))
				test.steps(b)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if n := r.Stat().DeadLetters["nacked"]; n > 1 {
					t.Errorf("counted %d dead letters", n)
				}
				if diff := cmp.Diff(test.want, b.sent()); diff != "" {
					t.Error(diff)
				}
				for tag := uint64(1); tag <= b.tag; tag++ {
					if b.said(tag) == "[]" {
						b.settled[tag] = []string{"gone"}
					}
				}
				stop()
			})
		})
	}
}

func TestRetryableErrorFallsBackToThePolicy(t *testing.T) {
	for policy, want := range map[Policy][]string{
		PolicyDrop: nil, PolicyPass: {"queue:out 1"}, PolicyDeadLetter: {"queue:in.dead 1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker()
			calls := 0
			_, stop := start(t, config(b, func(c *RouteConfig) {
				c.OnError = policy
				c.Filters = []RouteFilter{{Source: decide(func(*Envelope, *Decision) error {
					calls++
					return &FilterError{Filter: "f", Class: "error", Retryable: true, Err: errors.New("busy")}
				})}}
			}))
			tag := b.deliver("1", "x")
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if diff := cmp.Diff(want, b.sent()); diff != "" || calls != 3 || b.said(tag) != "[ack]" {
				t.Errorf("policy %d: %d calls, settled %s\n%s", policy, calls, b.said(tag), diff)
			}
			stop()
		})
	}
}
