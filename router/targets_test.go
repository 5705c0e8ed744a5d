package router

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// byTarget writes counts as "TARGET RESULT=N…", without those of nothing.
func byTarget(st RouteStat) (list []string) {
	for _, s := range st.Targets {
		line := s.Target
		for i, n := range s.Sent {
			if n > 0 {
				line += fmt.Sprintf(" %s=%d", SentNames[i], n)
			}
		}
		list = append(list, line)
	}
	return list
}

func TestSendsAreCountedByTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.answer = func(n int, to Target, _ *Envelope) error {
			switch {
			case to.Queue == "b" && n == 1:
				return ErrNacked
			case to.Queue == "gone":
				return ErrUnroutable
			case to.Queue == "lost":
				return ErrUnconfirmed
			case to.Queue == "odd":
				return ErrUnsendable
			}
			return nil
		}
		r, stop := start(t, config(b, func(c *RouteConfig) {
			c.Send = []Target{queue("a"), queue("b")}
			c.Allow, _ = NewAllow([]string{"queue:*", "queue:named", "topic:named"})
			c.Retry.MaxAttempts = 2
			c.Filters = []RouteFilter{{Source: decide(func(e *Envelope, d *Decision) error {
				switch d.Action = Forward; e.MessageID {
				case "send":
				case "reply":
					d.Action = Reply
				default:
					d.Targets = append(d.Targets, queue(e.MessageID))
				}
				return nil
			})}}
		}))
		for _, id := range []string{"send", "chosen", "chosen", "a", "gone", "lost", "odd", "named"} {
			b.deliver(id, "x")
		}
		for _, to := range []string{"reply_1", "reply_2"} {
			b.deliver("reply", "x", func(e *Envelope) { e.ReplyTo = to })
		}
		time.Sleep(time.Minute)
		stop()
		want := []string{
			"queue:a ok=2", "queue:b ok=1 nacked=1", "queue:chosen ok=2", "queue:gone unroutable=1", "queue:in.dead ok=3",
			"queue:lost unconfirmed=2", "queue:named ok=1", "queue:odd unsendable=1", "replies ok=2", "topic:named",
		}
		st := r.Stat()
		if diff := cmp.Diff(want, byTarget(st)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([...]uint64{11, 1, 1, 2, 1}, st.Sent); diff != "" {
			t.Error(diff)
		}
		var chosen []string
		for _, s := range st.Targets {
			if !s.Named {
				chosen = append(chosen, s.Target)
			}
		}
		if diff := cmp.Diff([]string{"queue:chosen", "queue:gone", "queue:lost", "queue:odd"}, chosen); diff != "" {
			t.Error(diff)
		}
	})
}

// Filters may make up targets without end: MaxTargets are told apart, and no message is
// missing in the counts.
func TestTargetsAreToldApartWithinABound(t *testing.T) {
	const messages, chosen = 400, 100
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.hold = true // so that lanes come upon the same target together
		r, stop := start(t, config(b, func(c *RouteConfig) {
			c.Lanes, c.Order, c.Source.Prefetch = 4, OrderNone, messages
			c.Filters = []RouteFilter{{Source: decide(func(e *Envelope, d *Decision) error {
				d.Action, d.Targets = Forward, append(d.Targets, queue("t"+e.MessageID), queue("out"))
				return nil
			})}}
		}))
		for n := range messages {
			b.deliver(strconv.Itoa(n/4%chosen), "x")
		}
		synctest.Wait()
		b.release()
		synctest.Wait()
		st := r.Stat()
		stop()
		sent := map[string]uint64{}
		for _, s := range st.Targets {
			sent[s.Target] = s.Sent[sentOK]
			if strings.HasPrefix(s.Target, "queue:t") && s.Sent[sentOK] != 4 {
				t.Errorf("%s: %v", s.Target, s.Sent)
			}
		}
		// The dead-letter queue is one of those that filters may choose here.
		if told := uint64(MaxTargets - 2); len(sent) != MaxTargets+1 || sent["queue:out"] != messages || sent[OtherTargets] != 4*(chosen-told) {
			t.Errorf("%d targets, %d sent to out, %d to others", len(sent), sent["queue:out"], sent[OtherTargets])
		}
		if st.Sent[sentOK] != 2*messages {
			t.Errorf("sent %v", st.Sent)
		}
		if !slices.IsSortedFunc(st.Targets, func(a, b TargetStat) int { return strings.Compare(a.Target, b.Target) }) {
			t.Error("not sorted")
		}
	})
}

// What the route itself sends to is always told apart, what no target can be never.
func TestTheRoutesOwnTargetsAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.answer = func(_ int, to Target, _ *Envelope) error {
			if to.Validate() != nil {
				return ErrUnsendable
			}
			return nil
		}
		cfg := config(b, func(c *RouteConfig) {
			c.Send = nil
			for n := range MaxTargets + 6 {
				c.Send = append(c.Send, queue(strconv.Itoa(n)))
			}
			c.Allow, _ = NewAllow([]string{"queue:chosen"})
		})
		r, stop := start(t, cfg)
		b.deliver("1", "x")
		synctest.Wait()
		stop()
		if n := len(r.Stat().Targets); n != len(cfg.Send)+1 { // and the dead-letter queue
			t.Errorf("%d targets: %q", n, byTarget(r.Stat()))
		}
		r, stop = start(t, config(b, func(c *RouteConfig) {
			c.Filters = []RouteFilter{{Source: decide(func(_ *Envelope, d *Decision) error {
				d.Action, d.Targets = Forward, append(d.Targets, queue(strings.Repeat("x", 1000)))
				return nil
			})}}
		}))
		b.deliver("2", "x")
		synctest.Wait()
		stop()
		if diff := cmp.Diff([]string{"other unsendable=1", "queue:in.dead ok=1", "queue:out"}, byTarget(r.Stat())); diff != "" {
			t.Error(diff)
		}
	})
}
