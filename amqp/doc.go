// Package amqp connects the router to RabbitMQ over AMQP 0-9-1.
//
// A [Broker] keeps one connection for sending, whose confirm-mode channels are
// pooled, and one connection for each listener. It redials by itself, for
// ever, over a shuffled list of hosts. Publishes are pipelined: [Broker.Sender]
// returns before the broker has answered, and each confirm, refusal or return
// is matched to its publish. [Broker.Listen] keeps a consumer alive and gives
// every delivery a settler that belongs to one session, so that no delivery
// tag of a lost channel is ever acknowledged on the next.
//
// A message passes through unchanged: all properties and header values keep
// their AMQP types. Two things are lost in the library below. The deprecated
// cluster-id property is not exposed by it. And a property that is present but
// zero (an empty string, priority 0, a table without entries, a timestamp at
// Go's zero time) cannot be told from an absent one, and is not sent on.
package amqp
