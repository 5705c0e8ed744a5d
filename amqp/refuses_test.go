package amqp_test

import (
	"errors"
	"testing"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

// refusing returns a sender, and two queues: one that refuses everything, as it is full,
// and one that takes everything.
func refusing(t *testing.T, at *testbroker.Broker) (b *amqp.Broker, s router.Sender, full, free string) {
	t.Helper()
	full, free = rabbitnode.Queue(t, "full"), rabbitnode.Queue(t, "free")
	ch := channel(t, at.URL())
	declareQueue(t, ch, full, map[string]any{"x-max-length": int64(0), "x-overflow": "reject-publish"})
	declareQueue(t, ch, free, nil)
	b = newBroker(t, at, amqp.Config{})
	s = b.Sender("test")
	t.Cleanup(s.Close)
	return b, s, full, free
}

// A queue that is full refuses everything: each publish is told so, and one channel
// after the other is tried, since it might be the channel's fault.
func TestAChannelThatRefusesEverythingIsReplaced(t *testing.T) {
	testbroker.Both(t, testAChannelThatRefusesEverythingIsReplaced)
}

func testAChannelThatRefusesEverythingIsReplaced(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	b, s, full, free := refusing(t, at)
	env := message("x")
	for i := range 12 {
		if err := send(ctx, t, s, queue(full), env); !errors.Is(err, router.ErrNacked) {
			t.Fatalf("publish %d to a full queue: %v", i, err)
		}
	}
	if made := b.Stat().Channels.Made; made != 3 {
		t.Errorf("%d channels for 12 refused publishes, want 3", made)
	}
	if err := send(ctx, t, s, queue(free), env); err != nil {
		t.Errorf("publish to another queue: %v", err)
	}
	for range 3 { // with a success in between the channel stays
		for range 4 {
			_ = send(ctx, t, s, queue(full), env)
		}
		if err := send(ctx, t, s, queue(free), env); err != nil {
			t.Error(err)
		}
	}
	if made := b.Stat().Channels.Made; made > 4 {
		t.Errorf("%d channels in the end", made)
	}
}
