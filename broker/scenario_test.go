package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

// run is one scenario's run against one broker. What happens is written to lines,
// which are compared between brokers; names are the scenario's own, and appear in
// lines without what makes them unique.
type run struct {
	t     *testing.T
	url   func() string
	dial  func() *amqp091.Connection
	mark  string
	conn  *amqp091.Connection
	ch    *amqp091.Channel
	lines []string
}

func (r *run) name(s string) string { return r.mark + s }

func (r *run) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	r.lines = append(r.lines, strings.ReplaceAll(line, r.mark, ""))
}

// err notes an error by its code and the word for it: the texts of brokers differ.
func (r *run) err(what string, err error) {
	var e *amqp091.Error
	switch {
	case err == nil:
		r.note("%s: ok", what)
	case errors.As(err, &e):
		word, _, _ := strings.Cut(e.Reason, " ")
		r.note("%s: %d %s", what, e.Code, word)
	default:
		r.note("%s: %v", what, err)
	}
}

func (r *run) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// channel returns another channel of the connection.
func (r *run) channel() *amqp091.Channel {
	r.t.Helper()
	ch, err := r.conn.Channel()
	r.must(err)
	return ch
}

// fails runs f on a channel of its own, which may not survive it.
func (r *run) fails(what string, f func(ch *amqp091.Channel) error) {
	r.t.Helper()
	ch := r.channel()
	r.err(what, f(ch))
	_ = ch.Close()
}

func (r *run) queue(name string, args amqp091.Table) string {
	r.t.Helper()
	name = r.name(name)
	_, err := r.ch.QueueDeclare(name, false, false, true, false, args)
	r.must(err)
	return name
}

func (r *run) exchange(name, kind string, args amqp091.Table) string {
	r.t.Helper()
	name = r.name(name)
	r.must(r.ch.ExchangeDeclare(name, kind, false, false, false, false, args))
	r.t.Cleanup(func() {
		if ch, err := r.conn.Channel(); err == nil {
			_ = ch.ExchangeDelete(name, false, false)
		}
	})
	return name
}

func (r *run) bind(queue, exchange, key string, args amqp091.Table) {
	r.t.Helper()
	r.must(r.ch.QueueBind(queue, key, exchange, false, args))
}

func (r *run) publish(exchange, key string, bodies ...string) {
	r.t.Helper()
	for _, body := range bodies {
		r.must(r.ch.PublishWithContext(r.t.Context(), exchange, key, false, false, amqp091.Publishing{Body: []byte(body)}))
	}
}

// get waits for n messages of a queue and returns their bodies.
func (r *run) get(queue string, n int) []string {
	r.t.Helper()
	var bodies []string
	for until := time.Now().Add(10 * time.Second); len(bodies) < n && time.Now().Before(until); {
		d, ok, err := r.ch.Get(queue, true)
		r.must(err)
		if !ok {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		bodies = append(bodies, string(d.Body))
	}
	return bodies
}

// left notes how many messages are ready in a queue once they are n, or after a while.
func (r *run) left(queue string, n int) {
	r.t.Helper()
	var got int
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		q, err := r.ch.QueueDeclarePassive(queue, false, false, false, false, nil)
		r.must(err)
		if got = q.Messages; got == n {
			break
		}
	}
	r.note("%s holds %d", queue, got)
}

func (r *run) consume(ch *amqp091.Channel, queue string, ack bool, args amqp091.Table) <-chan amqp091.Delivery {
	r.t.Helper()
	c, err := ch.ConsumeWithContext(context.WithoutCancel(r.t.Context()), queue, "", !ack, false, false, false, args)
	r.must(err)
	return c
}

// next returns the next delivery.
func (r *run) next(c <-chan amqp091.Delivery) amqp091.Delivery {
	r.t.Helper()
	select {
	case d, ok := <-c:
		if !ok {
			r.t.Fatal("the consumer has ended")
		}
		return d
	case <-time.After(10 * time.Second):
		r.t.Fatalf("nothing comes; so far:\n%s", strings.Join(r.lines, "\n"))
	}
	return amqp091.Delivery{}
}

// nothing notes whether a delivery comes after all, for which a message sent to
// another queue is waited for meanwhile.
func (r *run) nothing(c <-chan amqp091.Delivery) {
	r.t.Helper()
	barrier := r.queue("barrier", nil)
	r.publish("", barrier, "b")
	r.get(barrier, 1)
	select {
	case d, ok := <-c:
		r.note("unexpected: %q, %v", d.Body, ok)
	default:
		r.note("nothing more")
	}
}

func (r *run) confirms() chan amqp091.Confirmation {
	r.t.Helper()
	r.must(r.ch.Confirm(false))
	return r.ch.NotifyPublish(make(chan amqp091.Confirmation, 100))
}

func (r *run) confirmed(c chan amqp091.Confirmation, n int) {
	r.t.Helper()
	for range n {
		select {
		case got := <-c:
			r.note("confirm %d %v", got.DeliveryTag, got.Ack)
		case <-time.After(10 * time.Second):
			r.t.Fatal("no confirm")
		}
	}
}

// TestTheSameAsRabbitMQ runs every scenario against both brokers and compares what
// happens.
func TestTheSameAsRabbitMQ(t *testing.T) {
	t.Parallel()
	rabbit := rabbitnode.Shared(t).URL()
	address := start(t, nil)
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			want := play(t, rabbit, s.play)
			got := play(t, "amqp://guest:guest@"+address+"/", s.play)
			if !slices.Equal(got, want) {
				t.Errorf("here:\n\t%s\nRabbitMQ:\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
			if len(want) == 0 {
				t.Error("the scenario shows nothing")
			}
		})
	}
}

func play(t *testing.T, url string, scenario func(r *run)) []string {
	t.Helper()
	dial := func() *amqp091.Connection {
		conn, err := amqp091.Dial(url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	r := &run{t: t, url: func() string { return url }, dial: dial, conn: dial(), mark: rabbitnode.Queue(t, "") + "-"}
	r.ch = r.channel()
	scenario(r)
	return r.lines
}
