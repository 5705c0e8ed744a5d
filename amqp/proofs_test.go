package amqp_test

import (
	"context"
	"errors"
	"testing"

	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

// ending is a receipt that ends the ctx of later sends when its message was not taken, as
// that of a lane that keeps order does.
type ending struct {
	*receipt
	end context.CancelFunc
}

func (e ending) Settle(err error) {
	if err != nil {
		e.end()
	}
	e.receipt.Settle(err)
}

// TestTheFirstPublishGoesAhead sends to a queue that refuses everything, as a quorum queue
// without a leader does: as long as the first publish of a channel is not settled nothing
// follows it to that queue, but to others.
func TestTheFirstPublishGoesAhead(t *testing.T) {
	testbroker.Both(t, testTheFirstPublishGoesAhead)
}

func testTheFirstPublishGoesAhead(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	_, s, full, free := refusing(t, at)

	sending, end := context.WithCancel(ctx)
	defer end()
	env, sent := message("x"), 0
	var receipts []ending
	var err error
	for range 100 {
		r := ending{newReceipt(), end}
		if err = s.Send(sending, queue(full), &env, r); err != nil {
			break
		}
		receipts = append(receipts, r)
		sent++
	}
	if sent != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d messages followed one that was refused: %v", sent-1, err)
	}
	for _, r := range receipts {
		if err := r.wait(ctx, t); !errors.Is(err, router.ErrNacked) {
			t.Errorf("publish to a full queue: %v", err)
		}
	}

	// Who goes on all the same sends the next one ahead, and waits no more when one was
	// taken.
	for range 3 {
		if err := send(ctx, t, s, queue(full), env); !errors.Is(err, router.ErrNacked) {
			t.Errorf("publish to a full queue: %v", err)
		}
	}
	var waiting []*receipt
	for range 50 {
		r := newReceipt()
		if err := s.Send(ctx, queue(free), &env, r); err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, r)
	}
	for _, r := range waiting {
		if err := r.wait(ctx, t); err != nil {
			t.Error(err)
		}
	}
}
