package router

import (
	"context"
	"maps"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRetryWaitsForWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var receipts []Receipt
		s := senderFunc(func(_ context.Context, _ Target, _ *Envelope, r Receipt) error {
			receipts = append(receipts, r)
			return nil
		})
		_, stop := start(t, config(b, func(c *RouteConfig) { c.NewSender = func(string) Sender { return s } }))
		b.deliver("1", "x")
		b.deliver("2", "x")
		synctest.Wait()
		receipts[0].Settle(ErrNacked)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(receipts) != 2 {
			t.Fatal("tried again while a later message was under way")
		}
		receipts[1].Settle(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(receipts) != 3 {
			t.Fatal("not tried again")
		}
		receipts[2].Settle(nil)
		stop()
	})
}

func TestUnroutableMessagesMayBeTriedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		misses int // so many sends find no queue
		policy Policy
		want   []string
	}{
		"until a queue is there": {misses: 2, want: []string{"queue:out 1", "queue:out 1", "queue:out 1", "queue:out 2"}},
		"to the last attempt":    {misses: 3, want: []string{"queue:out 1", "queue:out 1", "queue:out 1", "queue:in.dead 1", "queue:out 2"}},
		"not what is dropped":    {misses: 1, policy: PolicyDrop, want: []string{"queue:out 1", "queue:out 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				b.answer = func(n int, to Target, _ *Envelope) error {
					if n < test.misses && to.Queue == "out" {
						return ErrUnroutable
					}
					return nil
				}
				r, stop := start(t, config(b, func(c *RouteConfig) {
					c.Retry.Unroutable, c.Unroutable, c.Source.Prefetch = true, test.policy, 1
				}))
				b.deliver("1", "x")
				b.deliver("2", "x")
				time.Sleep(time.Minute)
				synctest.Wait()
				if diff := cmp.Diff(test.want, b.sent()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				dead := uint64(0)
				if len(test.want) == 5 {
					dead = 1
				}
				if st := r.Stat(); st.DeadLetters[ReasonUnroutable] != dead || st.Sent[sentUnroutable] != uint64(test.misses) {
					t.Errorf("%+v", st)
				}
				stop()
			})
		})
	}
}

// TestRetryGoesAheadAlone has a broker that loses a channel and then refuses the first
// messages to each queue, but takes those sent after them.
func TestRetryGoesAheadAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		const messages = 12
		var all []func()
		took := map[string][]int{}
		refuse := map[string]int{"a": 2, "b": 3}
		sent := 0
		s := senderFunc(func(_ context.Context, to Target, e *Envelope, r Receipt) error {
			id, _ := strconv.Atoi(e.MessageID)
			var answer error
			switch sent++; {
			case sent <= messages:
				answer = ErrUnconfirmed
			case refuse[to.Queue] > 0:
				refuse[to.Queue]--
				answer = ErrNacked
			default:
				took[to.Queue] = append(took[to.Queue], id)
			}
			all = append(all, func() { r.Settle(answer) })
			return nil
		})
		_, stop := start(t, config(b, func(c *RouteConfig) {
			c.NewSender = func(string) Sender { return s }
			c.Retry.MaxAttempts = 100
			c.Filters = []RouteFilter{{Source: decide(func(e *Envelope, d *Decision) error {
				d.Action, d.Targets = Forward, append(d.Targets, queue(string(e.Body)))
				return nil
			})}}
		}))
		want := map[string][]int{}
		for i := range messages {
			to := string("aab"[i%3])
			want[to] = append(want[to], i)
			b.deliver(strconv.Itoa(i), to)
		}
		synctest.Wait()
		for range 100 { // each answer comes when everything has been sent that will be
			answers := all
			all = nil
			for _, answer := range answers {
				answer()
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if diff := cmp.Diff(want, took); diff != "" {
			t.Error(diff)
		}
		if sent > 3*messages {
			t.Errorf("%d messages were sent %d times", messages, sent)
		}
		stop()
	})
}

func TestDelayOfAFilterIsKeptBehindARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.hold = true
		failed := false
		b.answer = func(_ int, _ Target, e *Envelope) error {
			if e.MessageID == "1" && !failed {
				failed = true
				return ErrNacked
			}
			return nil
		}
		began := time.Now()
		var runs []time.Duration
		_, stop := start(t, config(b, func(c *RouteConfig) {
			c.Filters = []RouteFilter{{Source: decide(func(e *Envelope, d *Decision) error {
				if e.MessageID == "2" {
					if runs = append(runs, time.Since(began)); len(runs) == 1 {
						d.Action, d.Delay = Retry, 10*time.Minute
					}
				}
				return nil
			})}}
		}))
		b.deliver("1", "x")
		b.deliver("2", "x")
		synctest.Wait()
		b.release()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if diff := cmp.Diff([]time.Duration{0, 10 * time.Minute}, runs); diff != "" {
			t.Error(diff)
		}
		stop()
	})
}

func TestDelayOfAFilterIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		began := time.Now()
		var runs []time.Duration
		_, stop := start(t, config(b, func(c *RouteConfig) {
			c.Filters = []RouteFilter{{Source: decide(func(_ *Envelope, d *Decision) error {
				if runs = append(runs, time.Since(began)); len(runs) == 1 {
					d.Action, d.Delay = Retry, 1<<63-1
				}
				return nil
			})}}
		}))
		b.deliver("1", "x")
		time.Sleep(time.Hour)
		synctest.Wait()
		if diff := cmp.Diff([]time.Duration{0, maxRetryDelay}, runs); diff != "" {
			t.Error(diff)
		}
		stop()
	})
}

func TestDeliveryOfALostSessionIsNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.dead[0] = true
		r, stop := start(t, config(b))
		tag := b.deliver("1", "x")
		synctest.Wait()
		if len(b.sent()) != 0 || r.Stat().Settled[verdictStale] != 1 {
			t.Errorf("sent %v, %+v", b.sent(), r.Stat())
		}
		b.settled[tag] = []string{"gone"}
		stop()
	})
}

func TestOnlyAllowedCCPasses(t *testing.T) {
	for _, allow := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker()
			_, stop := start(t, config(b, func(c *RouteConfig) { c.AllowCC = allow }))
			b.deliver("1", "x", func(e *Envelope) {
				e.SetHeader("CC", []any{"a"})
				e.SetHeader("BCC", []any{"b"})
				e.SetHeader("cc", "mine")
			})
			synctest.Wait()
			want := map[string]any{"cc": "mine"}
			if allow {
				want["CC"], want["BCC"] = []any{"a"}, []any{"b"}
			}
			if diff := cmp.Diff(want, b.published[0].Env.Headers()); diff != "" {
				t.Error(diff)
			}
			stop()
		})
	}
}

// What the router says of a message in headers of its own, no sender can say.
func TestForgedRouterHeadersDoNotComeIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var seen []map[string]any
		_, stop := start(t, config(b, func(c *RouteConfig) {
			c.MaxMessage = 1
			c.Filters = []RouteFilter{{Source: decide(func(e *Envelope, _ *Decision) error {
				seen = append(seen, maps.Clone(e.Headers()))
				return nil
			})}}
		}))
		for id, body := range map[string]string{"1": "x", "2": "too large"} {
			b.deliver(id, body, func(e *Envelope) {
				e.SetHeader(HeaderReason, "forged")
				e.SetHeader("X-Router-Missing", "forged")
				e.SetHeader("x-mine", "kept")
			})
			synctest.Wait()
		}
		if diff := cmp.Diff([]map[string]any{{"x-mine": "kept"}}, seen); diff != "" {
			t.Errorf("what the filter sees: %s", diff)
		}
		if len(b.published) != 2 {
			t.Fatalf("sent: %v", b.sent())
		}
		for _, p := range b.published {
			for name, value := range p.Env.Headers() {
				if value == "forged" {
					t.Errorf("%s of %s is the sender's", name, p.Target)
				}
			}
		}
		stop()
	})
}

// Several messages to one target are known by their places, which may change.
func TestDuplicateWindowLosesNoneOfSeveralToOneTarget(t *testing.T) {
	for name, test := range map[string]struct {
		runs [][]string // the bodies that the filter makes of the message, by run
		nack string     // fails in the first session
		want []string
	}{
		"another order":   {[][]string{{"p", "q"}, {"q", "p"}}, "p", []string{"q", "q", "p"}},
		"one more":        {[][]string{{"p"}, {"p", "q"}}, "", []string{"p", "q"}},
		"all had arrived": {[][]string{{"p", "q"}, {"p", "q"}}, "", []string{"p", "q"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				nacking := true
				var arrived []string
				b.answer = func(_ int, _ Target, e *Envelope) error {
					if nacking && string(e.Body) == test.nack {
						return ErrNacked
					}
					arrived = append(arrived, string(e.Body))
					return nil
				}
				run := 0
				_, stop := start(t, config(b, func(c *RouteConfig) {
					c.Order = OrderNone
					c.Filters = []RouteFilter{{Source: decide(func(e *Envelope, d *Decision) error {
						d.Action = Drop
						for _, body := range test.runs[run] {
							part := e.Clone()
							part.Body = []byte(body)
							d.Emitted = append(d.Emitted, Emission{part, []Target{queue("a")}})
						}
						run++
						return nil
					})}}
				}))
				tag := b.deliver("1", "x")
				synctest.Wait()
				b.mu.Lock()
				b.dead[0], b.session, nacking = true, 1, false
				b.mu.Unlock()
				b.deliver("1", "x", func(e *Envelope) { e.Origin.Redelivered = true })
				time.Sleep(time.Minute)
				synctest.Wait()
				if diff := cmp.Diff(test.want, arrived); diff != "" {
					t.Error(diff)
				}
				b.settled[tag] = []string{"gone"}
				stop()
			})
		})
	}
}

// endless is a filter that works until its context ends.
type endless struct{ *filter }

func (endless) Run(ctx context.Context, _ Stage, _ *Envelope, _ *Decision) error {
	<-ctx.Done()
	return &FilterError{Filter: "endless", Class: "deadline", Err: ctx.Err()}
}
func (f endless) Instance(context.Context) (Filter, error) { return f, nil }

func TestFilterThatFailsBecauseOfTheEndDropsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		_, stop := start(t, config(b, func(c *RouteConfig) {
			c.OnError = PolicyDrop
			c.Filters = []RouteFilter{{Source: endless{decide(nil)}}}
		}))
		tag := b.deliver("1", "x")
		synctest.Wait()
		stop()
		if got := b.said(tag); got != "[requeue]" {
			t.Errorf("settled %s", got)
		}
	})
}

func TestManyTargetsAreBoundedInTheDeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.answer = func(_ int, to Target, _ *Envelope) error {
			if to.Queue == "in.dead" {
				return nil
			}
			return ErrUnroutable
		}
		_, stop := start(t, config(b, func(c *RouteConfig) {
			c.Send = nil
			c.Filters = []RouteFilter{{Source: decide(func(_ *Envelope, d *Decision) error {
				d.Action = Forward
				for i := range 100 {
					d.Targets = append(d.Targets, queue("out"+strconv.Itoa(i)))
				}
				return nil
			})}}
		}))
		b.deliver("1", "x")
		synctest.Wait()
		missing, _ := b.published[len(b.published)-1].Env.Headers()[HeaderMissing].([]any)
		if len(missing) != maxMissing+1 || missing[0] != "queue:out0" {
			t.Errorf("missing %v", missing)
		}
		stop()
	})
}

func TestFloodDoesNotKeepARetryWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		tries := 0
		b.answer = func(n int, _ Target, e *Envelope) error {
			if e.MessageID == "first" {
				if tries++; tries == 1 {
					return ErrNacked
				}
				if n > 50 {
					t.Errorf("tried again after %d others; it was due after 10", n)
				}
			}
			return nil
		}
		_, stop := start(t, config(b, func(c *RouteConfig) {
			c.Order = OrderNone
			c.Filters = []RouteFilter{{Source: decide(func(*Envelope, *Decision) error {
				time.Sleep(10 * time.Millisecond)
				return nil
			})}}
		}))
		b.deliver("first", "x")
		for range 500 {
			b.deliver("other", "x")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if tries != 2 {
			t.Errorf("tried %d times", tries)
		}
		stop()
	})
}
