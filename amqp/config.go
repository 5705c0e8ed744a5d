package amqp

import (
	"context"
	"log/slog"
	"net"
	"time"
)

// Defaults of [Config].
const (
	DefaultHeartbeat        = 10 * time.Second
	DefaultDialTimeout      = 5 * time.Second
	DefaultWriteTimeout     = 5 * time.Second
	DefaultConfirmTimeout   = 30 * time.Second
	DefaultBackoffInitial   = 50 * time.Millisecond
	DefaultBackoffMax       = time.Second
	DefaultMaxInFlight      = 256
	DefaultMaxInFlightBytes = 1 << 20
	DefaultPoolMax          = 512
	DefaultPoolIdleTTL      = 20 * time.Minute
)

// Config says how to reach a broker. The zero value of a field is its default.
type Config struct {
	// URLs are the brokers to try, in an order shuffled for each dial:
	// amqp://host:5672/vhost or amqps://host:5671/vhost. Credentials in a URL
	// are percent-decoded; Username and Password override them. The default is
	// amqp://127.0.0.1:5672/.
	URLs []string

	// Username and Password log in by SASL PLAIN. The default is the URL's,
	// else guest and guest. The password is never logged nor part of an error.
	Username string
	Password string

	// VHost overrides the virtual host of the URLs. The default is the URL's
	// path, percent-decoded, else "/".
	VHost string

	// TLS is used for amqps URLs.
	TLS TLSConfig

	// ConnectionName is the first part of the connection names that RabbitMQ
	// shows: <ConnectionName>/<purpose>@<host>. The default is "router".
	ConnectionName string

	// Heartbeat is the interval of heartbeats; a silent peer is given up after
	// one and a half of them. The default is 10 s; at least 1 s.
	Heartbeat time.Duration
	// DialTimeout bounds one attempt to connect, TLS and AMQP handshake
	// included. The default is 5 s.
	DialTimeout time.Duration
	// WriteTimeout bounds one write to the socket; the connection is lost when
	// it passes. The default is 5 s.
	WriteTimeout time.Duration
	// ConfirmTimeout bounds the wait for the broker's answer to a publish, not
	// counting the time while it has blocked the connection. When it passes, the
	// channel is given up and everything on it is unconfirmed. It also bounds
	// the declaration of the topology on a new send connection. The default is
	// 30 s.
	ConfirmTimeout time.Duration

	// Backoff is the pause between attempts to connect or consume again.
	Backoff Backoff

	// AllowPlaintext permits PLAIN credentials over amqp:// to a host that is
	// not loopback.
	AllowPlaintext bool
	// AllowCC permits messages with CC and BCC headers, by which a sender
	// chooses further routing keys. Without it they are refused as unsendable.
	AllowCC bool

	// MaxInFlight and MaxInFlightBytes bound what one sender has published and
	// the broker has not yet answered. A larger message goes alone. The
	// defaults are 256 and 1 MiB.
	MaxInFlight      int
	MaxInFlightBytes int

	// OneListenConnection lets all listeners share one connection, with a channel
	// each, in place of one connection each. What cuts it, such as a message
	// that cannot be decoded, then interrupts all of them.
	OneListenConnection bool

	// ChannelPool bounds the channels of the send connection.
	ChannelPool ChannelPool

	// Dial opens the network connection; the default is that of a net.Dialer.
	// Tests inject faults here.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Topology is declared once on every new connection.
	Topology Topology

	// Logger gets connects, losses and waits. The default discards.
	Logger *slog.Logger
}

// TLSConfig is how amqps connections are secured. The broker's chain and host
// name are verified, and TLS is at least 1.2.
type TLSConfig struct {
	// CAFile holds the PEM certificates to trust; the default is the system's.
	CAFile string
	// CertFile and KeyFile are the client's certificate and key, in PEM. They
	// are read again at each dial, so that a renewed certificate is used.
	CertFile string
	KeyFile  string
	// ServerName is the name to verify; the default is each URL's host.
	ServerName string
	// External logs in by the client certificate (SASL EXTERNAL).
	External bool
	// InsecureSkipVerify turns verification off. It is logged as a warning.
	InsecureSkipVerify bool
}

// Backoff is a pause that doubles from Initial to Max, with full jitter. The
// defaults are 50 ms and 1 s.
type Backoff struct {
	Initial time.Duration
	Max     time.Duration
}

// ChannelPool bounds the confirm-mode channels of the send connection. The
// defaults are 512 channels, none kept idle for more than 20 minutes.
type ChannelPool struct {
	Max     int
	MinIdle int
	IdleTTL time.Duration
}

func (c Config) withDefaults() Config {
	if len(c.URLs) == 0 {
		c.URLs = []string{"amqp://127.0.0.1:5672/"}
	}
	def(&c.ConnectionName, "router")
	def(&c.Heartbeat, DefaultHeartbeat)
	def(&c.DialTimeout, DefaultDialTimeout)
	def(&c.WriteTimeout, DefaultWriteTimeout)
	def(&c.ConfirmTimeout, DefaultConfirmTimeout)
	def(&c.Backoff.Initial, DefaultBackoffInitial)
	def(&c.Backoff.Max, max(DefaultBackoffMax, c.Backoff.Initial))
	def(&c.MaxInFlight, DefaultMaxInFlight)
	def(&c.MaxInFlightBytes, DefaultMaxInFlightBytes)
	def(&c.ChannelPool.Max, DefaultPoolMax)
	def(&c.ChannelPool.IdleTTL, DefaultPoolIdleTTL)
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
