package broker

import (
	"slices"
	"sync"
	"time"
)

// Faults makes a server do what brokers do on bad days. Each method arms one
// fault, that holds until it was used up; they may be combined. The methods are
// safe for concurrent use.
type Faults struct {
	srv *Server

	mu       sync.Mutex // protects the fields below
	drops    int
	nacks    int
	returns  int
	doubles  int
	refused  int
	cutAfter int // bytes that are still written; 0 is no cut
	cutMatch func(name string) bool
	cutting  bool
	delay    time.Duration
	stalled  chan struct{} // closed when reading goes on
}

func (f *Faults) arm(set func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	set()
}

// spend takes one of n and reports whether there was one.
func (f *Faults) spend(n *int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *n == 0 {
		return false
	}
	*n--
	return true
}

// DropConfirms takes the next n messages that are published with confirms, and
// never says so.
func (f *Faults) DropConfirms(n int) { f.arm(func() { f.drops = n }) }

// DelayConfirms holds all confirms back for a time; 0 ends it. Confirms of one
// channel stay in order.
func (f *Faults) DelayConfirms(d time.Duration) { f.arm(func() { f.delay = d }) }

// NackPublishes refuses the next n messages that are published with confirms: they
// reach no queue.
func (f *Faults) NackPublishes(n int) { f.arm(func() { f.nacks = n }) }

// ReturnPublishes returns the next n mandatory messages as if no queue took them.
func (f *Faults) ReturnPublishes(n int) { f.arm(func() { f.returns = n }) }

// DeliverTwice sends the next n deliveries two times, with one tag. With automatic
// acknowledgement it has no effect.
func (f *Faults) DeliverTwice(n int) { f.arm(func() { f.doubles = n }) }

// RefuseDials closes the next n connections as they come.
func (f *Faults) RefuseDials(n int) { f.arm(func() { f.refused = n }) }

// CutAfter closes the connection that is sent the last of n more bytes, in the middle
// of a frame if that is where it is. Those count that go to connections whose name
// match accepts; match nil is all. It works once; n is at least 1.
func (f *Faults) CutAfter(match func(name string) bool, n int) {
	f.arm(func() { f.cutAfter, f.cutMatch, f.cutting = max(n, 1), match, true })
}

// StallReads stops reading from all connections until the returned function is
// called.
func (f *Faults) StallReads() (resume func()) {
	f.arm(func() {
		if f.stalled == nil {
			f.stalled = make(chan struct{})
		}
	})
	return f.release
}

// release lets reading go on.
func (f *Faults) release() {
	f.arm(func() {
		if f.stalled != nil {
			close(f.stalled)
			f.stalled = nil
		}
	})
}

// Block tells publishers that resources are low, and stops reading from those that
// publish nevertheless, until Unblock.
func (f *Faults) Block() { f.srv.disk(true) }

// Unblock ends Block.
func (f *Faults) Unblock() { f.srv.disk(false) }

// CancelConsumers cancels all consumers of a queue, as if it had failed over, and
// returns how many.
func (f *Faults) CancelConsumers(vhost, queue string) int {
	return f.endConsumers(vhost, queue, func(c *consumer) { c.ch.cancelled(c) })
}

// ForgetConsumers is CancelConsumers without a word to the clients, who wait for
// deliveries in vain.
func (f *Faults) ForgetConsumers(vhost, queue string) int {
	return f.endConsumers(vhost, queue, func(*consumer) {})
}

func (f *Faults) endConsumers(vhost, queue string, tell func(c *consumer)) int {
	v := f.srv.vhosts[vhost]
	if v == nil {
		return 0
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	q := v.queues[queue]
	if q == nil {
		return 0
	}
	ended := slices.Clone(q.consumers)
	for _, c := range ended {
		q.removeConsumer(c)
		tell(c)
	}
	return len(ended)
}

// CloseConnections closes all connections whose name match accepts with a code, and
// returns how many; match nil is all.
func (f *Faults) CloseConnections(match func(name string) bool, code uint16, text string) int {
	conns := f.connections(match)
	for _, c := range conns {
		c.shutdown(&exception{code: code, text: text, connection: true})
	}
	return len(conns)
}

// CutConnections closes the sockets of all connections whose name match accepts,
// without a word, and returns how many; match nil is all.
func (f *Faults) CutConnections(match func(name string) bool) int {
	conns := f.connections(match)
	for _, c := range conns {
		c.out.abandon()
		_ = c.nc.Close()
	}
	return len(conns)
}

// CloseChannels closes all channels of the connections whose name match accepts
// with a code, and returns how many; match nil is all.
func (f *Faults) CloseChannels(match func(name string) bool, code uint16, text string) int {
	n := 0
	for _, c := range f.connections(match) {
		c.v.mu.Lock()
		for _, ch := range c.channels {
			if !ch.closing {
				n++
				ch.fail(&exception{code: code, text: text})
			}
		}
		c.v.mu.Unlock()
	}
	return n
}

// connections returns the open connections that match accepts.
func (f *Faults) connections(match func(name string) bool) []*conn {
	f.srv.mu.Lock()
	defer f.srv.mu.Unlock()
	var conns []*conn
	for c := range f.srv.conns {
		if c.open.Load() && (match == nil || match(c.name)) {
			conns = append(conns, c)
		}
	}
	return conns
}

func (f *Faults) drop() bool     { return f.spend(&f.drops) }
func (f *Faults) nack() bool     { return f.spend(&f.nacks) }
func (f *Faults) returned() bool { return f.spend(&f.returns) }
func (f *Faults) twice() bool    { return f.spend(&f.doubles) }
func (f *Faults) refuses() bool  { return f.spend(&f.refused) }

// dropping reports whether a confirm is still to be dropped.
func (f *Faults) dropping() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.drops > 0
}

func (f *Faults) confirmDelay() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.delay
}

// reading returns nil, or what is closed when reading may go on.
func (f *Faults) reading() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stalled == nil {
		return nil
	}
	return f.stalled
}

// cut returns what of data is to be written to the connection of that name, and
// whether it is to be closed behind it.
func (f *Faults) cut(name string, data []byte) ([]byte, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.cutting || f.cutMatch != nil && !f.cutMatch(name) {
		return data, false
	}
	if len(data) < f.cutAfter {
		f.cutAfter -= len(data)
		return data, false
	}
	f.cutting = false
	return data[:f.cutAfter], true
}
