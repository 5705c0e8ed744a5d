package broker

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Stat is what a [Server] holds at one moment. Each virtual host is looked at
// once, and they are looked at one after the other.
type Stat struct {
	// Connections are the open ones, the oldest first.
	Connections []ConnectionStat `json:"connections"`
	// Exchanges are sorted by virtual host and name, those that always exist
	// among them.
	Exchanges []ExchangeStat `json:"exchanges"`
	// Queues are sorted by virtual host and name.
	Queues []QueueStat `json:"queues"`
	// Memory is what messages take, in bytes, and MaxMemory what they may take
	// before those that publish have to wait.
	Memory    int64 `json:"memory"`
	MaxMemory int64 `json:"max_memory"`
	// Blocked says what is short when those that publish have to wait: memory, or
	// disk if a fault says so. Otherwise it is empty.
	Blocked string `json:"blocked,omitempty"`
}

// ConnectionStat is one connection.
type ConnectionStat struct {
	// Name is what the client calls it, if anything.
	Name string `json:"name,omitempty"`
	// Client is the client's address; "pipe" is one that has none.
	Client string    `json:"client"`
	User   string    `json:"user"`
	VHost  string    `json:"vhost"`
	Since  time.Time `json:"since"`
	// State is running; blocked, which is a connection that publishes and is not
	// read from; or closing.
	State     string `json:"state"`
	Channels  int    `json:"channels"`
	Consumers int    `json:"consumers"`
	Unacked   int    `json:"unacked"`
}

// ExchangeStat is one exchange.
type ExchangeStat struct {
	VHost      string         `json:"vhost"`
	Name       string         `json:"name"` // empty is the default exchange
	Kind       string         `json:"type"`
	Durable    bool           `json:"durable"`
	AutoDelete bool           `json:"auto_delete"`
	Internal   bool           `json:"internal"`
	Args       map[string]any `json:"arguments,omitempty"`
	Bindings   int            `json:"bindings"` // those that lead away from it
}

// QueueStat is one queue.
type QueueStat struct {
	VHost      string         `json:"vhost"`
	Name       string         `json:"name"`
	Durable    bool           `json:"durable"`
	Exclusive  bool           `json:"exclusive"`
	AutoDelete bool           `json:"auto_delete"`
	Args       map[string]any `json:"arguments,omitempty"`
	Ready      int            `json:"messages_ready"`
	Bytes      int64          `json:"message_bytes_ready"` // of the bodies of ready messages
	Unacked    int            `json:"messages_unacknowledged"`
	Consumers  int            `json:"consumers"`
	Bindings   int            `json:"bindings"` // that lead to it, but for the default exchange's
	// Published counts the messages that came in, and Delivered how often one was
	// handed out, again included. Both count since the queue was declared.
	Published uint64 `json:"published"`
	Delivered uint64 `json:"delivered"`
	// Consumed says who the consumers are, in the order of their turns.
	Consumed []ConsumerStat `json:"consumer_details,omitempty"`
}

// ConsumerStat is one consumer of a queue.
type ConsumerStat struct {
	Client  string    `json:"client"` // as in ConnectionStat
	Channel uint16    `json:"channel"`
	Tag     string    `json:"consumer_tag"`
	Since   time.Time `json:"since"`
}

// Stat returns a snapshot.
func (s *Server) Stat() Stat {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		if c.open.Load() {
			conns = append(conns, c)
		}
	}
	stat := Stat{Memory: s.used.Load(), MaxMemory: s.cfg.MaxMemory, Blocked: s.blocked}
	s.mu.Unlock()

	for _, c := range conns {
		stat.Connections = append(stat.Connections, c.stat(stat.Blocked != ""))
	}
	for _, v := range s.vhosts {
		v.stat(&stat)
	}
	slices.SortFunc(stat.Connections, func(a, b ConnectionStat) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Client, b.Client))
	})
	slices.SortFunc(stat.Exchanges, func(a, b ExchangeStat) int {
		return cmp.Or(cmp.Compare(a.VHost, b.VHost), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(stat.Queues, func(a, b QueueStat) int {
		return cmp.Or(cmp.Compare(a.VHost, b.VHost), cmp.Compare(a.Name, b.Name))
	})
	return stat
}

func (c *conn) stat(blocked bool) ConnectionStat {
	stat := ConnectionStat{
		Name: c.name, Client: c.nc.RemoteAddr().String(), User: c.user, VHost: c.v.name, Since: c.since, State: "running",
	}
	switch {
	case c.closing.Load():
		stat.State = "closing"
	case blocked && c.publishes.Load():
		stat.State = "blocked"
	}
	c.v.mu.Lock()
	defer c.v.mu.Unlock()
	for _, ch := range c.channels {
		stat.Channels++
		stat.Consumers += len(ch.consumers)
		for i := range ch.out {
			if !ch.out[i].done {
				stat.Unacked++
			}
		}
	}
	return stat
}

// stat adds the exchanges and queues.
func (v *vhost) stat(stat *Stat) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, x := range v.exchanges {
		stat.Exchanges = append(stat.Exchanges, ExchangeStat{
			VHost: v.name, Name: x.name, Kind: x.kind, Durable: x.durable, AutoDelete: x.autoDelete, Internal: x.internal,
			Args: x.args.plain(), Bindings: len(x.bindings),
		})
	}
	for _, q := range v.queues {
		var consumed []ConsumerStat
		for _, c := range q.consumers {
			consumed = append(consumed, ConsumerStat{Client: c.ch.c.nc.RemoteAddr().String(), Channel: c.ch.id, Tag: c.tag, Since: c.since})
		}
		stat.Queues = append(stat.Queues, QueueStat{
			VHost: v.name, Name: q.name, Durable: q.durable, Exclusive: q.owner != nil, AutoDelete: q.autoDelete, Args: q.args.plain(),
			Ready: q.count, Bytes: q.bytes, Unacked: q.unacked, Consumers: len(q.consumers), Bindings: len(q.bindings),
			Published: q.published, Delivered: q.delivered, Consumed: consumed,
		})
	}
}

// plain returns the table as Go has it, nil if it is empty.
func (t table) plain() map[string]any {
	if len(t) == 0 {
		return nil
	}
	m := make(map[string]any, len(t))
	for _, f := range t {
		m[f.name] = plain(f.value)
	}
	return m
}

func plain(v any) any {
	switch v := v.(type) {
	case table:
		return v.plain()
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	case decimal:
		return float64(v.value) / math.Pow10(int(v.scale))
	}
	return v
}
