package router

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAcknowledgesOnlyAfterEveryConfirm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.hold = true
		_, stop := start(t, config(b, func(c *RouteConfig) { c.Send = []Target{queue("a"), queue("b")} }))
		tag := b.deliver("1", "x")
		synctest.Wait()
		if diff := cmp.Diff([]string{"queue:a 1", "queue:b 1"}, b.sent()); diff != "" {
			t.Error(diff)
		}
		b.receipts[0]()
		synctest.Wait()
		if got := b.said(tag); got != "[]" {
			t.Errorf("with one of two targets confirmed the delivery is %s", got)
		}
		b.receipts[1]()
		synctest.Wait()
		if got := b.said(tag); got != "[ack]" {
			t.Errorf("delivery settled %s", got)
		}
		stop()
	})
}

// Who has settled the last delivery of a listener that ends finds it counted.
func TestADeliveryIsCountedBeforeItIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		r, stop := start(t, config(b, func(c *RouteConfig) { c.Send = []Target{queue("a")} }))
		b.settling = func() {
			if st := r.Stat(); st.Inflight != 0 || st.Settled[verdictForward] != 1 {
				t.Errorf("%+v", st)
			}
		}
		b.deliver("1", "x")
		synctest.Wait()
		stop()
	})
}

func TestPartialSuccessSendsOnlyWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.answer = func(n int, to Target, _ *Envelope) error {
			if to.Queue == "b" && n < 3 {
				return fmt.Errorf("%w: full", ErrNacked)
			}
			return nil
		}
		_, stop := start(t, config(b, func(c *RouteConfig) { c.Send = []Target{queue("a"), queue("b")} }))
		tag := b.deliver("1", "x")
		time.Sleep(time.Second)
		if diff := cmp.Diff([]string{"queue:a 1", "queue:b 1", "queue:b 1", "queue:b 1"}, b.sent()); diff != "" {
			t.Error(diff)
		}
		if got := b.said(tag); got != "[ack]" {
			t.Errorf("delivery settled %s", got)
		}
		stop()
	})
}

func TestDeadLetters(t *testing.T) {
	filterErr := func(class string) func(*Envelope, *Decision) error {
		return func(*Envelope, *Decision) error {
			return &FilterError{Filter: "decider", Stage: Decide, Class: class, Err: errors.New("no\ngood")}
		}
	}
	for name, test := range map[string]struct {
		decide   func(*Envelope, *Decision) error
		answer   error
		change   func(*RouteConfig)
		body     string
		reason   string
		attempts int64
	}{
		"unroutable":  {answer: ErrUnroutable, reason: "unroutable", attempts: 1},
		"unsendable":  {answer: ErrUnsendable, reason: "unsendable", attempts: 1},
		"nacked":      {answer: ErrNacked, reason: "nacked", attempts: 3},
		"unconfirmed": {answer: ErrUnconfirmed, reason: "unconfirmed", attempts: 3},
		"trap":        {decide: filterErr("trap"), reason: "filter-trap", attempts: 1},
		"error with retries": {
			decide: filterErr("error"), reason: "filter-error", attempts: 3,
			change: func(c *RouteConfig) { c.OnError = PolicyRetry },
		},
		"rejected": {decide: func(_ *Envelope, d *Decision) error {
			d.Action, d.Reason = Reject, "not mine"
			return nil
		}, reason: "rejected", attempts: 1},
		"retry verdict": {decide: func(_ *Envelope, d *Decision) error {
			d.Action, d.Delay = Retry, time.Second
			return nil
		}, reason: "attempts", attempts: 3},
		"undecided": {
			decide: func(*Envelope, *Decision) error { return nil }, reason: "undecided", attempts: 1,
			change: func(c *RouteConfig) { c.Send = nil },
		},
		"not allowed": {
			decide: func(_ *Envelope, d *Decision) error {
				d.Action, d.Targets = Forward, append(d.Targets, queue("secret"))
				return nil
			}, reason: "not-allowed", attempts: 1,
			change: func(c *RouteConfig) { c.Allow, _ = NewAllow([]string{"queue:public.*"}) },
		},
		"too large": {body: "123456", reason: "too-large", attempts: 1, change: func(c *RouteConfig) { c.MaxMessage = 5 }},
		"reply to nobody": {decide: func(_ *Envelope, d *Decision) error {
			d.Action = Reply
			return nil
		}, reason: "rejected", attempts: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				b.answer = func(_ int, to Target, _ *Envelope) error {
					if to.Queue == "in.dead" {
						return nil
					}
					return test.answer
				}
				r, stop := start(t, config(b, func(c *RouteConfig) {
					if test.decide != nil {
						c.Filters = []RouteFilter{{Source: decide(test.decide)}}
					}
					if test.change != nil {
						test.change(c)
					}
				}))
				tag := b.deliver("1", "x"+test.body, func(e *Envelope) {
					e.SetHeader("x-router-reason", "forged")
					e.SetHeader("keep", int8(1))
					e.Expiration = "5000"
				})
				time.Sleep(10 * time.Second)
				if got := b.said(tag); got != "[ack]" {
					t.Fatalf("delivery settled %s", got)
				}
				last := b.published[len(b.published)-1]
				if last.Target != "queue:in.dead" {
					t.Fatalf("sent %v, no dead letter", b.sent())
				}
				h := last.Env.Headers()
				if h["x-router-reason"] != test.reason || h["x-router-attempts"] != test.attempts {
					t.Errorf("reason %v after %v attempts, want %v after %v", h["x-router-reason"], h["x-router-attempts"], test.reason, test.attempts)
				}
				if text, _ := h["x-router-error"].(string); text == "" || strings.ContainsAny(text, "\n\r") {
					t.Errorf("error %q", text)
				}
				if h["keep"] != int8(1) || last.Body != "x"+test.body || last.Env.Expiration != "" || h["x-router-expiration"] != "5000" {
					t.Errorf("the dead letter is not the message: %+v", last)
				}
				if got := r.Stat().DeadLetters[test.reason]; got != 1 {
					t.Errorf("counted %d dead letters", got)
				}
				stop()
			})
		})
	}
}

func TestDeadLetterThatIsRefusedKeepsTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.answer = func(_ int, to Target, _ *Envelope) error {
			if to.Queue == "out" {
				return ErrUnroutable
			}
			return ErrNacked
		}
		r, stop := start(t, config(b))
		tag := b.deliver("1", "x")
		time.Sleep(time.Minute)
		if got := b.said(tag); got != "[]" {
			t.Errorf("the message is %s although its dead letter was refused", got)
		}
		if n := len(b.published); n < 10 || n > 150 {
			t.Errorf("%d publishes in a minute; the backoff is at most a second", n)
		}
		if r.Stat().Held != 1 {
			t.Errorf("held %d", r.Stat().Held)
		}
		b.mu.Lock()
		b.answer = func(_ int, to Target, _ *Envelope) error { return nil }
		b.mu.Unlock()
		time.Sleep(2 * time.Second)
		if got := b.said(tag); got != "[ack]" {
			t.Errorf("then settled %s", got)
		}
		stop()
	})
}

func TestOrderIsKeptAcrossRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		fails := map[string]int{"3": 2}
		b.answer = func(_ int, _ Target, e *Envelope) error {
			if fails[e.MessageID] > 0 {
				fails[e.MessageID]--
				return ErrNacked
			}
			return nil
		}
		b.hold = true
		_, stop := start(t, config(b))
		for i := range 5 {
			b.deliver(fmt.Sprint(i+1), "x")
		}
		synctest.Wait()
		b.release()
		synctest.Wait()
		for i := range 5 {
			b.deliver(fmt.Sprint(i+6), "x")
		}
		synctest.Wait()
		if n := len(b.sent()); n != 5 {
			t.Errorf("%d sends while message 3 waits to be tried again", n)
		}
		time.Sleep(time.Second)
		want := []string{"1", "2", "3", "4", "5", "3", "3", "6", "7", "8", "9", "10"}
		for i := range want {
			want[i] = "queue:out " + want[i]
		}
		if diff := cmp.Diff(want, b.sent()); diff != "" {
			t.Error(diff)
		}
		stop()
	})
}

func TestWithoutOrderOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		first := true
		b.answer = func(_ int, _ Target, e *Envelope) error {
			if e.MessageID == "1" && first {
				first = false
				return ErrNacked
			}
			return nil
		}
		_, stop := start(t, config(b, func(c *RouteConfig) { c.Order = OrderNone }))
		b.deliver("1", "x")
		synctest.Wait()
		b.deliver("2", "x")
		time.Sleep(time.Second)
		if diff := cmp.Diff([]string{"queue:out 1", "queue:out 2", "queue:out 1"}, b.sent()); diff != "" {
			t.Error(diff)
		}
		stop()
	})
}

func TestRedeliveredMessageThatArrivedIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		r, stop := start(t, config(b))
		redelivered := func(e *Envelope) { e.Origin.Redelivered = true }
		b.deliver("1", "x")
		b.deliver("1", "x") // the application's own, not the broker's
		synctest.Wait()
		again := b.deliver("1", "x", redelivered)
		b.deliver("1", "other body", redelivered)
		b.deliver("2", "never seen", redelivered)
		b.deliver("", "no id", redelivered)
		synctest.Wait()
		if n := len(b.sent()); n != 5 {
			t.Errorf("sent %d: %v", n, b.sent())
		}
		if got := b.said(again); got != "[ack]" {
			t.Errorf("the duplicate was settled %s", got)
		}
		if r.Stat().Duplicates != 1 {
			t.Errorf("counted %d duplicates", r.Stat().Duplicates)
		}
		stop()
	})
}

func TestDeadSessionIsNotSettledAndNotRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.answer = func(int, Target, *Envelope) error { return ErrUnconfirmed }
		r, stop := start(t, config(b))
		tag := b.deliver("1", "x")
		synctest.Wait()
		b.mu.Lock()
		b.dead[0], b.session = true, 1
		b.mu.Unlock()
		time.Sleep(time.Minute)
		if len(b.sent()) != 1 || b.said(tag) != "[]" {
			t.Errorf("sent %v, settled %s", b.sent(), b.said(tag))
		}
		if r.Stat().Inflight != 0 || r.Stat().Held != 0 {
			t.Errorf("%+v", r.Stat())
		}
		b.settled[tag] = []string{"gone"}
		stop()
	})
}

func TestStopFinishesWhatIsInHandAndReturnsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.answer = func(_ int, _ Target, e *Envelope) error {
			if e.MessageID == "2" {
				return ErrNacked
			}
			return nil
		}
		r, stop := start(t, config(b, func(c *RouteConfig) { c.Retry.Backoff, c.Retry.MaxBackoff = time.Hour, time.Hour }))
		one := b.deliver("1", "x")
		two := b.deliver("2", "x")
		synctest.Wait()
		three := b.deliver("3", "x") // behind 2, which waits
		synctest.Wait()
		began := time.Now()
		stop()
		if took := time.Since(began); took > time.Second {
			t.Errorf("stopping took %v", took)
		}
		got := []string{b.said(one), b.said(two), b.said(three)}
		if diff := cmp.Diff([]string{"[ack]", "[requeue]", "[requeue]"}, got); diff != "" {
			t.Error(diff)
		}
		if r.Stat().Held != 0 || r.Stat().Inflight != 0 {
			t.Errorf("%+v", r.Stat())
		}
	})
}

func TestStagesChangeTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		mark := func(s Stage) func(*Envelope, *Decision) error {
			return func(e *Envelope, d *Decision) error {
				e.Body = append(append([]byte{}, e.Body...), s.String()[0:2]...)
				if s >= Pack {
					e.SetHeader("for", d.Targets[0].String())
				}
				return nil
			}
		}
		f := &filter{name: "all", stages: map[Stage]func(*Envelope, *Decision) error{
			Decode: mark(Decode), Unpack: mark(Unpack), Pack: mark(Pack), Encode: mark(Encode),
		}}
		_, stop := start(t, config(b, func(c *RouteConfig) {
			c.Filters = []RouteFilter{{Source: f}}
			c.Send = []Target{queue("a"), queue("b")}
		}))
		b.deliver("1", "x")
		synctest.Wait()
		for i, to := range []string{"queue:a", "queue:b"} {
			p := b.published[i]
			if p.Body != "xdeunpaen" || p.Env.Headers()["for"] != to {
				t.Errorf("to %s: %+v", to, p)
			}
		}
		stop()
	})
}

func TestEmittedMessagesAndReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		f := decide(func(e *Envelope, d *Decision) error {
			if e.ReplyTo != "" {
				e.Body = []byte("pong")
				d.Action = Reply
				return nil
			}
			d.Action, d.Targets = Forward, append(d.Targets, queue("main"))
			if string(e.Body) == "split" {
				d.Action, d.Targets = Drop, d.Targets[:0]
			}
			for _, body := range []string{"p1", "p2"} {
				part := e.Clone()
				part.Body = []byte(body)
				d.Emitted = append(d.Emitted, Emission{part, []Target{queue("part")}})
			}
			return nil
		})
		_, stop := start(t, config(b, func(c *RouteConfig) { c.Filters = []RouteFilter{{Source: f}} }))
		b.deliver("1", "x")
		b.deliver("3", "split")
		b.deliver("2", "ping", func(e *Envelope) { e.ReplyTo, e.CorrelationID = "reply_1", "c" })
		synctest.Wait()
		var got []string
		for _, p := range b.published {
			got = append(got, p.Target+" "+p.Body+" "+p.Env.CorrelationID)
		}
		want := []string{
			"queue:main x ", "queue:part p1 ", "queue:part p2 ",
			"queue:part p1 ", "queue:part p2 ", "queue:reply_1 pong c",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		stop()
	})
}

func TestOrderByKeyUsesOneLanePerKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		key, err := ParseOrderKey("header:tenant")
		if err != nil {
			t.Fatal(err)
		}
		_, stop := start(t, config(b, func(c *RouteConfig) {
			c.Order, c.OrderBy, c.Lanes = OrderKey, key, 4
		}))
		for i := range 400 {
			b.deliver(fmt.Sprint(i), "x", func(e *Envelope) { e.SetHeader("tenant", fmt.Sprint(i%10)) })
		}
		synctest.Wait()
		last := make(map[any]int)
		for _, p := range b.published {
			var n int
			_, _ = fmt.Sscan(p.ID, &n)
			k := p.Env.Headers()["tenant"]
			if n < last[k] {
				t.Fatalf("key %v: %d after %d", k, n, last[k])
			}
			last[k] = n
		}
		if len(b.published) != 400 {
			t.Errorf("sent %d", len(b.published))
		}
		stop()
	})
}

func TestRouteConfigurationErrorsNameTheWayOut(t *testing.T) {
	for want, change := range map[string]func(*RouteConfig){
		"use order =":         func(c *RouteConfig) { c.Lanes = 2 },
		"set order_by":        func(c *RouteConfig) { c.Order = OrderKey },
		"set send":            func(c *RouteConfig) { c.Send = nil },
		"prefetch is 0":       func(c *RouteConfig) { c.Source.Prefetch = 0 },
		"listens to no queue": func(c *RouteConfig) { c.Source.Queue = "" },
		"max_attempts is 0":   func(c *RouteConfig) { c.Retry.MaxAttempts = 0 },
		"go back to queue in": func(c *RouteConfig) { c.DeadLetter = queue("in") },
		"max_message is 0":    func(c *RouteConfig) { c.MaxMessage = 0 },
		"invalid target":      func(c *RouteConfig) { c.DeadLetter = Target{} },
	} {
		_, err := NewRoute(t.Context(), config(newBroker(), change))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "route r: ") {
			t.Errorf("want %q in %v", want, err)
		}
	}
}
