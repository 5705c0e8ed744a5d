// Package rpc gives programs and the command line the operations of the
// messaging world: call, cast, fanout, notify, serve and listen for
// notifications. It speaks to the broker through the ports
// [router.Sender] and [router.Listener], which the caller provides, and to
// its peers in a [Format]: [Oslo], which interoperates with oslo.messaging, or
// [Plain], in which the body is the payload and the headers are the context.
//
// A [Client] bounds every operation with one deadline that covers connecting,
// publishing and waiting; a [Remote] is a service that it talks to. A [Server]
// answers calls with a bounded number of workers. A [Notifier] tells what has
// happened, and a [NotificationListener] hands that over, at least once. Package
// transport makes all of them from a transport URL.
package rpc

import "errors"

var (
	// ErrNoListener: the broker returned the message, as no queue takes it:
	// nobody listens, or never has. It comes with [router.ErrUnroutable].
	ErrNoListener = errors.New("nobody listens")
	// ErrReplyQueueLost: the queue for replies is gone, and with it the reply.
	// The server may have run the method.
	ErrReplyQueueLost = errors.New("the reply queue is lost")
	// ErrSilent: the server sent neither a reply nor a keep-alive for as long
	// as the request's monitor allows.
	ErrSilent = errors.New("the server is silent")
	// ErrClosed: the Client or Server was closed.
	ErrClosed = errors.New("closed")
	// ErrFormat is wrapped by errors about a message that the format cannot
	// express, or cannot read.
	ErrFormat = errors.New("format")
	// ErrAgain, wrapped by the error of a [Handler] of a server that
	// acknowledges late, gives the request back to the broker instead of
	// answering it, a second later.
	ErrAgain = errors.New("to be delivered again")
)
