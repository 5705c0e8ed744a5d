package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"reflect"
	"strings"

	"github.com/wasmrouter/router/broker"
	"github.com/wasmrouter/router/config"
)

// errEmbedded is wrapped by errors of starting the router's own broker.
var errEmbedded = errors.New("the embedded broker does not start")

// embedded is a broker of the router's own. Parts that differ only in how they
// connect share it. Only the App's turns change it.
type embedded struct {
	from      embeddedFrom
	server    *broker.Server
	users     int
	listening bool
	log       *slog.Logger
}

// embeddedFrom is what an embedded broker is made of.
type embeddedFrom struct {
	address string
	config  broker.Config
}

// embeddedConfig returns what a configuration wants, nil unless the router is to be
// the broker.
func embeddedConfig(cfg *config.Config) *embeddedFrom {
	address, ok := cfg.Broker.Embedded()
	if !ok {
		return nil
	}
	u, err := url.Parse(address.Reveal())
	if err != nil { // config has checked it
		return nil
	}
	from := &embeddedFrom{address: u.Host, config: broker.Config{AnyQueueType: cfg.Broker.QuorumAsClassic}}
	if u.Port() == "" {
		from.address = net.JoinHostPort(u.Hostname(), "5672")
	}
	user, password := "guest", "guest"
	if u.User != nil {
		user = u.User.Username()
		password, _ = u.User.Password()
	}
	if cfg.Broker.Username != "" {
		user = cfg.Broker.Username
	}
	if p := cfg.Broker.Password.Reveal(); p != "" {
		password = p
	}
	from.config.Users = map[string]string{user: password}
	vhost := strings.TrimPrefix(u.Path, "/")
	if cfg.Broker.VHost != "" {
		vhost = cfg.Broker.VHost
	}
	if vhost != "" && vhost != "/" {
		from.config.VHosts = []string{"/", vhost}
	}
	return from
}

func newEmbedded(from *embeddedFrom, log *slog.Logger) *embedded {
	cfg := from.config
	cfg.Logger = log
	return &embedded{from: *from, server: broker.New(cfg), users: 1, log: log}
}

// is reports whether e was made of from; no broker is made of nothing.
func (e *embedded) is(from *embeddedFrom) bool {
	if e == nil || from == nil {
		return e == nil && from == nil
	}
	return reflect.DeepEqual(e.from, *from)
}

// listen lets clients connect, and does so once.
func (e *embedded) listen(ctx context.Context) error {
	if e == nil || e.listening {
		return nil
	}
	address, err := e.server.Listen(context.WithoutCancel(ctx), e.from.address)
	if err != nil {
		return fmt.Errorf("%w: %w", errEmbedded, err)
	}
	e.listening = true
	if e.log != nil {
		e.log.Warn("the router is its own broker, which keeps nothing: what is in its queues is gone when it stops", "addr", address)
	}
	return nil
}

// release closes the broker when nobody uses it any more.
func (e *embedded) release() {
	if e == nil {
		return
	}
	if e.users--; e.users == 0 {
		e.server.Close()
	}
}

// embeddedStat returns what the router's own broker holds, nil if it has none.
func (a *App) embeddedStat() any {
	p := a.broker.Load()
	if p == nil || p.own == nil {
		return nil
	}
	return p.own.server.Stat()
}
