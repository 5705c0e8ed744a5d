package amqp_test

import (
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
)

// What the broker refuses of the topology, at the start or after a loss, is said and
// tried again until it is mended. Nobody else's messages wait for it.
func TestWhatIsLackingKeepsNothingElseWaiting(t *testing.T) {
	testbroker.Both(t, testWhatIsLackingKeepsNothingElseWaiting)
}

func testWhatIsLackingKeepsNothingElseWaiting(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	ch := channel(t, at.URL())
	well, ill := rabbitnode.Queue(t, "well"), rabbitnode.Queue(t, "ill")
	f := newFaults()
	b := newBroker(t, at, amqp.Config{Dial: f.Dial, Topology: amqp.Topology{Queues: []amqp.Queue{
		{Name: ill, Passive: true}, {Name: well, Durable: true},
	}}})
	t.Cleanup(func() { _, _ = ch.QueueDelete(well, false, false, false) })
	s := b.Sender("test")
	defer s.Close()
	lacks := func(words string) {
		t.Helper()
		waitFor(ctx, t, "it is said to lack: "+words, func() bool {
			got := stat(b, "send").Lacks
			return strings.Contains(got, words) && (words != "" || got == "")
		})
		if err := send(ctx, t, s, queue(well), message("x")); err != nil {
			t.Errorf("to the other queue: %v", err)
		}
	}

	err := b.Connect(ctx)
	if err == nil || !strings.Contains(err.Error(), ill) || !strings.Contains(err.Error(), "does not exist") || amqp.IsRefusal(err) {
		t.Errorf("connect = %v, want the missing queue, which may come", err)
	}
	lacks(ill + `": it does not exist`)
	declareQueue(t, ch, ill, nil)
	lacks("")
	if err := b.Connect(ctx); err != nil {
		t.Errorf("connect, mended: %v", err)
	}

	// Somebody makes the other one anew, with other properties.
	if _, err := ch.QueueDelete(well, false, false, false); err != nil {
		t.Fatal(err)
	}
	declareQueue(t, ch, well, amqp091.Table{"x-max-length": int32(5)})
	f.Cut()
	lacks(`queue "` + well + `" exists with other properties: x-max-length is 5`)
	if err := b.Connect(ctx); !amqp.IsRefusal(err) {
		t.Errorf("connect = %v, want a refusal", err)
	}
	if _, err := ch.QueueDelete(well, false, false, false); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, "it is declared again", func() bool { return stat(b, "send").Lacks == "" })
	if n, _ := holds(t, ch, well); n != 0 {
		t.Errorf("%d messages in a new queue", n)
	}
	if st := stat(b, "send"); st.Connects != 2 {
		t.Errorf("%d connections, want the one before the cut and the one after it", st.Connects)
	}
}
