package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestPoison sends what cannot be delivered among what can: every message ends
// where it belongs, once, and nothing runs in circles.
func TestPoison(t *testing.T) {
	const good, unroutable, poison = 700, 200, 100
	n := rabbitnode.Shared(t)
	in := rabbitnode.Queue(t, "in")
	out := rabbitnode.Queue(t, "out")
	dead := in + ".dead"
	c := harness.Dial(t, n)
	c.Declare(in, out)

	rnd := rand.New(rand.NewPCG(harness.Seed(t), 0))
	kinds := make([]string, 0, good+unroutable+poison)
	for range good {
		kinds = append(kinds, "order")
	}
	for range unroutable {
		kinds = append(kinds, "nowhere")
	}
	for range poison {
		kinds = append(kinds, "poison")
	}
	rnd.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	bodies := make([]string, len(kinds))
	reasons := make([]string, len(kinds)) // empty is delivered
	var msgs []amqp091.Publishing
	for i, kind := range kinds {
		bodies[i] = fmt.Sprintf(`{"id":%d,"tenant":"acme","order":{"kind":%q}}`, i, kind)
		switch kind {
		case "nowhere":
			reasons[i] = "unroutable"
		case "poison":
			// Malformed wherever it is cut, and before a filter has what it looks for.
			bodies[i] = bodies[i][:1+rnd.IntN(strings.Index(bodies[i], `"order"`))]
			reasons[i] = "filter-error"
		}
		msgs = append(msgs, amqp091.Publishing{
			DeliveryMode: amqp091.Persistent, MessageId: fmt.Sprint(i),
			Headers: amqp091.Table{"id": int64(i), "mark": float32(1.5)}, Body: []byte(bodies[i]),
		})
	}
	c.Publish(in, msgs...)

	p := harness.Start(t, harness.ConfigFile(t, n.URL(), harness.Chain("poison", in, out)))
	harness.AwaitEmpty(t, n, in)
	route := `route="poison"`
	for _, m := range []struct {
		name   string
		labels []string
		want   float64
	}{
		// Each message was received and sent on once: nothing went in circles.
		{"router_messages_received_total", []string{route}, good + unroutable + poison},
		{"router_messages_sent_total", []string{route, `result="unroutable"`}, unroutable},
		{"router_messages_sent_total", []string{route, `result="nacked"`}, 0},
	} {
		if got := p.Metric(m.name, m.labels...); got != m.want {
			t.Errorf("%s%v = %v, want %v", m.name, m.labels, got, m.want)
		}
	}
	p.Terminate()

	type fate struct{ Reason, Body string }
	got := make([][]fate, len(kinds))
	note := func(d amqp091.Delivery) {
		id := harness.IDOf(d)
		if id < 0 || id >= len(kinds) {
			t.Fatalf("a message of unknown origin: %v", d.Headers)
		}
		if d.Headers["mark"] != float32(1.5) || d.MessageId != fmt.Sprint(id) {
			t.Errorf("message %d lost its header or id: %v %q", id, d.Headers, d.MessageId)
		}
		got[id] = append(got[id], fate{harness.ReasonOf(d), string(d.Body)})
	}
	c.Drain(out, note)
	c.Drain(dead, note)
	want := make([][]fate, len(kinds))
	for i := range kinds {
		want[i] = []fate{{reasons[i], bodies[i]}}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what became of the messages (-want +got):\n%s", diff)
	}
}
