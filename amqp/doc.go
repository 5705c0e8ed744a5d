// Package amqp connects the router to RabbitMQ over AMQP 0-9-1.
//
// A [Broker] keeps one connection for sending, whose confirm-mode channels are
// pooled, and one connection for each listener, or one for all of them. It
// redials by itself, for ever, over a shuffled list of hosts. Publishes are
// pipelined: [Broker.Sender] returns before the broker has answered, and each
// confirm, refusal or return is matched to its publish. [Broker.Listen] keeps a
// consumer alive and gives every delivery a settler that belongs to one
// session, so that no delivery tag of a lost channel is ever acknowledged on
// the next.
//
// A message passes through unchanged: all properties and header values keep
// their AMQP types. Two things are lost in the library below. The deprecated
// cluster-id property is not exposed by it. And a property that is present but
// zero (an empty string, priority 0, headers without entries) cannot be told
// from an absent one, and is not sent on.
//
// What the broker would close a channel or connection for, taking everything
// else in flight with it, is refused before publishing: see
// [router.ErrUnsendable]. Among that are header numbers that are not finite,
// which RabbitMQ cannot represent. What only the broker knows, such as a
// missing exchange, costs the channel: the message at fault gets a lasting
// error, the others get [router.ErrUnconfirmed] and are to be sent again. If
// the broker does not say which message was at fault, the sender publishes one
// at a time until it is found.
//
// Goroutines: one that keeps the send connection and one for a shared listen
// connection, one that watches and one that
// writes for each connection, one that settles for each confirm channel, two
// for each consumer (acknowledgements and the channel's end), besides those of
// the library. Each is waited for when its connection is closed, and all by
// [Broker.Close]. Locks protect memory only; none is held during I/O or while
// receipts and handlers run. A line's lock may be held while a gate's is taken,
// and the supply's while that of its tasks is; no other two are held together.
package amqp
