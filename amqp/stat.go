package amqp

import (
	"time"
)

// Stat is a broker's state at one moment.
type Stat struct {
	Connections []ConnectionStat // the send connection first, then listeners by purpose

	InFlight      int   // publishes that the broker has not answered
	InFlightBytes int64 // bodies of those

	Published   uint64 // messages handed to the broker
	Confirmed   uint64 // of them: answered well and not returned
	Returned    uint64 // of them: unroutable
	Nacked      uint64 // of them: refused
	Unconfirmed uint64 // of them: lost from sight with the channel, or timed out
	Unsendable  uint64 // refused before or because of publishing

	Delivered   uint64 // messages handed to listeners
	Acked       uint64 // acknowledgements sent to the broker
	Requeued    uint64 // deliveries given back
	AcksDropped uint64 // settlements of dead sessions; the broker redelivers those

}

// ConnectionStat is one connection's state at one moment.
type ConnectionStat struct {
	Purpose    string // "send" or "listen <queue>"
	Connected  bool
	Blocked    bool
	Host       string        // host:port connected to, or last tried
	Connects   uint64        // successful connects
	Reconnects uint64        // of them, those after a loss
	BlockedFor time.Duration // in total
	Poisoned   uint64        // losses because a delivery could not be decoded
	Quarantine bool          // consuming one message at a time to find the undecodable one
	LastError  string
	LastLoss   time.Time // zero if never lost
}
