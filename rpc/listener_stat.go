package rpc

import "sync/atomic"

type listenerCounters struct {
	inHand, resting                                 atomic.Int64
	received, handled, unwanted, unknown, malformed atomic.Uint64
	duplicates, failed, panics, again               atomic.Uint64
	deadLetters, dropped                            atomic.Uint64
}

// NotificationStat is a listener at one moment. Counters count since
// NewNotificationListener.
type NotificationStat struct {
	InHand  int // notifications that are not settled
	Resting int // those among them that failed and wait to be handled again

	Received    uint64 // messages
	Handled     uint64 // notifications that their endpoints have handled
	Unwanted    uint64 // notifications that no endpoint wants
	Unknown     uint64 // notifications of a priority that does not exist; acknowledged
	Malformed   uint64 // messages that are no notifications
	Duplicates  uint64 // notifications that came twice; acknowledged
	Failed      uint64 // times that an endpoint did not handle a notification
	Panics      uint64 // of handlers
	Again       uint64 // notifications given back to the broker
	DeadLetters uint64 // that were sent
	Dropped     uint64 // notifications and malformed messages that were given up, without a dead letter
}

// Stat returns the listener's state and counters. What happens meanwhile may be
// in some of them and not in others.
func (l *NotificationListener) Stat() NotificationStat {
	c := &l.counters
	return NotificationStat{
		InHand:      int(c.inHand.Load()),
		Resting:     int(c.resting.Load()),
		Received:    c.received.Load(),
		Handled:     c.handled.Load(),
		Unwanted:    c.unwanted.Load(),
		Unknown:     c.unknown.Load(),
		Malformed:   c.malformed.Load(),
		Duplicates:  c.duplicates.Load(),
		Failed:      c.failed.Load(),
		Panics:      c.panics.Load(),
		Again:       c.again.Load(),
		DeadLetters: c.deadLetters.Load(),
		Dropped:     c.dropped.Load(),
	}
}
