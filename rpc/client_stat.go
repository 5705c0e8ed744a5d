package rpc

// ClientStat is a client at one moment. Counters count since NewClient.
type ClientStat struct {
	Waiting  int    // calls that wait for their reply
	Retrying int    // messages that wait to be published again
	Calls    uint64 // started
	Casts    uint64 // fanouts included
	Notified uint64
	Retried  uint64 // publishes that were repeated
	GaveUp   uint64 // messages that the broker did not take

	Replies     uint64 // that ended a call
	LateReplies uint64 // to calls that had ended, or that are unknown
	KeepAlives  uint64
	Malformed   uint64 // replies that could not be read
	QueuesLost  uint64 // times the reply queue was lost
	Silent      uint64 // calls whose monitor ran out
	TimedOut    uint64 // calls that ended with their ctx
}

// Stat returns the client's state and counters. What happens meanwhile may be
// in some of them and not in others.
func (c *Client) Stat() ClientStat {
	w := c.replies.waiting.Stat()
	return ClientStat{
		Waiting:     w.Waiting,
		Retrying:    int(c.retrying.Load()),
		Calls:       c.calls.Load(),
		Casts:       c.casts.Load(),
		Notified:    c.notified.Load(),
		Retried:     c.retried.Load(),
		GaveUp:      c.gaveUp.Load(),
		Replies:     w.Delivered,
		LateReplies: w.Unmatched(),
		KeepAlives:  w.Beats,
		Malformed:   c.replies.malformed.Load(),
		QueuesLost:  c.replies.losses.Load(),
		Silent:      w.Silent,
		TimedOut:    w.Canceled,
	}
}
