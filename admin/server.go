package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// What a client may take. The write timeout leaves room for a profile of a
// minute.
const (
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = 2 * time.Minute
	idleTimeout    = time.Minute
	maxHeaderBytes = 16 << 10
	maxBodyBytes   = 64 << 10
)

// Server is the admin listener. Its methods are safe for concurrent use.
type Server struct {
	cfg       Config
	http      *http.Server
	door      *guard
	reloading chan struct{} // full while a reload runs
	done      chan struct{} // closed when the serving goroutine has ended
	patterns  []string      // of the mux
	conns     atomic.Int64  // open ones

	mu      sync.Mutex // protects the fields below
	addr    string
	started bool
	closed  bool
}

// New checks the configuration and returns a server that does not listen yet.
func New(cfg Config) (*Server, error) {
	host, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	cfg.defaults()
	secure, err := cfg.tls()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, reloading: make(chan struct{}, 1), done: make(chan struct{})}
	s.door = newGuard(s.mux(), host, cfg.Token)
	s.http = &http.Server{
		Handler:           s.door,
		TLSConfig:         secure,
		ConnState:         s.limit,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.With("component", "admin").Handler(), slog.LevelWarn),
	}
	return s, nil
}

// Start listens, at most until ctx ends trying, and serves until Close.
func (s *Server) Start(ctx context.Context) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	// "localhost" is what the resolver says it is.
	a, ok := ln.Addr().(*net.TCPAddr)
	here := ok && a.IP.IsLoopback()
	if !here && !s.cfg.guarded() {
		_ = ln.Close()
		return fmt.Errorf("admin: listen address %q is %s: %w", s.cfg.Listen, ln.Addr(), ErrInsecure)
	}
	if !here {
		s.cfg.Logger.Warn("other machines can reach the admin listener", "component", "admin", "addr", ln.Addr().String(),
			"token", s.cfg.Token != "", "tls", s.http.TLSConfig != nil, "client_certificates", s.cfg.ClientCAFile != "")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.closed {
		_ = ln.Close()
		return errors.New("admin: the server was started before")
	}
	s.started, s.addr = true, ln.Addr().String()
	go func() {
		defer close(s.done)
		serve := s.http.Serve
		if s.http.TLSConfig != nil {
			serve = func(ln net.Listener) error { return s.http.ServeTLS(ln, "", "") }
		}
		if err := serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.cfg.Logger.Error("the admin listener has ended", "component", "admin", "err", err)
		}
	}()
	return nil
}

// Addr returns the host and port that are listened to, "" before Start.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Close stops listening and waits for running requests, at most until ctx
// ends; then it cuts them and returns ctx's error. It may be called again, and
// without Start.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	started := s.started
	s.closed = true
	s.mu.Unlock()
	if s.cfg.Events != nil { // a stream does not end by itself
		s.cfg.Events.close()
		defer s.cfg.Events.tickers.Wait()
	}
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
		err = fmt.Errorf("admin: close: %w", err)
	}
	if started {
		<-s.done
	}
	return err
}
