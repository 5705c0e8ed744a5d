package router

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// brackets is a format that puts the body in brackets, and takes them off.
type brackets struct {
	stages StageSet
	mu     sync.Mutex
	losses []Loss
}

func (b *brackets) Name() string     { return "brackets" }
func (b *brackets) Stages() StageSet { return b.stages }
func (b *brackets) Instance(context.Context) (Filter, error) {
	return nil, errors.New("no filter but a format")
}
func (b *brackets) Format(context.Context) (Format, error)       { return b, nil }
func (b *brackets) Close()                                       {}
func (b *brackets) Answer(e *Envelope) (queue string, err error) { return e.AppID, nil }

func (b *brackets) Lost(_ *Envelope, loss Loss) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.losses = append(b.losses, loss)
}

func (b *brackets) Run(_ context.Context, s Stage, e *Envelope, d *Decision) error {
	body := string(e.Body)
	switch s {
	case Decode:
		if body[0] != '[' {
			return &FilterError{Filter: "brackets", Stage: Decode, Class: "invalid", Err: errors.New("no brackets")}
		}
		e.Body = []byte(body[1 : len(body)-1])
		if e.MessageID == "" {
			e.MessageID = string(e.Body)
		}
	case Decide:
		d.Action = Forward
		d.Targets = append(d.Targets[:0], queue("decided"))
	case Encode:
		e.Body = fmt.Appendf(nil, "[%s %d]", body, d.Emission)
	}
	return nil
}

func (b *brackets) lost() []Loss {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.losses
}

var wrapping = StageSet(0).With(Decode).With(Encode)

func TestAFormatIsFirstAndLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		saw := &filter{name: "f", stages: map[Stage]func(*Envelope, *Decision) error{}}
		for _, s := range []Stage{Decode, Decide, Encode} {
			saw.stages[s] = func(e *Envelope, d *Decision) error {
				e.Body = append(e.Body, s.String()...)
				if s == Decide {
					d.Emitted = append(d.Emitted, Emission{Envelope: e.Clone(), Targets: []Target{queue("more")}})
				}
				return nil
			}
		}
		r, stop := start(t, config(b, func(c *RouteConfig) {
			c.Format = &brackets{stages: wrapping.With(Decide)}
			c.Filters = []RouteFilter{{Source: saw}}
		}))
		b.deliver("1", "[x]")
		synctest.Wait()
		stop()
		want := []string{"decided [xdecodedecideencode 0]", "more [xdecodedecideencode 1]"}
		var got []string
		for _, p := range b.published {
			got = append(got, p.Target[len("queue:"):]+" "+p.Body)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		chain := r.Chain()
		if diff := cmp.Diff([][]string{{"brackets", "f"}, {"brackets", "f"}, {"f", "brackets"}}, [][]string{chain[Decode], chain[Decide], chain[Encode]}); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTheFormatIsToldOfLosses(t *testing.T) {
	say := func(action Action, reason string) func(*Envelope, *Decision) error {
		return func(_ *Envelope, d *Decision) error {
			d.Action, d.Reason = action, reason
			return nil
		}
	}
	for name, test := range map[string]struct {
		decide func(*Envelope, *Decision) error
		answer error
		change func(*RouteConfig)
		body   string
		want   []Loss
	}{
		"nothing":     {},
		"not decoded": {body: "x", want: []Loss{{Reason: "filter-invalid", Filter: "brackets", Stage: "decode", Text: "no brackets"}}},
		"rejected":    {decide: say(Reject, "not mine"), want: []Loss{{Reason: "rejected", Filter: "decider", Stage: "decide", Text: "not mine"}}},
		"dropped":     {decide: say(Drop, "stale"), want: []Loss{{Reason: "dropped", Filter: "decider", Stage: "decide", Text: "stale"}}},
		"dropped for its parts": {decide: func(e *Envelope, d *Decision) error {
			d.Action, d.Emitted = Drop, []Emission{{Envelope: e.Clone(), Targets: []Target{queue("part")}}}
			return nil
		}},
		"tried too often": {decide: say(Retry, "later"), want: []Loss{{Reason: "attempts", Filter: "decider", Stage: "decide", Text: "later"}}},
		"trap": {decide: func(*Envelope, *Decision) error {
			return &FilterError{Filter: "decider", Stage: Decide, Class: "trap", Err: errors.New("at secret.go:7")}
		}, want: []Loss{{Reason: "filter-trap", Filter: "decider", Stage: "decide"}}},
		"trap and on_error drop": {decide: func(*Envelope, *Decision) error {
			return &FilterError{Filter: "decider", Stage: Decide, Class: "trap", Err: errors.New("at secret.go:7")}
		}, change: func(c *RouteConfig) { c.OnError = PolicyDrop }, want: []Loss{{Reason: "filter-trap", Filter: "decider", Stage: "decide"}}},
		"unroutable":             {answer: ErrUnroutable, want: []Loss{{Reason: "unroutable"}}},
		"unroutable and dropped": {answer: ErrUnroutable, change: func(c *RouteConfig) { c.Unroutable = PolicyDrop }},
		"partly unroutable":      {answer: ErrUnroutable, change: func(c *RouteConfig) { c.Send = []Target{queue("out"), queue("fine")} }},
		"too large":              {change: func(c *RouteConfig) { c.MaxMessage = 1 }, want: []Loss{{Reason: "too-large"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				b.answer = func(_ int, to Target, _ *Envelope) error {
					if to.Queue == "out" {
						return test.answer
					}
					return nil
				}
				format := &brackets{stages: wrapping}
				_, stop := start(t, config(b, func(c *RouteConfig) {
					c.Format = format
					if test.decide != nil {
						c.Filters = []RouteFilter{{Source: decide(test.decide)}}
					}
					if test.change != nil {
						test.change(c)
					}
				}))
				body := test.body
				if body == "" {
					body = "[x]"
				}
				tag := b.deliver("1", body)
				time.Sleep(time.Minute)
				if got := b.said(tag); got != "[ack]" {
					t.Errorf("delivery settled %s", got)
				}
				stop()
				if diff := cmp.Diff(test.want, format.lost()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestUnroutableMessagesMayBeDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.answer = func(int, Target, *Envelope) error { return ErrUnroutable }
		r, stop := start(t, config(b, func(c *RouteConfig) { c.Unroutable = PolicyDrop }))
		b.deliver("1", "x")
		synctest.Wait()
		if diff := cmp.Diff([]string{"queue:out 1"}, b.sent()); diff != "" {
			t.Errorf("a dead letter was sent: %s", diff)
		}
		if st := r.Stat(); st.Settled[verdictDrop] != 1 || st.Sent[sentUnroutable] != 1 {
			t.Errorf("%+v", st)
		}
		stop()
	})
}

func TestAFormatKnowsTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		_, stop := start(t, config(b, func(c *RouteConfig) {
			c.Format = &brackets{stages: wrapping}
			c.Filters = []RouteFilter{{Source: decide(func(e *Envelope, d *Decision) error {
				d.Action = Reply
				return nil
			})}}
			c.Allow = nil
		}))
		b.deliver("1", "[x]", func(e *Envelope) { e.AppID, e.ReplyTo = "reply_1", "reply_2" })
		b.deliver("2", "[x]", func(e *Envelope) { e.AppID = "orders" })
		synctest.Wait()
		if diff := cmp.Diff([]string{"queue:reply_1 1", "queue:in.dead 2"}, b.sent()); diff != "" {
			t.Error(diff)
		}
		stop()
	})
}

func TestAFormatKnowsDuplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		r, stop := start(t, config(b, func(c *RouteConfig) { c.Format = &brackets{stages: wrapping} }))
		again := func(e *Envelope) { e.Origin.Redelivered = true }
		b.deliver("", "[x]")
		b.deliver("", "[x]", again)
		b.deliver("", "[y]", again)
		b.deliver("", "not of the format")
		b.deliver("", "not of the format", again)
		synctest.Wait()
		stop()
		if diff := cmp.Diff([]string{"queue:out x", "queue:out y", "queue:in.dead ", "queue:in.dead "}, b.sent()); diff != "" {
			t.Error(diff)
		}
		if st := r.Stat(); st.Duplicates != 1 {
			t.Errorf("%+v", st)
		}
	})
}
