package broker

import (
	"fmt"
	"slices"
	"time"
)

func (ch *channel) queueMethod(method uint16, d *decoder) *exception {
	switch method {
	case 10:
		return ch.declareQueue(d)
	case 20, 50:
		return ch.bindQueue(d, method == 20)
	case 30:
		return ch.purgeQueue(d)
	case 40:
		return ch.removeQueue(d)
	}
	return unknownMethod(50, method)
}

func (ch *channel) bindQueue(d *decoder, bind bool) *exception {
	d.u16()
	name, from, key := d.short(), d.short(), d.short()
	nowait := bind && d.u8()&1 != 0
	args := d.table(0)
	if d.err != nil {
		return nil
	}
	q, e := ch.queue(name)
	if e != nil {
		return e
	}
	if from == "" {
		return channelError(codeAccessRefused, "operation not permitted on the default exchange")
	}
	x, e := ch.v.findExchange(from)
	if e != nil {
		return e
	}
	if name == "" && key == "" { // the queue declared last, by its own name
		key = q.name
	}
	ch.bindOrNot(bind, &binding{from: x, queue: q, key: key, args: args})
	if !nowait {
		ch.send(50, map[bool]uint16{true: 21, false: 51}[bind], nil)
	}
	return nil
}

func (ch *channel) purgeQueue(d *decoder) *exception {
	d.u16()
	name, nowait := d.short(), d.u8()&1 != 0
	if d.err != nil {
		return nil
	}
	q, e := ch.queue(name)
	if e != nil {
		return e
	}
	n := q.purge()
	if !nowait {
		ch.send(50, 31, func(e *encoder) { e.u32(uint32(n)) })
	}
	return nil
}

func (ch *channel) removeQueue(d *decoder) *exception {
	d.u16()
	name, bits := d.short(), d.u8()
	if d.err != nil {
		return nil
	}
	n := 0
	if name == "" || ch.v.queues[name] != nil { // else RabbitMQ takes it for done
		q, e := ch.queue(name)
		switch {
		case e != nil:
			return e
		case bits&1 != 0 && len(q.consumers) > 0:
			return channelError(codePreconditionFailed, "queue '%s' in vhost '%s' in use", q.name, ch.v.name)
		case bits&2 != 0 && q.count > 0:
			return channelError(codePreconditionFailed, "queue '%s' in vhost '%s' is not empty", q.name, ch.v.name)
		}
		n = q.count
		ch.v.deleteQueue(q)
	}
	if bits&4 == 0 {
		ch.send(50, 41, func(e *encoder) { e.u32(uint32(n)) })
	}
	return nil
}

func (ch *channel) declareQueue(d *decoder) *exception {
	d.u16()
	name, bits := d.short(), d.u8()
	args := d.table(0)
	if d.err != nil {
		return nil
	}
	passive, durable, exclusive, autoDelete, nowait := bits&1 != 0, bits&2 != 0, bits&4 != 0, bits&8 != 0, bits&16 != 0
	var q *queue
	switch {
	case passive && ch.repliesExist(name):
		ch.declared(name, 0, 1, nowait)
		return nil
	case passive:
		found, e := ch.v.findQueue(ch.c, name)
		if e != nil {
			return e
		}
		q = found
	case name != "" && ch.v.queues[name] != nil:
		found, e := ch.v.findQueue(ch.c, name)
		if e != nil {
			return e
		}
		if e := found.redeclared(durable, exclusive, autoDelete, args); e != nil {
			return e
		}
		q = found
	default:
		if name == "" {
			name = newName("amq.gen-")
		} else if e := reserved("queue", name); e != nil {
			return e
		}
		limits, e := ch.parseLimits(name, args)
		if e != nil {
			return e
		}
		q = newQueue(ch.v, name, limits)
		q.durable, q.autoDelete, q.args = durable, autoDelete, args
		if exclusive {
			q.owner = ch.c
			ch.c.exclusives = append(ch.c.exclusives, q)
		}
		ch.v.queues[name] = q
	}
	q.used()
	ch.lastQueue = q.name
	ch.declared(q.name, q.count, len(q.consumers), nowait)
	return nil
}

func (ch *channel) declared(name string, messages, consumers int, nowait bool) {
	if nowait {
		return
	}
	ch.send(50, 11, func(e *encoder) {
		e.short(name)
		e.u32(uint32(messages))
		e.u32(uint32(consumers))
	})
}

// repliesExist reports whether name is an address of direct replies at which
// somebody waits.
func (ch *channel) repliesExist(name string) bool {
	const prefix = replyAddress + "."
	return name == replyAddress || len(name) > len(prefix) && name[:len(prefix)] == prefix && ch.v.replies[name[len(prefix):]] != nil
}

// checkedArgs are the arguments in which a second declaration must agree.
var checkedArgs = []string{
	"x-expires", "x-message-ttl", "x-max-length", "x-max-length-bytes", "x-overflow", "x-dead-letter-exchange", "x-dead-letter-routing-key",
	"x-max-priority", "x-single-active-consumer", "x-queue-type", "x-queue-mode", "x-delivery-limit",
}

// argument returns an argument of a queue. One that does not say its type is classic.
func argument(args table, name string) any {
	if v := args.get(name); v != nil || name != "x-queue-type" {
		return v
	}
	return "classic"
}

// redeclared returns what is wrong with a second declaration of the queue.
func (q *queue) redeclared(durable, exclusive, autoDelete bool, args table) *exception {
	attributes := []difference{{"durable", durable, q.durable}, {"exclusive", exclusive, q.owner != nil}, {"auto_delete", autoDelete, q.autoDelete}}
	for _, name := range checkedArgs {
		if !sameValue(argument(args, name), argument(q.args, name)) {
			attributes = append(attributes, difference{name, args.get(name), q.args.get(name)})
		}
	}
	return differs(fmt.Sprintf("queue '%s' in vhost '%s'", q.name, q.v.name), attributes)
}

// parseLimits reads the arguments of a queue.
func (ch *channel) parseLimits(name string, args table) (queueLimits, *exception) {
	l := queueLimits{ttl: -1, maxLength: -1, maxBytes: -1, maxDelivered: -1, overflow: "drop-head"}
	for _, arg := range args {
		bad := func(why string) (queueLimits, *exception) {
			return l, channelError(codePreconditionFailed, "invalid arg '%s' for queue '%s' in vhost '%s': %s", arg.name, name, ch.v.name, why)
		}
		n, isInt := integer(arg.value)
		text, isText := arg.value.(string)
		switch arg.name {
		case "x-message-ttl", "x-expires", "x-max-length", "x-max-length-bytes", "x-max-priority", "x-delivery-limit":
			least := map[string]int64{"x-expires": 1}[arg.name]
			most := map[string]int64{"x-max-priority": 255, "x-message-ttl": 1<<32 - 1, "x-expires": 1<<32 - 1}[arg.name]
			if !isInt {
				return bad("it is no integer")
			}
			if n < least || most > 0 && n > most {
				return bad(fmt.Sprintf("%d is out of range", n))
			}
		case "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-overflow", "x-queue-type":
			if !isText {
				return bad("it is no text")
			}
		}
		switch arg.name {
		case "x-message-ttl":
			l.ttl = time.Duration(n) * time.Millisecond
		case "x-expires":
			l.expires = time.Duration(n) * time.Millisecond
		case "x-max-length":
			l.maxLength = n
		case "x-max-length-bytes":
			l.maxBytes = n
		case "x-max-priority":
			l.priorities = int(n)
		case "x-delivery-limit":
			l.maxDelivered = n
		case "x-dead-letter-exchange":
			l.dlx, l.hasDLX = text, true
		case "x-dead-letter-routing-key":
			l.dlk, l.hasDLK = text, true
		case "x-overflow":
			if !slices.Contains([]string{"drop-head", "reject-publish", "reject-publish-dlx"}, text) {
				return bad("it is one of drop-head, reject-publish and reject-publish-dlx")
			}
			l.overflow = text
		case "x-single-active-consumer":
			on, ok := arg.value.(bool)
			if !ok {
				return bad("it is no boolean")
			}
			l.singleActive = on
		case "x-queue-type":
			if !slices.Contains([]string{"classic", "quorum", "stream"}, text) {
				return bad(fmt.Sprintf("unsupported queue type '%s'", text))
			}
			if text != "classic" && !ch.c.srv.cfg.AnyQueueType {
				return l, connectionError(codeNotImplemented, "queue '%s' is declared as a %s, which this embedded broker does not have; use RabbitMQ, or have it taken for a classic queue", name, text)
			}
		}
	}
	if l.hasDLK && !l.hasDLX {
		return l, channelError(codePreconditionFailed, "invalid arg 'x-dead-letter-routing-key' for queue '%s' in vhost '%s': there is no 'x-dead-letter-exchange'", name, ch.v.name)
	}
	return l, nil
}
