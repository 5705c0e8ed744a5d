package broker

import "slices"

// channel is one channel of a connection. The vhost's lock protects it.
type channel struct {
	c  *conn
	id uint16
	v  *vhost

	closing bool // channel.close was sent

	out         []outstanding // by tag
	done        int           // of them are settled
	outstanding int           // of consumers
	nextTag     uint64
	consumers   map[string]*consumer
	forConsumer int    // prefetch of further consumers
	prefetch    int    // of all together; 0 is no limit
	lastQueue   string // that was declared, for methods that name none
	replyToken  string // of the consumer of direct replies

	confirm   bool
	published uint64 // in confirm mode
	owedFrom  uint64 // the first confirm that is owed; 0 is none
	owedTo    uint64
	gaps      bool // a confirm was dropped: none may stand for several

	tx *transaction // in tx mode

	content *content // that is on its way in
}

// content is a message whose parts have not all arrived.
type content struct {
	message
	to        *exchange
	mandatory bool
	hasHeader bool
	size      uint64
	counted   int64 // bytes of the body that count as memory already
}

func newChannel(c *conn, id uint16) *channel {
	return &channel{c: c, id: id, v: c.v, consumers: map[string]*consumer{}}
}

// send answers on the channel.
func (ch *channel) send(class, method uint16, args func(*encoder)) {
	ch.c.send(ch.id, class, method, args)
}

// fail closes the channel from this side.
func (ch *channel) fail(e *exception) {
	ch.flushConfirms()
	ch.letGo()
	ch.closing = true
	ch.send(20, 40, func(w *encoder) {
		w.u16(e.code)
		w.short(e.text)
		w.u16(e.class)
		w.u16(e.method)
	})
}

// letGo ends the channel's consumers and gives back what is outstanding.
func (ch *channel) letGo() {
	ch.closing = true // gets nothing more meanwhile
	consumers := ch.consumers
	ch.consumers = map[string]*consumer{}
	ch.uncount()
	ch.content = nil
	if ch.replyToken != "" {
		delete(ch.v.replies, ch.replyToken)
		ch.replyToken = ""
	}
	if ch.tx != nil {
		ch.rollback()
	}
	ch.finish(settlement{taken: ch.settleAll(), requeue: true})
	for _, c := range consumers {
		if c.queue != nil {
			c.queue.removeConsumer(c)
		}
	}
}

// cancelled tells the client that one of its consumers is no more.
func (ch *channel) cancelled(c *consumer) {
	delete(ch.consumers, c.tag)
	if ch.c.cancelNotify && !ch.closing {
		ch.send(60, 30, func(e *encoder) {
			e.short(c.tag)
			e.u8(1)
		})
	}
}

// method handles a method frame.
func (ch *channel) method(payload []byte) *exception {
	d := &decoder{b: payload}
	class, method := d.u16(), d.u16()
	if ch.content != nil {
		return blame(connectionError(codeUnexpectedFrame, "expected content header for class 60, got a method instead"), class, method)
	}
	var e *exception
	switch class {
	case 20:
		e = ch.channelMethod(method, d)
	case 40:
		e = ch.exchangeMethod(method, d)
	case 50:
		e = ch.queueMethod(method, d)
	case 60:
		e = ch.basicMethod(method, d)
	case 85:
		e = ch.confirmMethod(method, d)
	case 90:
		e = ch.txMethod(method)
	default:
		e = connectionError(codeCommandInvalid, "unknown class %d", class)
	}
	if d.err != nil { // whatever became of it was made of nonsense
		e = connectionError(codeSyntaxError, "method %d.%d: %v", class, method, d.err)
	}
	return blame(e, class, method)
}

// blame notes which method an exception is about.
func blame(e *exception, class, method uint16) *exception {
	if e != nil && e.class == 0 {
		e.class, e.method = class, method
	}
	return e
}

func unknownMethod(class, method uint16) *exception {
	return connectionError(codeCommandInvalid, "unknown method %d.%d", class, method)
}

func (ch *channel) channelMethod(method uint16, d *decoder) *exception {
	switch method {
	case 10:
		return connectionError(codeChannelError, "second 'channel.open' seen")
	case 20: // flow
		if d.u8()&1 == 0 && d.err == nil {
			return connectionError(codeNotImplemented, "active=false")
		}
		ch.send(20, 21, func(e *encoder) { e.u8(1) })
	case 21: // flow-ok
	case 40: // close
		ch.flushConfirms()
		ch.letGo()
		delete(ch.c.channels, ch.id)
		ch.send(20, 41, nil)
	case 41: // close-ok of nothing
	default:
		return unknownMethod(20, method)
	}
	return nil
}

func (ch *channel) confirmMethod(method uint16, d *decoder) *exception {
	if method != 10 {
		return unknownMethod(85, method)
	}
	nowait := d.u8()&1 != 0
	if ch.tx != nil {
		return channelError(codePreconditionFailed, "cannot switch from tx to confirm mode")
	}
	ch.confirm = true
	if !nowait {
		ch.send(85, 11, nil)
	}
	return nil
}

// owe notes that a publish is to be confirmed.
func (ch *channel) owe(tag uint64) {
	if ch.owedFrom == 0 {
		ch.owedFrom = tag
		if !slices.Contains(ch.c.confirms, ch) {
			ch.c.confirms = append(ch.c.confirms, ch)
		}
	}
	ch.owedTo = tag
}

// flushConfirms sends the confirms that are owed, as one where that says the same.
func (ch *channel) flushConfirms() {
	from, to := ch.owedFrom, ch.owedTo
	if from == 0 {
		return
	}
	ch.owedFrom = 0
	ack := func() {
		if ch.closing {
			return
		}
		if ch.gaps = ch.gaps || ch.c.srv.faults.dropping(); !ch.gaps {
			ch.acknowledge(80, to, from != to)
			return
		}
		for tag := from; tag <= to; tag++ {
			if !ch.c.srv.faults.drop() {
				ch.acknowledge(80, tag, false)
			}
		}
	}
	if delay := ch.c.srv.faults.confirmDelay(); delay > 0 {
		ch.v.after(delay, ack)
		return
	}
	ack()
}

// acknowledge sends basic.ack, method 80, or basic.nack, 120.
func (ch *channel) acknowledge(method uint16, tag uint64, multiple bool) {
	ch.send(60, method, func(e *encoder) {
		e.u64(tag)
		e.u8(bit(multiple, 0))
	})
}

// header handles a content header.
func (ch *channel) header(payload []byte) *exception {
	d := decoder{b: payload}
	class, weight, size := d.u16(), d.u16(), d.u64()
	c := ch.content
	switch {
	case c == nil || c.hasHeader:
		return connectionError(codeUnexpectedFrame, "a content header that nothing asked for")
	case d.err != nil || class != 60 || weight != 0:
		return connectionError(codeSyntaxError, "a malformed content header")
	}
	props, err := parseProperties(slices.Clone(d.b))
	if err != nil {
		return connectionError(codeSyntaxError, "properties: %v", err)
	}
	if limit := ch.c.srv.cfg.MaxMessage; size > uint64(limit) {
		return blame(channelError(codePreconditionFailed, "message size %d is larger than configured max size %d", size, limit), 60, 40)
	}
	c.props, c.size, c.hasHeader = props, size, true
	c.message.body = make([]byte, 0, min(size, 1<<20)) // a size that is a lie costs no more
	return ch.complete()
}

// body handles a part of the body.
func (ch *channel) body(payload []byte) *exception {
	c := ch.content
	if c == nil || !c.hasHeader {
		return connectionError(codeUnexpectedFrame, "a part of a body that nothing asked for")
	}
	if uint64(len(c.message.body)+len(payload)) > c.size {
		return connectionError(codeFrameError, "a body that is longer than its header says")
	}
	c.message.body = append(c.message.body, payload...)
	if more := int64(len(payload)); uint64(len(c.message.body)) < c.size {
		c.counted += more
		ch.c.unfinished += more
		ch.v.memory(more)
		if e := ch.c.srv.overflow(); e != nil {
			return blame(e, 60, 40)
		}
	}
	return ch.complete()
}

// uncount takes back what the content counted as while it was on its way in.
func (ch *channel) uncount() {
	if c := ch.content; c != nil && c.counted > 0 {
		ch.c.unfinished -= c.counted
		ch.v.memory(-c.counted)
		c.counted = 0
	}
}

// complete publishes the content once it is all there.
func (ch *channel) complete() *exception {
	c := ch.content
	if uint64(len(c.message.body)) < c.size {
		return nil
	}
	ch.uncount()
	ch.content = nil
	return blame(ch.publish(c), 60, 40)
}
