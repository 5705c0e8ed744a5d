package deadletters_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/app/deadletters"
	"github.com/wasmrouter/router/broker"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "goroutines are left after the tests:", err)
		code = 1
	}
	os.Exit(code)
}

// limit bounds every wait of a test; reaching it is a failure.
const limit = 60 * time.Second

// desk is a broker with queues in it, and the code under test beside it.
type desk struct {
	t      *testing.T
	ctx    context.Context
	server *broker.Server
	ch     *amqp091.Channel
	urls   []string
	broker *amqp.Broker
	queue  deadletters.Queue // "dead"
}

// newDesk starts a broker with the queues "dead" and "in".
func newDesk(t *testing.T) *desk {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("the test waited longer than %v", limit))
	t.Cleanup(cancel)
	server := broker.New(broker.Config{})
	addr, err := server.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	url := "amqp://guest:guest@" + addr + "/"
	conn, err := amqp091.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	urls := []string{url}
	b, err := amqp.New(amqp.Config{URLs: urls})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	d := &desk{t: t, ctx: ctx, server: server, ch: ch, urls: urls, broker: b, queue: deadletters.Queue{Broker: b, Name: "dead"}}
	d.declare("dead")
	d.declare("in")
	return d
}

func (d *desk) declare(queue string) {
	d.t.Helper()
	if _, err := d.ch.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		d.t.Fatal(err)
	}
}

// post puts a message into the queue of dead letters, or another.
func (d *desk) post(p amqp091.Publishing, queue ...string) {
	d.t.Helper()
	to := append(queue, "dead")[0]
	if err := d.ch.Publish("", to, true, false, p); err != nil {
		d.t.Fatal(err)
	}
}

// seen is when every letter was seen first.
var seen = time.Now().Add(-time.Hour).Truncate(time.Second)

// letter is a dead letter of a route as a router writes it, with changes.
func letter(id string, more amqp091.Table) amqp091.Publishing {
	h := amqp091.Table{
		"x-router-reason": "trap", "x-router-route": "orders", "x-router-filter": "f", "x-router-stage": "decide",
		"x-router-attempts": int64(1), "x-router-error": "out of bounds", "x-router-first-seen": seen,
		"x-router-queue": "in", "x-router-exchange": "events", "x-router-routing-key": "new", "tenant": "acme",
	}
	maps.Copy(h, more)
	maps.DeleteFunc(h, func(_ string, v any) bool { return v == nil })
	return amqp091.Publishing{MessageId: id, Headers: h, Body: []byte("body " + id), DeliveryMode: 2}
}

// fill posts n letters with the ids 0 to n-1.
func (d *desk) fill(n int) {
	d.t.Helper()
	for i := range n {
		d.post(letter(fmt.Sprint(i), nil))
	}
	d.settle("dead", n)
}

// settle waits until a queue has that many messages ready.
func (d *desk) settle(queue string, n int) {
	d.t.Helper()
	for {
		q, err := d.ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		if err != nil {
			d.t.Fatal(err)
		}
		if q.Messages == n {
			return
		}
		if d.ctx.Err() != nil {
			d.t.Fatalf("%s has %d messages, want %d", queue, q.Messages, n)
		}
	}
}

// take empties a queue.
func (d *desk) take(queue string) (all []amqp091.Delivery) {
	d.t.Helper()
	for {
		m, ok, err := d.ch.Get(queue, true)
		if err != nil {
			d.t.Fatal(err)
		}
		if !ok {
			return all
		}
		all = append(all, m)
	}
}

func ids(all []amqp091.Delivery) []string {
	list := []string{}
	for i := range all {
		list = append(list, all[i].MessageId)
	}
	return list
}

// list returns the message ids of the selected letters.
func (d *desk) list(sel deadletters.Selection, limit int) (list []string, scan deadletters.Scan) {
	d.t.Helper()
	list = []string{}
	scan, err := d.queue.Walk(d.ctx, &sel, limit, func(l *deadletters.Letter) bool {
		list = append(list, l.Original.MessageID)
		return true
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return list, scan
}

// id returns the id of the letter with a message id.
func (d *desk) id(message string) (id string) {
	d.t.Helper()
	_, err := d.queue.Walk(d.ctx, &deadletters.Selection{}, 0, func(l *deadletters.Letter) bool {
		if l.Original.MessageID == message {
			id = l.ID
		}
		return id == ""
	})
	if err != nil || id == "" {
		d.t.Fatal(errors.Join(err, fmt.Errorf("no letter %s", message)))
	}
	return id
}
