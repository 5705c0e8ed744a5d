package amqp_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

// publish publishes numbered messages past the code under test.
func publish(t testing.TB, ch *amqp091.Channel, name string, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := ch.Publish("", name, true, false, amqp091.Publishing{DeliveryMode: 2, MessageId: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
}

// holds returns how many messages wait in the queue, unacknowledged ones not
// counted, and how many consumers it has.
func holds(t testing.TB, ch *amqp091.Channel, name string) (messages, consumers int) {
	t.Helper()
	q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return q.Messages, q.Consumers
}

func TestDrainSettlesWhatIsInHandAndGivesTheRestBack(t *testing.T) {
	testbroker.Both(t, testDrainSettlesWhatIsInHandAndGivesTheRestBack)
}

func testDrainSettlesWhatIsInHandAndGivesTheRestBack(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	ch := channel(t, at.URL())
	declareQueue(t, ch, name, nil)
	publish(t, ch, name, 0, 100)
	b := newBroker(t, at, amqp.Config{})
	lctx, stop := context.WithCancel(ctx)
	got := make(chan *router.Delivery, 100)
	result := make(chan error, 1)
	handed := 0
	go func() {
		result <- b.Listen(lctx, router.Source{Queue: name, Prefetch: 50, DrainTimeout: limit}, func(d *router.Delivery) {
			got <- d
			if handed++; handed == 10 {
				stop() // the other 40 of the window are not handed over
				<-lctx.Done()
			}
		})
	}()
	var last *router.Delivery
	for i := range 10 {
		d := <-got
		if d.Envelope.MessageID != fmt.Sprint(i) {
			t.Errorf("delivery %d is message %s", i, d.Envelope.MessageID)
		}
		switch i {
		case 9:
			last = d
		case 3, 4: // given back by the handler
			d.Settler.Requeue(d.Tag)
		default:
			d.Settler.Ack(d.Tag)
		}
	}
	waitFor(ctx, t, "the rest is given back", func() bool { n, _ := holds(t, ch, name); return n == 92 })
	select {
	case err := <-result:
		t.Fatalf("listen returned %v before everything was settled", err)
	default:
	}
	if !last.Settler.Live() {
		t.Error("the session ended before its drain")
	}
	last.Settler.Ack(last.Tag)
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if len(got) != 0 {
		t.Errorf("%d deliveries were handed over after the end", len(got))
	}
	if n, consumers := holds(t, ch, name); n != 92 || consumers != 0 {
		t.Errorf("the queue holds %d messages and has %d consumers; want 92 and none", n, consumers)
	}
	if st := b.Stat(); st.AcksDropped != 0 || st.Acked != 8 {
		t.Errorf("stat: %+v", st)
	}
	if last.Settler.Live() {
		t.Error("the session is live after its end")
	}
}

// TestAnOrderedDrainLetsNobodyOvertake has two listeners on a queue that feeds one at a
// time. The second gets nothing before the first has settled what it has in hand, and
// then everything else in the queue's order.
func TestAnOrderedDrainLetsNobodyOvertake(t *testing.T) {
	testbroker.Both(t, testAnOrderedDrainLetsNobodyOvertake)
}

func testAnOrderedDrainLetsNobodyOvertake(t *testing.T, at *testbroker.Broker) {
	for _, kind := range []string{"classic", "quorum"} {
		t.Run(kind, func(t *testing.T) {
			ctx := testContext(t)
			name := rabbitnode.Queue(t)
			ch := channel(t, at.URL())
			declareQueue(t, ch, name, amqp091.Table{"x-single-active-consumer": true, "x-queue-type": kind})
			var both []*consumer
			for range 2 {
				told := newEvents()
				both = append(both, listen(t, newBroker(t, at, amqp.Config{}), router.Source{
					Queue: name, Prefetch: 10, Ordered: true, DrainTimeout: limit, Watch: told.watch,
				}))
				told.next(ctx, t, router.SourceConsuming)
			}
			first, second := both[0], both[1]
			publish(t, ch, name, 0, 30)
			var hand []*router.Delivery
			for range 10 {
				hand = append(hand, first.next(ctx, t))
			}
			first.stop()
			ended := make(chan error)
			go func() { ended <- first.end() }()
			for _, i := range []int{3, 7, 8, 9} { // as a route does with what it has not begun
				hand[i].Settler.Requeue(hand[i].Tag)
			}
			for _, i := range []int{0, 1, 4, 5, 6} {
				hand[i].Settler.Ack(hand[i].Tag)
			}
			// Time for the settlements to arrive, and for deliveries in their place.
			waitFor(ctx, t, "five acknowledged", func() bool { n, _ := holds(t, ch, name); return n <= 15 })
			if n := len(second.deliveries); n != 0 {
				t.Errorf("%d messages overtook one that is in hand", n)
			}
			hand[2].Settler.Ack(hand[2].Tag)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			want := []int{3, 7, 8, 9}
			for i := 10; i < 30; i++ {
				want = append(want, i)
			}
			for _, id := range want {
				d := second.next(ctx, t)
				if d.Envelope.MessageID != fmt.Sprint(id) {
					t.Fatalf("message %s came, want %d", d.Envelope.MessageID, id)
				}
				d.Settler.Ack(d.Tag)
			}
		})
	}
}

func TestDrainIsBounded(t *testing.T) { testbroker.Both(t, testDrainIsBounded) }

func testDrainIsBounded(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	ch := channel(t, at.URL())
	declareQueue(t, ch, name, nil)
	publish(t, ch, name, 0, 3)
	b := newBroker(t, at, amqp.Config{})
	c := listen(t, b, router.Source{Queue: name, DrainTimeout: 50 * time.Millisecond})
	d := c.next(ctx, t)
	if err := c.end(); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, "all are back", func() bool { n, _ := holds(t, ch, name); return n == 3 })
	d.Settler.Ack(d.Tag) // too late
	if st := b.Stat(); st.AcksDropped != 1 || d.Settler.Live() {
		t.Errorf("acks dropped %d, live %v; want 1 and false", st.AcksDropped, d.Settler.Live())
	}
	if n, _ := holds(t, ch, name); n != 3 {
		t.Errorf("the queue holds %d messages, want 3", n)
	}
}

func TestAcksOfALostSessionAreDropped(t *testing.T) {
	testbroker.Both(t, testAcksOfALostSessionAreDropped)
}

func testAcksOfALostSessionAreDropped(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	ch := channel(t, at.URL())
	declareQueue(t, ch, name, nil)
	publish(t, ch, name, 0, 10)
	f := newFaults()
	b := newBroker(t, at, amqp.Config{Dial: f.Dial})
	c := listen(t, b, router.Source{Queue: name, Prefetch: 10, DrainTimeout: time.Millisecond})
	var old []*router.Delivery
	for range 10 {
		old = append(old, c.next(ctx, t))
	}
	f.Cut()
	seen := map[string]bool{}
	var fresh []*router.Delivery
	for range 10 { // all come again, on a new session with the same tags
		d := c.next(ctx, t)
		if !d.Envelope.Origin.Redelivered {
			t.Errorf("message %s is not marked as redelivered", d.Envelope.MessageID)
		}
		seen[d.Envelope.MessageID] = true
		fresh = append(fresh, d)
	}
	if len(seen) != 10 {
		t.Errorf("redelivered %v, want all ten", seen)
	}
	for _, d := range old { // must not acknowledge what the new tags stand for
		if d.Settler.Live() {
			t.Error("a lost session is live")
		}
		d.Settler.Ack(d.Tag)
		d.Settler.Requeue(d.Tag)
	}
	for _, d := range fresh[:3] {
		d.Settler.Ack(d.Tag)
	}
	waitFor(ctx, t, "three are acknowledged", func() bool { return b.Stat().Acked == 3 })
	f.Cut()
	for range 7 {
		c.next(ctx, t)
	}
	if st := b.Stat(); st.AcksDropped != 20 {
		t.Errorf("acks dropped = %d, want 20", st.AcksDropped)
	}
	if s := stat(b, "listen "+name); s.Reconnects != 2 || !s.Consuming {
		t.Errorf("connection: %+v", s)
	}
}

func TestADeletedQueueIsConsumedAgainWhenItIsBack(t *testing.T) {
	testbroker.Both(t, testADeletedQueueIsConsumedAgainWhenItIsBack)
}

func testADeletedQueueIsConsumedAgainWhenItIsBack(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	ch := channel(t, at.URL())
	declareQueue(t, ch, name, nil)
	b := newBroker(t, at, amqp.Config{})
	c := listen(t, b, router.Source{Queue: name})
	publish(t, ch, name, 0, 1)
	d := c.next(ctx, t)
	d.Settler.Ack(d.Tag)
	if _, err := ch.QueueDelete(name, false, false, false); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, "it is missed", func() bool {
		return strings.Contains(stat(b, "listen "+name).LastError, "does not exist")
	})
	declareQueue(t, ch, name, nil)
	publish(t, ch, name, 1, 2)
	d = c.next(ctx, t)
	d.Settler.Ack(d.Tag)
	if s := stat(b, "listen "+name); s.Connects != 1 {
		t.Errorf("connection: %+v; want the same one", s)
	}
}

func TestAQueueOfTheTopologyIsDeclaredAgain(t *testing.T) {
	testbroker.Both(t, testAQueueOfTheTopologyIsDeclaredAgain)
}

func testAQueueOfTheTopologyIsDeclaredAgain(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	ch := channel(t, at.URL())
	b := newBroker(t, at, amqp.Config{Topology: amqp.Topology{
		Exchanges: []amqp.Exchange{{Name: name, Type: "topic"}},
		Queues:    []amqp.Queue{{Name: name, Durable: true}},
		Bindings:  []amqp.Binding{{Exchange: name, Queue: name, Key: "a.#"}},
	}})
	t.Cleanup(func() {
		_, _ = ch.QueueDelete(name, false, false, false)
		_ = ch.ExchangeDelete(name, false, false)
	})
	c := listen(t, b, router.Source{Queue: name})
	for range 2 {
		waitFor(ctx, t, "it is bound", func() bool { return stat(b, "listen "+name).Consuming })
		if err := ch.Publish(name, "a.b", true, false, amqp091.Publishing{}); err != nil {
			t.Fatal(err)
		}
		d := c.next(ctx, t)
		d.Settler.Ack(d.Tag)
		if _, err := ch.QueueDelete(name, false, false, false); err != nil {
			t.Fatal(err)
		}
		waitFor(ctx, t, "it is declared again", func() bool {
			_, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
			if err != nil {
				ch = channel(t, at.URL())
			}
			return err == nil
		})
	}
}

func TestListenEndsWhenTheTopologyDoesNotFit(t *testing.T) {
	testbroker.Both(t, testListenEndsWhenTheTopologyDoesNotFit)
}

func testListenEndsWhenTheTopologyDoesNotFit(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	declareQueue(t, channel(t, at.URL()), name, amqp091.Table{"x-max-length": int32(5)})
	b := newBroker(t, at, amqp.Config{Topology: amqp.Topology{
		Queues: []amqp.Queue{{Name: name, Durable: true, Arguments: map[string]any{"x-max-length": int64(7)}}},
	}})
	for who, err := range map[string]error{
		"listen":  b.Listen(ctx, router.Source{Queue: name, Prefetch: 1}, nil),
		"connect": b.Connect(ctx),
	} {
		for _, word := range []string{name, "x-max-length", "5", "7", "exists with other properties"} {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%s = %v; want it to say %q", who, err, word)
			}
		}
		var e *amqp091.Error
		if !errors.As(err, &e) || e.Code != amqp091.PreconditionFailed {
			t.Errorf("%s = %v; want the broker's error inside", who, err)
		}
	}
}

func TestAnExclusiveConsumerIsWaitedFor(t *testing.T) {
	testbroker.Both(t, testAnExclusiveConsumerIsWaitedFor)
}

func testAnExclusiveConsumerIsWaitedFor(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	ch := channel(t, at.URL())
	declareQueue(t, ch, name, nil)
	publish(t, ch, name, 0, 1)
	first := newBroker(t, at, amqp.Config{})
	one := listen(t, first, router.Source{Queue: name, Exclusive: true, DrainTimeout: time.Millisecond})
	one.next(ctx, t)
	second := newBroker(t, at, amqp.Config{})
	two := listen(t, second, router.Source{Queue: name, Exclusive: true})
	waitFor(ctx, t, "the second is refused", func() bool {
		return strings.Contains(stat(second, "listen "+name).LastError, "exclusively")
	})
	if err := one.end(); err != nil {
		t.Fatal(err)
	}
	d := two.next(ctx, t)
	d.Settler.Ack(d.Tag)
}

func TestAnUndecodableMessageEndsUpAlone(t *testing.T) {
	testbroker.Both(t, testAnUndecodableMessageEndsUpAlone)
}

func testAnUndecodableMessageEndsUpAlone(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	ch := channel(t, at.URL())
	declareQueue(t, ch, name+".dead", nil)
	declareQueue(t, ch, name, amqp091.Table{
		"x-queue-type": "quorum", "x-delivery-limit": int32(4),
		"x-dead-letter-exchange": "", "x-dead-letter-routing-key": name + ".dead",
	})
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	deep := amqp091.Table{}
	for range 40 {
		deep = amqp091.Table{"d": deep}
	}
	const innocent = 30
	for i := range innocent {
		p := amqp091.Publishing{DeliveryMode: 2, MessageId: fmt.Sprint(i)}
		if i == 10 {
			bad := amqp091.Publishing{DeliveryMode: 2, Headers: amqp091.Table{"deep": deep}}
			if _, err := ch.PublishWithDeferredConfirm("", name, true, false, bad); err != nil {
				t.Fatal(err)
			}
		}
		dc, err := ch.PublishWithDeferredConfirm("", name, true, false, p)
		if err != nil {
			t.Fatal(err)
		}
		if !dc.Wait() {
			t.Fatal("not confirmed")
		}
	}
	b := newBroker(t, at, amqp.Config{})
	c := listen(t, b, router.Source{Queue: name, Prefetch: 50})
	seen := map[string]bool{}
	for len(seen) < innocent {
		d := c.next(ctx, t)
		seen[d.Envelope.MessageID] = true
		d.Settler.Ack(d.Tag)
	}
	s := stat(b, "listen "+name)
	if s.Poisoned < 2 || !s.Quarantine {
		t.Errorf("connection: %+v; want it in quarantine", s)
	}
	waitFor(ctx, t, "the undecodable one is a dead letter", func() bool {
		n, _ := holds(t, ch, name+".dead")
		return n > 0
	})
	publish(t, ch, name, 1000, 1200)
	for range 200 {
		d := c.next(ctx, t)
		d.Settler.Ack(d.Tag)
	}
	waitFor(ctx, t, "quarantine is over", func() bool { return !stat(b, "listen "+name).Quarantine })
	if n, _ := holds(t, ch, name+".dead"); n != 1 {
		t.Errorf("%d messages are dead letters, want the undecodable one", n)
	}
}
