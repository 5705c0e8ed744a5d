package transport

import (
	"context"
	"fmt"

	"github.com/wasmrouter/router/rpc"
)

// Notifier returns a notifier that sends through cfg.Client, which by default is
// the transport's own.
func (t *Transport) Notifier(cfg rpc.NotifierConfig) (*rpc.Notifier, error) {
	if cfg.Client == nil {
		cfg.Client = t.client
	}
	n, err := rpc.NewNotifier(cfg)
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	return n, nil
}

// NotificationListener hands over notifications.
type NotificationListener struct {
	t        *Transport
	listener *rpc.NotificationListener
}

// NotificationListener returns a listener for notifications. The transport gives
// cfg its Listener, Format, Declare and Layout, its Tracer and Logger if they
// are not set, and its client if there are dead letters to send.
func (t *Transport) NotificationListener(cfg rpc.NotificationListenerConfig) (*NotificationListener, error) {
	cfg.Listener, cfg.Format, cfg.Declare, cfg.Layout = t.broker, t.format, t.broker.Declare, t.layout
	if cfg.DeadLetter != "" && cfg.Client == nil {
		cfg.Client = t.client
	}
	if cfg.Tracer == nil {
		cfg.Tracer = t.opts.Tracer
	}
	if cfg.Logger == nil {
		cfg.Logger = t.opts.Logger
	}
	l, err := rpc.NewNotificationListener(cfg)
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	t.mu.Lock()
	t.listeners = append(t.listeners, l)
	t.mu.Unlock()
	return &NotificationListener{t: t, listener: l}, nil
}

// Listen hands over notifications until ctx ends or the transport is closed. It
// returns as [rpc.NotificationListener.Listen] does.
func (l *NotificationListener) Listen(ctx context.Context) error {
	ctx, done, err := l.t.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return l.listener.Listen(ctx)
}

// Stat returns the listener's state and counters.
func (l *NotificationListener) Stat() rpc.NotificationStat { return l.listener.Stat() }
