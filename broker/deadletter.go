package broker

import (
	"time"
)

// deadLetter passes a message that leaves q on to the queue's dead-letter exchange,
// if it has one.
func (q *queue) deadLetter(e *entry, reason string) {
	if !q.limits.hasDLX {
		return
	}
	x := q.v.exchanges[q.limits.dlx]
	if x == nil {
		return
	}
	headers, err := e.m.props.table()
	if err != nil {
		return
	}
	headers = append(table{}, headers...)
	deaths, _ := headers.get("x-death").([]any)
	headers = headers.set("x-death", q.died(deaths, e.m, reason))
	if !headers.has("x-first-death-queue") {
		headers = headers.set("x-first-death-reason", reason)
		headers = headers.set("x-first-death-queue", q.name)
		headers = headers.set("x-first-death-exchange", e.m.exchange)
	}
	m := &message{
		exchange: x.name, key: e.m.key, keys: e.m.keys,
		props: e.m.props.with(headers, false), body: e.m.body,
	}
	if q.limits.hasDLK {
		m.key, m.keys = q.limits.dlk, nil
	}
	list, _ := headers.get("x-death").([]any)
	for _, to := range q.v.route(x, m) {
		if !circles(list, to.name) {
			q.v.bury(to, m)
		}
	}
}

// burial is a dead message on its way to a queue.
type burial struct {
	to *queue
	m  *message
}

// bury puts a dead message into a queue. One that this pushes out of there dies in
// turn, after it: queues that lead to each other take a list and no stack.
func (v *vhost) bury(to *queue, m *message) {
	v.burials = append(v.burials, burial{to, m})
	if len(v.burials) > 1 {
		return // the first call does the rest
	}
	for i := 0; i < len(v.burials); i++ {
		if b := v.burials[i]; b.to.accepts(b.m) {
			b.to.publish(b.m)
		}
	}
	clear(v.burials)
	v.burials = v.burials[:0]
}

// died returns the header x-death with one more death: the newest first, those of
// one queue and reason counted.
func (q *queue) died(deaths []any, m *message, reason string) []any {
	count := int64(1)
	var others []any
	for _, d := range deaths {
		t, ok := d.(table)
		if ok && t.get("queue") == q.name && t.get("reason") == reason {
			if n, ok := integer(t.get("count")); ok {
				count += n
			}
			continue
		}
		others = append(others, d)
	}
	keys := []any{}
	for _, key := range m.routingKeys() {
		keys = append(keys, key)
	}
	death := table{
		{"count", count},
		{"reason", reason},
		{"queue", q.name},
		{"time", time.Now().UTC().Truncate(time.Second)},
		{"exchange", m.exchange},
		{"routing-keys", keys},
	}
	if m.props.flags&propExpiration != 0 {
		death = append(death, field{"original-expiration", m.props.expiration})
	}
	return append([]any{death}, others...)
}

// circles reports whether a message that died as the list says has been in a queue
// before without anybody having rejected it since: it would go round for ever.
func circles(deaths []any, queue string) bool {
	for _, d := range deaths {
		t, ok := d.(table)
		if !ok || t.get("reason") == "rejected" {
			return false
		}
		if t.get("queue") == queue {
			return true
		}
	}
	return false
}
