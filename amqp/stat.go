package amqp

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/pool"
)

// Stat is a broker's state at one moment.
type Stat struct {
	Connections []ConnectionStat // the send connection first, then one for each listener, also if they share one

	InFlight      int64 // publishes that the broker has not answered
	InFlightBytes int64 // bodies of those

	Published   uint64 // messages handed to the broker
	Confirmed   uint64 // of them: taken by the broker and not returned
	Returned    uint64 // of them: unroutable
	Nacked      uint64 // of them: refused
	Unconfirmed uint64 // of them: channel lost or confirm timed out
	Unsendable  uint64 // refused by us before, or by the broker because of, publishing

	Delivered   uint64 // messages handed to listeners
	Acked       uint64 // deliveries acknowledged to the broker
	Requeued    uint64 // deliveries given back to the broker
	AcksDropped uint64 // settlements of dead sessions; the broker delivers those again

	Channels pool.Stat // confirm channels of the send connection
}

// ConnectionStat is one connection's state at one moment.
type ConnectionStat struct {
	Purpose    string // "send", or "listen" and the queue
	Alias      string // Purpose with the source's Alias, which stays the same, in place of the queue
	Connected  bool
	Blocked    bool
	BlockedFor time.Duration // in total
	Host       string        // host:port connected to, or last tried
	Connects   uint64        // successful connects
	Reconnects uint64        // of them, those after the first
	Consuming  bool          // of a listener: its consumer is registered
	Poisoned   uint64        // losses because a delivery could not be decoded
	Quarantine bool          // consuming one message at a time because of them, or of bodies beyond the source's MaxBody
	Lacks      string        // what of the topology could not be declared, and why; empty if nothing
	LastError  string        // of the last loss or failure; kept after recovery
	LastLoss   time.Time     // zero if there was none
}

// counters are the broker's counts since New.
type counters struct {
	inFlightBytes atomic.Int64

	published, confirmed, returned, nacked, unconfirmed atomic.Uint64
	unsendable                                          atomic.Uint64 // before publishing
	refused                                             atomic.Uint64 // by a channel exception

	delivered, acked, requeued, acksDropped atomic.Uint64
}

// listenTo begins the purpose of a listener's connection.
const listenTo = "listen "

// line is the state of one purpose's connection, over all its reconnects.
type line struct {
	purpose string
	alias   string // of the queue in it; "" is none

	// mu protects the fields below.
	mu      sync.Mutex
	stat    ConnectionStat
	conn    *conn
	blocked time.Duration // of earlier connections
	shun    string        // the host whose connection was given up because nothing was answered
}

func (l *line) shunned() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shun
}

func (l *line) trying(addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stat.Host = addr
}

func (l *line) up(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = c
	l.stat.Connected, l.stat.Host = true, c.host
	if l.stat.Connects > 0 {
		l.stat.Reconnects++
	}
	l.stat.Connects++
}

// down notes the end of the connection, or the failure to make one or to
// consume.
func (l *line) down(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.blocked += l.conn.gate.blocked()
		if l.shun = ""; l.conn.unheard.Load() >= maxUnheard {
			l.shun = l.conn.host
		}
	}
	l.conn = nil
	l.stat.Connected, l.stat.Consuming, l.stat.Lacks = false, false, ""
	l.note(err)
}

// lacking notes why the topology is not complete; nil is that it is.
func (l *line) lacking(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stat.Lacks = ""
	if err != nil {
		l.stat.Lacks = err.Error()
	}
	l.note(err)
}

func (l *line) note(err error) {
	if err != nil {
		l.stat.LastError, l.stat.LastLoss = err.Error(), time.Now()
	}
}

func (l *line) consuming(yes bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stat.Consuming = yes
	l.note(err)
}

func (l *line) quarantine(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stat.Quarantine = on
}

func (l *line) poisoned() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stat.Poisoned++
}

func (l *line) snapshot() ConnectionStat {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stat
	s.Purpose, s.Alias, s.BlockedFor = l.purpose, l.purpose, l.blocked
	if l.alias != "" {
		s.Alias = listenTo + l.alias
	}
	if l.conn != nil {
		s.Blocked = l.conn.gate.shut.Load()
		s.BlockedFor += l.conn.gate.blocked()
	}
	return s
}

// Stat returns the broker's state and counts. It is cheap and may be called at
// any time.
func (b *Broker) Stat() Stat {
	n := &b.count
	s := Stat{
		InFlightBytes: n.inFlightBytes.Load(),
		Published:     n.published.Load(),
		Confirmed:     n.confirmed.Load(),
		Returned:      n.returned.Load(),
		Nacked:        n.nacked.Load(),
		Unconfirmed:   n.unconfirmed.Load(),
		Unsendable:    n.unsendable.Load() + n.refused.Load(),
		Delivered:     n.delivered.Load(),
		Acked:         n.acked.Load(),
		Requeued:      n.requeued.Load(),
		AcksDropped:   n.acksDropped.Load(),
		Channels:      b.pool.Stat(),
	}
	// The counts are not of one moment.
	s.InFlight = max(0, int64(s.Published)-int64(s.Confirmed+s.Returned+s.Nacked+s.Unconfirmed+n.refused.Load()))
	b.mu.Lock()
	lines := append([]*line{&b.supply.line}, b.lines...)
	b.mu.Unlock()
	for _, l := range lines {
		s.Connections = append(s.Connections, l.snapshot())
	}
	return s
}
