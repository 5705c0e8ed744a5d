package matrix

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestF19Poison sends what cannot be delivered among what can: every message ends
// where it belongs, once, and nothing runs in circles.
func TestF19Poison(t *testing.T) {
	t.Parallel()
	kinds := []struct {
		name   string
		count  int
		reason string // of its dead letter; empty is delivered
	}{
		{"good", harness.Messages(t, 3000), ""},
		{"nowhere", 200, "unroutable"},
		{"json", 100, "filter-error"},
		{"trap", 10, "filter-trap"},
		{"loop", 3, "filter-deadline"},
		{"expiration", 50, "filter-invalid"},
		{"key", 50, "filter-invalid"},
	}
	n := rabbitnode.Shared(t)
	load := harness.Load{Seed: harness.Seed(t), Keys: 8, Pad: 64}
	rnd := rand.New(rand.NewPCG(load.Seed, 0))
	var kindOf []int
	faults := map[string]int{}
	for k, kind := range kinds {
		load.Count += kind.count
		if kind.reason != "" {
			faults[kind.name] = kind.count
		}
		for range kind.count {
			kindOf = append(kindOf, k)
		}
	}
	rnd.Shuffle(len(kindOf), func(i, j int) { kindOf[i], kindOf[j] = kindOf[j], kindOf[i] })

	in, out := rabbitnode.Queue(t, "in"), rabbitnode.Queue(t, "out")
	c := harness.Dial(t, n)
	c.Declare(in, out)
	result, audit := harness.NewResult(t, load.Seed), harness.NewAudit(load)
	result.Faults, result.InFlow = faults, load.Count-kinds[0].count
	msgs := make([]amqp091.Publishing, load.Count)
	for id, k := range kindOf {
		audit.Attempted(id)
		m := harness.Numbered(load, id)
		m.Headers["mark"], m.Headers["trouble"] = float32(1.5), kinds[k].name
		switch kinds[k].name {
		case "nowhere":
			m.Body = []byte(strings.Replace(string(m.Body), `"kind":"order"`, `"kind":"nowhere"`, 1))
		case "json": // malformed wherever it is cut, and before a filter has what it looks for
			m.Body = m.Body[:1+rnd.IntN(strings.Index(string(m.Body), `"order"`))]
		}
		msgs[id] = m
	}
	c.Publish(in, msgs...)
	for id := range msgs {
		audit.Acknowledged(id)
	}

	config := harness.ConfigFile(t, n.URL(), strings.Replace(harness.Chain("poison", in, out), `"by_kind"]`, `"by_kind", "trouble"]`, 1)+`
[filters.trouble]
path = "trouble.wasm"
limits = { time = "500ms" }
`)
	beside(t, config, "trouble.wasm", troubleFilter(t))
	p := harness.Start(t, config)
	begun := time.Now()
	harness.AwaitEmpty(t, n, in)
	result.Took = time.Since(begun).Seconds()
	for _, m := range []struct {
		name   string
		labels []string
		want   int
	}{
		// Each message was received and sent on once: nothing went in circles.
		{"router_messages_received_total", nil, load.Count},
		{"router_messages_sent_total", []string{`result="unroutable"`}, kinds[1].count},
		{"router_messages_sent_total", []string{`result="nacked"`}, 0},
	} {
		if got := p.Metric(m.name, append(m.labels, `route="poison"`)...); got != float64(m.want) {
			t.Errorf("%s%v = %v, want %v", m.name, m.labels, got, m.want)
		}
	}
	p.Terminate()

	reasons := make([]string, load.Count)
	note := func(d amqp091.Delivery) (int, []byte) {
		id := harness.IDOf(d)
		if id < 0 || id >= len(msgs) {
			t.Fatalf("a message of unknown origin: %v", d.Headers)
		}
		if d.Headers["mark"] != float32(1.5) || d.MessageId != msgs[id].MessageId || d.Expiration != "" {
			t.Errorf("message %d is not as it was: %v %q %q", id, d.Headers, d.MessageId, d.Expiration)
		}
		if string(d.Body) != string(msgs[id].Body) {
			return id, d.Body
		}
		return id, load.Body(id) // as the audit expects it
	}
	c.Drain(in+".dead", func(d amqp091.Delivery) {
		id, body := note(d)
		reasons[id] = harness.ReasonOf(d)
		audit.Dead(id, reasons[id], body)
	})
	c.Drain(out, func(d amqp091.Delivery) {
		id, body := note(d)
		audit.Delivered(out, id, body)
	})
	want := make([]string, load.Count)
	for id, k := range kindOf {
		want[id] = kinds[k].reason
	}
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Errorf("why messages are dead letters, by id (-want +got):\n%s", diff)
	}
	result.Report = audit.Report()
	for _, line := range result.Check(0) {
		t.Error(line)
	}
	result.Note("innocent", "%d of %d delivered", result.Delivered, kinds[0].count)
	if result.Delivered != kinds[0].count {
		t.Errorf("%d innocent messages were delivered, want %d", result.Delivered, kinds[0].count)
	}
}

// TestF19PoisonThatCutsTheConnection has messages in the queue whose headers the
// router's AMQP library refuses to read, and then gives up the connection: one at a
// time each of them is delivered until the queue's own limit, and nobody else is.
func TestF19PoisonThatCutsTheConnection(t *testing.T) {
	t.Parallel()
	const limit = 20 // as quorum queues of RabbitMQ 4 have it by default
	n := rabbitnode.Shared(t)
	load := harness.Load{Seed: harness.Seed(t), Count: harness.Messages(t, 2000), Keys: 8, Pad: 64}
	deep, wide := amqp091.Table{}, amqp091.Table{}
	for range 40 {
		deep = amqp091.Table{"d": deep}
	}
	for i := range 9000 {
		wide[fmt.Sprint(i)] = true
	}
	poison := []amqp091.Table{{"deep": deep}, {"deep": deep}, {"wide": wide}}

	in, out := rabbitnode.Queue(t, "in"), rabbitnode.Queue(t, "out")
	limited := in + ".limited"
	c := harness.Dial(t, n)
	c.Declare(out, limited)
	if _, err := c.Ch.QueueDeclare(in, true, false, false, false, amqp091.Table{
		"x-queue-type": "quorum", "x-delivery-limit": int32(limit),
		"x-dead-letter-exchange": "", "x-dead-letter-routing-key": limited,
	}); err != nil {
		t.Fatal(err)
	}
	result, audit := harness.NewResult(t, load.Seed), harness.NewAudit(load)
	rnd := rand.New(rand.NewPCG(load.Seed, 0))
	places := rnd.Perm(load.Count)[:len(poison)]
	var msgs []amqp091.Publishing
	for id := range load.Count {
		audit.Attempted(id)
		msgs = append(msgs, harness.Numbered(load, id))
		if i := slices.Index(places, id); i >= 0 {
			msgs = append(msgs, amqp091.Publishing{DeliveryMode: amqp091.Persistent, Headers: poison[i]})
		}
	}
	c.Publish(in, msgs...)
	for id := range load.Count {
		audit.Acknowledged(id)
	}

	calm := newCalmRoute(t, n)
	p := harness.Start(t, harness.ConfigFile(t, n.URL(), calm.config()))
	alone := calm.alone(p)
	p.Terminate()
	p = harness.Start(t, harness.ConfigFile(t, n.URL(), calm.config()+fmt.Sprintf(`
[routes.poison]
listen = %q
send = ["queue:%s"]
`, in, out)))
	begun := time.Now()
	beside := calm.probe(p, func(i int) bool {
		left, err := n.QueueLen(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		return left > 0
	})
	result.Took = time.Since(begun).Seconds()
	result.Note("another route alone", "%s", spread(alone))
	result.Note("another route beside", "%s", spread(beside))
	purpose := fmt.Sprintf("purpose=%q", "listen "+in)
	losses := 0
	harness.Await(t, "a connection after the last loss", func() (bool, string) {
		losses = int(p.Metric("router_amqp_undecodable_losses_total", purpose))
		again := int(p.Metric("router_amqp_reconnects_total", purpose))
		return again == losses, fmt.Sprintf("it was lost %d times and made again %d times", losses, again)
	})
	// Fewer when one is in the window of another.
	if losses <= limit || losses > len(poison)*(limit+1) {
		t.Errorf("the connection was lost %d times, want at most %d", losses, len(poison)*(limit+1))
	}
	p.Terminate()

	c.DrainIfThere(in+".dead", func(d amqp091.Delivery) { audit.Dead(harness.IDOf(d), harness.ReasonOf(d), d.Body) })
	c.Drain(out, func(d amqp091.Delivery) { audit.Delivered(out, harness.IDOf(d), d.Body) })
	result.Report = audit.Report()
	result.Faults["undecodable message"], result.InFlow, result.Window = len(poison), len(poison), 2*harness.Prefetch
	result.Note("connections lost", "%d", losses)
	// A quorum queue does not keep the places of what it delivers again (RabbitMQ 3.10).
	result.Mixed = true
	result.Note("out of order with a delivery limit", "%d, not promised", result.Disordered)
	judged := result.Report
	judged.Disordered = 0
	for _, line := range judged.Check(result.Window * len(poison)) {
		t.Error(line)
	}
	if len(result.DeadLetters) != 0 || result.Delivered != load.Count {
		t.Errorf("%d of %d innocent messages were delivered, dead letters %v", result.Delivered, load.Count, result.DeadLetters)
	}
	// With all others accounted for, these are the poison; no client of this
	// library could read them.
	if got, err := n.QueueLen(t.Context(), limited); err != nil || got != len(poison) {
		t.Errorf("%d messages have reached the queue's delivery limit, want %d: %v", got, len(poison), err)
	}
}
