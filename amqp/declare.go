package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/router"
)

// declare declares t on c, all of it, and returns what failed, in words.
func (b *Broker) declare(ctx context.Context, c *conn, t Topology) error {
	if t.Empty() {
		return nil
	}
	return c.call(ctx, func() error {
		var errs []error
		d := declarer{b: b, c: c}
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
	b    *Broker
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
	err = explain(err, object)
	if d.lost && !IsRefusal(err) {
		return fmt.Errorf("%w: %w", router.ErrDisconnected, err) // worth another try
	}
	return err
}

func (d *declarer) exchange(x Exchange) error {
	declare := func() error {
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
	return d.shared(x.Shared, &x.Passive, declare)
}

func (d *declarer) queue(q Queue) error {
	transient := q.Shared && !q.Durable && !q.Exclusive
	if transient && d.b.noTransient.Load() {
		q.Durable = true
	}
	declare := func() error {
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
	err := d.shared(q.Shared, &q.Passive, declare)
	if transient && errors.Is(err, errNoTransient) && d.b.noTransient.CompareAndSwap(false, true) {
		d.b.log.Warn("the broker permits no queue that is neither durable nor exclusive: those that others may declare too are made durable from now on", "queue", q.Name)
		return fmt.Errorf("queue %q: %w", q.Name, errDeclareAgain)
	}
	return err
}

// errDeclareAgain says that the same declaration, made once more on a new
// connection, will do.
var errDeclareAgain = errors.New("the broker permits it only if it is durable, which it now will be")

// shared calls declare and, if that fails for an object that others declare
// too, again with passive set: what exists is good enough.
func (d *declarer) shared(shared bool, passive *bool, declare func() error) error {
	err := declare()
	if err == nil || !shared || *passive || d.lost {
		return err
	}
	*passive = true
	if declare() != nil {
		return err // which says more
	}
	d.b.taken.note(d.b, err)
	return nil
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

// maxTaken bounds what is remembered: messages may choose the topic.
const maxTaken = 1024

// taken remembers which differences were logged, so that each is told once.
type taken struct {
	mu   sync.Mutex // protects said
	said map[string]struct{}
}

func (t *taken) note(b *Broker, err error) {
	text := err.Error()
	t.mu.Lock()
	_, said := t.said[text]
	if !said {
		if t.said == nil || len(t.said) >= maxTaken {
			t.said = map[string]struct{}{}
		}
		t.said[text] = struct{}{}
	}
	t.mu.Unlock()
	if !said {
		b.log.Warn("taken as it is, since others declare it too", "difference", text)
	}
}
