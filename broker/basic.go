package broker

import (
	"strings"
	"time"
)

// replyAddress is the queue that direct replies are consumed from; what follows the
// dot in a reply address is the consumer's token.
const replyAddress = "amq.rabbitmq.reply-to"

func (ch *channel) basicMethod(method uint16, d *decoder) *exception {
	switch method {
	case 10:
		return ch.qos(d)
	case 20:
		return ch.consume(d)
	case 30:
		return ch.cancel(d)
	case 31: // cancel-ok
		return nil
	case 40:
		return ch.beginPublish(d)
	case 70:
		return ch.get(d)
	case 80:
		tag, bits := d.u64(), d.u8()
		return ch.settled(d, tag, bits&1 != 0, settlement{})
	case 90:
		tag, bits := d.u64(), d.u8()
		return ch.settled(d, tag, false, settlement{rejected: true, requeue: bits&1 != 0})
	case 100, 110:
		return ch.recover(method, d)
	case 120:
		tag, bits := d.u64(), d.u8()
		return ch.settled(d, tag, bits&1 != 0, settlement{rejected: true, requeue: bits&2 != 0})
	}
	return unknownMethod(60, method)
}

func (ch *channel) qos(d *decoder) *exception {
	size, count, global := d.u32(), int(d.u16()), d.u8()&1 != 0
	switch {
	case d.err != nil:
		return nil
	case size != 0:
		return connectionError(codeNotImplemented, "prefetch_size!=0 (%d)", size)
	case global:
		ch.prefetch = count
	default:
		ch.forConsumer = count
	}
	ch.send(60, 11, nil)
	ch.proceed()
	return nil
}

func (ch *channel) consume(d *decoder) *exception {
	d.u16()
	name, tag, bits := d.short(), d.short(), d.u8()
	args := d.table(0)
	if d.err != nil {
		return nil
	}
	noAck, exclusive, nowait := bits&2 != 0, bits&4 != 0, bits&8 != 0
	if tag == "" {
		tag = newName("amq.ctag-")
	}
	if ch.consumers[tag] != nil {
		return connectionError(codeNotAllowed, "attempt to reuse consumer tag '%s'", tag)
	}
	c := &consumer{ch: ch, tag: tag, since: time.Now(), noAck: noAck, exclusive: exclusive, prefetch: ch.forConsumer}
	c.priority, _ = integer(args.get("x-priority"))
	if name == replyAddress {
		return ch.consumeReplies(c, nowait)
	}
	q, e := ch.queue(name)
	switch {
	case e != nil:
		return e
	case q.exclusive != nil, exclusive && len(q.consumers) > 0:
		return channelError(codeAccessRefused, "queue '%s' in vhost '%s' in exclusive use", q.name, ch.v.name)
	}
	c.queue = q
	ch.consumers[tag] = c
	ch.consuming(tag, nowait)
	q.addConsumer(c)
	return nil
}

func (ch *channel) consuming(tag string, nowait bool) {
	if !nowait {
		ch.send(60, 21, func(e *encoder) { e.short(tag) })
	}
}

// consumeReplies makes the channel one that replies can be sent to directly.
func (ch *channel) consumeReplies(c *consumer, nowait bool) *exception {
	switch {
	case !c.noAck:
		return channelError(codePreconditionFailed, "reply consumer cannot acknowledge")
	case ch.replyToken != "":
		return channelError(codePreconditionFailed, "reply consumer already set")
	}
	ch.replyToken = newName("")
	ch.v.replies[ch.replyToken] = c
	ch.consumers[c.tag] = c
	ch.consuming(c.tag, nowait)
	return nil
}

func (ch *channel) cancel(d *decoder) *exception {
	tag, nowait := d.short(), d.u8()&1 != 0
	if d.err != nil {
		return nil
	}
	if c := ch.consumers[tag]; c != nil {
		delete(ch.consumers, tag)
		if c.queue != nil {
			c.queue.removeConsumer(c)
		} else {
			delete(ch.v.replies, ch.replyToken)
			ch.replyToken = ""
		}
	}
	if !nowait {
		ch.send(60, 31, func(e *encoder) { e.short(tag) })
	}
	return nil
}

// beginPublish notes where the content that follows goes.
func (ch *channel) beginPublish(d *decoder) *exception {
	d.u16()
	c := &content{message: message{exchange: d.short(), key: d.short()}}
	bits := d.u8()
	if d.err != nil {
		return nil
	}
	if bits&2 != 0 {
		return connectionError(codeNotImplemented, "immediate=true")
	}
	if e := ch.c.srv.overflow(); e != nil {
		return e
	}
	c.mandatory = bits&1 != 0
	ch.content = c
	ch.c.publishes.Store(true)
	return nil
}

// publish checks a message and passes it on, in tx mode with the next commit.
func (ch *channel) publish(c *content) *exception {
	m := &c.message
	x, e := ch.v.findExchange(m.exchange)
	switch {
	case e != nil:
		return e
	case x.internal:
		return channelError(codeAccessRefused, "cannot publish to internal exchange '%s' in vhost '%s'", x.name, ch.v.name)
	case m.props.userID != "" && m.props.userID != ch.c.user:
		return channelError(codePreconditionFailed, "user_id property set to '%s' but authenticated user was '%s'", m.props.userID, ch.c.user)
	}
	if _, _, err := m.props.ttl(); err != nil {
		return channelError(codePreconditionFailed, "%v", err)
	}
	if m.props.flags&propHeaders != 0 {
		if e := m.carbonCopies(); e != nil {
			return e
		}
	}
	if m.props.replyTo == replyAddress {
		if ch.replyToken == "" {
			return channelError(codePreconditionFailed, "fast reply consumer does not exist")
		}
		m.props = m.props.withReplyTo(replyAddress + "." + ch.replyToken)
	}
	c.to = x
	if ch.tx != nil {
		ch.tx.publishes = append(ch.tx.publishes, c)
		ch.v.memory(m.size())
		return nil
	}
	ch.pass(c)
	return nil
}

// pass hands a message to the queues that it goes to, and confirms it.
func (ch *channel) pass(c *content) {
	m := &c.message
	if ch.confirm {
		ch.published++
	}
	faults := &ch.c.srv.faults
	if ch.confirm && faults.nack() {
		ch.refuse()
		return
	}
	if token, ok := strings.CutPrefix(m.key, replyAddress+"."); ok && m.exchange == "" {
		ch.answer(token, c)
		return
	}
	queues := ch.v.route(c.to, m)
	if c.mandatory && (len(queues) == 0 || faults.returned()) {
		ch.c.sendReturn(ch.id, codeNoRoute, "NO_ROUTE", m)
		queues = nil
	}
	taken := true
	for _, q := range queues {
		if !q.accepts(m) {
			taken = false
			if q.limits.overflow == "reject-publish-dlx" {
				q.deadLetter(&entry{m: m}, "maxlen")
			}
			continue
		}
		q.publish(m)
	}
	switch {
	case !ch.confirm:
	case taken:
		ch.owe(ch.published)
	default:
		ch.refuse()
	}
}

// refuse sends a nack for what was published last.
func (ch *channel) refuse() {
	ch.flushConfirms()
	ch.acknowledge(120, ch.published, false)
}

// answer hands a direct reply to whoever waits for it.
func (ch *channel) answer(token string, c *content) {
	to := ch.v.replies[token]
	switch {
	case to != nil && !to.ch.closing && to.ch.c.out.size() < stopAt: // nowhere to keep what is not read
		to.ch.nextTag++
		to.ch.c.sendDelivery(to.ch.id, to.tag, to.ch.nextTag, false, &c.message)
	case c.mandatory:
		ch.c.sendReturn(ch.id, codeNoRoute, "NO_ROUTE", &c.message)
	}
	if ch.confirm {
		ch.owe(ch.published)
	}
}

func (ch *channel) get(d *decoder) *exception {
	d.u16()
	name, noAck := d.short(), d.u8()&1 != 0
	if d.err != nil {
		return nil
	}
	q, e := ch.queue(name)
	if e != nil {
		return e
	}
	q.used()
	next := q.pop()
	if next == nil {
		ch.send(60, 72, func(e *encoder) { e.short("") })
		return nil
	}
	var tag uint64
	if noAck {
		ch.nextTag++
		tag = ch.nextTag
	} else {
		tag = ch.hand(next, q, nil)
	}
	q.delivered++
	m, left, again := next.m, uint32(q.count), next.delivered > 0
	ch.c.out.append(func(b []byte) []byte {
		b = appendMethod(b, ch.id, 60, 71, func(e *encoder) {
			e.u64(tag)
			e.u8(bit(again, 0))
			e.short(m.exchange)
			e.short(m.key)
			e.u32(left)
		})
		return ch.c.appendContent(b, ch.id, m)
	})
	return nil
}

// settled handles an acknowledgement or a rejection, in tx mode with the next
// commit.
func (ch *channel) settled(d *decoder, tag uint64, multiple bool, s settlement) *exception {
	if d.err != nil {
		return nil
	}
	var e *exception
	switch s.taken, e = ch.settle(tag, multiple); {
	case e != nil:
		return e
	case ch.tx != nil:
		ch.tx.settled = append(ch.tx.settled, s)
		return nil
	}
	ch.finish(s)
	ch.proceed()
	return nil
}

// finish lets go of messages that were outstanding: they go back, are dead, or have
// been acknowledged.
func (ch *channel) finish(s settlement) {
	ch.release(s.taken)
	switch {
	case s.requeue:
		giveBack(s.taken)
	case s.rejected:
		for _, o := range s.taken {
			o.queue.deadLetter(o.e, "rejected")
		}
	}
}

func (ch *channel) recover(method uint16, d *decoder) *exception {
	requeue := d.u8()&1 != 0
	switch {
	case d.err != nil:
		return nil
	case !requeue:
		return connectionError(codeNotImplemented, "basic.recover with requeue=false")
	}
	if method == 110 { // before what comes again
		ch.send(60, 111, nil)
	}
	ch.finish(settlement{taken: ch.settleAll(), requeue: true})
	ch.proceed()
	return nil
}

// queue finds a queue by its name; an empty one is the one declared last.
func (ch *channel) queue(name string) (*queue, *exception) {
	if name == "" {
		if name = ch.lastQueue; name == "" {
			return nil, channelError(codeNotFound, "no previously declared queue")
		}
	}
	return ch.v.findQueue(ch.c, name)
}
