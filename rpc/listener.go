package rpc

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

// NotificationListener hands notifications to its endpoints, at least once
// each. A notification is acknowledged when all endpoints that want it have
// handled it; until then it stays in its queue at the broker, also while it
// waits to be handled again. It is safe for concurrent use.
type NotificationListener struct {
	cfg       NotificationListenerConfig
	endpoints []endpoint
	seen      *lately // unique ids of what was handled; nil is none
	held      together
	counters  listenerCounters

	malformed, unknown seldom // warnings
}

// NewNotificationListener returns a listener. It connects when it listens.
func NewNotificationListener(cfg NotificationListenerConfig) (*NotificationListener, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	l := &NotificationListener{cfg: cfg}
	for i, e := range cfg.Endpoints {
		ready, err := l.endpoint(e)
		if err != nil {
			return nil, fmt.Errorf("rpc: notification endpoint %d: %w", i+1, err)
		}
		l.endpoints = append(l.endpoints, ready)
	}
	if cfg.Duplicates > 0 {
		l.seen = newLately(cfg.Duplicates, duplicateTTL)
	}
	return l, nil
}

// priorities are those that any endpoint wants, in the order of
// [oslo.Priorities].
func (l *NotificationListener) priorities() []string {
	return slices.DeleteFunc(slices.Clone(oslo.Priorities), func(p string) bool {
		return !slices.ContainsFunc(l.endpoints, func(e endpoint) bool { return slices.Contains(e.priorities, p) })
	})
}

// Queues returns the names of the queues that are listened to.
func (l *NotificationListener) Queues() []string {
	var queues []string
	for _, target := range l.cfg.Targets {
		_, list := l.topology(target)
		for _, q := range list {
			if !slices.Contains(queues, q) {
				queues = append(queues, q)
			}
		}
	}
	return queues
}

func (l *NotificationListener) topology(target NotificationTarget) (Topology, []string) {
	layout := l.cfg.Layout
	layout.Exchange = target.Exchange
	return layout.Listener(target.Topic, l.priorities(), l.cfg.Pool)
}

// declare makes everything that is listened to, and the queue of dead letters.
func (l *NotificationListener) declare(ctx context.Context) error {
	if l.cfg.Declare == nil {
		return nil
	}
	for _, target := range l.cfg.Targets {
		t, _ := l.topology(target)
		if err := Ensure(ctx, l.cfg.Declare, t); err != nil {
			return fmt.Errorf("rpc: declare the queues of %s: %w", target.Topic, err)
		}
	}
	if l.cfg.DeadLetter == "" {
		return nil
	}
	if err := Ensure(ctx, l.cfg.Declare, Topology{Queues: []Queue{{Name: l.cfg.DeadLetter, Durable: true}}}); err != nil {
		return fmt.Errorf("rpc: declare the queue of dead letters: %w", err)
	}
	return nil
}

// Listen declares the queues, if it is given how, and hands over what comes to
// them until ctx ends, and then waits for the handlers that run; what waits to
// be handled goes back to the broker. It returns as [Server.Serve] does.
func (l *NotificationListener) Listen(ctx context.Context) error {
	if err := l.declare(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	var sources []router.Source
	for _, queue := range l.Queues() {
		sources = append(sources, router.Source{Queue: queue, Prefetch: l.cfg.Prefetch})
	}
	c := &crew{listener: l.cfg.Listener, workers: l.cfg.Workers, drain: l.cfg.DrainTimeout}
	r := &listening{l: l, crew: c, groups: map[string]*group{}}
	return c.run(ctx, sources, r.take)
}

// take reads one delivery.
func (r *listening) take(ctx context.Context, d *router.Delivery) {
	l := r.l
	l.counters.received.Add(1)
	it := &notice{run: r, delivery: d, since: time.Now()}
	n, err := l.cfg.Format.DecodeNotification(&d.Envelope)
	if err != nil {
		count := l.counters.malformed.Add(1)
		if l.malformed.now() {
			l.cfg.Logger.Warn("unreadable notification", "queue", d.Envelope.Origin.Queue, "count", count, "err", err)
		}
		l.counters.inHand.Add(1)
		it.byWorker(ctx, func(work context.Context) { it.giveUp(ctx, work, reasonMalformed, err) })
		return
	}
	it.n = n
	if !slices.Contains(oslo.Priorities, n.Priority) {
		count := l.counters.unknown.Add(1)
		if l.unknown.now() {
			l.cfg.Logger.Warn("notification of an unknown priority acknowledged", "queue", n.Origin.Queue, "priority", n.Priority, "count", count)
		}
		d.Settler.Ack(d.Tag)
		return
	}
	if l.seen != nil && n.UniqueID != "" && !it.first() {
		l.counters.duplicates.Add(1)
		return
	}
	l.counters.inHand.Add(1)
	r.add(ctx, it)
}
