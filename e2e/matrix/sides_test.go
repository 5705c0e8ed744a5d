package matrix

import (
	"testing"
	"time"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestF10SendingSide and TestF11ListeningSide have one side alone go wrong: no packet
// of it arrives any more, or it is reset, or down for a while. The other side goes on,
// and while nothing can be sent nothing is acknowledged.
func TestF10SendingSide(t *testing.T)   { oneSide(t, harness.Sending) }
func TestF11ListeningSide(t *testing.T) { oneSide(t, harness.Listening) }

func oneSide(t *testing.T, side harness.Side) {
	t.Helper()
	t.Parallel()
	n := rabbitnode.Shared(t)
	tr := begin(t, n, 8_000, single)
	relay := harness.NewRelay(t, n.Addr())
	tr.Broker += alert
	tr.Begin(relay.URL(), byKey...)
	other := harness.Sending
	if side == other {
		other = harness.Listening
	}
	made := tr.Router.Metric("router_amqp_reconnects_total", purpose(other))
	each(tr, 6, func(i int) {
		switch i % 3 {
		case 0:
			tr.Struck("no packet arrives")
			relay.Lose(side, 100)
			tr.Note("silence noticed in", "%s", seconds(awaitConnections(tr, 0, side)))
			nothingGone(tr)
			relay.Lose(side, 0)
		case 1:
			tr.Struck("reset")
			if relay.Reset(side) == 0 {
				t.Error("there was no connection to reset")
			}
		case 2:
			tr.Struck("down")
			relay.Up(side, false)
			awaitConnections(tr, 0, side)
			tr.Router.AwaitUnready("not c") // not connected, or not consuming
			nothingGone(tr)
			relay.Up(side, true)
		}
		tr.Recovered()
		awaitConnections(tr, 1, side)
	})
	if d := tr.Router.Metric("router_amqp_reconnects_total", purpose(other)) - made; d != 0 {
		t.Errorf("the other side was connected again %v times", d)
	}
	tr.End()
}

// TestF13LostPackets loses every twentieth packet in both directions all the time.
// Meanwhile every packet is lost until the router gives its connections up, and these
// are reset.
func TestF13LostPackets(t *testing.T) {
	t.Parallel()
	n := rabbitnode.Shared(t)
	tr := begin(t, n, 4_000, single)
	relay := harness.NewRelay(t, n.Addr())
	sides := []harness.Side{harness.Sending, harness.Listening}
	lose := func(percent int) {
		for _, s := range sides {
			relay.Lose(s, percent)
		}
	}
	tr.Broker += alert
	tr.Begin(relay.URL(), byKey...)
	tr.Until(100)
	before := harness.Retransmitted(t)
	tr.Struck("packets lost")
	lose(5)
	each(tr, 4, func(i int) {
		if i%2 == 0 {
			tr.Struck("all packets lost")
			lose(100)
			begin := time.Now()
			awaitConnections(tr, 0)
			tr.Note("silence noticed in", "%s", seconds(time.Since(begin)))
			nothingGone(tr)
			lose(5)
		} else {
			tr.Struck("reset")
			for _, s := range sides {
				relay.Reset(s)
			}
		}
		tr.Recovered()
	})
	harness.AwaitEmpty(t, n, tr.In)
	again := harness.Retransmitted(t) - before
	if again == 0 {
		t.Error("no packet was sent again: none was lost")
	}
	tr.Note("packets sent again", "%d", again)
	tr.End()
}
