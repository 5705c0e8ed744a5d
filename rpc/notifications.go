package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/router"
)

// Defaults of [NotificationListenerConfig].
const (
	DefaultNotificationWorkers  = 1
	DefaultNotificationPrefetch = 64
	DefaultRequeueDelay         = time.Second
)

// NotificationHandler takes one notification. If it returns nil, the
// notification is acknowledged; else it is given back to the broker after a
// delay, and comes again, here or to another listener. Ctx ends when the
// listener stops and its drain timeout has passed.
type NotificationHandler func(ctx context.Context, n *Notification) error

// NotificationListenerConfig says how notifications are listened to.
type NotificationListenerConfig struct {
	// Listener listens. Required.
	Listener router.Listener
	// Format is how messages are read. Required.
	Format NotificationFormat
	// Workers bounds how many handlers run at once. The default is 1, which
	// keeps the order of each queue, save that what failed comes again after
	// what was prefetched.
	Workers int
	// RequeueDelay is how long a failed notification keeps its worker before it
	// is given back, so that one that always fails does not spin. The default
	// is 1 s.
	RequeueDelay time.Duration
	// DrainTimeout is how long running handlers may take when Listen's ctx has
	// ended, before their own ctx ends. The default is 25 s.
	DrainTimeout time.Duration
	// Logger gets what nobody else is told of. The default discards.
	Logger *slog.Logger
}

func (c NotificationListenerConfig) withDefaults() NotificationListenerConfig {
	if c.Workers == 0 {
		c.Workers = DefaultNotificationWorkers
	}
	if c.RequeueDelay == 0 {
		c.RequeueDelay = DefaultRequeueDelay
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = DefaultDrainTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// NotificationListener hands over notifications, at least once each. It is
// safe for concurrent use.
type NotificationListener struct {
	cfg NotificationListenerConfig

	received, malformed, again atomic.Uint64
	warned                     seldom // of what is unreadable
}

// NewNotificationListener returns a listener. It connects when it listens.
func NewNotificationListener(cfg NotificationListenerConfig) (*NotificationListener, error) {
	cfg = cfg.withDefaults()
	switch {
	case cfg.Listener == nil || cfg.Format == nil:
		return nil, errors.New("rpc: a notification listener needs a Listener and a Format")
	case cfg.Workers < 1 || cfg.RequeueDelay < 0 || cfg.DrainTimeout < 0:
		return nil, errors.New("rpc: a notification listener's numbers must not be negative")
	}
	return &NotificationListener{cfg: cfg}, nil
}

// Listen hands the notifications of the sources to handler until ctx ends, and
// returns as [Server.Serve] does. Messages that are no notification are
// acknowledged and counted.
func (l *NotificationListener) Listen(ctx context.Context, sources []router.Source, handler NotificationHandler) error {
	list := make([]router.Source, len(sources))
	for i, source := range sources {
		if source.Prefetch == 0 {
			source.Prefetch = DefaultNotificationPrefetch
		}
		list[i] = source
	}
	c := &crew{listener: l.cfg.Listener, workers: l.cfg.Workers, drain: l.cfg.DrainTimeout}
	return c.run(ctx, list, func(ctx context.Context, d *router.Delivery) {
		l.received.Add(1)
		n, err := l.cfg.Format.DecodeNotification(&d.Envelope)
		if err != nil {
			n := l.malformed.Add(1)
			if l.warned.now() {
				l.cfg.Logger.Warn("unreadable notification dropped", "queue", d.Envelope.Origin.Queue, "count", n, "err", err)
			}
			d.Settler.Ack(d.Tag)
			return
		}
		if !c.do(ctx, func(work context.Context) { l.handle(ctx, work, d, &n, handler) }) {
			d.Settler.Requeue(d.Tag)
		}
	})
}

func (l *NotificationListener) handle(ctx, work context.Context, d *router.Delivery, n *Notification, handler NotificationHandler) {
	err := guard(func() error { return handler(work, n) })
	if err == nil {
		d.Settler.Ack(d.Tag)
		return
	}
	l.again.Add(1)
	l.cfg.Logger.Warn("notification to be delivered again", "queue", n.Origin.Queue, "event_type", n.EventType, "err", err)
	delay := time.NewTimer(l.cfg.RequeueDelay)
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-ctx.Done():
	}
	d.Settler.Requeue(d.Tag)
}

// guard turns a panic into an error.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, stack())
		}
	}()
	return f()
}

// NotificationStat is a listener at one moment. Counters count since
// NewNotificationListener.
type NotificationStat struct {
	Received  uint64 // messages
	Malformed uint64 // messages that were no notifications, and were dropped
	Again     uint64 // notifications given back to the broker
}

// Stat returns the listener's counters.
func (l *NotificationListener) Stat() NotificationStat {
	return NotificationStat{Received: l.received.Load(), Malformed: l.malformed.Load(), Again: l.again.Load()}
}
