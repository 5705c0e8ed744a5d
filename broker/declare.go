package broker

import (
	"fmt"
	"slices"
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
