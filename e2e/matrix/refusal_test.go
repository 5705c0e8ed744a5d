package matrix

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// The rows in which the broker is well and says no: it returns, nacks, or refuses
// what the router asks for. None of these costs a connection or leaves anything
// undecided, so that nothing arrives twice.

// door is a queue that takes nothing while it is shut.
type door struct {
	t     *testing.T
	n     *rabbitnode.Node
	queue string
}

// newDoor returns a door that is open. The queue is empty: RabbitMQ sets a length
// before it sets what becomes of what is too much, and would throw messages away.
func newDoor(t *testing.T, n *rabbitnode.Node, queue string) *door {
	d := &door{t, n, queue}
	d.open()
	t.Cleanup(func() { _ = n.ClearPolicy(context.Background(), queue) })
	return d
}

func (d *door) open() { d.t.Helper(); d.most(1 << 30) }
func (d *door) shut() { d.t.Helper(); d.most(0) }

func (d *door) most(length int) {
	d.t.Helper()
	if err := d.n.SetPolicy(d.t.Context(), d.queue, map[string]any{"max-length": length, "overflow": "reject-publish"}); err != nil {
		d.t.Fatal(err)
	}
}

// plain is a route without filters.
func plain(name, listen, send string, more ...string) string {
	return fmt.Sprintf("[routes.%s]\nlisten = %q\nsend = [%q]\n%s\n", name, listen, send, strings.Join(more, "\n"))
}

// exchange is a direct exchange that takes messages to one queue by the key "k" and
// comes and goes as a test says.
type exchange struct {
	c     *harness.Client
	t     *testing.T
	name  string
	queue string
}

func newExchange(t *testing.T, n *rabbitnode.Node, queue string) *exchange {
	x := &exchange{harness.Dial(t, n), t, queue + ".x", queue}
	t.Cleanup(func() { _ = x.c.Ch.ExchangeDelete(x.name, false, false) })
	return x
}

func (x *exchange) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

// declare declares and binds it.
func (x *exchange) declare() {
	x.t.Helper()
	x.must(x.c.Ch.ExchangeDeclare(x.name, "direct", true, false, false, false, nil))
	x.bind()
}

func (x *exchange) bind() {
	x.t.Helper()
	x.must(x.c.Ch.QueueBind(x.queue, "k", x.name, false, nil))
}

func (x *exchange) unbind() {
	x.t.Helper()
	x.must(x.c.Ch.QueueUnbind(x.queue, "k", x.name, nil))
}

func (x *exchange) delete() {
	x.t.Helper()
	x.must(x.c.Ch.ExchangeDelete(x.name, false, false))
}

// target is the exchange as a target of a route.
func (x *exchange) target() string { return "exchange:" + x.name + "/k" }

// awaitMetric waits until a metric of the trial's route has at least that value.
func awaitMetric(tr *harness.Trial, least float64, name string, labels ...string) {
	tr.T.Helper()
	harness.Await(tr.T, fmt.Sprintf("%s%v to reach %v", name, labels, least), func() (bool, string) {
		got := tr.Metric(name, labels...)
		return got >= least, fmt.Sprint("it is ", got)
	})
}

// check compares counters of the trial's route with what they must be.
type check struct {
	name   string
	labels []string
	want   float64
}

func checkMetrics(tr *harness.Trial, checks ...check) {
	tr.T.Helper()
	for _, c := range checks {
		if got := tr.Metric(c.name, c.labels...); got != c.want {
			tr.T.Errorf("router_%s%v of route %s is %v, want %v", c.name, c.labels, tr.Route, got, c.want)
		}
	}
}

// mostAttempts is how often a message can have been tried in that time: the waits
// between attempts double from backoff to longest, each up to a quarter shorter.
// Slowness only makes it fewer.
func mostAttempts(in, backoff, longest time.Duration) float64 {
	n := 1.0
	for wait := backoff; ; wait = min(2*wait, longest) {
		if in -= wait * 3 / 4; in < 0 {
			return n
		}
		n++
	}
}

// deadLetters drains the dead letters of a trial into its audit, with a look at each.
func deadLetters(tr *harness.Trial, each func(id int, d amqp091.Delivery)) {
	tr.T.Helper()
	c := harness.Dial(tr.T, tr.Node)
	defer c.Close()
	c.DrainIfThere(tr.Dead, func(d amqp091.Delivery) {
		id := harness.IDOf(d)
		tr.Audit.Dead(id, harness.ReasonOf(d), d.Body)
		each(id, d)
	})
}
