package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

// DefaultNotificationTopic is the topic of notifiers and listeners that name
// none; it is oslo.messaging's.
const DefaultNotificationTopic = "notifications"

// NotifierConfig says what a notifier sends through which client.
type NotifierConfig struct {
	// Client publishes. Its format decides how notifications look: [Oslo] is
	// what oslo.messaging's driver messagingv2 sends, Oslo{Flat: true} what its
	// driver messaging sends. The caller closes it. Required.
	Client *Client
	// PublisherID is the publisher of notifications that name none, usually
	// service.host.
	PublisherID string
	// Topics get one message each. The default is DefaultNotificationTopic.
	Topics []string
	// Exchange is published to. The default is that of the client's Layout.
	Exchange string
	// NoQueues leaves the queues of the topics undeclared, which otherwise keep
	// notifications until somebody listens, and grow for ever if nobody does. A
	// notification that no queue takes is then an error that wraps
	// [ErrNoListener].
	NoQueues bool
}

// Notifier tells whoever listens that something has happened. Each of its
// methods returns when a queue of every topic has the notification, and
// otherwise with an error that names the topics that did not get it: nothing
// is swallowed. The client's Retry says how often the broker is tried. What ctx
// carries, see [WithContext], is added to the notification's Context. Ctx, or else the client's Timeout, bounds all of it. It is safe
// for concurrent use; notifications that one goroutine sends one after the
// other arrive in that order.
type Notifier struct {
	cfg NotifierConfig
}

// NewNotifier returns a notifier. It does not connect; the first notification
// does.
func NewNotifier(cfg NotifierConfig) (*Notifier, error) {
	if cfg.Client == nil {
		return nil, errors.New("rpc: a notifier needs a Client")
	}
	cfg.Topics = slices.Clone(cfg.Topics)
	if len(cfg.Topics) == 0 {
		cfg.Topics = []string{DefaultNotificationTopic}
	}
	if cfg.Exchange == "" {
		cfg.Exchange = cfg.Client.cfg.Layout.exchange()
	}
	for _, topic := range cfg.Topics {
		t := router.Target{Kind: router.TargetNotify, Exchange: cfg.Exchange, Topic: topic, Priority: "info"}
		if err := t.Validate(); err != nil {
			return nil, fmt.Errorf("rpc: notifier: %w", err)
		}
	}
	return &Notifier{cfg: cfg}, nil
}

// With returns a notifier that differs only in its publisher.
func (n *Notifier) With(publisherID string) *Notifier {
	other := *n
	other.cfg.PublisherID = publisherID
	return &other
}

// Audit notifies with the priority audit.
func (n *Notifier) Audit(ctx context.Context, what Notification) error {
	return n.notify(ctx, "audit", what)
}

// Debug notifies with the priority debug.
func (n *Notifier) Debug(ctx context.Context, what Notification) error {
	return n.notify(ctx, "debug", what)
}

// Info notifies with the priority info.
func (n *Notifier) Info(ctx context.Context, what Notification) error {
	return n.notify(ctx, "info", what)
}

// Warn notifies with the priority warn.
func (n *Notifier) Warn(ctx context.Context, what Notification) error {
	return n.notify(ctx, "warn", what)
}

// Error notifies with the priority error.
func (n *Notifier) Error(ctx context.Context, what Notification) error {
	return n.notify(ctx, "error", what)
}

// Critical notifies with the priority critical.
func (n *Notifier) Critical(ctx context.Context, what Notification) error {
	return n.notify(ctx, "critical", what)
}

// Sample notifies with the priority sample.
func (n *Notifier) Sample(ctx context.Context, what Notification) error {
	return n.notify(ctx, "sample", what)
}

// Notify notifies with the priority that what names, which may be one that
// oslo.messaging does not know.
func (n *Notifier) Notify(ctx context.Context, what Notification) error {
	return n.notify(ctx, what.Priority, what)
}

func (n *Notifier) notify(ctx context.Context, priority string, what Notification) error {
	what.Priority = priority
	if more, _ := ctx.Value(contextKey{}).(map[string]any); more != nil {
		what.Context = merge(what.Context, more)
	}
	if what.PublisherID == "" {
		what.PublisherID = n.cfg.PublisherID
	}
	if what.MessageID == "" {
		what.MessageID = oslo.NewMessageID() // the same for all topics
	}
	if what.Timestamp.IsZero() {
		what.Timestamp = time.Now()
	}
	if len(n.cfg.Topics) == 1 {
		return n.cfg.Client.Notify(ctx, n.target(n.cfg.Topics[0], priority), what)
	}
	errs := make([]error, len(n.cfg.Topics))
	var sending sync.WaitGroup
	for i, topic := range n.cfg.Topics {
		sending.Go(func() { errs[i] = n.cfg.Client.Notify(ctx, n.target(topic, priority), what) })
	}
	sending.Wait()
	return joined(errs)
}

func (n *Notifier) target(topic, priority string) router.Target {
	t := router.Target{Kind: router.TargetNotify, Exchange: n.cfg.Exchange, Topic: topic, Priority: priority}
	if n.cfg.NoQueues && priority != "" {
		t = router.Target{Kind: router.TargetTopic, Exchange: n.cfg.Exchange, Topic: topic + "." + priority}
	}
	return t
}

// joinedError is several errors on one line.
type joinedError []error

func joined(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 0 {
		return nil
	}
	return joinedError(errs)
}

func (e joinedError) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (e joinedError) Unwrap() []error { return e }
