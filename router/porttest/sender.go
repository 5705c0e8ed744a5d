// Package porttest holds the contracts of the ports of package router, as
// tests that every implementation of them can run.
package porttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wasmrouter/router/router"
)

// patience bounds how long a test waits for what must happen.
const patience = 20 * time.Second

// SenderRig is a Sender with the broker behind it, made for one test.
type SenderRig struct {
	Sender     router.Sender
	Routable   router.Target // what arrives there is in Arrived
	Unroutable router.Target // the broker returns what is sent there

	// Arrived returns the bodies at Routable so far, in their order.
	Arrived func() []string
	// Mute makes the broker leave publishes from now on without an answer, and
	// returns when it does. Nil leaves out the tests that need it.
	Mute func()
}

// receipt keeps what it was settled with; more than once does not fit.
type receipt chan error

func newReceipt() receipt { return make(receipt, 16) }

func (r receipt) Settle(err error) { r <- err }

func (r receipt) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-r:
		return err
	case <-time.After(patience):
		t.Fatal("the receipt was not settled")
		return nil
	}
}

func message(body string) *router.Envelope {
	e := router.NewEnvelope(nil, []byte(body))
	e.MessageID = body
	return &e
}

// Sender runs the contract of [router.Sender]. New makes a rig for each test
// and releases it in the test's Cleanup.
func Sender(t *testing.T, newRig func(testing.TB) SenderRig) {
	t.Run("confirms in order, once for each message", func(t *testing.T) { inOrder(t, newRig(t)) })
	t.Run("tells what was returned from what was not", func(t *testing.T) { returned(t, newRig(t)) })
	t.Run("refuses what cannot be sent and goes on", func(t *testing.T) { unsendable(t, newRig(t)) })
	t.Run("does not send for an ended context", func(t *testing.T) { ended(t, newRig(t)) })
	t.Run("settles what is open when it is closed", func(t *testing.T) { closed(t, newRig(t)) })
}

func inOrder(t *testing.T, rig SenderRig) {
	defer rig.Sender.Close()
	var receipts []receipt
	var want []string
	for i := range 50 {
		r, body := newReceipt(), fmt.Sprint("m", i)
		if err := rig.Sender.Send(t.Context(), rig.Routable, message(body), r); err != nil {
			t.Fatal(err)
		}
		receipts, want = append(receipts, r), append(want, body)
	}
	for i, r := range receipts {
		if err := r.wait(t); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	if got := rig.Arrived(); !slices.Equal(got, want) {
		t.Errorf("arrived %v, want %v", got, want)
	}
	for i, r := range receipts {
		if len(r) > 0 {
			t.Errorf("the receipt of message %d was settled more than once", i)
		}
	}
}

func returned(t *testing.T, rig SenderRig) {
	defer rig.Sender.Close()
	var receipts []receipt
	for i := range 30 {
		r, target := newReceipt(), rig.Routable
		if i%3 == 0 {
			target = rig.Unroutable
		}
		if err := rig.Sender.Send(t.Context(), target, message("same"), r); err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, r)
	}
	for i, r := range receipts {
		if err := r.wait(t); (i%3 == 0) != errors.Is(err, router.ErrUnroutable) || i%3 != 0 && err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
}

func unsendable(t *testing.T, rig SenderRig) {
	defer rig.Sender.Close()
	before, bad, after := newReceipt(), newReceipt(), newReceipt()
	if err := rig.Sender.Send(t.Context(), rig.Routable, message("before"), before); err != nil {
		t.Fatal(err)
	}
	e := message("bad")
	e.CorrelationID = strings.Repeat("x", 256)
	if err := rig.Sender.Send(t.Context(), rig.Routable, e, bad); !errors.Is(err, router.ErrUnsendable) {
		t.Errorf("a property of 256 bytes: %v", err)
	}
	if err := rig.Sender.Send(t.Context(), rig.Routable, message("after"), after); err != nil {
		t.Fatal(err)
	}
	for _, r := range []receipt{before, after} {
		if err := r.wait(t); err != nil {
			t.Error(err)
		}
	}
	if len(bad) > 0 {
		t.Error("a receipt was settled although Send returned an error")
	}
	if got := rig.Arrived(); !slices.Equal(got, []string{"before", "after"}) {
		t.Errorf("arrived %v", got)
	}
}

func ended(t *testing.T, rig SenderRig) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := newReceipt()
	if err := rig.Sender.Send(ctx, rig.Routable, message("x"), r); err == nil {
		t.Error("Send takes a message for an ended context")
	}
	after := newReceipt()
	if err := rig.Sender.Send(t.Context(), rig.Routable, message("after"), after); err != nil {
		t.Fatal(err)
	}
	if err := after.wait(t); err != nil {
		t.Error(err)
	}
	rig.Sender.Close()
	if len(r) > 0 {
		t.Error("a receipt was settled although Send returned an error")
	}
	if got := rig.Arrived(); !slices.Equal(got, []string{"after"}) {
		t.Errorf("arrived %v", got)
	}
}

func closed(t *testing.T, rig SenderRig) {
	first := newReceipt()
	if err := rig.Sender.Send(t.Context(), rig.Routable, message("x"), first); err != nil {
		t.Fatal(err)
	}
	if err := first.wait(t); err != nil {
		t.Error(err)
	}
	open := newReceipt()
	if rig.Mute != nil {
		rig.Mute()
		if err := rig.Sender.Send(t.Context(), rig.Routable, message("y"), open); err != nil {
			t.Fatal(err)
		}
	}
	rig.Sender.Close()
	if rig.Mute != nil {
		if len(open) != 1 {
			t.Fatal("Close returned with an open receipt")
		}
		if err := open.wait(t); !errors.Is(err, router.ErrUnconfirmed) {
			t.Errorf("an open receipt was settled with %v", err)
		}
	}
	last := newReceipt()
	if err := rig.Sender.Send(t.Context(), rig.Routable, message("z"), last); !errors.Is(err, router.ErrClosed) {
		t.Errorf("Send after Close: %v", err)
	}
	if len(last) > 0 {
		t.Error("a receipt was settled although Send returned an error")
	}
}
