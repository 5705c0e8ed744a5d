package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// ErrURL is wrapped by errors about a transport URL. No error holds any part of
// the URL's user names and passwords.
var ErrURL = errors.New("transport URL")

// Options are what a URL does not say, or says in another way: what is set here
// counts. The zero value is the URL's, or else a default.
type Options struct {
	// Name is the first part of the names under which the broker lists the
	// connections. The default is the program's.
	Name string
	// Exchange is the topic exchange of targets that name none
	// (control_exchange). The default is [router.DefaultExchange].
	Exchange string
	// Layout, if set, changes what the URL's options say about exchanges and
	// queues. It is called once.
	Layout func(*rpc.Layout)

	// Username and Password log in at every host.
	Username string
	Password string
	// TLS replaces what the URL's options say about certificates. Whether TLS
	// is used is up to the URL.
	TLS *amqp.TLSConfig
	// AllowPlaintext permits passwords to cross the network in clear.
	AllowPlaintext bool

	// Heartbeat, DialTimeout and Dial are as in [amqp.Config].
	Heartbeat   time.Duration
	DialTimeout time.Duration
	Dial        func(ctx context.Context, network, addr string) (net.Conn, error)

	// Format is how messages are written. The default is [rpc.Oslo], compressed
	// if the URL says so.
	Format rpc.Format
	// Hooks are around Format; see [rpc.Hooked].
	Hooks rpc.Hooks
	// Timeout, Retry and AtMostOnce are the client's; see [rpc.ClientConfig].
	Timeout    time.Duration
	Retry      *int
	AtMostOnce bool

	// Tracer follows messages from whoever sends them to whoever handles them,
	// such as that of package telemetry/tracing. Nil follows nothing.
	Tracer rpc.Tracer
	// Logger gets what nobody waits for. The default discards.
	Logger *slog.Logger
}

// Transport is the way to one broker, or cluster: at most one connection to
// send on and one to listen on, which mend themselves and are shared by
// everything that it makes. It is safe for concurrent use.
type Transport struct {
	broker *amqp.Broker
	client *rpc.Client // the first of clients
	layout rpc.Layout
	format rpc.Format
	opts   Options
	set    settings

	ctx    context.Context // ends when Close begins
	cancel context.CancelFunc

	mu        sync.Mutex // protects the fields below
	closed    bool
	clients   []*rpc.Client
	servers   []*rpc.Server
	listeners []*rpc.NotificationListener
	running   sync.WaitGroup // servers and listeners at work; added to with mu held
}

// Open returns a transport for a URL such as
//
//	rabbit://user:password@host:5672/vhost
//	rabbits://user:password@one.example,two.example/vhost?rabbit_quorum_queue=true
//
// as oslo.messaging writes it, with its options in the query; rabbits is with
// TLS. It does not dial: the first use does, or [Transport.Ping]. Errors about
// the URL wrap [ErrURL].
func Open(url string, opts Options) (*Transport, error) {
	a, err := parse(url)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrURL, err)
	}
	t := &Transport{opts: opts}
	if err := t.set.apply(a.options); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrURL, err)
	}
	if on := t.set.tls; on != nil && *on != a.tls {
		if a.tls {
			return nil, fmt.Errorf("%w: its scheme demands TLS, and its option ssl forbids it", ErrURL)
		}
		a.tls = true
	}
	t.configure()
	if err := t.layout.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrURL, err)
	}
	t.set.broker.URLs = a.urls()
	if err := t.open(); err != nil {
		return nil, err
	}
	return t, nil
}

// New returns a transport for a broker that is configured without a transport
// URL. Of cfg, what Options has too counts only where that leaves it open; its
// OneListenConnection is set, and its Topology declared as [amqp.Config] says.
func New(cfg amqp.Config, opts Options) (*Transport, error) {
	t := &Transport{opts: opts, set: settings{broker: cfg}}
	t.configure()
	if err := t.layout.Validate(); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	if err := t.open(); err != nil {
		return nil, err
	}
	return t, nil
}

// open makes what is behind a transport that has been configured.
func (t *Transport) open() (err error) {
	if t.broker, err = amqp.New(t.brokerConfig()); err != nil {
		if errors.Is(err, amqp.ErrPlaintext) {
			err = fmt.Errorf("%w; write rabbits://, or set Options.AllowPlaintext", amqp.ErrPlaintext)
		}
		return fmt.Errorf("transport: %w", err)
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	if t.client, err = t.newClient(t.format); err != nil {
		_ = t.Close(context.Background()) // it has done nothing yet
		return err
	}
	return nil
}

// configure joins the URL's settings, the options and the defaults.
func (t *Transport) configure() {
	s := &t.set
	if s.stable {
		s.layout.Host, s.layout.Process = s.host, s.proc
		if s.layout.Host == "" {
			s.layout.Host, _ = os.Hostname() // without one the layout is refused
		}
		if s.layout.Process == "" {
			s.layout.Process = program()
		}
	}
	t.layout = s.layout
	if t.opts.Exchange != "" {
		t.layout.Exchange = t.opts.Exchange
	}
	if t.opts.Layout != nil {
		t.opts.Layout(&t.layout)
	}
	t.format = t.opts.Format
	if t.format == nil {
		t.format = s.format
	}
	t.format = t.hooked(t.format)
}

// hooked returns format with the transport's hooks around it.
func (t *Transport) hooked(format rpc.Format) rpc.Format {
	if t.opts.Hooks.Serializer == nil && t.opts.Hooks.Context == nil {
		return format
	}
	return rpc.Hooked(format, t.opts.Hooks)
}

// program is the program's name, made fit for the names of connections.
func program() string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' {
			return '_'
		}
		return r
	}, filepath.Base(os.Args[0]))
	return name[:min(len(name), 100)]
}

func (t *Transport) brokerConfig() amqp.Config {
	cfg := t.set.broker
	cfg.OneListenConnection = true
	cfg.AllowPlaintext = cfg.AllowPlaintext || t.opts.AllowPlaintext
	cfg.Username = cmp.Or(t.opts.Username, cfg.Username)
	cfg.Password = cmp.Or(t.opts.Password, cfg.Password)
	cfg.ConnectionName = cmp.Or(t.opts.Name, cfg.ConnectionName, program())
	cfg.Heartbeat = cmp.Or(t.opts.Heartbeat, cfg.Heartbeat)
	cfg.DialTimeout = cmp.Or(t.opts.DialTimeout, cfg.DialTimeout)
	cfg.Logger = cmp.Or(t.opts.Logger, cfg.Logger)
	if t.opts.Dial != nil {
		cfg.Dial = t.opts.Dial
	}
	if t.opts.TLS != nil {
		cfg.TLS = *t.opts.TLS
	}
	if cfg.Backoff.Max > 0 && cfg.Backoff.Initial == 0 {
		cfg.Backoff.Initial = min(amqp.DefaultBackoffInitial, cfg.Backoff.Max)
	}
	cfg.Backoff.Max = max(cfg.Backoff.Max, cfg.Backoff.Initial)
	return cfg
}

// Ping returns nil if the broker answers, after connecting if need be. It tries
// each host once and returns why that failed.
func (t *Transport) Ping(ctx context.Context) error {
	err := t.broker.Connect(ctx)
	if err == nil { // the exchange is always there
		err = t.broker.Declare(amqp.NoWait(ctx), amqp.Topology{Exchanges: []amqp.Exchange{{Name: "amq.topic", Type: "topic", Passive: true}}})
	}
	if err != nil {
		return fmt.Errorf("transport: ping: %w", err)
	}
	return nil
}

// Client returns the transport's client, for what [Transport.Remote] does not
// offer: other targets, messages as they are, its state. The transport closes
// it.
func (t *Transport) Client() *rpc.Client { return t.client }

// NewClient returns a client of its own for another format, such as
// rpc.Oslo{Flat: true} for a notifier that speaks as oslo.messaging's driver
// messaging does, with the transport's hooks around it. The transport closes
// it.
func (t *Transport) NewClient(format rpc.Format) (*rpc.Client, error) {
	return t.newClient(t.hooked(format))
}

func (t *Transport) newClient(format rpc.Format) (*rpc.Client, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, fmt.Errorf("transport: %w", rpc.ErrClosed)
	}
	sender := t.broker.Sender("client")
	c, err := rpc.NewClient(rpc.ClientConfig{
		Sender: prompt{sender}, Listener: t.broker, Declare: t.declare, Connect: t.broker.Connect,
		Format: format, Layout: t.layout,
		Timeout: t.opts.Timeout, Retry: t.opts.Retry, AtMostOnce: t.opts.AtMostOnce, Tracer: t.opts.Tracer, Logger: t.opts.Logger,
	})
	if err != nil {
		sender.Close()
		return nil, fmt.Errorf("transport: %w", err)
	}
	t.clients = append(t.clients, c)
	return c, nil
}

// Remote returns a service to call and cast to. It may be used as it is, or
// changed first.
func (t *Transport) Remote(target rpc.Target) rpc.Remote {
	return rpc.Remote{Client: t.client, Target: target}
}

// Broker returns the connections below, for their state and for what needs the
// broker itself. The transport closes it.
func (t *Transport) Broker() *amqp.Broker { return t.broker }

// Layout is how the transport names and makes exchanges and queues.
func (t *Transport) Layout() rpc.Layout { return t.layout }

// Format is how the transport writes messages.
func (t *Transport) Format() rpc.Format { return t.format }

// declare is the client's: it never waits for a connection, which Connect is
// for.
func (t *Transport) declare(ctx context.Context, topology rpc.Topology) error {
	err := t.broker.Declare(amqp.NoWait(ctx), topology)
	if err == nil || ctx.Err() != nil || errors.Is(err, router.ErrDisconnected) || amqp.IsRefusal(err) {
		return err
	}
	return fmt.Errorf("%w: %w", router.ErrUnconfirmed, err) // the connection was lost over it
}

// prompt is a Sender that does not wait for a connection.
type prompt struct{ router.Sender }

func (p prompt) Send(ctx context.Context, target router.Target, env *router.Envelope, receipt router.Receipt) error {
	return p.Sender.Send(amqp.NoWait(ctx), target, env, receipt)
}

// begin registers something that Close is to end and wait for. It returns a ctx
// that ends then too.
func (t *Transport) begin(ctx context.Context) (_ context.Context, done func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, nil, fmt.Errorf("transport: %w", rpc.ErrClosed)
	}
	t.running.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(t.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
		t.running.Done()
	}, nil
}

// Close stops servers and listeners as the end of their ctx does, ends waiting
// calls, waits for what is still to be published, and closes the connections.
// When ctx ends first, it cuts them instead of waiting, and returns ctx's error.
// It may be called again.
func (t *Transport) Close(ctx context.Context) error {
	t.mu.Lock()
	t.closed = true
	clients, servers := slices.Clone(t.clients), slices.Clone(t.servers)
	t.mu.Unlock()
	t.cancel()
	idle := make(chan struct{})
	go func() {
		t.running.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	for _, c := range clients {
		c.Close(ctx)
	}
	for _, s := range servers {
		s.Close(ctx)
	}
	err := t.broker.Close(ctx)
	<-idle // nothing is left to wait for
	if err != nil {
		return fmt.Errorf("transport: %w", err)
	}
	return nil
}
