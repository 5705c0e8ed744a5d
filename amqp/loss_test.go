package amqp_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

// stat returns the connection of that purpose.
func stat(b *amqp.Broker, purpose string) amqp.ConnectionStat {
	for _, c := range b.Stat().Connections {
		if c.Purpose == purpose {
			return c
		}
	}
	return amqp.ConnectionStat{}
}

func TestALossSettlesEverythingInFlightAndTheNextSendGoesThrough(t *testing.T) {
	testbroker.Both(t, testALossSettlesEverythingInFlightAndTheNextSendGoesThrough)
}

func testALossSettlesEverythingInFlightAndTheNextSendGoesThrough(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	declareQueue(t, channel(t, at.URL()), name, nil)
	f := newFaults()
	b := newBroker(t, at, amqp.Config{Dial: f.Dial})
	s := b.Sender("test")
	defer s.Close()
	if err := send(ctx, t, s, queue(name), message("first")); err != nil {
		t.Fatal(err)
	}
	f.Stall()
	var receipts []*receipt
	for range 10 {
		env := message("in flight")
		r := newReceipt()
		if err := s.Send(ctx, queue(name), &env, r); err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, r)
	}
	f.Cut()
	f.Resume()
	for i, r := range receipts {
		if err := r.wait(ctx, t); !errors.Is(err, router.ErrUnconfirmed) {
			t.Errorf("receipt %d = %v, want unconfirmed", i, err)
		}
	}
	if err := send(ctx, t, s, queue(name), message("after")); err != nil {
		t.Errorf("send after the loss: %v", err)
	}
	for i, r := range receipts {
		if n := r.settled.Load(); n != 1 {
			t.Errorf("receipt %d was settled %d times", i, n)
		}
	}
	st := b.Stat()
	if st.Unconfirmed != 10 || st.Confirmed != 2 || st.InFlight != 0 {
		t.Errorf("stat: %+v", st)
	}
	if c := stat(b, "send"); c.Reconnects != 1 || c.LastError == "" || c.LastLoss.IsZero() {
		t.Errorf("connection: %+v", c)
	}
}

func TestAStuckWriteEndsTheConnection(t *testing.T) {
	testbroker.Both(t, testAStuckWriteEndsTheConnection)
}

func testAStuckWriteEndsTheConnection(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	declareQueue(t, channel(t, at.URL()), name, nil)
	f := newFaults()
	b := newBroker(t, at, amqp.Config{Dial: f.Dial, WriteTimeout: 50 * time.Millisecond})
	s := b.Sender("test")
	defer s.Close()
	if err := send(ctx, t, s, queue(name), message("first")); err != nil {
		t.Fatal(err)
	}
	f.Stall()
	// More than the write buffer takes, so that a publisher waits inside the
	// library, with its lock held, which Close would wait for.
	results := make(chan error, 4)
	go func() {
		for range cap(results) {
			env := message(strings.Repeat("x", 200<<10))
			results <- s.Send(ctx, queue(name), &env, newReceipt())
		}
	}()
	waitFor(ctx, t, "the connection is given up", func() bool { return stat(b, "send").LastError != "" })
	if c := stat(b, "send"); c.LastError != "a write took longer than 50ms" {
		t.Errorf("the connection was given up because: %s", c.LastError)
	}
	f.Resume()
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if err := send(ctx, t, s, queue(name), message("after")); err != nil {
		t.Errorf("send after the loss: %v", err)
	}
}

func TestAConfirmThatDoesNotComeIsGivenUp(t *testing.T) {
	testbroker.Both(t, testAConfirmThatDoesNotComeIsGivenUp)
}

func testAConfirmThatDoesNotComeIsGivenUp(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	declareQueue(t, channel(t, at.URL()), name, nil)
	f := newFaults()
	b := newBroker(t, at, amqp.Config{Dial: f.Dial, ConfirmTimeout: 50 * time.Millisecond, WriteTimeout: time.Minute})
	s := b.Sender("test")
	defer s.Close()
	if err := b.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	// The channel is opened by the first send; it must not be the slow one.
	for send(ctx, t, s, queue(name), message("first")) != nil {
	}
	f.Stall()
	err := send(ctx, t, s, queue(name), message("lost"))
	if !errors.Is(err, router.ErrUnconfirmed) || !strings.Contains(err.Error(), "50ms") {
		t.Errorf("receipt = %v, want unconfirmed after 50ms", err)
	}
	f.Resume()
}

func TestEveryHostIsTried(t *testing.T) { testbroker.Both(t, testEveryHostIsTried) }

func testEveryHostIsTried(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	_ = l.Close()
	for i := range 4 { // the order is shuffled
		b := newBroker(t, at, amqp.Config{URLs: []string{"amqp://" + dead + "/", at.URL()}})
		if err := b.Connect(ctx); err != nil {
			t.Fatal(err)
		}
		if c := stat(b, "send"); !c.Connected || c.Host != at.Addr() {
			t.Errorf("%d: connection: %+v", i, c)
		}
	}
	b := newBroker(t, at, amqp.Config{URLs: []string{"amqp://" + dead + "/", "amqp://" + dead + "/x"}})
	err = b.Connect(ctx)
	if err == nil || strings.Count(err.Error(), dead) < 2 {
		t.Errorf("connect = %v, want an error for each host", err)
	}
}

func TestSendWaitsForABrokerThatIsDown(t *testing.T) {
	testbroker.Both(t, testSendWaitsForABrokerThatIsDown)
}

func testSendWaitsForABrokerThatIsDown(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	declareQueue(t, channel(t, at.URL()), name, nil)
	f := newFaults()
	down := errors.New("network is down")
	f.Refuse(down)
	var log logBuffer
	b := newBroker(t, at, amqp.Config{Dial: f.Dial, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err := b.Connect(ctx); !errors.Is(err, down) {
		t.Errorf("connect = %v, want %v", err, down)
	}
	s := b.Sender("test")
	defer s.Close()
	sent := make(chan error, 1)
	r := newReceipt()
	env := message("x")
	go func() { sent <- s.Send(ctx, queue(name), &env, r) }()
	seen := f.Dials()
	waitFor(ctx, t, "it dials again", func() bool { return f.Dials() > seen+1 })
	if text := log.String(); strings.Count(text, "no connection") != 1 || !strings.Contains(text, "retry_in=") || !strings.Contains(text, "ms") {
		t.Errorf("the same failure is not logged once, in words:\n%s", text)
	}
	select {
	case err := <-sent:
		t.Fatalf("send returned %v while the broker was down", err)
	default:
	}
	f.Refuse(nil)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if err := r.wait(ctx, t); err != nil {
		t.Fatal(err)
	}
}

func TestForcedClosesLoseNothing(t *testing.T) { testbroker.Both(t, testForcedClosesLoseNothing) }

func testForcedClosesLoseNothing(t *testing.T, at *testbroker.Broker) {
	const n, closes = 6000, 4
	ctx := testContext(t)
	from, to := rabbitnode.Queue(t, "from"), rabbitnode.Queue(t, "to")
	ch := channel(t, at.URL())
	declareQueue(t, ch, from, nil)
	declareQueue(t, ch, to, nil)
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	var last *amqp091.DeferredConfirmation
	for i := range n {
		dc, err := ch.PublishWithDeferredConfirm("", from, true, false, amqp091.Publishing{DeliveryMode: 2, MessageId: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		last = dc
	}
	last.Wait()

	const prefetch = 50
	b := newBroker(t, at, amqp.Config{ConnectionName: t.Name()})
	c := listen(t, b, router.Source{Queue: from, Prefetch: prefetch})
	s := b.Sender("test")
	defer s.Close()
	acked := make(chan struct{}, 10*n)
	enough, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case d := <-c.deliveries:
				if err := s.Send(ctx, queue(to), &d.Envelope, settleFunc(func(err error) {
					if err != nil {
						d.Settler.Requeue(d.Tag)
						return
					}
					if d.Settler.Live() {
						acked <- struct{}{}
					}
					d.Settler.Ack(d.Tag)
				})); err != nil {
					return
				}
			case <-enough:
				return
			}
		}
	}()
	for i := range closes {
		for range n / (closes + 1) {
			select {
			case <-acked:
			case <-ctx.Done():
				t.Fatalf("%v; acknowledged %d: %+v", context.Cause(ctx), len(acked), b.Stat())
			}
		}
		if _, err := at.CloseConnections(ctx, t.Name()+"/", fmt.Sprint("test ", i)); err != nil {
			t.Fatal(err)
		}
	}
	// Those count that were delivered and not acknowledged: a redelivery on its
	// way to us is in none of our own counts.
	waitFor(ctx, t, "the source is empty", func() bool {
		left, err := at.QueueLen(ctx, from)
		return err == nil && left == 0
	})
	close(enough)
	<-done
	if err := c.end(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	q, err := ch.QueueDeclarePassive(to, true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range q.Messages {
		d, ok, err := ch.Get(to, true)
		if err != nil || !ok {
			t.Fatalf("get: %v, %v", ok, err)
		}
		seen[d.MessageId]++
	}
	lost, extra := 0, 0
	for i := range n {
		if k := seen[fmt.Sprint(i)]; k == 0 {
			lost++
		} else {
			extra += k - 1
		}
	}
	// Each time two connections are cut, one after the other.
	if lost > 0 || extra > 2*closes*prefetch {
		t.Errorf("%d lost, %d duplicates; want none and at most %d", lost, extra, 2*closes*prefetch)
	}
	st := b.Stat()
	if r := stat(b, "send").Reconnects; r == 0 || r > closes {
		t.Errorf("send connection reconnected %d times after %d closes", r, closes)
	}
	t.Logf("duplicates %d, acks dropped %d", extra, st.AcksDropped)
	_, _ = ch.QueueDelete(from, false, false, false)
	_, _ = ch.QueueDelete(to, false, false, false)
}

type settleFunc func(error)

func (f settleFunc) Settle(err error) { f(err) }
