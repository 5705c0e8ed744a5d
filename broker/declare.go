package broker

import (
	"fmt"
	"slices"
	"time"
)

func (ch *channel) exchangeMethod(method uint16, d *decoder) *exception {
	switch method {
	case 10:
		return ch.declareExchange(d)
	case 20:
		return ch.removeExchange(d)
	case 30, 40:
		return ch.bindExchange(d, method == 30)
	}
	return unknownMethod(40, method)
}

var exchangeKinds = []string{"direct", "fanout", "topic", "headers"}

func (ch *channel) declareExchange(d *decoder) *exception {
	d.u16()
	name, kind, bits := d.short(), d.short(), d.u8()
	args := d.table(0)
	if d.err != nil {
		return nil
	}
	passive, nowait := bits&1 != 0, bits&16 != 0
	x := ch.v.exchanges[name]
	if name == "" && !passive {
		return channelError(codeAccessRefused, "operation not permitted on the default exchange")
	}
	switch {
	case passive:
		if _, e := ch.v.findExchange(name); e != nil {
			return e
		}
	case !slices.Contains(exchangeKinds, kind):
		return connectionError(codeCommandInvalid, "unknown exchange type '%s'", kind)
	case x == nil:
		if e := reserved("exchange", name); e != nil {
			return e
		}
		x = &exchange{name: name, kind: kind, durable: bits&2 != 0, autoDelete: bits&4 != 0, internal: bits&8 != 0, args: args, byKey: map[string][]*binding{}}
		if v := args.get("alternate-exchange"); v != nil {
			text, ok := v.(string)
			if !ok {
				return channelError(codePreconditionFailed, "invalid arg 'alternate-exchange' for exchange '%s' in vhost '%s': it is no text", name, ch.v.name)
			}
			x.alternate = text
		}
		ch.v.exchanges[name] = x
	default:
		what := fmt.Sprintf("exchange '%s' in vhost '%s'", name, ch.v.name)
		if e := differs(what, []difference{
			{"type", kind, x.kind},
			{"durable", bits&2 != 0, x.durable},
			{"auto_delete", bits&4 != 0, x.autoDelete},
			{"internal", bits&8 != 0, x.internal},
			{"alternate-exchange", args.get("alternate-exchange"), x.args.get("alternate-exchange")},
		}); e != nil {
			return e
		}
	}
	if !nowait {
		ch.send(40, 11, nil)
	}
	return nil
}

// difference is one attribute of a declaration and of what exists.
type difference struct {
	name          string
	received, has any
}

// differs returns the exception for the first attribute that is not the same.
func differs(what string, attributes []difference) *exception {
	for _, a := range attributes {
		if sameValue(a.received, a.has) {
			continue
		}
		received, has := fmt.Sprintf("'%v'", a.received), fmt.Sprintf("'%v'", a.has)
		if a.name == "alternate-exchange" || a.name[:2] == "x-" {
			received, has = described(a.received), described(a.has)
		}
		return channelError(codePreconditionFailed, "inequivalent arg '%s' for %s: received %s but current is %s", a.name, what, received, has)
	}
	return nil
}

func described(v any) string {
	kind := "unknown"
	switch v.(type) {
	case nil:
		return "none"
	case string:
		kind = "longstr"
	case bool:
		kind = "bool"
	case int8, int16, int32:
		kind = "signedint"
	case uint8, uint16, uint32:
		kind = "unsignedint"
	case int64:
		kind = "long"
	}
	if kind == "longstr" {
		return fmt.Sprintf("the value '%v' of type '%s'", v, kind)
	}
	return fmt.Sprintf("the value '%v' of type '%s'", v, kind)
}

func (ch *channel) removeExchange(d *decoder) *exception {
	d.u16()
	name, bits := d.short(), d.u8()
	if d.err != nil {
		return nil
	}
	if name == "" {
		return channelError(codeAccessRefused, "operation not permitted on the default exchange")
	}
	x := ch.v.exchanges[name]
	switch {
	case x == nil: // as RabbitMQ, which takes it for done
	case reserved("exchange", name) != nil:
		return reserved("exchange", name)
	case bits&1 != 0 && len(x.bindings) > 0:
		return channelError(codePreconditionFailed, "exchange '%s' in vhost '%s' in use", name, ch.v.name)
	default:
		ch.v.deleteExchange(x)
	}
	if bits&2 == 0 {
		ch.send(40, 21, nil)
	}
	return nil
}

func (ch *channel) bindExchange(d *decoder, bind bool) *exception {
	d.u16()
	to, from, key, nowait := d.short(), d.short(), d.short(), d.u8()&1 != 0
	args := d.table(0)
	if d.err != nil {
		return nil
	}
	if to == "" || from == "" {
		return channelError(codeAccessRefused, "operation not permitted on the default exchange")
	}
	destination, e := ch.v.findExchange(to)
	if e != nil {
		return e
	}
	source, e := ch.v.findExchange(from)
	if e != nil {
		return e
	}
	ch.bindOrNot(bind, &binding{from: source, to: destination, key: key, args: args})
	if !nowait {
		ch.send(40, map[bool]uint16{true: 31, false: 51}[bind], nil)
	}
	return nil
}

// bindOrNot makes a binding, or takes the one away that is like b.
func (ch *channel) bindOrNot(bind bool, b *binding) {
	at := slices.IndexFunc(b.from.bindings, func(other *binding) bool { return other.same(b.queue, b.to, b.key, b.args) })
	switch {
	case bind && at < 0:
		b.from.bind(b)
	case !bind && at >= 0:
		ch.v.unbind(b.from.bindings[at])
	}
}

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
		attributes = append(attributes, difference{name, argument(args, name), argument(q.args, name)})
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
