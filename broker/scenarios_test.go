package broker_test

import (
	"fmt"
	"strings"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

type scenario struct {
	name string
	play func(r *run)
}

var scenarios = []scenario{
	{"publish and get", func(r *run) {
		q := r.queue("q", nil)
		r.publish("", q, "one", "", strings.Repeat("x", 300000))
		for _, body := range r.get(q, 3) {
			r.note("%d bytes", len(body))
		}
		_, ok, err := r.ch.Get(q, true)
		r.note("then %v, %v", ok, err)
	}},
	{"all properties", func(r *run) {
		q := r.queue("q", nil)
		r.must(r.ch.PublishWithContext(r.t.Context(), "", q, false, false, amqp091.Publishing{
			ContentType: "a/b", ContentEncoding: "gzip", DeliveryMode: 2, Priority: 7, CorrelationId: "c", ReplyTo: "r", Expiration: "60000",
			MessageId: "m", Timestamp: time.Unix(1700000000, 0), Type: "t", UserId: "guest", AppId: "app", Body: []byte("b"),
			Headers: amqp091.Table{
				"bool": true, "int8": int8(-1), "uint8": uint8(1), "int16": int16(-2), "uint16": uint16(2), "int32": int32(-3), "uint32": uint32(3), "int64": int64(-4),
				"float32": float32(0.5), "float64": 0.25, "decimal": amqp091.Decimal{Scale: 2, Value: 314}, "string": "s", "bytes": []byte{0, 255},
				"time": time.Unix(1700000001, 0), "nil": nil, "table": amqp091.Table{"in": amqp091.Table{"deep": int32(1)}}, "array": []any{int32(1), "two", []any{}},
			},
		}))
		d, _, err := r.ch.Get(q, true)
		r.must(err)
		r.note("%s %s %d %d %s %s %s %s %v %s %s %s", d.ContentType, d.ContentEncoding, d.DeliveryMode, d.Priority, d.CorrelationId, d.ReplyTo, d.Expiration, d.MessageId, d.Timestamp.Unix(), d.Type, d.UserId, d.AppId)
		for _, name := range []string{"bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64", "decimal", "string", "bytes", "time", "nil", "table", "array"} {
			r.note("%s: %T %v", name, d.Headers[name], d.Headers[name])
		}
	}},
	{"headers nested deeply", func(r *run) {
		q := r.queue("q", nil)
		deep := amqp091.Table{"bottom": true}
		for range 100 {
			deep = amqp091.Table{"d": deep}
		}
		r.must(r.ch.PublishWithContext(r.t.Context(), "", q, false, false, amqp091.Publishing{Headers: deep}))
		d, ok, err := r.ch.Get(q, true)
		r.note("%v, %v, %v", ok, err, d.Headers)
	}},
	{"direct, fanout and topic exchanges", func(r *run) {
		a, b := r.queue("a", nil), r.queue("b", nil)
		direct, fanout, topic := r.exchange("direct", "direct", nil), r.exchange("fanout", "fanout", nil), r.exchange("topic", "topic", nil)
		r.bind(a, direct, "k", nil)
		r.bind(a, direct, "k", nil) // once more is no other
		r.bind(b, fanout, "ignored", nil)
		for i, pattern := range []string{"a.*.c", "#.end", "x.#", "#", "*"} {
			q := r.queue(fmt.Sprint("t", i), nil)
			r.bind(q, topic, pattern, nil)
			for _, key := range []string{"a.b.c", "a.c", "end", "p.q.end", "x", "x.y.z", "", "."} {
				r.publish(topic, key, key)
			}
			n := 0
			for {
				d, ok, err := r.ch.Get(q, true)
				r.must(err)
				if !ok {
					break
				}
				n++
				r.note("%s takes %q", pattern, d.RoutingKey)
			}
			r.note("%s took %d", pattern, n)
			r.must(r.ch.QueueUnbind(q, pattern, topic, nil))
		}
		r.publish(direct, "k", "1")
		r.publish(direct, "other", "2")
		r.publish(fanout, "", "3")
		r.note("%v %v", r.get(a, 1), r.get(b, 1))
		r.left(a, 0)
		r.must(r.ch.QueueUnbind(a, "k", direct, nil))
		r.publish(direct, "k", "4")
		r.left(a, 0)
	}},
	{"headers exchange", func(r *run) {
		x := r.exchange("x", "headers", nil)
		for name, args := range map[string]amqp091.Table{
			"all": {"x-match": "all", "a": int32(1), "b": "two"}, "any": {"x-match": "any", "a": int32(1), "b": "two"},
			"void": {"x-match": "all", "a": nil}, "default": {"b": "two"},
		} {
			r.bind(r.queue(name, nil), x, "", args)
		}
		for _, h := range []amqp091.Table{{"a": int32(1), "b": "two"}, {"a": int64(1)}, {"a": "1"}, {"b": "two", "c": true}, {}} {
			r.must(r.ch.PublishWithContext(r.t.Context(), x, "", false, false, amqp091.Publishing{Headers: h}))
		}
		for _, name := range []string{"all", "any", "void", "default"} {
			r.left(r.name(name), map[string]int{"all": 1, "any": 3, "void": 3, "default": 2}[name])
		}
	}},
	{"exchange to exchange, and alternate", func(r *run) {
		q, lost := r.queue("q", nil), r.queue("lost", nil)
		spare := r.exchange("spare", "fanout", nil)
		r.bind(lost, spare, "", nil)
		one, two := r.exchange("one", "topic", amqp091.Table{"alternate-exchange": spare}), r.exchange("two", "fanout", nil)
		r.must(r.ch.ExchangeBind(two, "a.#", one, false, nil))
		r.must(r.ch.ExchangeBind(one, "loop", two, false, nil))
		r.bind(q, two, "", nil)
		r.publish(one, "a.b", "through")
		r.publish(one, "nobody", "spare")
		r.note("%v %v", r.get(q, 1), r.get(lost, 1))
		r.must(r.ch.ExchangeUnbind(two, "a.#", one, false, nil))
		r.publish(one, "a.b", "now spare")
		r.note("%v", r.get(lost, 1))
	}},
	{"CC and BCC", func(r *run) {
		a, b, c := r.queue("a", nil), r.queue("b", nil), r.queue("c", nil)
		r.must(r.ch.PublishWithContext(r.t.Context(), "", a, false, false, amqp091.Publishing{Headers: amqp091.Table{"CC": []any{b}, "BCC": []any{c, a}, "other": "x"}}))
		for _, q := range []string{a, b, c} {
			d, ok, err := r.ch.Get(q, true)
			r.must(err)
			_, cc := d.Headers["CC"]
			_, bcc := d.Headers["BCC"]
			r.note("%s: %v, key %s, cc %v, bcc %v, other %v", q, ok, d.RoutingKey, cc, bcc, d.Headers["other"])
		}
		r.left(a, 0)
	}},
	{"mandatory", func(r *run) {
		returns := r.ch.NotifyReturn(make(chan amqp091.Return, 10))
		confirms := r.confirms()
		q := r.queue("q", nil)
		for _, key := range []string{q, r.name("nowhere"), q} {
			r.must(r.ch.PublishWithContext(r.t.Context(), "", key, true, false, amqp091.Publishing{Body: []byte(key), Type: "t"}))
		}
		r.confirmed(confirms, 3)
		got := <-returns
		r.note("%d %s %q %q %s %s", got.ReplyCode, got.ReplyText, got.Exchange, got.RoutingKey, got.Body, got.Type)
		r.note("%v", r.get(q, 2))
	}},
	{"acknowledgements", func(r *run) {
		q := r.queue("q", nil)
		r.publish("", q, "1", "2", "3", "4", "5", "6")
		r.must(r.ch.Qos(4, 0, false))
		c := r.consume(r.ch, q, true, nil)
		var tags []uint64
		for range 4 {
			d := r.next(c)
			tags = append(tags, d.DeliveryTag)
			r.note("%s %v", d.Body, d.Redelivered)
		}
		r.nothing(c)
		r.must(r.ch.Ack(tags[1], true))
		r.note("%s %s", r.next(c).Body, r.next(c).Body)
		r.must(r.ch.Nack(tags[3], false, true))
		d := r.next(c)
		r.note("again %s %v", d.Body, d.Redelivered)
		r.must(r.ch.Reject(d.DeliveryTag, false))
		r.must(r.ch.Nack(0, true, true))
		for range 3 {
			d := r.next(c)
			r.note("back %s %v", d.Body, d.Redelivered)
			r.must(d.Ack(false))
		}
		r.left(q, 0)
	}},
	{"requeued where it was", func(r *run) {
		q := r.queue("q", nil)
		r.publish("", q, "1", "2", "3")
		var tags []uint64
		for range 2 {
			d, _, err := r.ch.Get(q, false)
			r.must(err)
			tags = append(tags, d.DeliveryTag)
		}
		r.must(r.ch.Reject(tags[1], true))
		r.must(r.ch.Reject(tags[0], true))
		r.note("%v", r.get(q, 3))
	}},
	{"unknown tags", func(r *run) {
		r.fails("ack", func(ch *amqp091.Channel) error {
			closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
			r.must(ch.Ack(7, false))
			return <-closed
		})
		r.fails("twice", func(ch *amqp091.Channel) error {
			q := r.queue("q", nil)
			r.must(ch.PublishWithContext(r.t.Context(), "", q, false, false, amqp091.Publishing{}))
			closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
			d, _, err := ch.Get(q, false)
			r.must(err)
			r.must(ch.Ack(d.DeliveryTag, false))
			r.must(ch.Ack(d.DeliveryTag, false))
			return <-closed
		})
		r.fails("multiple", func(ch *amqp091.Channel) error {
			closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
			r.must(ch.Ack(3, true))
			return <-closed
		})
	}},
	{"a closed channel gives back", func(r *run) {
		q := r.queue("q", nil)
		r.publish("", q, "1", "2")
		ch := r.channel()
		c := r.consume(ch, q, true, nil)
		r.note("%s %s", r.next(c).Body, r.next(c).Body)
		r.must(ch.Close())
		r.left(q, 2)
		d, _, err := r.ch.Get(q, true)
		r.must(err)
		r.note("%s %v", d.Body, d.Redelivered)
	}},
	{"recover", func(r *run) {
		q := r.queue("q", nil)
		r.publish("", q, "1", "2")
		for range 2 {
			_, _, err := r.ch.Get(q, false)
			r.must(err)
		}
		r.must(r.ch.Recover(true)) //nolint:staticcheck // clients still use it
		d, _, err := r.ch.Get(q, true)
		r.must(err)
		r.note("%s %v", d.Body, d.Redelivered)
	}},
	{"prefetch of a channel", func(r *run) {
		a, b := r.queue("a", nil), r.queue("b", nil)
		r.publish("", a, "1", "2", "3")
		r.publish("", b, "1", "2", "3")
		r.must(r.ch.Qos(2, 0, true))
		ca := r.consume(r.ch, a, true, nil)
		r.next(ca)
		d := r.next(ca)
		cb := r.consume(r.ch, b, true, nil)
		r.nothing(cb)
		r.must(d.Ack(true)) // makes room for two, of whichever queue
		for range 2 {
			select {
			case <-ca:
			case <-cb:
			case <-time.After(10 * time.Second):
				r.note("nothing comes")
			}
		}
		r.nothing(ca)
		r.nothing(cb)
	}},
	{"consumers take turns", func(r *run) {
		q := r.queue("q", nil)
		one, two := r.consume(r.ch, q, false, nil), r.consume(r.channel(), q, false, nil)
		r.publish("", q, "1", "2", "3", "4")
		r.note("%s %s", r.next(one).Body, r.next(one).Body)
		r.note("%s %s", r.next(two).Body, r.next(two).Body)
	}},
	{"priority of consumers", func(r *run) {
		q := r.queue("q", nil)
		low := r.consume(r.ch, q, true, nil)
		ch := r.channel()
		r.must(ch.Qos(2, 0, false))
		high := r.consume(ch, q, true, amqp091.Table{"x-priority": int32(5)})
		r.publish("", q, "1", "2", "3")
		r.note("%s %s %s", r.next(high).Body, r.next(high).Body, r.next(low).Body)
	}},
	{"single active consumer", func(r *run) {
		q := r.queue("q", amqp091.Table{"x-single-active-consumer": true})
		first, other := r.channel(), r.channel()
		one, two := r.consume(first, q, false, nil), r.consume(other, q, false, nil)
		r.publish("", q, "1", "2")
		r.note("%s %s", r.next(one).Body, r.next(one).Body)
		r.nothing(two)
		r.must(first.Close())
		r.publish("", q, "3")
		r.note("%s", r.next(two).Body)
	}},
	{"exclusive consumer", func(r *run) {
		q := r.queue("q", nil)
		ch := r.channel()
		_, err := ch.Consume(q, "only", false, true, false, false, nil)
		r.must(err)
		r.fails("a second one", func(ch *amqp091.Channel) error {
			_, err := ch.Consume(q, "", false, false, false, false, nil)
			return err
		})
		r.must(ch.Cancel("only", false))
		r.consume(r.ch, q, true, nil)
		r.fails("behind another", func(ch *amqp091.Channel) error {
			_, err := ch.Consume(q, "", false, true, false, false, nil)
			return err
		})
	}},
	{"a deleted queue cancels", func(r *run) {
		q := r.queue("q", nil)
		cancelled := r.ch.NotifyCancel(make(chan string, 1))
		_, err := r.ch.Consume(q, "mine", false, false, false, false, nil)
		r.must(err)
		other := r.channel()
		n, err := other.QueueDelete(q, false, false, false)
		r.note("%d %v", n, err)
		r.note("%s", <-cancelled)
	}},
	{"priority of messages", func(r *run) {
		q := r.queue("q", amqp091.Table{"x-max-priority": int32(5)})
		for _, p := range []uint8{0, 3, 9, 3, 5} {
			r.must(r.ch.PublishWithContext(r.t.Context(), "", q, false, false, amqp091.Publishing{Priority: p, Body: []byte(fmt.Sprint(p))}))
		}
		r.note("%v", r.get(q, 5))
	}},
	{"expiry and dead letters", func(r *run) {
		dead := r.queue("dead", nil)
		x := r.exchange("dlx", "direct", nil)
		r.bind(dead, x, r.name("q"), nil)
		q := r.queue("q", amqp091.Table{"x-message-ttl": int32(20), "x-dead-letter-exchange": x})
		r.must(r.ch.PublishWithContext(r.t.Context(), "", q, false, false, amqp091.Publishing{Body: []byte("m"), Expiration: "5000", Type: "kept", Headers: amqp091.Table{"own": "h"}}))
		r.left(dead, 1)
		noteDead(r, dead)
	}},
	{"rejected twice", func(r *run) {
		q := r.queue("q", amqp091.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": r.name("dead")})
		dead := r.queue("dead", nil)
		r.publish("", q, "m")
		for range 2 {
			d, _, err := r.ch.Get(q, false)
			r.must(err)
			r.must(d.Reject(false))
			r.left(dead, 1)
			d, _, err = r.ch.Get(dead, true)
			r.must(err)
			deaths := d.Headers["x-death"].([]any)
			first := deaths[0].(amqp091.Table)
			r.note("%d deaths: %v %v %v", len(deaths), first["reason"], first["count"], first["queue"])
			r.must(r.ch.PublishWithContext(r.t.Context(), "", q, false, false, amqp091.Publishing{Headers: d.Headers}))
		}
	}},
	{"going round in circles", func(r *run) {
		q := r.queue("q", amqp091.Table{"x-message-ttl": int32(1), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": r.name("q")})
		r.publish("", q, "m")
		time.Sleep(100 * time.Millisecond) // for it to come back, which it must not
		r.left(q, 0)
	}},
	{"message of its own time", func(r *run) {
		q := r.queue("q", nil)
		r.must(r.ch.PublishWithContext(r.t.Context(), "", q, false, false, amqp091.Publishing{Body: []byte("short"), Expiration: "1"}))
		r.left(q, 0)
		r.must(r.ch.PublishWithContext(r.t.Context(), "", q, false, false, amqp091.Publishing{Body: []byte("long"), Expiration: "60000"}))
		r.left(q, 1)
	}},
	{"maximal length", func(r *run) {
		dead := r.queue("dead", nil)
		q := r.queue("q", amqp091.Table{"x-max-length": int32(2), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
		r.publish("", q, "1", "2", "3")
		r.left(dead, 1)
		noteDead(r, dead)
		r.note("%v", r.get(q, 2))
		full := r.queue("full", amqp091.Table{"x-max-length-bytes": int32(10), "x-overflow": "reject-publish"})
		confirms := r.confirms()
		r.publish("", full, "123456")
		r.confirmed(confirms, 1)
		r.publish("", full, "123456789")
		r.confirmed(confirms, 1)
		r.publish("", full, "x")
		got := <-confirms
		r.note("%d", got.DeliveryTag)
	}},
	{"a queue nobody uses", func(r *run) {
		q := r.queue("q", amqp091.Table{"x-expires": int32(50)})
		for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
			ch := r.channel()
			_, err := ch.QueueDeclarePassive(q, false, false, true, false, nil)
			_ = ch.Close()
			if err != nil {
				r.err("gone", err)
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		r.note("it stays")
	}},
	{"automatic deletion", func(r *run) {
		x := r.name("x")
		r.must(r.ch.ExchangeDeclare(x, "fanout", false, true, false, false, nil))
		q := r.name("q")
		_, err := r.ch.QueueDeclare(q, false, true, false, false, nil)
		r.must(err)
		r.bind(q, x, "", nil)
		_, err = r.ch.Consume(q, "c", true, false, false, false, nil)
		r.must(err)
		r.must(r.ch.Cancel("c", false))
		r.fails("the queue", func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclarePassive(q, false, true, false, false, nil)
			return err
		})
		r.fails("the exchange", func(ch *amqp091.Channel) error {
			return ch.ExchangeDeclarePassive(x, "fanout", false, true, false, false, nil)
		})
	}},
	{"exclusive queues", func(r *run) {
		q := r.queue("q", nil)
		other := r.dial()
		ch, err := other.Channel()
		r.must(err)
		_, err = ch.QueueDeclarePassive(q, false, false, true, false, nil)
		r.err("from another connection", err)
		second := r.dial()
		sch, err := second.Channel()
		r.must(err)
		_, err = sch.QueueDeclare(r.name("theirs"), false, false, true, false, nil)
		r.must(err)
		r.must(second.Close())
		_, err = r.ch.QueueDeclare(r.name("theirs"), false, false, true, false, nil)
		r.err("once its connection is gone", err)
	}},
	{"what does not exist", func(r *run) {
		r.fails("queue", func(ch *amqp091.Channel) error { _, _, err := ch.Get(r.name("no"), true); return err })
		r.fails("consume", func(ch *amqp091.Channel) error {
			_, err := ch.Consume(r.name("no"), "", true, false, false, false, nil)
			return err
		})
		r.fails("exchange", func(ch *amqp091.Channel) error {
			return ch.ExchangeDeclarePassive(r.name("no"), "fanout", false, false, false, false, nil)
		})
		r.fails("bind", func(ch *amqp091.Channel) error { return ch.QueueBind(r.name("no"), "", "amq.fanout", false, nil) })
		r.fails("publish", func(ch *amqp091.Channel) error {
			closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
			r.must(ch.PublishWithContext(r.t.Context(), r.name("no"), "", false, false, amqp091.Publishing{}))
			return <-closed
		})
		r.fails("deleting it", func(ch *amqp091.Channel) error {
			_, err := ch.QueueDelete(r.name("no"), false, false, false)
			return err
		})
		r.fails("deleting an exchange", func(ch *amqp091.Channel) error { return ch.ExchangeDelete(r.name("no"), false, false) })
		r.fails("purge", func(ch *amqp091.Channel) error { _, err := ch.QueuePurge(r.name("no"), false); return err })
	}},
	{"declared otherwise", func(r *run) {
		q := r.queue("q", amqp091.Table{"x-message-ttl": int32(1000)})
		x := r.exchange("x", "fanout", nil)
		for _, args := range []amqp091.Table{nil, {"x-message-ttl": int32(2000)}, {"x-message-ttl": int64(1000)}, {"x-message-ttl": int32(1000), "x-max-length": int32(1)}} {
			r.fails(fmt.Sprint("queue with ", args), func(ch *amqp091.Channel) error {
				_, err := ch.QueueDeclare(q, false, false, true, false, args)
				return err
			})
		}
		plain, classic := r.queue("plain", nil), r.queue("classic", amqp091.Table{"x-queue-type": "classic"})
		r.fails("classic in so many words", func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclare(plain, false, false, true, false, amqp091.Table{"x-queue-type": "classic"})
			return err
		})
		r.fails("classic without a word", func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclare(classic, false, false, true, false, nil)
			return err
		})
		r.fails("of no type that there is", func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclare(r.name("new"), false, false, true, false, amqp091.Table{"x-queue-type": "none"})
			return err
		})
		r.fails("auto-delete", func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclare(q, false, true, true, false, amqp091.Table{"x-message-ttl": int32(1000)})
			return err
		})
		r.fails("durable exchange", func(ch *amqp091.Channel) error {
			return ch.ExchangeDeclare(x, "fanout", true, false, false, false, nil)
		})
		r.fails("type of exchange", func(ch *amqp091.Channel) error {
			return ch.ExchangeDeclare(x, "direct", false, false, false, false, nil)
		})
		r.fails("bad ttl", func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclare(r.name("b"), false, false, true, false, amqp091.Table{"x-message-ttl": "soon"})
			return err
		})
		r.fails("bad expires", func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclare(r.name("b"), false, false, true, false, amqp091.Table{"x-expires": int32(0)})
			return err
		})
		r.fails("bad overflow", func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclare(r.name("b"), false, false, true, false, amqp091.Table{"x-overflow": "explode"})
			return err
		})
	}},
	{"reserved names", func(r *run) {
		r.fails("queue", func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclare("amq.q", false, false, false, false, nil)
			return err
		})
		r.fails("exchange", func(ch *amqp091.Channel) error {
			return ch.ExchangeDeclare("amq.x", "fanout", false, false, false, false, nil)
		})
		r.fails("default", func(ch *amqp091.Channel) error {
			return ch.ExchangeDeclare("", "direct", true, false, false, false, nil)
		})
		r.fails("binding to the default", func(ch *amqp091.Channel) error { return ch.QueueBind(r.queue("q", nil), "k", "", false, nil) })
		r.fails("deleting", func(ch *amqp091.Channel) error { return ch.ExchangeDelete("amq.direct", false, false) })
	}},
	{"in use", func(r *run) {
		q := r.queue("q", nil)
		x := r.exchange("x", "fanout", nil)
		r.bind(q, x, "", nil)
		r.publish("", q, "m")
		r.fails("not empty", func(ch *amqp091.Channel) error { _, err := ch.QueueDelete(q, false, true, false); return err })
		r.fails("exchange", func(ch *amqp091.Channel) error { return ch.ExchangeDelete(x, true, false) })
		r.consume(r.ch, q, true, nil)
		r.fails("consumers", func(ch *amqp091.Channel) error { _, err := ch.QueueDelete(q, true, false, false); return err })
		n, err := r.ch.QueueDelete(q, false, false, false)
		r.note("%d, %v", n, err)
	}},
	{"purge", func(r *run) {
		q := r.queue("q", nil)
		r.publish("", q, "1", "2", "3")
		_, _, err := r.ch.Get(q, false)
		r.must(err)
		n, err := r.ch.QueuePurge(q, false)
		r.note("%d %v", n, err)
	}},
	{"names of the broker's own", func(r *run) {
		q, err := r.ch.QueueDeclare("", false, false, true, false, nil)
		r.must(err)
		r.note("%s", q.Name[:8])
		again, err := r.ch.QueueDeclarePassive("", false, false, true, false, nil)
		r.note("%v %v", again.Name == q.Name, err)
	}},
	{"reused consumer tag", func(r *run) {
		q := r.queue("q", nil)
		conn := r.dial()
		ch, err := conn.Channel()
		r.must(err)
		_, err = ch.QueueDeclare(r.name("t"), false, false, true, false, nil)
		r.must(err)
		_, err = ch.Consume(r.name("t"), "tag", true, false, false, false, nil)
		r.must(err)
		closed := conn.NotifyClose(make(chan *amqp091.Error, 1))
		_, _ = ch.Consume(r.name("t"), "tag", true, false, false, false, nil)
		r.err("the connection", <-closed)
		r.left(q, 0)
	}},
	{"immediate, prefetch size", func(r *run) {
		for _, f := range []func(ch *amqp091.Channel) error{
			func(ch *amqp091.Channel) error {
				return ch.PublishWithContext(r.t.Context(), "", "x", false, true, amqp091.Publishing{})
			},
			func(ch *amqp091.Channel) error { return ch.Qos(1, 1, false) },
			func(ch *amqp091.Channel) error { return ch.Flow(false) },
			func(ch *amqp091.Channel) error { return ch.Recover(false) }, //nolint:staticcheck // clients still use it
		} {
			conn := r.dial()
			ch, err := conn.Channel()
			r.must(err)
			closed := conn.NotifyClose(make(chan *amqp091.Error, 1))
			_ = f(ch)
			r.err("the connection", <-closed)
		}
	}},
	{"a user's name that is not so", func(r *run) {
		r.fails("user id", func(ch *amqp091.Channel) error {
			closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
			r.must(ch.PublishWithContext(r.t.Context(), "", "x", false, false, amqp091.Publishing{UserId: "nobody"}))
			return <-closed
		})
		r.fails("expiration", func(ch *amqp091.Channel) error {
			closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
			r.must(ch.PublishWithContext(r.t.Context(), "", "x", false, false, amqp091.Publishing{Expiration: "soon"}))
			return <-closed
		})
	}},
	{"transactions", func(r *run) {
		q, dead := r.queue("q", amqp091.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": r.name("dead")}), r.queue("dead", nil)
		returns := r.ch.NotifyReturn(make(chan amqp091.Return, 1))
		r.must(r.ch.Tx())
		r.publish("", q, "a", "b", "c")
		r.must(r.ch.PublishWithContext(r.t.Context(), "", "nowhere", true, false, amqp091.Publishing{}))
		r.left(q, 0)
		r.must(r.ch.TxCommit())
		r.left(q, 3)
		r.note("returned %d", (<-returns).ReplyCode)
		r.publish("", q, "forgotten")
		a, _, err := r.ch.Get(q, false)
		r.must(err)
		b, _, err := r.ch.Get(q, false)
		r.must(err)
		r.must(a.Ack(false))
		r.must(b.Nack(false, false))
		r.left(dead, 0)
		r.must(r.ch.TxRollback())
		r.must(r.ch.Ack(b.DeliveryTag, true))
		r.must(r.ch.TxRollback())
		r.must(a.Reject(true))
		r.must(b.Reject(false))
		r.must(r.ch.TxCommit())
		r.left(q, 2)
		r.left(dead, 1)
		r.must(r.ch.TxRollback())
		r.note("%q", r.get(q, 2))
		r.fails("confirms in tx mode", func(ch *amqp091.Channel) error {
			r.must(ch.Tx())
			return ch.Confirm(false)
		})
		r.fails("tx in confirm mode", func(ch *amqp091.Channel) error {
			r.must(ch.Confirm(false))
			return ch.Tx()
		})
		r.fails("commit of none", func(ch *amqp091.Channel) error { return ch.TxCommit() })
		gone := r.channel()
		r.must(gone.Tx())
		r.publish("", q, "back")
		r.must(r.ch.TxCommit())
		d, _, err := gone.Get(q, false)
		r.must(err)
		r.must(d.Ack(false))
		r.must(gone.Close())
		r.left(q, 1)
	}},
	{"direct replies", func(r *run) {
		server := r.queue("server", nil)
		replies, err := r.ch.Consume("amq.rabbitmq.reply-to", "", true, false, false, false, nil)
		r.must(err)
		r.must(r.ch.PublishWithContext(r.t.Context(), "", server, false, false, amqp091.Publishing{ReplyTo: "amq.rabbitmq.reply-to", CorrelationId: "1"}))
		other := r.channel()
		d := r.next(r.consume(other, server, false, nil))
		r.note("%v", strings.HasPrefix(d.ReplyTo, "amq.rabbitmq.reply-to."))
		r.must(other.PublishWithContext(r.t.Context(), "", d.ReplyTo, true, false, amqp091.Publishing{CorrelationId: d.CorrelationId, Body: []byte("answer")}))
		got := r.next(replies)
		r.note("%s %s", got.CorrelationId, got.Body)
		r.fails("with acknowledgement", func(ch *amqp091.Channel) error {
			_, err := ch.Consume("amq.rabbitmq.reply-to", "", false, false, false, false, nil)
			return err
		})
		r.fails("without a consumer", func(ch *amqp091.Channel) error {
			closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
			r.must(ch.PublishWithContext(r.t.Context(), "", server, false, false, amqp091.Publishing{ReplyTo: "amq.rabbitmq.reply-to"}))
			return <-closed
		})
	}},
	{"internal exchange", func(r *run) {
		x := r.name("x")
		r.must(r.ch.ExchangeDeclare(x, "fanout", false, false, true, false, nil))
		r.fails("publish", func(ch *amqp091.Channel) error {
			closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
			r.must(ch.PublishWithContext(r.t.Context(), x, "", false, false, amqp091.Publishing{}))
			return <-closed
		})
		r.must(r.ch.ExchangeDelete(x, false, false))
	}},
	{"login", func(r *run) {
		for _, sasl := range []amqp091.Authentication{
			&amqp091.PlainAuth{Username: "guest", Password: "wrong"}, &amqp091.AMQPlainAuth{Username: "guest", Password: "guest"},
			&amqp091.AMQPlainAuth{Username: "nobody", Password: "guest"}, &amqp091.ExternalAuth{},
		} {
			conn, err := amqp091.DialConfig(r.url(), amqp091.Config{SASL: []amqp091.Authentication{sasl}})
			r.err(sasl.Mechanism(), err)
			if err == nil {
				r.must(conn.Close())
			}
		}
		_, err := amqp091.DialConfig(r.url(), amqp091.Config{Vhost: "none"})
		r.err("vhost", err)
	}},
}

// noteDead notes what a dead letter says of itself.
func noteDead(r *run, queue string) {
	d, _, err := r.ch.Get(queue, true)
	r.must(err)
	r.note("%s %q %s %s", d.Body, d.Expiration, d.Type, d.Headers["own"])
	r.note("first: %v %v %v", d.Headers["x-first-death-reason"], d.Headers["x-first-death-queue"], d.Headers["x-first-death-exchange"])
	for _, death := range d.Headers["x-death"].([]any) {
		t := death.(amqp091.Table)
		_, isTime := t["time"].(time.Time)
		r.note("death: %v %v %v %v %v %v %v", t["reason"], t["queue"], t["count"], t["exchange"], t["routing-keys"], t["original-expiration"], isTime)
	}
}
