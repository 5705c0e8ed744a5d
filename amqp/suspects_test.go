package amqp_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

// Every second message goes to an exchange that is not there. After the first window
// of them, nothing that is sent beside them is left in the dark, and once the exchange
// is declared messages reach it.
func TestAMissingExchangeLeavesOthersAlone(t *testing.T) {
	testbroker.Both(t, testAMissingExchangeLeavesOthersAlone)
}

func testAMissingExchangeLeavesOthersAlone(t *testing.T, at *testbroker.Broker) {
	const window, rounds = 50, 20
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	ch := channel(t, at.URL())
	declareQueue(t, ch, name, nil)
	b := newBroker(t, at, amqp.Config{})
	s := b.Sender("test")
	defer s.Close()
	nowhere := router.Target{Kind: router.TargetExchange, Exchange: name, Topic: "k"}
	for round := range rounds {
		var good, bad []*receipt
		for i := range window {
			env, r := message(fmt.Sprint(round, i)), newReceipt()
			to := queue(name)
			if i%2 == 1 {
				to, bad = nowhere, append(bad, r)
			} else {
				good = append(good, r)
			}
			if err := s.Send(ctx, to, &env, r); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range bad {
			if err := r.wait(ctx, t); !errors.Is(err, router.ErrNoExchange) || !errors.Is(err, router.ErrUnroutable) {
				t.Errorf("round %d, to the missing exchange: %v", round, err)
			}
		}
		for _, r := range good {
			if err := r.wait(ctx, t); err != nil && round > 0 {
				t.Errorf("round %d, to the queue: %v", round, err)
			}
		}
	}
	st := b.Stat()
	if st.Unconfirmed > window/2 {
		t.Errorf("%d left in the dark, in the first round at most %d", st.Unconfirmed, window/2)
	}

	if err := ch.ExchangeDeclare(name, "direct", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ch.ExchangeDelete(name, false, false) })
	if err := send(ctx, t, s, nowhere, message("x")); !errors.Is(err, router.ErrUnroutable) || errors.Is(err, router.ErrNoExchange) {
		t.Errorf("once the exchange is there: %v, want the message returned, as no queue is bound", err)
	}
	if err := ch.QueueBind(name, "k", name, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := send(ctx, t, s, nowhere, message("x")); err != nil {
		t.Errorf("at last: %v", err)
	}
}
