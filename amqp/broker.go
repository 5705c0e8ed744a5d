package amqp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/pool"
	"github.com/wasmrouter/router/router"
)

// Broker is a connection to RabbitMQ that mends itself. It is safe for
// concurrent use. Close it to free its goroutines.
type Broker struct {
	cfg       Config
	endpoints []endpoint
	log       *slog.Logger
	pool      *pool.Pool[*link]
	supply    *supply // of the send connection
	shared    *supply // of the listeners' connection; nil if each has its own
	count     counters
	topology  atomic.Pointer[Topology] // what new connections declare
	taken     taken
	suspects  suspects
	leases    leases
	// noTransient: the broker has refused a queue that is neither durable nor
	// exclusive.
	noTransient atomic.Bool

	ctx       context.Context // ends when Close begins: listeners drain
	cancel    context.CancelFunc
	sendCtx   context.Context // ends when listeners have ended: sending stops
	stopSend  context.CancelFunc
	hardCtx   context.Context // ends when Close must not wait any longer
	hardClose context.CancelFunc

	listening tasks // Listen calls
	sending   tasks // the supplies' goroutines

	mu      sync.Mutex // protects the fields below
	lines   []*line    // of running listeners
	senders map[*sender]struct{}
}

// New checks the configuration and returns a broker. It dials nothing yet.
// Errors name the field at fault and never hold a password.
func New(cfg Config) (*Broker, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("amqp: %w", err)
	}
	endpoints, err := cfg.endpoints()
	if err != nil {
		return nil, fmt.Errorf("amqp: %w", err)
	}
	if slices.ContainsFunc(endpoints, func(e endpoint) bool { return e.tls }) {
		if _, err := cfg.TLS.client(endpoints[0].host); err != nil {
			return nil, fmt.Errorf("amqp: TLS: %w", err)
		}
		if cfg.TLS.InsecureSkipVerify {
			cfg.Logger.Warn("the broker's certificate is not verified: anybody on the network can read and change every message")
		}
	}
	b := &Broker{cfg: cfg, endpoints: endpoints, log: cfg.Logger, senders: map[*sender]struct{}{}}
	b.topology.Store(&cfg.Topology)
	b.supply = &supply{b: b, line: line{purpose: "send"}, changed: make(chan struct{})}
	if cfg.OneListenConnection {
		b.shared = &supply{b: b, line: line{purpose: "listen"}, listen: true, changed: make(chan struct{})}
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.sendCtx, b.stopSend = context.WithCancel(context.Background())
	b.hardCtx, b.hardClose = context.WithCancel(context.Background())
	b.pool, err = pool.New(pool.Config[*link]{
		New: b.openLink,
		Reset: func(l *link) error {
			if !l.idle() {
				return errDead
			}
			return nil
		},
		Close:   func(l *link) { l.kill() },
		Max:     cfg.ChannelPool.Max,
		MinIdle: cfg.ChannelPool.MinIdle,
		IdleTTL: cfg.ChannelPool.IdleTTL,
	})
	if err != nil {
		return nil, fmt.Errorf("amqp: channel pool: %w", err)
	}
	return b, nil
}

func (c *Config) validate() error {
	for _, d := range []struct {
		name  string
		value time.Duration
		least time.Duration
	}{
		{"heartbeat", c.Heartbeat, time.Second},
		{"dial timeout", c.DialTimeout, time.Millisecond},
		{"write timeout", c.WriteTimeout, time.Millisecond},
		{"confirm timeout", c.ConfirmTimeout, time.Millisecond},
		{"initial backoff", c.Backoff.Initial, time.Millisecond},
		{"largest backoff", c.Backoff.Max, c.Backoff.Initial},
	} {
		if d.value < d.least {
			return fmt.Errorf("the %s is %v; it must be at least %v", d.name, d.value, d.least)
		}
	}
	switch {
	case c.MaxInFlight < 1 || c.MaxInFlight > 1<<16:
		return fmt.Errorf("MaxInFlight is %d; it must be from 1 to 65536", c.MaxInFlight)
	case c.MaxInFlightBytes < 1:
		return fmt.Errorf("MaxInFlightBytes is %d; it must be at least 1", c.MaxInFlightBytes)
	case c.ChannelPool.Max > 2000:
		return fmt.Errorf("the channel pool's maximum is %d; RabbitMQ allows 2047 channels on a connection, of which a few are needed to declare: at most 2000", c.ChannelPool.Max)
	case (c.TLS.CertFile == "") != (c.TLS.KeyFile == ""):
		return errors.New("a client certificate needs both its certificate file and its key file")
	case len(c.ConnectionName) > 200 || strings.ContainsFunc(c.ConnectionName, func(r rune) bool { return r < ' ' }):
		return errors.New("the connection name is longer than 200 bytes or holds a control character")
	}
	return validate(c.Topology)
}

// Connect dials the send connection and declares the topology, unless that has
// been done. It tries every host once and returns why that failed; the broker
// goes on trying all the same. What could be declared is used although the rest
// could not: a missing object of one target is no matter of the others.
func (b *Broker) Connect(ctx context.Context) error {
	_, err := b.supply.once(ctx)
	if err == nil {
		err = b.supply.lacks()
	}
	if err != nil {
		return fmt.Errorf("amqp: %w", err)
	}
	return nil
}

// Declare declares t on the send connection, waiting for that until ctx ends.
// It does not add t to the configured topology. Errors of several objects are
// joined; each says in words what is wrong.
func (b *Broker) Declare(ctx context.Context, t Topology) error {
	if err := validate(t); err != nil {
		return fmt.Errorf("amqp: %w", err)
	}
	for {
		c, err := b.supply.get(ctx)
		if err == nil {
			err = b.declare(ctx, c, t)
		}
		if err == nil {
			return nil
		}
		late := errors.Is(err, amqp091.ErrClosed) && !errors.Is(err, errRefused) // the connection had ended before
		if c == nil || !c.lib.IsClosed() || !late && !errors.Is(err, errDeclareAgain) {
			return fmt.Errorf("amqp: declare: %w", err)
		}
		<-c.lost // follows at once
	}
}

// SetTopology declares t now, waiting for that until ctx ends, and from then on
// on every new connection in place of the configured topology. On an error the
// old one stays.
func (b *Broker) SetTopology(ctx context.Context, t Topology) error {
	if err := validate(t); err != nil {
		return fmt.Errorf("amqp: %w", err)
	}
	if err := b.Declare(ctx, common(t)); err != nil {
		return err
	}
	b.topology.Store(&t)
	return nil
}

// Close ends all listeners as the end of their ctx does, then gives up what is
// still in flight, closes the connections and waits for all goroutines. When
// ctx ends first, it cuts the connections instead of waiting, and returns
// ctx's error. It is idempotent. Sends fail afterwards with
// [router.ErrClosed].
func (b *Broker) Close(ctx context.Context) error {
	b.cancel()
	stop := context.AfterFunc(ctx, b.hardClose)
	defer stop()
	b.listening.close()
	b.stopSend()
	b.mu.Lock()
	senders := slices.Collect(maps.Keys(b.senders))
	b.mu.Unlock()
	for _, s := range senders {
		s.Close()
	}
	b.sending.close()
	b.hardClose()
	if err := b.pool.Close(ctx); err != nil {
		return fmt.Errorf("amqp: close: %w", err)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("amqp: close: %w", context.Cause(ctx))
	}
	return nil
}

var (
	_ router.Listener = (*Broker)(nil)
	_ router.Sender   = (*sender)(nil)
)
