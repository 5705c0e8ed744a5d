package rpc

// ServerStat is a server at one moment. Counters count since NewServer.
type ServerStat struct {
	Running    int    // handlers
	Retrying   int    // replies that wait to be published again
	Missing    int    // reply queues that replies wait for
	Received   uint64 // messages
	Casts      uint64 // requests that want no reply
	Malformed  uint64 // messages that could not be read and name no caller, and were dropped
	Duplicates uint64 // requests that came twice, and were dropped
	Failed     uint64 // requests that were answered with a failure
	Panics     uint64 // of handlers
	Again      uint64 // requests given back to the broker
	Unfit      uint64 // replies that could not be sent as they were; a failure was sent instead
	Replies    uint64 // that the broker took
	GaveUp     uint64 // replies that it did not take in time
	ToGone     uint64 // replies that were not tried, as their queue is known to be gone
	Retried    uint64 // publishes that were repeated
	KeepAlives uint64
}

// Stat returns the server's state and counters. What happens meanwhile may be
// in some of them and not in others.
func (s *Server) Stat() ServerStat {
	c := &s.counters
	return ServerStat{
		Running:    int(c.running.Load()),
		Retrying:   s.out.pending(),
		Missing:    s.out.missing(),
		Received:   c.received.Load(),
		Casts:      c.casts.Load(),
		Malformed:  c.malformed.Load(),
		Duplicates: c.duplicates.Load(),
		Failed:     c.failed.Load(),
		Panics:     c.panics.Load(),
		Again:      c.again.Load(),
		Unfit:      c.unfit.Load(),
		Replies:    c.replies.Load(),
		GaveUp:     c.gaveUp.Load(),
		ToGone:     c.toGone.Load(),
		Retried:    s.out.retried.Load(),
		KeepAlives: c.keepAlives.Load(),
	}
}
