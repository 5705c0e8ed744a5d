package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// Server answers the requests to one target.
type Server struct {
	t      *Transport
	target rpc.Target
	server *rpc.Server
}

// Server returns a server of the target's topic, and of its server name if it
// has one: of what is sent to the topic, to that server, and to all of them.
// The transport gives cfg its Listener, Sender and Format, and its Tracer, Logger
// and ReplyRetry if they are not set, and closes the server. The target's version
// and namespace are those of endpoints; see [rpc.Dispatch].
func (t *Transport) Server(target rpc.Target, cfg rpc.ServerConfig) (*Server, error) {
	switch to := (router.Target{Kind: router.TargetTopic, Exchange: target.Exchange, Topic: target.Topic}); {
	case target.Fanout || target.Namespace != nil || target.Version != "":
		return nil, errors.New("transport: a server's target has no Fanout, Namespace or Version: it gets fanouts in any case, and endpoints have the others")
	default:
		if target.Server != "" {
			to.Kind, to.Server = router.TargetServer, target.Server
		}
		if err := to.Validate(); err != nil {
			return nil, fmt.Errorf("transport: server: %w", err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, fmt.Errorf("transport: %w", rpc.ErrClosed)
	}
	cfg.Listener, cfg.Sender, cfg.Format = t.broker, t.broker.Sender("server "+target.Topic), t.format
	cfg.ReplyRetry = cmp.Or(cfg.ReplyRetry, t.set.replyRetry)
	if cfg.Tracer == nil {
		cfg.Tracer = t.opts.Tracer
	}
	if cfg.Logger == nil {
		cfg.Logger = t.opts.Logger
	}
	s, err := rpc.NewServer(cfg)
	if err != nil {
		cfg.Sender.Close()
		return nil, fmt.Errorf("transport: %w", err)
	}
	t.servers = append(t.servers, s)
	return &Server{t: t, target: target, server: s}, nil
}

// Serve answers requests with handler, such as [rpc.Dispatch] makes, until ctx
// ends or the transport is closed. It returns as [rpc.Server.Serve] does.
func (s *Server) Serve(ctx context.Context, handler rpc.Handler) error {
	ctx, done, err := s.t.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	layout := s.t.layout
	layout.Exchange = cmp.Or(s.target.Exchange, layout.Exchange)
	return s.server.Serve(ctx, layout.Server(s.target.Topic, s.target.Server), handler)
}

// Stat returns the server's state and counters.
func (s *Server) Stat() rpc.ServerStat { return s.server.Stat() }
