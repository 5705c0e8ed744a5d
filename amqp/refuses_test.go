package amqp_test

import (
	"errors"
	"testing"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

// A queue that is full refuses everything: each publish is told so, and one channel
// after the other is tried, since it might be the channel's fault.
func TestAChannelThatRefusesEverythingIsReplaced(t *testing.T) {
	testbroker.Both(t, testAChannelThatRefusesEverythingIsReplaced)
}

func testAChannelThatRefusesEverythingIsReplaced(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	full, free := rabbitnode.Queue(t, "full"), rabbitnode.Queue(t, "free")
	ch := channel(t, at.URL())
	declareQueue(t, ch, full, map[string]any{"x-max-length": int64(0), "x-overflow": "reject-publish"})
	declareQueue(t, ch, free, nil)
	b := newBroker(t, at, amqp.Config{})
	s := b.Sender("test")
	defer s.Close()
	send := func(name string) error {
		env, r := message("x"), newReceipt()
		if err := s.Send(ctx, queue(name), &env, r); err != nil {
			return err
		}
		return r.wait(ctx, t)
	}
	for i := range 12 {
		if err := send(full); !errors.Is(err, router.ErrNacked) {
			t.Fatalf("publish %d to a full queue: %v", i, err)
		}
	}
	if made := b.Stat().Channels.Made; made != 3 {
		t.Errorf("%d channels for 12 refused publishes, want 3", made)
	}
	if err := send(free); err != nil {
		t.Errorf("publish to another queue: %v", err)
	}
	for range 3 { // with a success in between the channel stays
		for range 4 {
			_ = send(full)
		}
		if err := send(free); err != nil {
			t.Error(err)
		}
	}
	if made := b.Stat().Channels.Made; made > 4 {
		t.Errorf("%d channels in the end", made)
	}
}
