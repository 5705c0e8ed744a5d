package broker

import (
	"slices"
	"time"
)

// queue holds messages until consumers have acknowledged them. The vhost's lock
// protects it.
type queue struct {
	v          *vhost
	name       string
	durable    bool
	autoDelete bool
	owner      *conn // of an exclusive queue
	args       table
	limits     queueLimits

	ready    []list // by priority, the last first
	count    int
	bytes    int64 // of the bodies of ready messages
	unacked  int
	position uint64 // of the next message

	consumers []*consumer // by priority, in turn
	exclusive *consumer   // that wanted to be the only one
	consumed  bool        // there has been a consumer
	bindings  []*binding

	expiry  *time.Timer // of the message in front
	disuse  *time.Timer // of the queue
	uses    uint64      // how often it began anew
	deleted bool

	published, delivered uint64
}

// queueLimits are the arguments of a queue.
type queueLimits struct {
	ttl          time.Duration // -1 is none
	expires      time.Duration // 0 is never
	maxLength    int64         // -1 is none
	maxBytes     int64         // -1 is none
	overflow     string        // drop-head, reject-publish or reject-publish-dlx
	priorities   int
	dlx          string
	dlk          string
	hasDLX       bool
	hasDLK       bool
	singleActive bool
	maxDelivered int64 // x-delivery-limit, -1 is none
}

// entry is one message in one queue.
type entry struct {
	m         *message
	position  uint64
	priority  int
	expires   time.Time // zero is never
	delivered int       // how often it was handed out and came back

	prev, next *entry
}

// list is the ready messages of one priority, in the order of their positions.
type list struct{ head, tail *entry }

func (l *list) push(e *entry) {
	e.prev, e.next = l.tail, nil
	if l.tail == nil {
		l.head = e
	} else {
		l.tail.next = e
	}
	l.tail = e
}

// insert puts an entry back where it was. What comes back is mostly older than
// all that is ready.
func (l *list) insert(e *entry) {
	at := l.head
	for at != nil && at.position < e.position {
		at = at.next
	}
	if at == nil {
		l.push(e)
		return
	}
	e.prev, e.next = at.prev, at
	if at.prev == nil {
		l.head = e
	} else {
		at.prev.next = e
	}
	at.prev = e
}

func (l *list) remove(e *entry) {
	if e.prev == nil {
		l.head = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		l.tail = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next = nil, nil
}

func newQueue(v *vhost, name string, limits queueLimits) *queue {
	return &queue{v: v, name: name, limits: limits, ready: make([]list, limits.priorities+1)}
}

// front returns the next ready message, nil when there is none.
func (q *queue) front() *entry {
	for _, l := range slices.Backward(q.ready) {
		if l.head != nil {
			return l.head
		}
	}
	return nil
}

// pop takes the message in front that has not expired.
func (q *queue) pop() *entry {
	q.expire()
	e := q.front()
	if e != nil {
		q.take(e)
	}
	return e
}

func (q *queue) take(e *entry) {
	q.ready[e.priority].remove(e)
	q.count--
	q.bytes -= int64(len(e.m.body))
	q.v.memory(-e.m.size())
}

func (q *queue) put(e *entry) {
	q.count++
	q.bytes += int64(len(e.m.body))
	q.v.memory(e.m.size())
}

// accepts reports whether another message may come in; a queue that drops the
// oldest takes any.
func (q *queue) accepts(m *message) bool {
	return q.limits.overflow == "drop-head" || !q.over(1, len(m.body))
}

func (q *queue) over(more, bytes int) bool {
	l := &q.limits
	return l.maxLength >= 0 && int64(q.count+more) > l.maxLength || l.maxBytes >= 0 && q.bytes+int64(bytes) > l.maxBytes
}

// publish adds a message behind the others.
func (q *queue) publish(m *message) {
	q.published++
	e := &entry{m: m, position: q.position, priority: min(int(m.props.priority), q.limits.priorities)}
	q.position++
	ttl := q.limits.ttl
	if own, ok, _ := m.props.ttl(); ok && (ttl < 0 || own < ttl) {
		ttl = own
	}
	if ttl >= 0 {
		e.expires = time.Now().Add(ttl)
	}
	q.ready[e.priority].push(e)
	q.put(e)
	q.dispatch()
	for q.over(0, 0) {
		old := q.front()
		if old == nil {
			break
		}
		q.take(old)
		q.deadLetter(old, "maxlen")
	}
	q.expire()
}

// requeue puts messages back where they were.
func (q *queue) requeue(entries []*entry) {
	if q.deleted {
		return
	}
	slices.SortFunc(entries, func(a, b *entry) int {
		if a.position > b.position {
			return -1
		}
		return 1
	})
	for _, e := range entries {
		if n := q.limits.maxDelivered; n >= 0 && int64(e.delivered) > n {
			q.deadLetter(e, "delivery_limit")
			continue
		}
		q.ready[e.priority].insert(e)
		q.put(e)
	}
	q.dispatch()
	q.expire()
}

// expire takes away what is in front and has waited too long, and sees to it that
// it is called again for what comes next.
func (q *queue) expire() {
	if q.expiry != nil {
		q.expiry.Stop()
		q.expiry = nil
	}
	if q.deleted {
		return
	}
	now := time.Now()
	var next time.Time
	for i := range q.ready {
		for e := q.ready[i].head; e != nil && !e.expires.IsZero(); e = q.ready[i].head {
			if e.expires.After(now) {
				if next.IsZero() || e.expires.Before(next) {
					next = e.expires
				}
				break
			}
			q.take(e)
			q.deadLetter(e, "expired")
		}
	}
	if !next.IsZero() {
		q.expiry = q.v.after(time.Until(next), q.expire)
	}
}

// purge drops what is ready and returns how many messages that were.
func (q *queue) purge() int {
	n := 0
	for e := q.front(); e != nil; e = q.front() {
		q.take(e)
		n++
	}
	return n
}

// used notes that somebody uses the queue, which begins its time anew.
func (q *queue) used() {
	q.uses++
	if q.disuse != nil {
		q.disuse.Stop()
		q.disuse = nil
	}
	if q.limits.expires > 0 && len(q.consumers) == 0 && !q.deleted {
		uses := q.uses
		q.disuse = q.v.after(q.limits.expires, func() {
			if q.uses == uses { // else it was too late to stop
				q.v.deleteQueue(q)
			}
		})
	}
}

// dispatch hands ready messages to consumers that can take them, as long as there
// are any.
func (q *queue) dispatch() {
	for q.count > 0 {
		e := q.front()
		if !e.expires.IsZero() && !e.expires.After(time.Now()) {
			q.take(e)
			q.deadLetter(e, "expired")
			continue
		}
		c := q.next()
		if c == nil {
			return
		}
		q.take(e)
		c.deliver(e)
	}
}

// next returns the consumer whose turn it is, of those of the highest priority that
// can take a message.
func (q *queue) next() *consumer {
	if q.limits.singleActive {
		if len(q.consumers) > 0 && q.consumers[0].ready() {
			return q.consumers[0]
		}
		return nil
	}
	for i, c := range q.consumers {
		if !c.ready() {
			continue
		}
		// It goes behind its equals.
		last := i
		for last+1 < len(q.consumers) && q.consumers[last+1].priority == c.priority {
			last++
		}
		copy(q.consumers[i:last], q.consumers[i+1:last+1])
		q.consumers[last] = c
		return c
	}
	return nil
}

func (q *queue) addConsumer(c *consumer) {
	at := len(q.consumers)
	for at > 0 && q.consumers[at-1].priority < c.priority && (!q.limits.singleActive || at > 1) {
		at--
	}
	q.consumers = slices.Insert(q.consumers, at, c)
	if c.exclusive {
		q.exclusive = c
	}
	q.consumed = true
	q.used()
	q.dispatch()
}

// removeConsumer takes a consumer away, and the queue too if that was its last
// and it is to go with it.
func (q *queue) removeConsumer(c *consumer) {
	q.consumers = slices.DeleteFunc(q.consumers, func(other *consumer) bool { return other == c })
	if q.exclusive == c {
		q.exclusive = nil
	}
	if q.deleted {
		return
	}
	if len(q.consumers) == 0 && q.autoDelete {
		q.v.deleteQueue(q)
		return
	}
	q.used()
	q.dispatch() // the next one may have become the active one
}
