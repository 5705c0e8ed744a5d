package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

// Topology is what must exist at the broker, to be declared in the order
// exchanges, queues, bindings.
type Topology struct {
	Exchanges []Exchange
	Queues    []Queue
	Bindings  []Binding
}

// Exchange is one exchange to declare, or with Passive only to check for.
type Exchange struct {
	Name       string
	Type       string
	Durable    bool
	AutoDelete bool
	Passive    bool
}

// Queue is one queue to declare, or with Passive only to check for.
type Queue struct {
	Name    string
	Durable bool
	Expires time.Duration // the argument x-expires, how long it lives unused; 0 is for ever
	Passive bool
}

// Binding binds a queue to an exchange.
type Binding struct {
	Exchange string
	Queue    string
	Key      string
}

// Declare declares t at the broker, connecting if need be, until ctx ends. It
// is safe for concurrent use and called often; what exists already is no
// error as long as it is the same.
type Declare func(ctx context.Context, t Topology) error

// ensure declares t. What exists with other attributes is taken as it is: its
// owner chose them, and messages pass all the same.
func (d Declare) ensure(ctx context.Context, t Topology) error {
	if d == nil {
		return nil
	}
	err := d(ctx, t)
	if err == nil || ctx.Err() != nil {
		return err
	}
	for _, x := range t.Exchanges {
		create := Topology{Exchanges: []Exchange{x}}
		x.Passive = true
		if err := d.either(ctx, create, Topology{Exchanges: []Exchange{x}}); err != nil {
			return err
		}
	}
	for _, q := range t.Queues {
		create := Topology{Queues: []Queue{q}}
		q.Passive = true
		if err := d.either(ctx, create, Topology{Queues: []Queue{q}}); err != nil {
			return err
		}
	}
	if len(t.Bindings) == 0 {
		return nil
	}
	return d(ctx, Topology{Bindings: t.Bindings})
}

// either returns the error of the first if both fail, which says more than
// that of the check.
func (d Declare) either(ctx context.Context, create, check Topology) error {
	err := d(ctx, create)
	if err == nil || d(ctx, check) == nil {
		return nil
	}
	return err
}

// DefaultTransientTTL is how long fanout and reply queues live unused.
const DefaultTransientTTL = 30 * time.Minute

// Layout is how queues and exchanges are named and made, the way
// oslo.messaging does. The zero value is its default settings.
type Layout struct {
	Exchange string // the topic exchange; the default is [router.DefaultExchange]
	// Durable makes everything durable, which oslo.messaging calls
	// amqp_durable_queues; and unlike there fanout queues too, as RabbitMQ 4.3
	// demands. Reply queues are durable in any case.
	Durable bool
	// TransientTTL is how long fanout and reply queues live unused; the default
	// is DefaultTransientTTL.
	TransientTTL time.Duration
}

func (l Layout) exchange() string {
	if l.Exchange == "" {
		return router.DefaultExchange
	}
	return l.Exchange
}

func (l Layout) ttl() time.Duration {
	if l.TransientTTL == 0 {
		return DefaultTransientTTL
	}
	return l.TransientTTL
}

func (l Layout) topic(name string) Exchange {
	return Exchange{Name: name, Type: "topic", Durable: l.Durable}
}

func (l Layout) fanout(topic string) Exchange {
	return Exchange{Name: topic + "_fanout", Type: "fanout", Durable: l.Durable, AutoDelete: true}
}

// Server is what a server of the topic needs, and the queues it listens to:
// the topic's, its own, and one for fanouts with a new name. With an empty
// server name there is only the first and the last.
func (l Layout) Server(topic, server string) (Topology, []string) {
	t := Topology{
		Exchanges: []Exchange{l.topic(l.exchange()), l.fanout(topic)},
		Queues:    []Queue{{Name: topic, Durable: l.Durable}},
		Bindings:  []Binding{{Exchange: l.exchange(), Queue: topic, Key: topic}},
	}
	if server != "" {
		own := topic + "." + server
		t.Queues = append(t.Queues, Queue{Name: own, Durable: l.Durable})
		t.Bindings = append(t.Bindings, Binding{Exchange: l.exchange(), Queue: own, Key: own})
	}
	all := topic + "_fanout_" + oslo.NewID()
	t.Queues = append(t.Queues, Queue{Name: all, Durable: l.Durable, Expires: l.ttl()})
	t.Bindings = append(t.Bindings, Binding{Exchange: topic + "_fanout", Queue: all, Key: topic})
	queues := make([]string, len(t.Queues))
	for i, q := range t.Queues {
		queues[i] = q.Name
	}
	return t, queues
}

// Reply is what a client needs to get replies in the queue. The queue is
// durable, so that it outlives a restart of the broker, and RabbitMQ 4.3 takes
// it: nobody else declares it, and so nobody disagrees.
func (l Layout) Reply(queue string) Topology {
	return Topology{Queues: []Queue{{Name: queue, Durable: true, Expires: l.ttl()}}}
}

// Listener is what a listener for notifications needs, and the queues it
// listens to: one for each priority of the topic or, if pool is not empty, the
// one queue pool, which gets a copy of each.
func (l Layout) Listener(topic string, priorities []string, pool string) (Topology, []string) {
	t := Topology{Exchanges: []Exchange{l.topic(l.exchange())}}
	var queues []string
	for _, priority := range priorities {
		key := topic + "." + priority
		queue := key
		if pool != "" {
			queue = pool
		}
		if len(queues) == 0 || queues[len(queues)-1] != queue {
			queues = append(queues, queue)
			t.Queues = append(t.Queues, Queue{Name: queue, Durable: l.Durable})
		}
		t.Bindings = append(t.Bindings, Binding{Exchange: l.exchange(), Queue: queue, Key: key})
	}
	return t, queues
}

// Target is what must exist for a message to the target to be accepted: the
// exchange, and for a notification the queue that keeps it until somebody
// listens. It is empty for a queue and for an exchange named outright.
func (l Layout) Target(target router.Target) Topology {
	exchange, key := target.Address()
	switch target.Kind {
	case router.TargetTopic, router.TargetServer:
		return Topology{Exchanges: []Exchange{l.topic(exchange)}}
	case router.TargetFanout:
		return Topology{Exchanges: []Exchange{l.fanout(target.Topic)}}
	case router.TargetNotify:
		return Topology{
			Exchanges: []Exchange{l.topic(exchange)},
			Queues:    []Queue{{Name: key, Durable: l.Durable}},
			Bindings:  []Binding{{Exchange: exchange, Queue: key, Key: key}},
		}
	}
	return Topology{}
}

func (t Topology) empty() bool { return len(t.Exchanges)+len(t.Queues)+len(t.Bindings) == 0 }

var errNoDeclare = errors.New("no Declare was given")

// Ensure declares t with d, and takes what exists with other attributes as it
// is. A server or listener calls it with its layout before it listens.
func Ensure(ctx context.Context, d Declare, t Topology) error {
	if d == nil {
		return fmt.Errorf("declare: %w", errNoDeclare)
	}
	return d.ensure(ctx, t)
}
