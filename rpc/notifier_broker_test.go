package rpc_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/rpc"
)

// TestANotificationArrivesAlthoughTheBrokerIsDownAtFirst, which oslo.messaging
// loses after ten milliseconds whatever its retry says.
func TestANotificationArrivesAlthoughTheBrokerIsDownAtFirst(t *testing.T) {
	t.Parallel()
	testbroker.Both(t, testANotificationArrivesAlthoughTheBrokerIsDownAtFirst)
}

func testANotificationArrivesAlthoughTheBrokerIsDownAtFirst(t *testing.T, at *testbroker.Broker) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := l.Addr().String() // nobody listens there any more
	_ = l.Close()
	var up atomic.Bool
	dialled := make(chan struct{}, 1)
	_, p := connectAs(t, amqp.Config{URLs: []string{at.URL()}, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !up.Load() {
			addr = down
			defer func() {
				select {
				case dialled <- struct{}{}:
				default:
				}
			}()
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}})
	topic := rabbitnode.Queue(t)
	notifier, err := rpc.NewNotifier(rpc.NotifierConfig{Client: p.client(t, rpc.Oslo{}, rpc.Layout{Exchange: topic}), PublisherID: "p", Topics: []string{topic}})
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() { result <- notifier.Info(t.Context(), rpc.Notification{EventType: "e"}) }()
	<-dialled // in vain
	up.Store(true)
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if n, err := at.QueueLen(t.Context(), topic+".info"); err != nil || n != 1 {
		t.Errorf("%d notifications wait, %v", n, err)
	}
}
