package broker_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/broker"
)

func TestStat(t *testing.T) {
	s, conn := piped(t, func(c *broker.Config) { c.VHosts = []string{"/", "other"} })
	ch, err := conn.Channel()
	must(t, err)
	must(t, ch.ExchangeDeclare("x", "topic", true, false, false, false, amqp091.Table{"alternate-exchange": "amq.fanout"}))
	args := amqp091.Table{"x-max-length": int32(10), "list": []any{amqp091.Table{"a": "b"}, amqp091.Decimal{Scale: 1, Value: 25}}}
	_, err = ch.QueueDeclare("q", true, false, true, false, args)
	must(t, err)
	must(t, ch.QueueBind("q", "k.*", "x", false, nil))
	_, err = ch.Consume("q", "mine", false, false, false, false, nil)
	must(t, err)
	must(t, ch.Confirm(false))
	confirms := ch.NotifyPublish(make(chan amqp091.Confirmation, 10))
	for range 3 {
		must(t, ch.PublishWithContext(t.Context(), "x", "k.1", false, false, amqp091.Publishing{Body: []byte("12345")}))
		receive(t, confirms)
	}

	stat := s.Stat()
	want := []broker.QueueStat{{
		VHost: "/", Name: "q", Durable: true, Exclusive: true, Args: map[string]any{"x-max-length": int32(10), "list": []any{map[string]any{"a": "b"}, 2.5}},
		Unacked: 3, Consumers: 1, Bindings: 1, Published: 3, Delivered: 3,
		Consumed: []broker.ConsumerStat{{Client: "pipe", Channel: 1, Tag: "mine"}},
	}}
	if diff := cmp.Diff(want, stat.Queues, cmpopts.IgnoreFields(broker.ConsumerStat{}, "Since")); diff != "" {
		t.Error(diff)
	}
	wantConn := []broker.ConnectionStat{{Client: "pipe", User: "guest", VHost: "/", State: "running", Channels: 1, Consumers: 1, Unacked: 3}}
	if diff := cmp.Diff(wantConn, stat.Connections, cmpopts.IgnoreFields(broker.ConnectionStat{}, "Since")); diff != "" {
		t.Error(diff)
	}
	for _, since := range []time.Time{stat.Connections[0].Since, stat.Queues[0].Consumed[0].Since} {
		if since.IsZero() || since.After(time.Now()) {
			t.Errorf("since %v", since)
		}
	}
	if n := len(stat.Exchanges); n != 2*6+1 || stat.Exchanges[6].Name != "x" || stat.Exchanges[6].Bindings != 1 || stat.Exchanges[7].VHost != "other" {
		t.Errorf("%+v", stat.Exchanges)
	}
	if stat.Memory == 0 || stat.MaxMemory != 256<<20 || stat.Blocked != "" {
		t.Errorf("%d of %d, %q", stat.Memory, stat.MaxMemory, stat.Blocked)
	}
	if _, err := json.Marshal(stat); err != nil {
		t.Error(err)
	}

	s.Faults().Block()
	if stat := s.Stat(); stat.Blocked != "disk" || stat.Connections[0].State != "blocked" {
		t.Errorf("%+v", stat)
	}
	s.Faults().Unblock()
}

// TestMemoryIsGivenBack has messages end in every way there is.
func TestMemoryIsGivenBack(t *testing.T) {
	ways := map[string]func(t *testing.T, s *broker.Server, ch *amqp091.Channel){
		"acknowledged": func(t *testing.T, _ *broker.Server, ch *amqp091.Channel) { must(t, ch.Ack(0, true)) },
		"acknowledged one by one": func(t *testing.T, _ *broker.Server, ch *amqp091.Channel) {
			for tag := range uint64(200) {
				must(t, ch.Ack(200-tag, false))
			}
		},
		"rejected": func(t *testing.T, _ *broker.Server, ch *amqp091.Channel) { must(t, ch.Nack(200, true, false)) },
		"rejected and purged": func(t *testing.T, _ *broker.Server, ch *amqp091.Channel) {
			must(t, ch.Cancel("c", false))
			must(t, ch.Nack(200, true, true))
			_, err := ch.QueuePurge("q", false)
			must(t, err)
		},
		"queue deleted": func(t *testing.T, _ *broker.Server, ch *amqp091.Channel) {
			_, err := ch.QueueDelete("q", false, false, false)
			must(t, err)
			must(t, ch.Ack(0, true))
		},
		"channel closed": func(t *testing.T, _ *broker.Server, ch *amqp091.Channel) {
			must(t, ch.Close())
		},
		"rolled back": func(t *testing.T, _ *broker.Server, ch *amqp091.Channel) {
			must(t, ch.Tx())
			must(t, ch.Ack(100, true))
			must(t, ch.PublishWithContext(t.Context(), "", "q", false, false, amqp091.Publishing{Body: make([]byte, 1000)}))
			must(t, ch.TxRollback())
			must(t, ch.PublishWithContext(t.Context(), "", "q", false, false, amqp091.Publishing{Body: make([]byte, 1000)}))
			must(t, ch.Nack(0, true, false))
			must(t, ch.Close())
		},
		"committed": func(t *testing.T, _ *broker.Server, ch *amqp091.Channel) {
			must(t, ch.Tx())
			must(t, ch.Ack(0, true))
			must(t, ch.TxCommit())
		},
		"cut": func(t *testing.T, s *broker.Server, _ *amqp091.Channel) { s.Faults().CutConnections(nil) },
	}
	for name, end := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, conn := piped(t, nil)
			ch, err := conn.Channel()
			must(t, err)
			_, err = ch.QueueDeclare("dead", false, false, false, false, amqp091.Table{"x-max-length": int32(20), "x-message-ttl": int32(50)})
			must(t, err)
			_, err = ch.QueueDeclare("q", false, false, false, false, amqp091.Table{
				"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead", "x-max-priority": int32(3),
			})
			must(t, err)
			must(t, ch.Confirm(false))
			confirms := ch.NotifyPublish(make(chan amqp091.Confirmation, 200))
			for i := range 200 {
				must(t, ch.PublishWithContext(t.Context(), "", "q", false, false, amqp091.Publishing{Body: make([]byte, i*1000), Priority: uint8(i % 5)}))
			}
			for range 200 {
				receive(t, confirms)
			}
			ch2, err := conn.Channel()
			must(t, err)
			must(t, ch2.Qos(300, 0, true))
			c, err := ch2.Consume("q", "c", false, false, false, false, nil)
			must(t, err)
			for range 200 {
				receive(t, c)
			}
			end(t, s, ch2)
			// What went back goes with the queue, what is dead dies again.
			ch, err = openPipe(t, s).Channel()
			must(t, err)
			waitFor(t, "the messages to be settled", func() bool {
				q := s.Stat().Queues
				return q[len(q)-1].Name == "dead" || q[len(q)-1].Unacked == 0
			})
			_, err = ch.QueueDelete("q", false, false, false)
			must(t, err)
			waitFor(t, "the memory", func() bool { return s.Stat().Memory == 0 })
		})
	}
}

// TestABodyThatNeverEnds sends parts of large messages on many channels: they count,
// others wait, and whoever sends too many is closed.
func TestABodyThatNeverEnds(t *testing.T) {
	s, address := startServer(t, func(c *broker.Config) { c.MaxMemory, c.MaxMessage = 1<<20, 1<<20 })
	r := dialRaw(t, address).open()
	part := func(channel uint16) {
		for _, b := range [][]byte{
			frame(1, channel, method(60, 40, 0, 0, 0, 1, 'q', 0)), frame(2, channel, []byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0}),
			frame(3, channel, make([]byte, 100000)),
		} {
			_, _ = r.Write(b) // may have been closed
		}
	}
	part(1)
	waitFor(t, "the part to count", func() bool { return s.Stat().Memory == 100000 })
	for channel := uint16(2); channel < 23; channel++ {
		_, _ = r.Write(frame(1, channel, method(20, 10, 0)))
		part(channel)
	}
	if code := r.closed(); code != 506 {
		t.Errorf("closed with %d", code)
	}
	waitFor(t, "the memory", func() bool { return s.Stat().Memory == 0 && s.Stat().Blocked == "" })
}

// TestTwoReasonsToWait ends one while the other is still there.
func TestTwoReasonsToWait(t *testing.T) {
	s, conn := piped(t, func(c *broker.Config) { c.MaxMemory = 10000 })
	b := setUp(t, conn)
	other, err := openPipe(t, s).Channel()
	must(t, err)
	b.publish(string(make([]byte, 20000)))
	receive(t, b.confirms)
	s.Faults().Block()
	s.Faults().Unblock()
	if got := s.Stat().Blocked; got != "memory" {
		t.Errorf("blocked by %q", got)
	}
	s.Faults().Block()
	_, err = other.QueuePurge(b.queue, false)
	must(t, err)
	if got := s.Stat().Blocked; got == "" {
		t.Error("not blocked")
	}
	s.Faults().Unblock()
	if got := s.Stat().Blocked; got != "" {
		t.Errorf("blocked by %q", got)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// waitFor looks until something is so.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
