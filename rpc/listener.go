package rpc

import (
	"cmp"
	"context"
	"errors"
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
		l.seen = newLately(cfg.Duplicates, cfg.DuplicateWindow)
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
	for _, s := range l.sources() {
		queues = append(queues, s.Queue)
	}
	return queues
}

// sources are the queues of all targets, each once.
func (l *NotificationListener) sources() []router.Source {
	var sources []router.Source
	for _, target := range l.cfg.Targets {
		layout := l.cfg.Layout
		layout.Exchange = cmp.Or(target.Exchange, layout.Exchange)
		for _, s := range layout.Listener(target.Topic, l.priorities(), l.cfg.Pool) {
			s.Prefetch = l.cfg.Prefetch
			i := slices.IndexFunc(sources, func(other router.Source) bool { return other.Queue == s.Queue })
			if i < 0 {
				sources = append(sources, s)
				continue
			}
			sources[i].Topology = sources[i].Topology.Join(s.Topology)
		}
	}
	if l.cfg.Declare == nil { // it all exists
		for i := range sources {
			sources[i].Topology = Topology{}
		}
	}
	return sources
}

// declare makes everything that is listened to, and the queue of dead letters.
func (l *NotificationListener) declare(ctx context.Context, sources []router.Source) error {
	if l.cfg.Declare == nil {
		return nil
	}
	if err := Ensure(ctx, l.cfg.Declare, sources); err != nil {
		return fmt.Errorf("rpc: declare what is listened to: %w", err)
	}
	if l.cfg.DeadLetter == "" {
		return nil
	}
	if err := l.cfg.Declare(ctx, l.letterBox()); err != nil {
		return fmt.Errorf("rpc: declare the queue of dead letters: %w", err)
	}
	return nil
}

// letterBox is what dead letters need. An operator may have made the queue.
func (l *NotificationListener) letterBox() Topology {
	return Topology{Queues: []Queue{{Name: l.cfg.DeadLetter, Durable: true, Shared: true}}}
}

// Listen declares the queues, if it is given how, and hands over what comes to
// them until ctx ends, and then waits for the handlers that run; what waits to
// be handled goes back to the broker. It returns as [Server.Serve] does.
func (l *NotificationListener) Listen(ctx context.Context) error {
	sources := l.sources()
	if err := l.declare(ctx, sources); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	c := &crew{listener: l.cfg.Listener, workers: l.cfg.Workers, drain: l.cfg.DrainTimeout}
	r := &listening{l: l, crew: c, groups: map[string]*group{}}
	return c.run(ctx, sources, r.take)
}

// take takes one delivery in hand.
func (r *listening) take(ctx context.Context, d *router.Delivery) {
	r.l.counters.received.Add(1)
	r.l.counters.inHand.Add(1)
	r.read(ctx, &notice{run: r, delivery: d, since: time.Now()})
}

// read reads a notification, and brings it to those who handle it.
func (r *listening) read(ctx context.Context, it *notice) {
	l, env := r.l, &it.delivery.Envelope
	n, err := l.cfg.Format.DecodeNotification(env)
	it.n = n
	switch {
	case errors.Is(err, ErrAgain):
		it.n.Origin, it.err = env.Origin, err
		it.byWorker(ctx, func(work context.Context) { it.failed(ctx, work, func() { r.read(ctx, it) }) })
		return
	case err != nil:
		count := l.counters.malformed.Add(1)
		if l.malformed.now() {
			l.cfg.Logger.Warn("unreadable notification", "queue", env.Origin.Queue, "count", count, "err", err)
		}
		it.byWorker(ctx, func(work context.Context) { it.giveUp(ctx, work, reasonMalformed, err) })
		return
	case !slices.Contains(oslo.Priorities, n.Priority):
		count := l.counters.unknown.Add(1)
		if l.unknown.now() {
			l.cfg.Logger.Warn("notification of an unknown priority acknowledged", "queue", n.Origin.Queue, "priority", n.Priority, "count", count)
		}
		it.settle(router.Settler.Ack)
		return
	case l.seen != nil && n.UniqueID != "" && !it.first():
		l.counters.duplicates.Add(1)
		l.counters.inHand.Add(-1)
		return
	}
	r.add(ctx, it)
}
