// Package osloroute is the format "oslo" of the router's routes: filters see
// the inner message, its context and its ids of what oslo.messaging sends, and
// what they leave alone goes on byte for byte as it came.
//
// What filters see of a message:
//
//	body            the inner message as JSON, without the members below
//	headers         the members _context_NAME, under NAME
//	message_id      _unique_id
//	correlation_id  _msg_id
//	reply_to        _reply_q
//	type            call, cast, notification or reply; empty for anything else
//
// The failure in a reply, on the wire a text that holds JSON, is in the body the
// object itself.
//
// A header is a null, a truth value, an integer of 64 bits, a float, a text, a
// list or a table, as the JSON is; a number that is none of these is the text
// of its digits. What no header can be, a name of no or more than 255 bytes or
// with control characters and a value nested deeper than 32, is not shown and
// stays. The headers and properties that the message had on the wire are not
// shown either, except content_type, content_encoding, delivery_mode, priority,
// expiration, timestamp, app_id and user_id, and stay.
//
// Two sources make filters of the format: [Requests] for routes that take what
// clients send, and [Replies] for the way back of calls that a route makes in
// its own name ([Calls]).
package osloroute

// Name is the name of the format among a route's filters. No configured filter
// can have it.
const Name = "format:oslo"

// Module is the module of the failures that the router itself answers with.
const Module = "wasmrouter"

// Classes of the failures that the router itself answers with, beside
// MessagingTimeout.
const (
	ClassUndecodable   = "Undecodable"   // the request is no oslo message
	ClassTooLarge      = "TooLarge"      // it is over the route's max_message
	ClassRejected      = "Rejected"      // a filter rejected it
	ClassDropped       = "Dropped"       // a filter dropped it
	ClassFilterFailed  = "FilterFailed"  // a filter failed on it
	ClassNotAllowed    = "NotAllowed"    // a filter chose a target that the route does not allow
	ClassUnroutable    = "Unroutable"    // no queue takes it, or nothing says where it goes
	ClassUndeliverable = "Undeliverable" // the broker did not take it, or all attempts were used up
	ClassBusy          = "Busy"          // the route waits for too many replies
	ClassStopped       = "Stopped"       // the router stopped before the reply came
)
