package broker

import (
	"slices"
	"time"
)

// consumer is one basic.consume. The vhost's lock protects it.
type consumer struct {
	ch        *channel
	tag       string
	since     time.Time
	queue     *queue // nil is the address of direct replies
	noAck     bool
	exclusive bool
	priority  int64
	prefetch  int // 0 is no limit
	unacked   int
}

// ready reports whether the consumer can take another message: it is short of its
// limits, and its client reads what it is sent.
func (c *consumer) ready() bool {
	ch := c.ch
	switch {
	case ch.closing || ch.c.out.full():
		return false
	case c.noAck:
		return true
	case c.prefetch > 0 && c.unacked >= c.prefetch:
		return false
	case ch.prefetch > 0 && ch.outstanding >= ch.prefetch:
		return false
	}
	return true
}

// deliver hands a message out.
func (c *consumer) deliver(e *entry) {
	ch, q := c.ch, c.queue
	q.delivered++
	again := ch.c.srv.faults.twice()
	tag := ch.hand(e, q, c)
	ch.c.sendDelivery(ch.id, c.tag, tag, e.delivered > 0, e.m)
	if again && !c.noAck {
		ch.c.sendDelivery(ch.id, c.tag, tag, true, e.m)
	}
}

// outstanding is a message that was handed out and not acknowledged.
type outstanding struct {
	tag      uint64
	e        *entry
	queue    *queue
	consumer *consumer // nil after basic.get
	done     bool
}

// hand notes that a message was handed out, unless that is already the end of it,
// and returns its tag.
func (ch *channel) hand(e *entry, q *queue, c *consumer) uint64 {
	ch.nextTag++
	if c != nil && c.noAck {
		return ch.nextTag
	}
	ch.out = append(ch.out, outstanding{tag: ch.nextTag, e: e, queue: q, consumer: c})
	q.unacked++
	if c != nil {
		c.unacked++
		ch.outstanding++
	}
	q.v.memory(e.m.size())
	return ch.nextTag
}

// settle takes the outstanding messages up to tag, or that one alone, and returns
// them; tag 0 is all.
func (ch *channel) settle(tag uint64, multiple bool) ([]outstanding, *exception) {
	if tag == 0 && multiple {
		return ch.settleAll(), nil
	}
	lo, hi := 0, len(ch.out)
	for lo < hi {
		mid := (lo + hi) / 2
		if ch.out[mid].tag < tag {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(ch.out) || ch.out[lo].tag != tag || ch.out[lo].done {
		if !multiple || tag > ch.nextTag || tag == 0 || !ch.anyUpTo(tag) {
			return nil, channelError(codePreconditionFailed, "unknown delivery tag %d", tag)
		}
		if lo == len(ch.out) || ch.out[lo].tag != tag {
			lo--
		}
	}
	var taken []outstanding
	from := lo
	if multiple {
		from = 0
	}
	for i := from; i <= lo; i++ {
		if o := &ch.out[i]; !o.done {
			taken = append(taken, *o)
			o.done, o.e = true, nil
		}
	}
	gone := 0
	for gone < len(ch.out) && ch.out[gone].done {
		gone++
	}
	ch.out = ch.out[gone:]
	ch.done += len(taken) - gone
	if ch.done > 64 && ch.done > len(ch.out)/2 { // the first may wait for long
		ch.out = slices.DeleteFunc(ch.out, func(o outstanding) bool { return o.done })
		ch.done = 0
	}
	if len(ch.out) == 0 {
		ch.out = nil
	}
	return taken, nil
}

func (ch *channel) anyUpTo(tag uint64) bool {
	return len(ch.out) > 0 && ch.out[0].tag <= tag
}

func (ch *channel) settleAll() []outstanding {
	var taken []outstanding
	for _, o := range ch.out {
		if !o.done {
			taken = append(taken, o)
		}
	}
	ch.out, ch.done = nil, 0
	return taken
}

func (ch *channel) release(taken []outstanding) {
	for _, o := range taken {
		o.queue.unacked--
		if o.consumer != nil {
			o.consumer.unacked--
			ch.outstanding--
		}
		o.queue.v.memory(-o.e.m.size())
	}
}

// giveBack puts messages back into their queues.
func giveBack(taken []outstanding) {
	byQueue := map[*queue][]*entry{}
	for _, o := range taken {
		o.e.delivered++
		byQueue[o.queue] = append(byQueue[o.queue], o.e)
	}
	for _, o := range taken { // in the order in which they were handed out
		if entries, ok := byQueue[o.queue]; ok {
			delete(byQueue, o.queue)
			o.queue.requeue(entries)
		}
	}
}

// proceed lets the queues of the channel's consumers hand out more.
func (ch *channel) proceed() {
	for _, c := range ch.consumers {
		if c.queue != nil {
			c.queue.dispatch()
		}
	}
}
