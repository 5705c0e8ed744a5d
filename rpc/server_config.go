package rpc

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/wasmrouter/router/router"
)

// Defaults of [ServerConfig].
const (
	DefaultWorkers      = 64
	DefaultDrainTimeout = 25 * time.Second
	DefaultReplyRetry   = 60 * time.Second
	DefaultDuplicates   = 8192
	DefaultMaxReply     = 16 << 20

	// DefaultDuplicateWindow is longer than any client tries to publish again.
	DefaultDuplicateWindow = 2 * time.Minute
)

const (
	minReply       = 4096
	againPause     = time.Second
	goneQueues     = 200 // reply queues that are remembered as gone
	goneTTL        = time.Minute
	directReplies  = "amq.rabbitmq.reply-to"
	internalModule = "wasmrouter.rpc"
)

// Incoming is a request as a server receives it.
type Incoming struct {
	Request
	Ticket Ticket
	Origin router.Origin
}

// Handler answers one request. Ctx ends when the caller has stopped waiting,
// as far as the server can know, or when the server stops and its drain
// timeout has passed; [IncomingFrom] gives the request out of it. The error is
// sent to the caller of a call: a *[RemoteError] as it is, a [Failure] as it
// says, any other by its text. The reply to a cast is dropped. A panic is
// answered like an error, without its text. Handlers are called concurrently.
type Handler func(ctx context.Context, in *Incoming) (Reply, error)

// Ack is when a server acknowledges a request.
type Ack uint8

const (
	// AckEarly acknowledges before the handler runs, once a worker is free: a
	// request is run at most once, and is lost if the process dies meanwhile.
	// It is what oslo.messaging does.
	AckEarly Ack = iota
	// AckLate acknowledges after the reply was confirmed or given up, or its
	// queue found missing: a request is run at least once, and again if the
	// process or its connection dies.
	AckLate
)

// ServerConfig says how a server works.
type ServerConfig struct {
	// Listener listens for requests. Required.
	Listener router.Listener
	// Sender publishes replies. The server takes it over and closes it.
	// Required.
	Sender router.Sender
	// Format is how messages are written. Required.
	Format Format
	// Ack is when requests are acknowledged.
	Ack Ack
	// Workers bounds how many handlers run at once; further requests stay with
	// the broker, save each source's prefetch. The default is 64.
	Workers int
	// DrainTimeout is how long running handlers may take when Serve's ctx has
	// ended, before their own ctx ends. The default is 25 s.
	DrainTimeout time.Duration
	// ReplyRetry bounds for how long a reply is sent again whose queue is
	// missing or that the broker does not confirm; the caller's own timeout
	// bounds it too. The default is 60 s.
	ReplyRetry time.Duration
	// MaxReply bounds the body of a reply, in bytes: beyond it the caller gets
	// a failure that says so. The default is 16 MiB, which is what a broker of
	// version 4 takes.
	MaxReply int
	// Duplicates is how many unique ids are remembered, each for
	// DuplicateWindow, to drop what comes twice. The defaults are 8192 and two
	// minutes; Duplicates below 0 is none.
	Duplicates      int
	DuplicateWindow time.Duration
	// Expected are the errors of handlers that are no news: they are sent to
	// the caller like any other, and logged at the level debug. So are those
	// of methods whose name ends in _ignore_errors, as with oslo.messaging.
	Expected []Expectation
	// Tracer follows requests and replies; nil follows nothing.
	Tracer Tracer
	// Logger gets what nobody else is told of. The default discards.
	Logger *slog.Logger
}

func (c ServerConfig) withDefaults() ServerConfig {
	if c.Workers == 0 {
		c.Workers = DefaultWorkers
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = DefaultDrainTimeout
	}
	if c.ReplyRetry == 0 {
		c.ReplyRetry = DefaultReplyRetry
	}
	if c.MaxReply == 0 {
		c.MaxReply = DefaultMaxReply
	}
	if c.Duplicates == 0 {
		c.Duplicates = DefaultDuplicates
	}
	if c.DuplicateWindow == 0 {
		c.DuplicateWindow = DefaultDuplicateWindow
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c ServerConfig) validate() error {
	switch {
	case c.Listener == nil || c.Sender == nil || c.Format == nil:
		return errors.New("rpc: a server needs a Listener, a Sender and a Format")
	case c.Workers < 1:
		return errors.New("rpc: a server needs at least one worker")
	case c.DrainTimeout < 0 || c.ReplyRetry < 0 || c.DuplicateWindow < 0:
		return errors.New("rpc: a server's times must not be negative")
	case c.MaxReply < minReply:
		return errors.New("rpc: a server's MaxReply is at least 4096 bytes, as a failure has to fit in")
	case c.Ack > AckLate:
		return errors.New("rpc: a server's Ack is AckEarly or AckLate")
	}
	return nil
}
