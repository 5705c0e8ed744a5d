package amqp

import (
	"context"
	"errors"

	"github.com/wasmrouter/router/router"
)

// Broker is a connection to RabbitMQ that mends itself. It is safe for
// concurrent use. Close it to free its goroutines.
type Broker struct {
}

// New checks the configuration and returns a broker. It dials nothing yet.
func New(cfg Config) (*Broker, error) { return nil, errors.New("not built yet") }

// Connect dials the send connection and declares the topology, unless that has
// been done. It tries every host once and does not retry.
func (b *Broker) Connect(ctx context.Context) error { return nil }

// Sender returns a sender with a confirm-mode channel of its own. The channel
// is opened by the first Send, and replaced by the next Send after a loss;
// Send waits for that as long as its ctx lasts. Name is for logs.
func (b *Broker) Sender(name string) router.Sender { return nil }

// Listen implements [router.Listener] with a connection of its own.
func (b *Broker) Listen(ctx context.Context, source router.Source, handle func(*router.Delivery)) error {
	return nil
}

// Declare declares t on the send connection, dialling it if need be. It does
// not add t to the configured topology.
func (b *Broker) Declare(ctx context.Context, t Topology) error { return nil }

// Stat returns the broker's state and counts.
func (b *Broker) Stat() Stat { return Stat{} }

// Close ends all senders and listeners, closes the connections and waits for
// all goroutines, at most until ctx ends. It is idempotent.
func (b *Broker) Close(ctx context.Context) error { return nil }
