package amqp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

// seenMessage is what a walk says of a message.
type seenMessage struct {
	id    string
	count any // x-delivery-count
	tag   uint64
}

// walk goes along a queue until EOF or what do says, and leaves the walk open.
func walk(ctx context.Context, t *testing.T, b *amqp.Broker, queue string, most int, do func(*amqp.Browsing, seenMessage) bool) *amqp.Browsing {
	t.Helper()
	s, err := b.Browse(ctx, queue, most)
	if err != nil {
		t.Fatal(err)
	}
	for {
		env, tag, err := s.Next(ctx)
		if errors.Is(err, io.EOF) {
			return s
		}
		if err != nil {
			t.Fatal(err)
		}
		if !do(s, seenMessage{env.MessageID, env.Headers()[router.HeaderDeliveryCount], tag}) {
			return s
		}
	}
}

// fill publishes messages and waits for the broker to have that many.
func fill(ctx context.Context, t *testing.T, ch *amqp091.Channel, queue string, from, to int) {
	t.Helper()
	publish(t, ch, queue, from, to)
	waitFor(ctx, t, "the messages are there", func() bool { n, _ := holds(t, ch, queue); return n == to })
}

func ids(from, to int) []string {
	var list []string
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprint(i))
	}
	return list
}

// browsed returns the ids and counts that a whole walk sees.
func browsed(ctx context.Context, t *testing.T, b *amqp.Broker, queue string) (list []string, counts map[any]int) {
	t.Helper()
	counts = map[any]int{}
	s := walk(ctx, t, b, queue, 0, func(_ *amqp.Browsing, m seenMessage) bool {
		list = append(list, m.id)
		counts[m.count]++
		return true
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return list, counts
}

func TestBrowsingDisturbsNothing(t *testing.T) {
	testbroker.Both(t, testBrowsingDisturbsNothing)
}

func testBrowsingDisturbsNothing(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name, ch, b := rabbitnode.Queue(t), channel(t, at.URL()), newBroker(t, at, amqp.Config{})
	declareQueue(t, ch, name, nil)
	fill(ctx, t, ch, name, 0, 600) // several batches
	for range 3 {
		list, counts := browsed(ctx, t, b, name)
		if !slices.Equal(list, ids(0, 600)) || counts[nil] != 600 {
			t.Fatalf("%d messages, counted %v", len(list), counts)
		}
	}
	some := func(n int) (list []string) {
		s := walk(ctx, t, b, name, 0, func(_ *amqp.Browsing, m seenMessage) bool {
			list = append(list, m.id)
			return len(list) < n
		})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return list
	}
	if list := some(300); !slices.Equal(list, ids(0, 300)) {
		t.Errorf("a walk that ends early: %v", list)
	}

	// Two at once share what there is, and one in the middle can be taken.
	var middle uint64
	first := walk(ctx, t, b, name, 100, func(_ *amqp.Browsing, m seenMessage) bool {
		if m.id == "50" {
			middle = m.tag
		}
		return true
	})
	if err := errors.Join(first.Stop(ctx), first.Ack(middle)); err != nil {
		t.Fatal(err)
	}
	list, _ := browsed(ctx, t, b, name)
	if len(list) != 500 || list[0] != "100" {
		t.Errorf("beside another the walk saw %d, from %s", len(list), list[0])
	}
	if err := errors.Join(first.Close(), first.Close()); err != nil {
		t.Error(err)
	}
	want := slices.Concat(ids(0, 50), ids(51, 600))
	if list, _ := browsed(ctx, t, b, name); !slices.Equal(list, want) {
		t.Errorf("afterwards: %v", list)
	}

	// What comes in meanwhile is not of this walk.
	seen := 0
	s := walk(ctx, t, b, name, 0, func(s *amqp.Browsing, m seenMessage) bool {
		if seen == 0 {
			publish(t, ch, name, 600, 650)
		}
		seen++
		return errors.Join(s.Ack(m.tag)) == nil
	})
	if err := s.Close(); err != nil || seen != 599 {
		t.Errorf("%d of 599 seen; %v", seen, err)
	}
	if list, _ := browsed(ctx, t, b, name); !slices.Equal(list, ids(600, 650)) {
		t.Errorf("left: %v", list)
	}
}

func TestBrowsingAQuorumQueueCounts(t *testing.T) {
	at, ctx := testbroker.RabbitMQ(t), testContext(t)
	for _, limit := range []any{nil, int32(2)} {
		name, ch, b := rabbitnode.Queue(t), channel(t, at.URL()), newBroker(t, at, amqp.Config{})
		args := amqp091.Table{"x-queue-type": "quorum"}
		if limit != nil {
			args["x-delivery-limit"] = limit
		}
		declareQueue(t, ch, name, args)
		const n = 700 // many batches
		fill(ctx, t, ch, name, 0, n)
		for round := range 3 {
			list, counts := browsed(ctx, t, b, name)
			counted := counts[int64(round)]
			if round == 0 {
				counted += counts[nil]
			}
			if !slices.Equal(list, ids(0, n)) || counted != n {
				t.Errorf("round %d: %v, counted %v", round, list, counts)
			}
		}
		// Whoever browses has to look at the count: this is what it is for.
		left := n
		if limit != nil {
			left = 0
		}
		waitFor(ctx, t, "the queue settles", func() bool { n, _ := holds(t, ch, name); return n == left })
	}
}

func TestAStoppedWalkSaysWhatHasCome(t *testing.T) {
	testbroker.Both(t, func(t *testing.T, at *testbroker.Broker) {
		ctx := testContext(t)
		name, ch, b := rabbitnode.Queue(t), channel(t, at.URL()), newBroker(t, at, amqp.Config{})
		declareQueue(t, ch, name, nil)
		fill(ctx, t, ch, name, 0, 100)
		n := 0
		s := walk(ctx, t, b, name, 0, func(s *amqp.Browsing, m seenMessage) bool {
			if n++; n == 10 { // of the second batch
				waitFor(ctx, t, "the batch is here", func() bool { n, _ := holds(t, ch, name); return n == 0 })
				if err := s.Stop(ctx); err != nil {
					t.Fatal(err)
				}
			}
			return true
		})
		if err := s.Close(); err != nil || n != 100 {
			t.Errorf("%d came, %v", n, err)
		}
	})
}

func TestWhyAWalkEnds(t *testing.T) {
	testbroker.Both(t, testWhyAWalkEnds)
}

func testWhyAWalkEnds(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name, ch, b := rabbitnode.Queue(t), channel(t, at.URL()), newBroker(t, at, amqp.Config{})
	if _, err := b.Browse(ctx, name, 0); !amqp.IsMissing(err) || !strings.Contains(err.Error(), name) {
		t.Errorf("a missing queue: %v", err)
	}
	if _, err := b.State(ctx, name); !amqp.IsMissing(err) {
		t.Errorf("its state: %v", err)
	}
	declareQueue(t, ch, name, amqp091.Table{"x-single-active-consumer": true})
	fill(ctx, t, ch, name, 0, 20)
	if s, err := b.State(ctx, name); err != nil || s != (amqp.QueueState{Messages: 20}) {
		t.Errorf("%+v, %v", s, err)
	}

	fill(ctx, t, ch, name, 20, 600)
	for _, last := range []string{"9", "256"} { // the second time more has to be asked for
		s := walk(ctx, t, b, name, 0, func(_ *amqp.Browsing, m seenMessage) bool { return m.id != last })
		if _, err := at.CloseConnections(ctx, "router/browse "+name, "test"); err != nil {
			t.Fatal(err)
		}
		waitFor(ctx, t, "it is lost", s.Lost)
		var err error
		for err == nil {
			_, _, err = s.Next(ctx)
		}
		if errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "test") {
			t.Errorf("a connection that is lost behind %s: %v", last, err)
		}
		if err := s.Close(); err == nil {
			t.Error("acknowledgements may be lost, and nothing says so")
		}
		waitFor(ctx, t, "all is back", func() bool { n, _ := holds(t, ch, name); return n == 600 })
	}

	if at.Node != nil {
		return // which does the same, and takes as long
	}
	active := channel(t, at.URL())
	if err := active.Qos(1, 0, false); err != nil {
		t.Fatal(err)
	}
	if _, err := active.Consume(name, "", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	s, err := b.Browse(ctx, name, 0)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, _, err = s.Next(ctx)
	}
	if !errors.Is(err, amqp.ErrNotServed) {
		t.Errorf("a queue that gives nothing: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
