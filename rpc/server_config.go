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
)

const (
	duplicateTTL   = 2 * time.Minute
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
// timeout has passed. The error is sent to the caller of a call: a
// *[RemoteError] as it is, any other by its text. The reply to a cast is
// dropped. A panic is answered like an error, without its text. Handlers are
// called concurrently.
type Handler func(ctx context.Context, in *Incoming) (Reply, error)

// Ack is when a server acknowledges a request.
type Ack uint8

const (
	// AckEarly acknowledges before the handler runs, once a worker is free: a
	// request is run at most once, and is lost if the process dies meanwhile.
	// It is what oslo.messaging does.
	AckEarly Ack = iota
	// AckLate acknowledges after the reply was confirmed or given up: a request
	// is run at least once, and again if the process or its connection dies.
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
	// Duplicates is how many unique ids are remembered, for two minutes at
	// most, to drop what comes twice. The default is 8192; below 0 is none.
	Duplicates int
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
	if c.Duplicates == 0 {
		c.Duplicates = DefaultDuplicates
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
	case c.DrainTimeout < 0 || c.ReplyRetry < 0:
		return errors.New("rpc: a server's times must not be negative")
	case c.Ack > AckLate:
		return errors.New("rpc: a server's Ack is AckEarly or AckLate")
	}
	return nil
}
