package rpc

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

// DefaultTransientTTL is how long fanout and reply queues live unused.
const DefaultTransientTTL = 30 * time.Minute

// NoTransientTTL lets fanout and reply queues live for ever.
const NoTransientTTL = time.Duration(-1)

// Layout is how queues and exchanges are named and made, the way
// oslo.messaging does; the name of its option for each is in brackets. The zero
// value is its default settings.
//
// What others declare as well is declared with the properties that
// oslo.messaging gives it under the same options, so that either side may come
// first; what exists with others is taken as it is, unless Strict is set. The
// queues of one process alone, for fanouts and replies, are durable in any case:
// nobody else declares them, they outlive a restart of the broker, and RabbitMQ
// 4.3 takes them.
type Layout struct {
	Exchange string // the topic exchange (control_exchange); the default is [router.DefaultExchange]

	Durable    bool // topic exchange and topic queues are durable (amqp_durable_queues)
	AutoDelete bool // topic exchange and topic queues go with their last user (amqp_auto_delete)
	// HA asks for mirrored queues (rabbit_ha_queues). RabbitMQ has ignored the
	// argument since 3.0 and it is sent only to be the same as others'.
	HA bool

	// Quorum makes topic queues quorum queues, and them and the topic exchange
	// durable (rabbit_quorum_queue). The limits are 0 for none, and mean nothing
	// without it.
	Quorum            bool
	DeliveryLimit     int // deliveries of one message (rabbit_quorum_delivery_limit)
	MaxInMemoryLength int // messages in memory (rabbit_quorum_max_memory_length)
	MaxInMemoryBytes  int // bytes in memory (rabbit_quorum_max_memory_bytes)

	// TransientQuorum makes fanout and reply queues quorum queues, and fanout
	// exchanges durable (rabbit_transient_quorum_queue).
	TransientQuorum bool
	// StreamFanout gives each topic one stream for its fanouts, which all servers
	// read, in place of a queue for each server (rabbit_stream_fanout). A server
	// begins with what is sent from then on. Fanout exchanges are durable.
	StreamFanout bool
	// StreamReplay makes a new server begin with the last chunk of the stream,
	// as oslo.messaging does: it runs the newest old casts once more.
	StreamReplay bool

	// TransientTTL is how long fanout and reply queues live unused, and how far
	// back a stream reaches (rabbit_transient_queues_ttl). 0 is
	// DefaultTransientTTL, [NoTransientTTL] is for ever.
	TransientTTL time.Duration

	// Host and Process, if set, name fanout and reply queues after a process
	// instead of at random (use_queue_manager, hostname, processname). A number
	// that the broker leases to one connection at a time keeps processes with the
	// same names apart, and is free again when the connection has ended. What
	// comes while a server restarts waits for it.
	Host    string
	Process string

	// CancelOnFailover has the broker end a consumer whose mirrored queue got
	// another master, so that it consumes anew (enable_cancel_on_failover). Quorum
	// queues, whose consumers outlive that, and streams go without.
	CancelOnFailover bool
	// Prefetch is how many messages a queue hands out before it waits for
	// acknowledgements (rabbit_qos_prefetch_count). 0 is what suits the listener.
	Prefetch int

	// Strict makes it an error that what others declare too exists with other
	// properties than asked for.
	Strict bool
}

// Validate reports options that exclude each other or are out of range. The
// methods of a layout that is not valid declare what the broker refuses.
func (l Layout) Validate() error {
	const widest = math.MaxInt32 * time.Millisecond
	switch {
	case l.HA && (l.Quorum || l.TransientQuorum):
		return errors.New("rpc: layout: HA (rabbit_ha_queues) is for classic queues; with Quorum or TransientQuorum leave it out")
	case l.Quorum && l.AutoDelete:
		return errors.New("rpc: layout: RabbitMQ has no quorum queues that delete themselves; leave out AutoDelete (amqp_auto_delete) or Quorum (rabbit_quorum_queue)")
	case l.DeliveryLimit < 0 || l.MaxInMemoryLength < 0 || l.MaxInMemoryBytes < 0:
		return errors.New("rpc: layout: limits of quorum queues are 0 or more")
	case l.StreamReplay && !l.StreamFanout:
		return errors.New("rpc: layout: StreamReplay needs StreamFanout (rabbit_stream_fanout)")
	case l.TransientTTL != NoTransientTTL && l.TransientTTL < 0, l.TransientTTL > 0 && l.TransientTTL < time.Second, l.TransientTTL > widest:
		return fmt.Errorf("rpc: layout: TransientTTL (rabbit_transient_queues_ttl) is %v; it is from 1s to %v, or NoTransientTTL", l.TransientTTL, widest)
	case (l.Host == "") != (l.Process == ""):
		return errors.New("rpc: layout: stable names (use_queue_manager) need both Host and Process")
	case len(l.Host)+len(l.Process) > 200:
		return errors.New("rpc: layout: Host and Process are longer than 200 bytes together")
	case l.Prefetch < 0 || l.Prefetch > math.MaxUint16:
		return fmt.Errorf("rpc: layout: Prefetch (rabbit_qos_prefetch_count) is %d; it is 0 to 65535", l.Prefetch)
	}
	return nil
}

// Server is what a server of the topic listens to: the topic's queue, its own,
// and that for fanouts. With an empty server name there is only the first and
// the last.
func (l Layout) Server(topic, server string) []router.Source {
	sources := []router.Source{l.shared(topic, topic)}
	if server != "" {
		own := topic + "." + server
		sources = append(sources, l.shared(own, own))
	}
	return append(sources, l.fanouts(topic))
}

// Listener is what a listener for notifications listens to: one queue for each
// priority of the topic or, if pool is not empty, the one queue pool, which
// gets a copy of each.
func (l Layout) Listener(topic string, priorities []string, pool string) []router.Source {
	if pool != "" {
		keys := make([]string, len(priorities))
		for i, priority := range priorities {
			keys[i] = topic + "." + priority
		}
		return []router.Source{l.shared(pool, keys...)}
	}
	var sources []router.Source
	for _, priority := range priorities {
		key := topic + "." + priority
		sources = append(sources, l.shared(key, key))
	}
	return sources
}

// Reply is what a client listens to for its replies: each time a queue with
// another name or, with stable names, a stem to number.
func (l Layout) Reply() router.Source {
	const kind = "reply"
	if stem, ok := l.stem(kind); ok {
		return l.reply(router.Source{Queue: stem, Alias: kind, Numbered: true})
	}
	return l.reply(router.Source{Queue: oslo.NewReplyQueue(), Alias: kind, Delete: true})
}

// Target is what must exist for a message to the target to be accepted: the
// exchange, and for a notification the queue that keeps it until somebody
// listens. It is empty for a queue and for an exchange named outright.
func (l Layout) Target(target router.Target) Topology {
	exchange, key := target.Address()
	switch target.Kind {
	case router.TargetTopic, router.TargetServer:
		return Topology{Exchanges: []Exchange{l.topicExchange(exchange)}}
	case router.TargetFanout:
		return Topology{Exchanges: []Exchange{l.fanoutExchange(target.Topic)}}
	case router.TargetNotify:
		l.Exchange = exchange
		return l.shared(key, key).Topology
	}
	return Topology{}
}

func (l Layout) exchange() string {
	if l.Exchange == "" {
		return router.DefaultExchange
	}
	return l.Exchange
}

func (l Layout) topicExchange(name string) Exchange {
	return Exchange{Name: name, Type: "topic", Durable: l.Durable || l.Quorum, AutoDelete: l.AutoDelete, Shared: !l.Strict}
}

func (l Layout) fanoutExchange(topic string) Exchange {
	return Exchange{
		Name: topic + "_fanout", Type: "fanout", Durable: l.TransientQuorum || l.StreamFanout,
		AutoDelete: true, Shared: !l.Strict,
	}
}

// shared is a queue that others declare and consume as well, bound to the topic
// exchange with the keys.
func (l Layout) shared(name string, keys ...string) router.Source {
	args := map[string]any{}
	l.mirror(args)
	if l.Quorum {
		args["x-queue-type"] = "quorum"
		for arg, limit := range map[string]int{
			"x-delivery-limit":       l.DeliveryLimit,
			"x-max-in-memory-length": l.MaxInMemoryLength,
			"x-max-in-memory-bytes":  l.MaxInMemoryBytes,
		} {
			if limit > 0 {
				args[arg] = integer(limit)
			}
		}
	}
	s := router.Source{Queue: name, Prefetch: l.Prefetch, Arguments: l.consumer(l.Quorum)}
	s.Topology.Exchanges = []Exchange{l.topicExchange(l.exchange())}
	s.Topology.Queues = []Queue{{
		Name: name, Durable: l.Durable || l.Quorum, AutoDelete: l.AutoDelete, Shared: !l.Strict, Arguments: args,
	}}
	for _, key := range keys {
		s.Topology.Bindings = append(s.Topology.Bindings, Binding{Exchange: l.exchange(), Queue: name, Key: key})
	}
	return s
}

// fanouts is the queue for what is cast to all servers of the topic.
func (l Layout) fanouts(topic string) router.Source {
	exchange := l.fanoutExchange(topic)
	var s router.Source
	if l.StreamFanout {
		s = l.stream(exchange.Name)
	} else if stem, ok := l.stem(exchange.Name); ok {
		s = l.own(router.Source{Queue: stem, Alias: exchange.Name, Numbered: true})
	} else {
		s = l.own(router.Source{Queue: exchange.Name + "_" + oslo.NewID(), Alias: exchange.Name, Delete: true})
	}
	s.Topology.Exchanges = []Exchange{exchange}
	s.Topology.Bindings = []Binding{{Exchange: exchange.Name, Queue: s.Queue, Key: topic}}
	return s
}

// reply is own for a reply queue, which is transient unless the layout makes its
// like durable: a broker keeps replies in a durable one on disk, each of them, and
// whoever waits for one notices when its queue is gone.
func (l Layout) reply(s router.Source) router.Source {
	s = l.own(s)
	q := &s.Topology.Queues[0]
	q.Durable = l.Durable || l.Quorum || l.TransientQuorum
	q.Shared = !l.Strict // where none is permitted that is transient, it is made durable
	return s
}

// own completes a queue of this process alone.
func (l Layout) own(s router.Source) router.Source {
	args := map[string]any{}
	l.mirror(args)
	if l.TransientQuorum {
		args["x-queue-type"] = "quorum"
	}
	if ttl := l.ttl(); ttl > 0 {
		args["x-expires"] = integer(int(ttl.Milliseconds()))
	}
	s.Prefetch, s.Arguments = l.Prefetch, l.consumer(l.TransientQuorum)
	s.Topology.Queues = []Queue{{Name: s.Queue, Durable: true, Shared: s.Numbered && !l.Strict, Arguments: args}}
	return s
}

// stream is the one queue of all servers of a topic.
func (l Layout) stream(name string) router.Source {
	args := map[string]any{"x-queue-type": "stream"}
	if ttl := l.ttl(); ttl > 0 {
		args["x-max-age"] = strconv.Itoa(int(ttl.Seconds())) + "s"
	}
	begin := "next"
	if l.StreamReplay {
		begin = "last"
	}
	s := router.Source{Queue: name, Prefetch: l.Prefetch, Arguments: map[string]any{"x-stream-offset": begin}}
	s.Topology.Queues = []Queue{{Name: name, Durable: true, Shared: !l.Strict, Arguments: args}}
	return s
}

func (l Layout) ttl() time.Duration {
	if l.TransientTTL == 0 {
		return DefaultTransientTTL
	}
	return l.TransientTTL
}

func (l Layout) mirror(args map[string]any) {
	if l.HA {
		args["x-ha-policy"] = "all"
	}
}

// consumer returns the arguments of a queue's consumer. Of a quorum queue, whose
// consumers outlive a failover, RabbitMQ refuses any that it does not know.
func (l Layout) consumer(quorum bool) map[string]any {
	if !l.CancelOnFailover || quorum {
		return nil
	}
	return map[string]any{"x-cancel-on-ha-failover": true}
}

// stem is the name of a queue of this process, up to its number.
func (l Layout) stem(kind string) (string, bool) {
	if l.Host == "" {
		return "", false
	}
	// A broker's names are UTF-8.
	return strings.ToValidUTF8(kind+"_"+l.Host+":"+l.Process+":", ""), true
}

// integer is as wide as Python writes it.
func integer(n int) any {
	if n <= math.MaxInt32 {
		return int32(n)
	}
	return int64(n)
}
