package rpc_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/rpc"
)

// TestANotificationArrivesAlthoughTheBrokerIsDownAtFirst, which oslo.messaging
// loses after ten milliseconds whatever its retry says.
func TestANotificationArrivesAlthoughTheBrokerIsDownAtFirst(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	node, err := rabbitnode.Start(ctx, rabbitnode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Stop()
	if err := node.Kill(); err != nil {
		t.Fatal(err)
	}
	dialled := make(chan struct{}, 100)
	b, err := amqp.New(amqp.Config{URLs: []string{node.URL()}, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialled <- struct{}{}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	client, err := rpc.NewClient(rpc.ClientConfig{Sender: b.Sender("notifier"), Declare: b.Declare, Format: rpc.Oslo{}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close(ctx)
	notifier, err := rpc.NewNotifier(rpc.NotifierConfig{Client: client, PublisherID: "p"})
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() { result <- notifier.Info(ctx, rpc.Notification{EventType: "e"}) }()
	<-dialled // in vain
	if err := node.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if n, err := node.QueueLen(ctx, "notifications.info"); err != nil || n != 1 {
		t.Errorf("%d notifications wait, %v", n, err)
	}
}
