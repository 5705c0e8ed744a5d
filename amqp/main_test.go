package amqp_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

func TestMain(m *testing.M) { testbroker.Main(m) }

// limit bounds every wait of a test; reaching it is a failure.
const limit = 60 * time.Second

// testContext is the test's, with that bound.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("the test waited longer than %v", limit))
	t.Cleanup(cancel)
	return ctx
}

// newBroker returns a broker that is closed at the end of the test; it is the one of
// the URLs, if there are any, and otherwise at.
func newBroker(t testing.TB, at *testbroker.Broker, cfg amqp.Config) *amqp.Broker {
	t.Helper()
	if cfg.URLs == nil {
		cfg.URLs = []string{at.URL()}
	}
	b, err := amqp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

// channel is the test's own way to the broker, past the code under test.
func channel(t testing.TB, url string) *amqp091.Channel {
	t.Helper()
	conn, err := amqp091.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseDeadline(time.Now().Add(time.Second)) })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// declareQueue declares a queue past the code under test; it is deleted at the
// end.
func declareQueue(t testing.TB, ch *amqp091.Channel, name string, args amqp091.Table) {
	t.Helper()
	if _, err := ch.QueueDeclare(name, true, false, false, false, args); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ch.QueueDelete(name, false, false, false) })
}

// receipt is a router.Receipt that remembers.
type receipt struct {
	settled atomic.Int32
	done    chan error
}

func newReceipt() *receipt { return &receipt{done: make(chan error, 1)} }

func (r *receipt) Settle(err error) {
	if r.settled.Add(1) == 1 {
		r.done <- err
	}
}

func (r *receipt) wait(ctx context.Context, t testing.TB) error {
	t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		t.Fatal(context.Cause(ctx))
		return nil
	}
}

// send publishes one message and waits for its receipt.
func send(ctx context.Context, t testing.TB, s router.Sender, target router.Target, env router.Envelope) error {
	t.Helper()
	r := newReceipt()
	if err := s.Send(ctx, target, &env, r); err != nil {
		return err
	}
	return r.wait(ctx, t)
}

func queue(name string) router.Target { return router.Target{Kind: router.TargetQueue, Queue: name} }

func message(body string) router.Envelope {
	env := router.NewEnvelope(nil, []byte(body))
	env.DeliveryMode = 2
	return env
}

// consumer runs Listen in the background.
type consumer struct {
	deliveries chan *router.Delivery
	stop       context.CancelFunc
	once       sync.Once
	result     chan error
}

func listen(t testing.TB, b *amqp.Broker, source router.Source) *consumer {
	t.Helper()
	if source.Prefetch == 0 {
		source.Prefetch = 100
	}
	if source.DrainTimeout == 0 {
		source.DrainTimeout = 5 * time.Second
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &consumer{deliveries: make(chan *router.Delivery, 100_000), stop: cancel, result: make(chan error, 1)}
	go func() {
		c.result <- b.Listen(ctx, source, func(d *router.Delivery) { c.deliveries <- d })
	}()
	t.Cleanup(func() {
		if err := c.end(); err != nil {
			t.Errorf("listen: %v", err)
		}
	})
	return c
}

// end stops listening and returns Listen's result, once.
func (c *consumer) end() (err error) {
	c.once.Do(func() {
		c.stop()
		err = <-c.result
	})
	return err
}

func (c *consumer) next(ctx context.Context, t testing.TB) *router.Delivery {
	t.Helper()
	select {
	case d := <-c.deliveries:
		return d
	case <-ctx.Done():
		t.Fatal(context.Cause(ctx))
		return nil
	}
}

// waitFor polls what only the broker's state can tell.
func waitFor(ctx context.Context, t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waiting until %s: %v", what, context.Cause(ctx))
		}
	}
}
