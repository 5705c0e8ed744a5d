package deadletters_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/app/deadletters"
	"github.com/wasmrouter/router/router"
)

func (d *desk) replay(o deadletters.Replay) deadletters.Result {
	d.t.Helper()
	r, err := d.queue.Replay(d.ctx, o)
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

func TestAReplaySendsTheOriginalToWhereItCameFrom(t *testing.T) {
	d := newDesk(t)
	d.declare("copies")
	p := letter("m", amqp091.Table{"x-router-expiration": "3600000", "x-router-cc": []any{"copies"}, "n": int8(3)})
	p.Type, p.Priority = "order", 4
	d.post(p)
	d.settle("dead", 1)
	if r := d.replay(deadletters.Replay{}); r.Replayed != 1 || r.Failed != 0 || r.Ready != 1 {
		t.Errorf("%+v", r)
	}
	got := d.take("in")
	if len(got) != 1 {
		t.Fatalf("%d messages arrived", len(got))
	}
	want := amqp091.Table{"tenant": "acme", "n": int8(3)}
	if diff := cmp.Diff(want, got[0].Headers); diff != "" {
		t.Error(diff)
	}
	if m := got[0]; m.MessageId != "m" || string(m.Body) != "body m" || m.Expiration != "3600000" || m.Type != "order" || m.Priority != 4 || m.DeliveryMode != 2 {
		t.Errorf("%+v", m)
	}
	if n := len(d.take("dead")) + len(d.take("copies")); n > 0 {
		t.Errorf("%d more", n)
	}
}

func TestAReplayOfSome(t *testing.T) {
	d := newDesk(t)
	d.fill(300)
	one := d.id("150")
	if r := d.replay(deadletters.Replay{Selection: deadletters.Selection{IDs: []string{one, "0123456789abcdef"}}}); r.Replayed != 1 || !slices.Equal(r.Missing, []string{"0123456789abcdef"}) {
		t.Errorf("%+v", r)
	}
	if r := d.replay(deadletters.Replay{Limit: 3}); r.Replayed != 3 || r.Scanned != 3 {
		t.Errorf("%+v", r)
	}
	d.settle("dead", 296)
	var told []string
	dry := deadletters.Replay{Limit: 2, DryRun: true, Each: func(s deadletters.Sent) {
		told = append(told, s.Letter.Original.MessageID+" "+s.Target.String()+" "+string(s.Message.Body))
	}}
	if r := d.replay(dry); r.Replayed != 2 || !slices.Equal(told, []string{"3 queue:in body 3", "4 queue:in body 4"}) {
		t.Errorf("dry: %+v %q", r, told)
	}
	d.settle("dead", 296)
	d.declare("other")
	other := router.Target{Kind: router.TargetQueue, Queue: "other"}
	if r := d.replay(deadletters.Replay{To: other}); r.Replayed != 296 {
		t.Errorf("%+v", r)
	}
	if got := ids(d.take("in")); !slices.Equal(got, []string{"150", "0", "1", "2"}) {
		t.Errorf("in: %v", got)
	}
	got := ids(d.take("other"))
	if len(got) != 296 || got[0] != "3" || got[146] != "149" || got[147] != "151" || got[295] != "299" {
		t.Errorf("other: %v", got)
	}
}

func TestWhatCannotBeSentStays(t *testing.T) {
	d := newDesk(t)
	d.post(letter("gone", amqp091.Table{"x-router-queue": "nowhere"}))
	d.post(letter("bare", amqp091.Table{"x-router-queue": nil}))
	d.post(letter("self", amqp091.Table{"x-router-queue": "dead"}))
	d.post(amqp091.Publishing{MessageId: "stranger"})
	d.post(letter("fine", nil))
	d.settle("dead", 5)
	for range 2 {
		r := d.replay(deadletters.Replay{})
		var why []string
		for _, f := range r.Failures {
			why = append(why, f.Error)
		}
		text := strings.Join(why, "\n")
		for _, want := range []string{"unroutable", "does not say where it came from", "this very queue"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not said: %s", want, text)
			}
		}
		if r.Failed != 4 || len(r.Failures) != 4 {
			t.Errorf("%+v", r)
		}
	}
	d.queue.Source = func(route string) string { return map[string]string{"orders": "in"}[route] }
	if r := d.replay(deadletters.Replay{}); r.Replayed != 1 || r.Failed != 3 {
		t.Errorf("%+v", r)
	}
	if got := ids(d.take("in")); !slices.Equal(got, []string{"fine", "bare"}) {
		t.Errorf("arrived: %v", got)
	}
	if got := ids(d.take("dead")); !slices.Equal(got, []string{"gone", "self", "stranger"}) {
		t.Errorf("stay: %v", got)
	}
}

// What fails again at once comes back into the queue, and is not sent for ever.
func TestAReplayEnds(t *testing.T) {
	d := newDesk(t)
	d.fill(100)
	back, err := d.ch.Consume("in", "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan int)
	go func() {
		n := 0
		for m := range back {
			n++
			if m.MessageId == "last" {
				done <- n
				return
			}
			_ = d.ch.Publish("", "dead", true, false, letter(m.MessageId, nil))
		}
	}()
	if r := d.replay(deadletters.Replay{}); r.Replayed < 100 || r.Replayed > 101 {
		t.Errorf("%+v", r)
	}
	d.post(amqp091.Publishing{MessageId: "last"}, "in")
	if n := <-done; n > 102 {
		t.Errorf("%d letters were sent", n-1)
	}
}

func TestTheRateIsKept(t *testing.T) {
	d := newDesk(t)
	d.fill(5)
	began := time.Now()
	if r := d.replay(deadletters.Replay{Rate: 100}); r.Replayed != 5 {
		t.Errorf("%+v", r)
	}
	if took := time.Since(began); took < 40*time.Millisecond { // four pauses
		t.Errorf("5 letters, 100 a second, took %v", took)
	}
}

// audit says what of n letters is where.
func (d *desk) audit(n int) (left []string, twice int) {
	d.t.Helper()
	count := map[string]int{}
	for _, id := range ids(d.take("in")) {
		count[id]++
	}
	left = ids(d.take("dead"))
	for _, id := range left {
		count[id]++
	}
	for i := range n {
		switch c := count[fmt.Sprint(i)]; {
		case c == 0:
			d.t.Errorf("letter %d is lost", i)
		case c > 1:
			twice += c - 1
		}
	}
	return left, twice
}

// Connections that are lost again and again, at any byte, lose nothing. What comes twice
// each time is a batch at most.
func TestLostConnectionsLoseNothing(t *testing.T) {
	d := newDesk(t)
	const n = 1000
	d.fill(n)
	sent, cuts := 0, 0
	r, err := d.queue.Replay(d.ctx, deadletters.Replay{Each: func(deadletters.Sent) {
		if sent++; sent%150 == 0 {
			cuts += d.server.Faults().CutConnections(func(name string) bool { return strings.HasPrefix(name, "router/browse") })
		}
	}})
	if err != nil || r.Replayed < n || cuts < 3 {
		t.Errorf("%+v, %v; %d cuts", r, err, cuts)
	}
	left, twice := d.audit(n)
	if len(left) > 0 || twice > 256*cuts {
		t.Errorf("%d stay, %d came twice, after %d cuts", len(left), twice, cuts)
	}
}

// The same for the connection that sends: what was on its way may come twice.
func TestALostSendConnectionLosesNothing(t *testing.T) {
	d := newDesk(t)
	const n = 500
	d.fill(n)
	sent := 0
	r, err := d.queue.Replay(d.ctx, deadletters.Replay{Each: func(deadletters.Sent) {
		if sent++; sent == 100 {
			d.server.Faults().CutConnections(func(name string) bool { return strings.HasPrefix(name, "router/send") })
		}
	}})
	if err != nil || r.Replayed+r.Failed != n || r.Failed > 32 {
		t.Errorf("%+v, %v", r, err)
	}
	left, twice := d.audit(n)
	if len(left) != r.Failed || twice > r.Failed {
		t.Errorf("%d stay, of which %d have arrived; %+v", len(left), twice, r)
	}
}

func TestAnInterruptedReplayLosesNothing(t *testing.T) {
	d := newDesk(t)
	const n = 400
	d.fill(n)
	ctx, cancel := context.WithCancel(d.ctx)
	sent := 0
	r, err := d.queue.Replay(ctx, deadletters.Replay{Each: func(deadletters.Sent) {
		if sent++; sent == 100 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	left, twice := d.audit(n)
	if len(left) != n-r.Replayed || twice > 0 || r.Replayed < 100 || r.Replayed > 140 {
		t.Errorf("%+v; %d stay, %d twice", r, len(left), twice)
	}
}

// Two replays at once share the letters.
func TestTwoReplaysSendNothingTwice(t *testing.T) {
	d := newDesk(t)
	const n = 500
	d.fill(n)
	results := make(chan deadletters.Result, 2)
	for range 2 {
		go func() {
			r, err := d.queue.Replay(d.ctx, deadletters.Replay{})
			if err != nil {
				t.Error(err)
			}
			results <- r
		}()
	}
	a, b := <-results, <-results
	left, twice := d.audit(n)
	if a.Replayed+b.Replayed != n || len(left) > 0 || twice > 0 {
		t.Errorf("%+v %+v: %d stay, %d twice", a, b, len(left), twice)
	}
}

// shout is a filter that shouts, but does not let everything pass.
type shout struct{}

func (shout) Name() string { return "shout" }
func (shout) Stages() router.StageSet {
	return router.StageSet(0).With(router.Decide).With(router.Encode)
}
func (s shout) Instance(context.Context) (router.Filter, error) { return s, nil }
func (shout) Close()                                            {}
func (shout) Run(_ context.Context, stage router.Stage, e *router.Envelope, d *router.Decision) error {
	switch {
	case e.MessageID == "1" && stage == router.Decide:
		d.Action, d.Reason = router.Reject, "too quiet"
	case e.MessageID == "2":
		return &router.FilterError{Filter: "shout", Stage: stage, Class: "trap", Err: errors.New("hoarse")}
	case stage == router.Decide:
		d.Action, d.Targets = router.Forward, []router.Target{{Kind: router.TargetQueue, Queue: "its own idea"}}
	default:
		e.Body = append([]byte(strings.ToUpper(string(e.Body))), d.Targets[0].String()...)
	}
	return nil
}

func TestAFilterEditsWhatIsSent(t *testing.T) {
	d := newDesk(t)
	d.fill(4)
	e, err := deadletters.NewEditor(d.ctx, shout{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	r := d.replay(deadletters.Replay{Edit: e})
	if r.Replayed != 2 || r.Failed != 2 || !strings.Contains(r.Failures[0].Error, "reject, too quiet") || !strings.Contains(r.Failures[1].Error, "hoarse") {
		t.Errorf("%+v", r)
	}
	var bodies []string
	for _, m := range d.take("in") {
		bodies = append(bodies, string(m.Body))
	}
	if diff := cmp.Diff([]string{"BODY 0queue:in", "BODY 3queue:in"}, bodies); diff != "" {
		t.Error(diff)
	}
	rest := d.take("dead")
	if !slices.Equal(ids(rest), []string{"1", "2"}) || string(rest[0].Body) != "body 1" {
		t.Errorf("stay: %v", rest)
	}
}
