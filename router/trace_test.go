package router

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// diary is a Tracer that writes down what it is told, and marks what is sent.
type diary struct {
	name string
	mu   sync.Mutex
	said []string
}

func (d *diary) write(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.said = append(d.said, fmt.Sprintf(format, args...))
}

func (d *diary) Trace(route string, received *Envelope) Trace {
	if received.MessageID == "unseen" {
		return nil
	}
	d.write("%s takes %s", route, received.MessageID)
	return d
}

func (d *diary) Filtered(s Step) {
	d.write("%s %s: %s %v", s.Filter, s.Stage, s.Decision.Action, s.Err)
}

func (d *diary) Sending(nth int, to Target, env *Envelope) {
	d.write("%d to %s", nth, to)
	mark, _ := env.Header("mark")
	env.SetHeader("mark", fmt.Sprintf("%v%s%d", mark, d.name, nth))
}

func (d *diary) Sent(nth int, err error) { d.write("%d: %v", nth, err) }

func (d *diary) Done(o Outcome) { d.write("%s after %d %s", o.Verdict, o.Attempts, o.Loss.Reason) }

func TestTraceTellsAMessagesWay(t *testing.T) {
	decider := func(action Action, targets ...Target) *filter {
		return decide(func(_ *Envelope, d *Decision) error {
			d.Action, d.Targets = action, append(d.Targets, targets...)
			return nil
		})
	}
	failing := decide(func(*Envelope, *Decision) error {
		return &FilterError{Filter: "decider", Class: "trap", Err: errors.New("boom")}
	})
	for name, test := range map[string]struct {
		filter *filter
		refuse int // publishes to refuse
		policy Policy
		want   []string
		marks  []any
	}{
		"two targets": {
			filter: decider(Forward, queue("a"), queue("b")),
			want:   []string{"r takes 1", "decider decide: forward <nil>", "0 to queue:a", "0: <nil>", "1 to queue:b", "1: <nil>", "forward after 1 "},
			marks:  []any{"<nil>x0", "<nil>x1"},
		},
		"retried": {
			filter: decider(Forward, queue("a")), refuse: 1,
			want:  []string{"r takes 1", "decider decide: forward <nil>", "0 to queue:a", "0: refused by the broker", "0 to queue:a", "0: <nil>", "forward after 2 "},
			marks: []any{"<nil>x0", "<nil>x0"},
		},
		"dropped": {
			filter: decider(Drop),
			want:   []string{"r takes 1", "decider decide: drop <nil>", "drop after 1 dropped"},
		},
		"dead letter": {
			filter: failing,
			want:   []string{"r takes 1", "decider decide: undecided filter decider: decode: trap: boom", "0 to queue:in.dead", "0: <nil>", "reject after 1 filter-trap"},
			marks:  []any{"<nil>x0"},
		},
		"failed and dropped": {
			filter: failing, policy: PolicyDrop,
			want: []string{"r takes 1", "decider decide: undecided filter decider: decode: trap: boom", "drop after 1 filter-trap"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				b.answer = func(n int, _ Target, _ *Envelope) error {
					if n < test.refuse {
						return ErrNacked
					}
					return nil
				}
				trace := &diary{name: "x"}
				_, stop := start(t, config(b, func(c *RouteConfig) {
					c.Filters, c.Tracer, c.OnError = []RouteFilter{{Source: test.filter}}, Tracers(nil, trace), test.policy
				}))
				b.deliver("1", "body")
				time.Sleep(time.Minute)
				stop()
				if diff := cmp.Diff(test.want, trace.said); diff != "" {
					t.Error(diff)
				}
				var marks []any
				for _, p := range b.published {
					marks = append(marks, p.Env.Headers()["mark"])
				}
				if diff := cmp.Diff(test.marks, marks); diff != "" {
					t.Errorf("what was marked: %s", diff)
				}
			})
		})
	}
}

// The outcome of a message whose dead letter is there already says why that is, and
// that of one that comes again says nothing.
func TestAnOutcomeSaysWhyOnlyOfWhatIsLost(t *testing.T) {
	for name, test := range map[string]struct {
		answer error
		want   []string
	}{
		"dead letter is there": {nil, []string{"reject after 1 filter-trap", "reject after 1 filter-trap"}},
		"comes again":          {ErrNacked, []string{"requeue after 1 "}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				b.answer = func(int, Target, *Envelope) error { return test.answer }
				trace := &diary{name: "x"}
				_, stop := start(t, config(b, func(c *RouteConfig) {
					c.Tracer = trace
					c.Filters = []RouteFilter{{Source: decide(func(*Envelope, *Decision) error {
						return &FilterError{Filter: "decider", Class: "trap", Err: errors.New("boom")}
					})}}
				}))
				b.deliver("1", "body")
				synctest.Wait()
				b.deliver("1", "body", func(e *Envelope) { e.Origin.Redelivered = true })
				synctest.Wait()
				stop()
				var got []string
				for _, line := range trace.said {
					if strings.Contains(line, " after ") {
						got = append(got, line)
					}
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestTracersFollowTogether(t *testing.T) {
	if Tracers(nil, nil) != nil {
		t.Error("nobody follows, and it is not nil")
	}
	synctest.Test(t, func(t *testing.T) {
		b, x, y := newBroker(), &diary{name: "x"}, &diary{name: "y"}
		_, stop := start(t, config(b, func(c *RouteConfig) { c.Tracer = Tracers(x, nil, y) }))
		b.deliver("1", "body")
		b.deliver("unseen", "body")
		synctest.Wait()
		stop()
		if diff := cmp.Diff(x.said, y.said); diff != "" || len(x.said) != 4 {
			t.Errorf("%q and not the same: %s", x.said, diff)
		}
		var marks []any
		for _, p := range b.published {
			marks = append(marks, p.Env.Headers()["mark"])
		}
		if diff := cmp.Diff([]any{"<nil>x0y0", nil}, marks); diff != "" {
			t.Error(diff)
		}
	})
}
