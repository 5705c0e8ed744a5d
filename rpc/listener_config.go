package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/wasmrouter/router/router"
)

// Defaults and bounds of [NotificationListenerConfig].
const (
	DefaultNotificationWorkers  = 1
	DefaultNotificationPrefetch = 64
	DefaultRequeueDelay         = time.Second
	DefaultBatchTimeout         = time.Second
	// MaxHold is how long a notification that fails again and again stays with
	// one listener, before it is given back to the broker, from where another
	// one may get it. RabbitMQ itself takes back what is not acknowledged for
	// half an hour.
	MaxHold = 10 * time.Minute

	maxPrefetch = 65535 // of AMQP
)

// NotificationHandler takes one notification, whose fields and Context are as
// they were received. If it returns an error or panics, the notification comes
// again after a delay, with Origin.Redelivered set. Ctx ends when the listener stops and its drain timeout
// has passed.
type NotificationHandler func(ctx context.Context, n *Notification) error

// BatchHandler takes notifications of one priority, at least one and at most
// BatchSize. If it returns an error or panics, all of them come again after a
// delay; if the error is a [BatchError], only those that it names.
type BatchHandler func(ctx context.Context, batch []*Notification) error

// BatchError says which notifications of a batch failed, by their index, and
// why. All others were handled.
type BatchError map[int]error

// Error tells how many failed, and why the first did.
func (e BatchError) Error() string {
	if len(e) == 0 {
		return "none of the batch failed"
	}
	first := slices.Min(slices.Collect(maps.Keys(e)))
	return fmt.Sprintf("%d of the batch failed, number %d: %v", len(e), first, e[first])
}

// Unwrap returns the errors, in the order of the batch.
func (e BatchError) Unwrap() []error {
	var errs []error
	for _, i := range slices.Sorted(maps.Keys(e)) {
		errs = append(errs, e[i])
	}
	return errs
}

// NotificationTarget is what a listener listens to.
type NotificationTarget struct {
	Exchange string // the default is that of the Layout
	Topic    string
}

// NotificationEndpoint takes the notifications that it wants. One that does
// something else for each priority is several endpoints.
type NotificationEndpoint struct {
	// Priorities are those it wants, in any case; nil is all that
	// oslo.messaging has, which [oslo.Priorities] lists.
	Priorities []string
	// Filter chooses among them.
	Filter NotificationFilter
	// Handle or Batch takes them, one of the two.
	Handle NotificationHandler
	Batch  BatchHandler
}

// NotificationListenerConfig says what a listener listens to, who takes the
// notifications, and what becomes of those that fail.
type NotificationListenerConfig struct {
	// Listener listens. Required.
	Listener router.Listener
	// Format is how messages are read. Required.
	Format NotificationFormat
	// Endpoints get each notification that they want, one after the other. Their
	// priorities decide which queues are listened to. At least one is required.
	Endpoints []NotificationEndpoint

	// Targets are listened to: a queue for each topic and priority. The default
	// is DefaultNotificationTopic.
	Targets []NotificationTarget
	// Pool is the name of one queue that gets a copy of everything from the
	// targets, and that all listeners of the same pool share, instead of the
	// queues that notifiers make. It gets what is sent from its first listener
	// on. Its name is not scoped: it is the same queue for every topic.
	Pool string
	// Declare makes the queues. Without it they must exist.
	Declare Declare
	// Layout is how what is declared is named and made.
	Layout Layout
	// Prefetch is how many notifications of each queue are in hand at once, at
	// most 65535. The default is that of the Layout, or else 64, and at least
	// two batches.
	Prefetch int

	// Workers bounds how many handlers run at once. The default is 1, which
	// keeps the order of each queue, save that what failed comes later.
	Workers int
	// BatchSize is how many notifications of one priority are collected before
	// they are handed over. The default is 1. It is at most the Prefetch: that
	// of the Layout lowers it.
	BatchSize int
	// BatchTimeout is for how long they are collected. The default is 1 s.
	BatchTimeout time.Duration

	// RequeueDelay is how long a failed notification rests before it comes
	// again. Meanwhile it keeps its place among the prefetched, but no worker.
	// The default is 1 s, the most is MaxHold.
	RequeueDelay time.Duration
	// RequeueLimit is how often a failed notification comes again before it is
	// given up; 0 is without limit, and then as many as are prefetched that fail
	// for ever hold up their queue. The count begins anew when the broker
	// delivers it again, after MaxHold or to another process. RequeueLimit times
	// RequeueDelay is at most MaxHold.
	RequeueLimit int
	// DeadLetter is a queue for notifications that were given up and messages
	// that are none, with the reason in the headers that a route's dead letters
	// have, such as [router.HeaderReason]. They leave their queue only when
	// this one has them. Without it they are dropped, counted and logged.
	DeadLetter string
	// Client sends dead letters. Required with DeadLetter. The caller closes it,
	// after Listen has returned.
	Client *Client

	// Duplicates is how many unique ids are remembered, each for
	// DuplicateWindow, to acknowledge what comes twice without handling it
	// again. The defaults are 8192 and two minutes; Duplicates below 0 is none.
	Duplicates      int
	DuplicateWindow time.Duration
	// DrainTimeout is how long running handlers may take when Listen's ctx has
	// ended, before their own ctx ends. The default is 25 s.
	DrainTimeout time.Duration
	// Tracer follows each notification while its endpoints handle it; nil follows
	// nothing.
	Tracer Tracer
	// Logger gets what nobody else is told of. The default discards.
	Logger *slog.Logger
}

func (c NotificationListenerConfig) withDefaults() NotificationListenerConfig {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	setTime := func(field *time.Duration, value time.Duration) {
		if *field == 0 {
			*field = value
		}
	}
	set(&c.Workers, DefaultNotificationWorkers)
	set(&c.BatchSize, 1)
	if c.Prefetch == 0 && c.Layout.Prefetch > 0 {
		c.Prefetch = c.Layout.Prefetch
		c.BatchSize = min(c.BatchSize, c.Prefetch)
	}
	set(&c.Prefetch, min(max(DefaultNotificationPrefetch, 2*c.BatchSize), maxPrefetch))
	set(&c.Duplicates, DefaultDuplicates)
	setTime(&c.DuplicateWindow, DefaultDuplicateWindow)
	setTime(&c.BatchTimeout, DefaultBatchTimeout)
	setTime(&c.RequeueDelay, DefaultRequeueDelay)
	setTime(&c.DrainTimeout, DefaultDrainTimeout)
	c.Targets = slices.Clone(c.Targets)
	if len(c.Targets) == 0 {
		c.Targets = []NotificationTarget{{Topic: DefaultNotificationTopic}}
	}
	for i := range c.Targets {
		if c.Targets[i].Exchange == "" {
			c.Targets[i].Exchange = c.Layout.exchange()
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c NotificationListenerConfig) validate() error {
	switch {
	case c.Listener == nil || c.Format == nil || len(c.Endpoints) == 0:
		return errors.New("rpc: a notification listener needs a Listener, a Format and Endpoints")
	case c.Workers < 1 || c.BatchSize < 1 || c.RequeueLimit < 0 || c.BatchTimeout < 0 || c.RequeueDelay < 0 || c.DuplicateWindow < 0 || c.DrainTimeout < 0:
		return errors.New("rpc: a notification listener's numbers must not be negative")
	case c.Prefetch < c.BatchSize || c.Prefetch > maxPrefetch:
		return fmt.Errorf("rpc: a notification listener's Prefetch is %d; it is at least the BatchSize, %d, and at most %d", c.Prefetch, c.BatchSize, maxPrefetch)
	case c.RequeueDelay > MaxHold/time.Duration(max(c.RequeueLimit, 1)):
		return fmt.Errorf("rpc: a notification listener's RequeueLimit times its RequeueDelay is more than %v", MaxHold)
	case (c.DeadLetter == "") != (c.Client == nil):
		return errors.New("rpc: a notification listener that sends dead letters needs both DeadLetter and Client")
	}
	for _, t := range c.Targets {
		if err := (router.Target{Kind: router.TargetNotify, Exchange: t.Exchange, Topic: t.Topic, Priority: "info"}).Validate(); err != nil {
			return fmt.Errorf("rpc: notification listener: %w", err)
		}
	}
	return nil
}
