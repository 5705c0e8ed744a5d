package amqp

import (
	"fmt"
	"math"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/router"
)

// Exchange is one exchange to declare, in the words of the ports.
type Exchange = router.Exchange

// Queue is one queue to declare. Exclusive ones belong to the connection of
// their listener alone.
type Queue = router.Queue

// Binding ties a queue to an exchange.
type Binding = router.Binding

// Topology is what must exist at the broker. Of [Config.Topology] a listener's
// connection declares what concerns its queue.
type Topology = router.Topology

func validate(t Topology) error {
	for _, x := range t.Exchanges {
		if err := checkObject("exchange", x.Name, x.Arguments); err != nil {
			return err
		}
	}
	for _, q := range t.Queues {
		if err := checkObject("queue", q.Name, q.Arguments); err != nil {
			return err
		}
		switch {
		case q.Type != "" && q.Type != "classic" && q.Type != "quorum":
			return fmt.Errorf("queue %q: type %q is not classic or quorum", q.Name, q.Type)
		case q.Type == "quorum" && !q.Passive && (!q.Durable || q.AutoDelete || q.Exclusive):
			return fmt.Errorf("queue %q: a quorum queue is durable, not auto-deleted and not exclusive", q.Name)
		}
	}
	for _, b := range t.Bindings {
		if err := checkObject("binding of queue", b.Queue, b.Arguments); err != nil {
			return err
		}
		if b.Exchange == "" {
			return fmt.Errorf("binding of queue %q: the default exchange binds every queue by itself; name another", b.Queue)
		}
		if len(b.Exchange) > maxString || len(b.Key) > maxString {
			return fmt.Errorf("binding of queue %.40q: the exchange or key is longer than 255 bytes", b.Queue)
		}
	}
	return nil
}

func checkObject(kind, name string, arguments map[string]any) error {
	if name == "" || len(name) > maxString {
		return fmt.Errorf("%s %.40q: a name has 1 to 255 bytes", kind, name)
	}
	if _, err := typedArguments(arguments); err != nil {
		return fmt.Errorf("%s %q: %w", kind, name, err)
	}
	return nil
}

// typedArguments converts arguments as TOML decodes them to what the library
// can write. RabbitMQ compares the arguments of a redeclaration by value, not
// by integer width, so that all integers go as 64 bits.
func typedArguments(m map[string]any) (amqp091.Table, error) {
	widened := make(map[string]any, len(m))
	for k, v := range m {
		widened[k] = widen(v)
	}
	if _, err := tableSize(widened, 0); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	return amqpTable(widened), nil
}

// widen gives the Go types that have no AMQP type one that fits.
func widen(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v)
	case uint:
		if uint64(v) <= math.MaxInt64 {
			return int64(v)
		}
	case uint64:
		if v <= math.MaxInt64 {
			return int64(v)
		}
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = widen(e)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = widen(v[i])
		}
		return list
	case []map[string]any: // an array of tables in TOML
		list := make([]any, len(v))
		for i := range v {
			list[i] = widen(v[i])
		}
		return list
	}
	return v
}

// common returns t without exclusive queues and their bindings.
func common(t Topology) Topology {
	exclusive := map[string]bool{}
	for _, q := range t.Queues {
		if q.Exclusive && !q.Passive {
			exclusive[q.Name] = true
		}
	}
	if len(exclusive) == 0 {
		return t
	}
	s := Topology{Exchanges: t.Exchanges}
	for _, q := range t.Queues {
		if !exclusive[q.Name] {
			s.Queues = append(s.Queues, q)
		}
	}
	for _, b := range t.Bindings {
		if !exclusive[b.Queue] {
			s.Bindings = append(s.Bindings, b)
		}
	}
	return s
}

// of returns the part of t that concerns one queue.
func of(t Topology, queue string) Topology {
	var part Topology
	needed := map[string]bool{}
	for _, b := range t.Bindings {
		if b.Queue == queue {
			part.Bindings = append(part.Bindings, b)
			needed[b.Exchange] = true
		}
	}
	for _, q := range t.Queues {
		if q.Name == queue {
			part.Queues = append(part.Queues, q)
			if dlx, ok := q.Arguments["x-dead-letter-exchange"].(string); ok {
				needed[dlx] = true
			}
		}
	}
	for _, x := range t.Exchanges {
		if needed[x.Name] {
			part.Exchanges = append(part.Exchanges, x)
		}
	}
	return part
}
