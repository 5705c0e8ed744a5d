package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/broker"
)

// piped returns a server and a connection to it that needs no network.
func piped(t *testing.T, change func(*broker.Config)) (*broker.Server, *amqp091.Connection) {
	t.Helper()
	var cfg broker.Config
	if change != nil {
		change(&cfg)
	}
	s := broker.New(cfg)
	t.Cleanup(s.Close)
	return s, openPipe(t, s)
}

func openPipe(t *testing.T, s *broker.Server) *amqp091.Connection {
	t.Helper()
	nc, err := s.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := amqp091.Open(nc, amqp091.Config{SASL: []amqp091.Authentication{&amqp091.PlainAuth{Username: "guest", Password: "guest"}}, Vhost: "/"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// bench is a channel in confirm mode with a queue.
type bench struct {
	*testing.T
	conn     *amqp091.Connection
	ch       *amqp091.Channel
	queue    string
	confirms chan amqp091.Confirmation
	returns  chan amqp091.Return
	closed   chan *amqp091.Error
}

func setUp(t *testing.T, conn *amqp091.Connection) *bench {
	t.Helper()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	q, err := ch.QueueDeclare("q", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	return &bench{
		t, conn, ch, q.Name, ch.NotifyPublish(make(chan amqp091.Confirmation, 100)),
		ch.NotifyReturn(make(chan amqp091.Return, 100)), ch.NotifyClose(make(chan *amqp091.Error, 1)),
	}
}

func (b *bench) publish(bodies ...string) {
	b.Helper()
	for _, body := range bodies {
		if err := b.ch.PublishWithContext(b.Context(), "", b.queue, true, false, amqp091.Publishing{Body: []byte(body)}); err != nil {
			b.Fatal(err)
		}
	}
}

func (b *bench) get() string {
	b.Helper()
	d, ok, err := b.ch.Get(b.queue, true)
	if err != nil {
		b.Fatal(err)
	}
	if !ok {
		return ""
	}
	return string(d.Body)
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing comes")
		panic("unreachable")
	}
}

func TestFaultsOfConfirms(t *testing.T) {
	s, conn := piped(t, nil)
	b := setUp(t, conn)

	s.Faults().NackPublishes(1)
	b.publish("refused", "taken")
	for i, want := range []bool{false, true} {
		if got := receive(t, b.confirms); got.Ack != want || got.DeliveryTag != uint64(i+1) {
			t.Errorf("confirm %d: %+v", i, got)
		}
	}
	if got := b.get(); got != "taken" {
		t.Errorf("got %q", got)
	}

	s.Faults().ReturnPublishes(1)
	b.publish("returned")
	if got := receive(t, b.returns); string(got.Body) != "returned" || got.ReplyCode != 312 {
		t.Errorf("returned %+v", got)
	}
	if got := receive(t, b.confirms); !got.Ack {
		t.Errorf("confirm %+v", got)
	}

	s.Faults().DropConfirms(1)
	b.publish("dropped")
	if got := b.get(); got != "dropped" {
		t.Errorf("got %q", got)
	}
	select {
	case got := <-b.confirms:
		t.Errorf("confirm %+v", got)
	default:
	}
}

func TestAConfirmThatIsLate(t *testing.T) {
	s, conn := piped(t, nil)
	b := setUp(t, conn)
	s.Faults().DelayConfirms(50 * time.Millisecond)
	b.publish("late", "later")
	if got := b.get(); got != "late" { // the message is there before its confirm
		t.Errorf("got %q", got)
	}
	select {
	case got := <-b.confirms:
		t.Errorf("confirm %+v at once", got)
	default:
	}
	for i := range 2 {
		if got := receive(t, b.confirms); got.DeliveryTag != uint64(i+1) || !got.Ack {
			t.Errorf("confirm %d: %+v", i, got)
		}
	}
}

func TestADeliveryThatComesTwice(t *testing.T) {
	s, conn := piped(t, nil)
	b := setUp(t, conn)
	c, err := b.ch.Consume("q", "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Faults().DeliverTwice(1)
	b.publish("m", "n")
	one, two, three := receive(t, c), receive(t, c), receive(t, c)
	if one.DeliveryTag != two.DeliveryTag || string(two.Body) != "m" || one.Redelivered || !two.Redelivered || string(three.Body) != "n" {
		t.Errorf("%v %q, %v %q, %q", one.DeliveryTag, one.Body, two.DeliveryTag, two.Body, three.Body)
	}
}

func TestAForgottenConsumerGetsNothing(t *testing.T) {
	s, conn := piped(t, nil)
	b := setUp(t, conn)
	cancels := b.ch.NotifyCancel(make(chan string, 1))
	c, err := b.ch.Consume("q", "mine", false, false, false, false, nil)
	must(t, err)
	b.publish("before")
	d := receive(t, c)
	if n := s.Faults().ForgetConsumers("/", "q"); n != 1 {
		t.Errorf("%d consumers forgotten", n)
	}
	b.publish("after")
	must(t, d.Nack(false, true)) // what it has in hand is its own still
	second, err := b.ch.Consume("q", "second", false, false, false, false, nil)
	must(t, err)
	for _, want := range []string{"before", "after"} {
		if got := receive(t, second); string(got.Body) != want {
			t.Errorf("%q, want %q", got.Body, want)
		}
	}
	must(t, b.ch.Cancel("mine", false)) // as if nothing had happened
	if len(c) != 0 || len(cancels) != 0 {
		t.Errorf("%d deliveries and %d cancels", len(c), len(cancels))
	}
}

func TestFaultsOfChannelsAndConnections(t *testing.T) {
	s, conn := piped(t, nil)
	b := setUp(t, conn)
	cancels := b.ch.NotifyCancel(make(chan string, 1))
	if _, err := b.ch.Consume("q", "mine", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if n := s.Faults().CancelConsumers("/", "q"); n != 1 {
		t.Errorf("%d consumers cancelled", n)
	}
	if got := receive(t, cancels); got != "mine" {
		t.Errorf("cancelled %q", got)
	}
	if n := s.Faults().CloseChannels(nil, 406, "PRECONDITION_FAILED - a test"); n != 1 {
		t.Errorf("%d channels closed", n)
	}
	if got := receive(t, b.closed); got.Code != 406 || !got.Server {
		t.Errorf("closed: %v", got)
	}
	second, err := conn.Channel() // the connection lives on
	if err != nil {
		t.Fatal(err)
	}
	closed := conn.NotifyClose(make(chan *amqp091.Error, 1))
	if n := s.Faults().CloseConnections(func(string) bool { return false }, 320, "no"); n != 0 {
		t.Errorf("%d connections closed", n)
	}
	if n := s.Faults().CloseConnections(nil, 320, "CONNECTION_FORCED - a test"); n != 1 {
		t.Errorf("%d connections closed", n)
	}
	if got := receive(t, closed); got.Code != 320 {
		t.Errorf("closed: %v", got)
	}
	if _, err := second.QueueDeclarePassive("q", false, false, false, false, nil); !errors.Is(err, amqp091.ErrClosed) {
		t.Errorf("a method on a closed connection: %v", err)
	}
}

func TestCutConnections(t *testing.T) {
	s, conn := piped(t, nil)
	b := setUp(t, conn)
	b.publish("kept")
	closed := conn.NotifyClose(make(chan *amqp091.Error, 1))
	s.Faults().CutConnections(nil)
	receive(t, closed)

	other := openPipe(t, s)
	closed = other.NotifyClose(make(chan *amqp091.Error, 1))
	again := setUp(t, other)
	s.Faults().CutAfter(nil, 10) // the head of a frame, and no more than a part of its payload
	_, _, err := again.ch.Get("q", false)
	if err == nil {
		t.Error("half a frame was read as a message")
	}
	receive(t, closed)

	third := setUp(t, openPipe(t, s))
	if got := third.get(); got != "kept" {
		t.Errorf("got %q", got)
	}
}

func TestRefusedDials(t *testing.T) {
	s, address := startServer(t, nil)
	url := "amqp://guest:guest@" + address
	s.Faults().RefuseDials(2)
	for range 2 {
		if conn, err := amqp091.Dial(url); err == nil {
			t.Error("a connection that was to be refused")
			_ = conn.Close()
		}
	}
	conn, err := amqp091.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

func TestBlocked(t *testing.T) {
	s, address := startServer(t, nil)
	dial := func() *amqp091.Connection {
		conn, err := amqp091.Dial("amqp://guest:guest@" + address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	conn := dial() // over TCP: a pipe has no room for what is not read
	b := setUp(t, conn)
	blockings := conn.NotifyBlocked(make(chan amqp091.Blocking, 10))
	b.publish("before")
	receive(t, b.confirms)
	s.Faults().Block()
	if got := receive(t, blockings); !got.Active || got.Reason != "low on disk" {
		t.Errorf("blocked: %+v", got)
	}
	late := dial() // is told once it publishes
	lateBlockings := late.NotifyBlocked(make(chan amqp091.Blocking, 10))
	b.publish("meanwhile")
	consumer := setUp(t, late) // it publishes nothing, and is not blocked
	if got := consumer.get(); got != "before" {
		t.Errorf("got %q", got)
	}
	if got := consumer.get(); got != "" {
		t.Errorf("%q was published all the same", got)
	}
	consumer.publish("other")
	if got := receive(t, lateBlockings); !got.Active {
		t.Errorf("blocked: %+v", got)
	}
	s.Faults().Unblock()
	if got := receive(t, blockings); got.Active {
		t.Errorf("unblocked: %+v", got)
	}
	receive(t, b.confirms)
	receive(t, consumer.confirms)
	got := []string{b.get(), b.get()}
	slices.Sort(got)
	if !slices.Equal(got, []string{"meanwhile", "other"}) {
		t.Errorf("got %q", got)
	}
}

func TestStalledReads(t *testing.T) {
	s, conn := piped(t, nil)
	b := setUp(t, conn)
	watcher := setUp(t, openPipe(t, s))
	c, err := watcher.ch.Consume("q", "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	resume := s.Faults().StallReads()
	published := make(chan error, 1)
	go func() {
		// What is read at the moment is still read, all that comes behind is not.
		for range 3 {
			if err := b.ch.PublishWithContext(t.Context(), "", "q", false, false, amqp091.Publishing{Body: make([]byte, 1<<20)}); err != nil {
				published <- err
				return
			}
		}
		published <- nil
	}()
	select {
	case <-c:
		select {
		case <-c:
			t.Error("a second message was read")
		case <-time.After(50 * time.Millisecond): // enough for it, and no proof
		}
	case <-time.After(50 * time.Millisecond):
	}
	resume()
	if err := receive(t, published); err != nil {
		t.Error(err)
	}
	for range 3 {
		receive(t, b.confirms)
	}
}

func TestLimitOfMemory(t *testing.T) {
	s, conn := piped(t, func(c *broker.Config) { c.MaxMemory, c.MaxMessage = 100<<10, 50<<10 })
	_ = s
	b := setUp(t, conn)
	blockings := conn.NotifyBlocked(make(chan amqp091.Blocking, 10))
	big := string(make([]byte, 40<<10))
	b.publish(big, big, big)
	if got := receive(t, blockings); !got.Active || got.Reason != "low on memory" {
		t.Errorf("blocked: %+v", got)
	}
	other := setUp(t, openPipe(t, s))
	for range 3 {
		other.get()
	}
	if got := receive(t, blockings); got.Active {
		t.Errorf("unblocked: %+v", got)
	}
	b.publish(string(make([]byte, 60<<10)))
	if got := receive(t, b.closed); got.Code != 406 {
		t.Errorf("a message beyond the limit: %v", got)
	}
}

func TestLimitOfConnections(t *testing.T) {
	_, address := startServer(t, func(c *broker.Config) { c.MaxConnections = 2 })
	url := "amqp://guest:guest@" + address
	var conns []*amqp091.Connection
	for range 2 {
		conn, err := amqp091.Dial(url)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	if conn, err := amqp091.Dial(url); err == nil {
		_ = conn.Close()
		t.Error("a third connection")
	}
	for _, conn := range conns {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestManyConnections has a thousand clients at once.
func TestManyConnections(t *testing.T) {
	_, address := startServer(t, nil)
	var conns []*amqp091.Connection
	for i := range 1000 {
		conn, err := amqp091.Dial("amqp://guest:guest@" + address)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		conns = append(conns, conn)
	}
	var bodies []string
	for i, conn := range slices.Backward(conns) {
		if i%100 == 0 {
			b := setUp(t, conn)
			b.publish(fmt.Sprint(i))
			receive(t, b.confirms)
			bodies = append(bodies, b.get())
		}
	}
	if want := []string{"900", "800", "700", "600", "500", "400", "300", "200", "100", "0"}; !slices.Equal(bodies, want) {
		t.Errorf("got %v", bodies)
	}
	for _, conn := range conns {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTheListenerIsForThisMachine(t *testing.T) {
	s := broker.New(broker.Config{})
	t.Cleanup(s.Close)
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:5672", "nonsense"} {
		if got, err := s.Listen(t.Context(), address); !errors.Is(err, broker.ErrNotLocal) {
			t.Errorf("%s: %q, %v", address, got, err)
		}
	}
	s.Close()
	if _, err := s.Listen(t.Context(), "127.0.0.1:0"); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := s.Pipe(); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
