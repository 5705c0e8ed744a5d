package broker

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strings"
	"sync"
	"time"
)

// vhost is one namespace of exchanges and queues. Its lock protects everything in
// it, and the channels of its connections.
type vhost struct {
	srv  *Server
	name string

	mu        sync.Mutex
	exchanges map[string]*exchange
	queues    map[string]*queue
	replies   map[string]*consumer // of direct replies, by the token of their address
	burials   []burial             // dead messages that are being passed on; empty between calls
	closed    bool
}

func newVHost(srv *Server, name string) *vhost {
	v := &vhost{srv: srv, name: name, exchanges: map[string]*exchange{}, queues: map[string]*queue{}, replies: map[string]*consumer{}}
	for name, kind := range map[string]string{
		"": "direct", "amq.direct": "direct", "amq.fanout": "fanout", "amq.topic": "topic", "amq.headers": "headers", "amq.match": "headers",
	} {
		v.exchanges[name] = &exchange{name: name, kind: kind, durable: true, byKey: map[string][]*binding{}}
	}
	return v
}

// after calls f, with the lock held, when d is over.
func (v *vhost) after(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if !v.closed {
			f()
		}
	})
}

// memory notes that messages take more or less of it.
func (v *vhost) memory(n int64) { v.srv.memory(n) }

// newName returns a name that nobody has.
func newName(prefix string) string {
	var b [16]byte
	rand.Read(b[:])
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

func (v *vhost) deleteQueue(q *queue) {
	if q.deleted {
		return
	}
	q.purge()
	q.deleted = true
	delete(v.queues, q.name)
	for _, t := range []*time.Timer{q.expiry, q.disuse} {
		if t != nil {
			t.Stop()
		}
	}
	for _, b := range slices.Clone(q.bindings) {
		v.unbind(b)
	}
	if q.owner != nil {
		q.owner.exclusives = slices.DeleteFunc(q.owner.exclusives, func(other *queue) bool { return other == q })
	}
	for _, c := range slices.Clone(q.consumers) {
		c.ch.cancelled(c)
	}
	q.consumers = nil
}

// unbind takes a binding away, and the exchange too if that was its last and it is
// to go with it.
func (v *vhost) unbind(b *binding) {
	b.from.unbind(b)
	if b.from.autoDelete && len(b.from.bindings) == 0 {
		v.deleteExchange(b.from)
	}
}

func (v *vhost) deleteExchange(x *exchange) {
	if v.exchanges[x.name] != x {
		return
	}
	delete(v.exchanges, x.name)
	for _, b := range slices.Clone(x.bindings) {
		x.unbind(b)
	}
	for _, b := range slices.Clone(x.inbound) {
		v.unbind(b)
	}
}

// findQueue returns a queue that the connection may use.
func (v *vhost) findQueue(c *conn, name string) (*queue, *exception) {
	q := v.queues[name]
	if q == nil {
		return nil, channelError(codeNotFound, "no queue '%s' in vhost '%s'", name, v.name)
	}
	if q.owner != nil && q.owner != c {
		return nil, channelError(codeResourceLocked, "cannot obtain exclusive access to locked queue '%s' in vhost '%s'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.", name, v.name)
	}
	return q, nil
}

func (v *vhost) findExchange(name string) (*exchange, *exception) {
	x := v.exchanges[name]
	if x == nil {
		return nil, channelError(codeNotFound, "no exchange '%s' in vhost '%s'", name, v.name)
	}
	return x, nil
}

func reserved(kind, name string) *exception {
	if strings.HasPrefix(name, "amq.") {
		return channelError(codeAccessRefused, "%s name '%s' contains reserved prefix 'amq.*'", kind, name)
	}
	return nil
}
