package amqp

import (
	"context"
	"errors"
	"fmt"
	"math"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// Topology is what is declared on every new send connection, in the order
// exchanges, queues, bindings. A listener's connection declares of it what
// concerns the listener's queue. Exclusive queues belong to the connection of
// their listener alone.
type Topology struct {
	Exchanges []Exchange
	Queues    []Queue
	Bindings  []Binding
}

// Exchange is one exchange to declare, or with Passive only to check for.
type Exchange struct {
	Name       string
	Type       string // direct, topic, fanout, headers or a plugin's; the default is direct
	Durable    bool
	AutoDelete bool
	Internal   bool
	Passive    bool
	Arguments  map[string]any
}

// Queue is one queue to declare, or with Passive only to check for. Arguments
// are as TOML decodes them, or any value that a header may hold.
type Queue struct {
	Name       string
	Type       string // classic or quorum; the default leaves it to the broker
	Durable    bool
	AutoDelete bool
	Exclusive  bool
	Passive    bool
	Arguments  map[string]any
}

// Binding binds a queue to an exchange.
type Binding struct {
	Exchange  string
	Queue     string
	Key       string
	Arguments map[string]any
}

func (t Topology) validate() error {
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

// shared returns t without exclusive queues and their bindings.
func (t Topology) shared() Topology {
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
func (t Topology) of(queue string) Topology {
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

// declare declares t on c, all of it, and returns what failed, in words.
func (b *Broker) declare(ctx context.Context, c *conn, t Topology) error {
	if len(t.Exchanges)+len(t.Queues)+len(t.Bindings) == 0 {
		return nil
	}
	return c.call(ctx, func() error {
		var errs []error
		d := declarer{c: c}
		defer d.close()
		for _, x := range t.Exchanges {
			errs = append(errs, d.exchange(x))
		}
		for _, q := range t.Queues {
			errs = append(errs, d.queue(q))
		}
		for _, b := range t.Bindings {
			errs = append(errs, d.bind(b))
		}
		return errors.Join(errs...)
	})
}

// declarer declares on a channel of its own, and on a new one after each
// error, which costs it the channel.
type declarer struct {
	c    *conn
	ch   *amqp091.Channel
	lost bool // with the connection; the first error said why
}

func (d *declarer) close() {
	if d.ch != nil {
		_ = d.ch.Close() // an error means that it is closed already
	}
}

func (d *declarer) do(object string, call func(*amqp091.Channel) error) error {
	if d.lost {
		return nil
	}
	var err error
	if d.ch == nil || d.ch.IsClosed() {
		d.ch, err = d.c.lib.Channel()
	}
	if err == nil {
		err = call(d.ch)
	}
	if err == nil {
		return nil
	}
	d.lost = d.c.lib.IsClosed()
	return explain(err, object)
}

func (d *declarer) exchange(x Exchange) error {
	return d.do(fmt.Sprintf("exchange %q", x.Name), func(ch *amqp091.Channel) error {
		args, err := typedArguments(x.Arguments)
		if err != nil {
			return err
		}
		kind := x.Type
		def(&kind, "direct")
		if x.Passive {
			return ch.ExchangeDeclarePassive(x.Name, kind, x.Durable, x.AutoDelete, x.Internal, false, args)
		}
		return ch.ExchangeDeclare(x.Name, kind, x.Durable, x.AutoDelete, x.Internal, false, args)
	})
}

func (d *declarer) queue(q Queue) error {
	return d.do(fmt.Sprintf("queue %q", q.Name), func(ch *amqp091.Channel) error {
		args, err := typedArguments(q.Arguments)
		if err != nil {
			return err
		}
		if q.Passive {
			_, err = ch.QueueDeclarePassive(q.Name, q.Durable, q.AutoDelete, q.Exclusive, false, args)
			return err
		}
		if q.Type != "" {
			args[amqp091.QueueTypeArg] = q.Type
		}
		_, err = ch.QueueDeclare(q.Name, q.Durable, q.AutoDelete, q.Exclusive, false, args)
		return err
	})
}

func (d *declarer) bind(b Binding) error {
	object := fmt.Sprintf("binding of queue %q to exchange %q with key %q", b.Queue, b.Exchange, b.Key)
	return d.do(object, func(ch *amqp091.Channel) error {
		args, err := typedArguments(b.Arguments)
		if err != nil {
			return err
		}
		return ch.QueueBind(b.Queue, b.Key, b.Exchange, false, args)
	})
}
