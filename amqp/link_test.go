package amqp

import (
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/router"
)

// Once a return fits no publish, any of those in flight may be the one that was
// returned: a confirm says nothing any more. The returns behind it still count.
func TestAReturnThatFitsNothingTaintsTheChannel(t *testing.T) {
	l := &link{returns: make(chan amqp091.Return, 2), ring: make([]pending, 2)}
	for i := range l.ring {
		l.ring[i] = pending{env: &router.Envelope{}, key: string(rune('a' + i))}
		l.n++
	}
	l.returns <- amqp091.Return{RoutingKey: "never published"}
	l.returns <- amqp091.Return{RoutingKey: "b", ReplyText: "NO_ROUTE"}
	if err := l.match(); err == nil || !l.stray {
		t.Errorf("match = %v, stray %t; want an error and true", err, l.stray)
	}
	if l.ring[0].returned != "" || l.ring[1].returned == "" {
		t.Errorf("returned: %q and %q; want only the second", l.ring[0].returned, l.ring[1].returned)
	}
}
