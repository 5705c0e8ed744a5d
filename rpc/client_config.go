package rpc

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/wasmrouter/router/router"
)

// Defaults of [ClientConfig].
const (
	DefaultTimeout       = 60 * time.Second
	DefaultReplyPrefetch = 256
	DefaultSelfCheck     = 5 * time.Second
)

// ClientConfig says how a client reaches its servers.
type ClientConfig struct {
	// Sender publishes. The client takes it over and closes it. Required.
	Sender router.Sender
	// Listener listens for replies. Required for calls.
	Listener router.Listener
	// Declare makes the exchanges and notification queues that messages go to.
	// Without it they must exist.
	Declare Declare
	// Format is how messages are written. Required.
	Format Format
	// Layout is how what is declared is named and made.
	Layout Layout
	// Timeout bounds operations whose ctx has no deadline. The default is 60 s.
	Timeout time.Duration
	// Connect tries each host of the broker once and returns why there is no
	// connection. With it a Sender and a Declare that do not wait for one make
	// Retry exact: that takes no more tries before the first connection than
	// after it. Without it they wait themselves, until the operation's time is up.
	Connect func(ctx context.Context) error
	// Retry is how often an operation is tried again that the broker did not
	// take, for want of a connection, confirmation or room: nil or below 0 is
	// until its time is up, 0 is not at all. Pauses double from 0.1 s to 2 s.
	Retry *int
	// AtMostOnce reports a message that the broker did not confirm as an error,
	// instead of sending it again. Without it the copy carries the same ids as
	// the first, by which a receiver knows it.
	AtMostOnce bool
	// SelfCheck is how long no reply has come, while calls wait, before the broker
	// is asked whether the reply queue and its consumer are still there. The
	// default is 5 s.
	SelfCheck time.Duration
	// Tracer follows what is sent; nil follows nothing.
	Tracer Tracer
	// Logger gets what nobody waits for, such as unreadable replies. The
	// default discards.
	Logger *slog.Logger
}

func (c ClientConfig) withDefaults() ClientConfig {
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.SelfCheck == 0 {
		c.SelfCheck = DefaultSelfCheck
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c ClientConfig) validate() error {
	switch {
	case c.Sender == nil:
		return errors.New("rpc: a client needs a Sender")
	case c.Format == nil:
		return errors.New("rpc: a client needs a Format")
	case c.Timeout < 0 || c.SelfCheck < 0:
		return errors.New("rpc: a client's times must not be negative")
	}
	return c.Layout.Validate()
}
