package deadletters_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/app/deadletters"
)

// cutBrowsing ends the connections that letters are taken from.
func (d *desk) cutBrowsing() {
	d.server.Faults().CutConnections(func(name string) bool { return strings.HasPrefix(name, "router/browse") })
}

// Two letters may be alike in every bit. When one has been sent and the connection is
// lost before the other's turn, the other is not taken for the first.
func TestALetterThatIsAlikeIsNotLost(t *testing.T) {
	d := newDesk(t)
	d.post(letter("twin", nil))
	for i := range 12 {
		d.post(letter(fmt.Sprint(i), nil))
	}
	d.post(letter("twin", nil))
	d.settle("dead", 14)
	sent := 0
	r := d.replay(deadletters.Replay{Rate: 100, Each: func(deadletters.Sent) {
		if sent++; sent == 5 {
			d.cutBrowsing()
		}
	}})
	count := map[string]int{}
	for _, id := range ids(d.take("in")) {
		count[id]++
	}
	if left := d.take("dead"); len(count) != 13 || count["twin"] < 2 || len(left) > 0 {
		t.Errorf("%+v: %v arrived, and %d stay", r, count, len(left))
	}
}

// counted is a letter that says that a quorum queue has delivered it n times before,
// from which this process takes the queue for one.
func counted(id string, n int64, more amqp091.Table) amqp091.Publishing {
	p := letter(id, more)
	p.Headers["x-delivery-count"] = n
	return p
}

// tapped hands out the walks that are begun.
type tapped struct {
	deadletters.Broker
	walk *amqp.Browsing // the last
}

func (b *tapped) Browse(ctx context.Context, queue string, most int) (s *amqp.Browsing, err error) {
	s, err = b.Broker.Browse(ctx, queue, most)
	b.walk = s
	return s, err
}

// A letter of a quorum queue that goes back because its walk is lost is not published
// as well.
func TestALostWalkRenewsNothing(t *testing.T) {
	d := newDesk(t)
	const n = 20
	for i := range n {
		d.post(counted(fmt.Sprint(i), 5, amqp091.Table{"x-router-queue": "nowhere"}))
	}
	d.settle("dead", n)
	b := &tapped{Broker: d.broker}
	d.queue.Broker = b
	told := 0
	r := d.replay(deadletters.Replay{Each: func(deadletters.Sent) {
		if told++; told > 1 {
			return
		}
		for d.cutBrowsing(); !b.walk.Lost(); {
			if d.ctx.Err() != nil {
				t.Fatal(context.Cause(d.ctx))
			}
		}
	}})
	left, twice := d.audit(n)
	if len(left) != n || twice > 0 || r.Failed == 0 {
		t.Errorf("%d letters stay, %d of them copies; %+v", len(left), twice, r)
	}
}

// A broker that answers no publish does not hold a replay that is to end: not with its
// window full, not when it waits for the last ones or for the rate, and not while it
// renews letters. What was not confirmed is still there.
func TestAReplayThatIsNotAnsweredCanBeEnded(t *testing.T) {
	defer deadletters.Limits(100*time.Millisecond, time.Hour)()
	for _, c := range []struct {
		n    int
		rate float64
		sent int // of them, until it can go no further
	}{{5, 0, 5}, {60, 0, 32}, {5, 0.001, 1}} {
		d := newDesk(t)
		for i := range c.n + 1 {
			d.post(counted(fmt.Sprint(i), 5, amqp091.Table{"x-router-queue": nil}))
		}
		d.settle("dead", c.n+1)
		ctx, cancel := context.WithCancel(d.ctx)
		asked := 0
		d.queue.Source = func(string) string {
			if asked++; asked == 3 && c.rate > 0 { // one has to wait for its turn
				cancel()
			}
			return "in"
		}
		b, err := amqp.New(amqp.Config{URLs: d.urls, ConfirmTimeout: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		d.queue.Broker = b
		d.replay(deadletters.Replay{Limit: 1}) // more than one are on their way once one has arrived
		d.server.Faults().DropConfirms(1 << 20)
		ended := make(chan error, 1)
		go func() {
			_, err := d.queue.Replay(ctx, deadletters.Replay{Rate: c.rate})
			ended <- err
		}()
		if c.rate == 0 {
			d.settle("in", 1+c.sent)
			cancel()
		}
		select {
		case err := <-ended:
			if c.sent < c.n && !errors.Is(err, context.Canceled) {
				t.Errorf("%+v: %v", c, err)
			}
		case <-d.ctx.Done():
			t.Fatal(context.Cause(d.ctx))
		}
		if err := b.Close(d.ctx); err != nil {
			t.Error(err)
		}
		left, _ := d.audit(c.n + 1) // of some there is a copy behind
		slices.Sort(left)
		if left = slices.Compact(left); len(left) != c.n {
			t.Errorf("%+v: there are still %v", c, left)
		}
	}
}

// A letter that the broker refused, or of which it told nothing before the connection
// was lost, stays.
func TestALetterStaysUntilItsCopyIsConfirmed(t *testing.T) {
	defer deadletters.Limits(100*time.Millisecond, time.Hour)()
	d := newDesk(t)
	const n = 40
	d.fill(n)
	d.server.Faults().NackPublishes(n)
	if r := d.replay(deadletters.Replay{}); r.Failed != n || r.Replayed > 0 {
		t.Errorf("refused: %+v", r)
	}
	d.settle("dead", n)
	d.server.Faults().DropConfirms(n)
	each := func(s deadletters.Sent) {
		if s.Err == nil {
			t.Errorf("letter %s counts as sent", s.Letter.ID)
		}
	}
	ctx, cancel := context.WithCancel(d.ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = d.queue.Replay(ctx, deadletters.Replay{Each: each})
	}()
	d.settle("in", 1)
	d.cutBrowsing() // the letters go back, unless they have gone
	cancel()
	<-ended
	d.settle("dead", n)
}

// A dry run whose connection is lost says so, and shows no letter twice.
func TestADryRunEndsWithItsConnection(t *testing.T) {
	d := newDesk(t)
	const n = 300 // more than a batch
	d.fill(n)
	told := map[string]int{}
	r, err := d.queue.Replay(d.ctx, deadletters.Replay{DryRun: true, Each: func(s deadletters.Sent) {
		if told[s.Letter.ID]++; len(told) == 1 {
			d.cutBrowsing()
		}
	}})
	if err == nil || r.Replayed != len(told) {
		t.Errorf("%d letters were shown, %v; %+v", len(told), err, r)
	}
}

// A replay whose walks are too short to get past what stays ends and says so, one that
// gets on goes on, and a dry run never begins again.
func TestAReplayBeginsAnewOnlyIfItGotOn(t *testing.T) {
	defer deadletters.Limits(10*time.Second, 0)()
	d := newDesk(t)
	const n = 40
	d.fill(n)
	var told []string
	each := func(s deadletters.Sent) { told = append(told, s.Letter.Original.MessageID) }
	if r := d.replay(deadletters.Replay{DryRun: true, Each: each}); r.Replayed != n || len(told) != n || r.Ready != n {
		t.Errorf("dry: %+v, told of %d", r, len(told))
	}
	d.settle("dead", n)
	r, err := d.queue.Replay(d.ctx, deadletters.Replay{Selection: deadletters.Selection{Reason: "another"}})
	if err == nil || !strings.Contains(err.Error(), "replay or purge those in front first") || r.Replayed > 0 {
		t.Errorf("nothing matches: %+v, %v", r, err)
	}
	d.settle("dead", n)
	d.post(letter("stays", amqp091.Table{"x-router-queue": "nowhere"}))
	d.settle("dead", n+1)
	if r, err := d.queue.Replay(d.ctx, deadletters.Replay{}); r.Replayed != n || r.Failed != 1 {
		t.Errorf("one cannot be sent: %+v, %v", r, err)
	}
	if got := ids(d.take("dead")); !slices.Equal(got, []string{"stays"}) {
		t.Errorf("stay: %v", got)
	}
}
