package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Config says how a [Server] behaves. The zero value is ready for use.
type Config struct {
	// Users are the passwords by user name. The default is guest with the
	// password guest.
	Users map[string]string
	// VHosts are the virtual hosts that exist. The default is "/" alone.
	VHosts []string
	// MaxMessage bounds a message's body, in bytes. The default is 16 MiB.
	MaxMessage int
	// MaxMemory bounds what the messages in all queues take, in bytes. Beyond it,
	// connections that publish are blocked until there is room again; one that has
	// sent a part of a message may send the rest, but not if that comes to twice as
	// much. The default is 256 MiB.
	MaxMemory int64
	// MaxConnections bounds connections at once; further ones are closed as they
	// come. The default is 1024.
	MaxConnections int
	// Heartbeat is what the server proposes. The default is 60 s; negative is none.
	Heartbeat time.Duration
	// HandshakeTimeout bounds the time until a connection is open. The default is
	// 10 s.
	HandshakeTimeout time.Duration
	// WriteTimeout bounds a single write. A client that reads nothing for so long
	// is given up. The default is 30 s.
	WriteTimeout time.Duration
	// AnyQueueType takes declarations of quorum queues and streams for classic
	// queues. The default is to refuse them, since they promise what this broker
	// does not keep.
	AnyQueueType bool
	// Product is the name that clients are told. The default is "wasmrouter".
	Product string
	// Version is the version that clients are told.
	Version string
	// Logger gets what goes wrong. The default discards.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Users == nil {
		c.Users = map[string]string{"guest": "guest"}
	}
	if c.VHosts == nil {
		c.VHosts = []string{"/"}
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = 16 << 20
	}
	if c.MaxMemory == 0 {
		c.MaxMemory = 256 << 20
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 1024
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = time.Minute
	}
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = 10 * time.Second
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 30 * time.Second
	}
	if c.Product == "" {
		c.Product = "wasmrouter"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// ErrClosed is returned by Serve once the server was closed.
var ErrClosed = errors.New("the broker was closed")

// ErrRefused is returned by Pipe when there are too many connections, or a fault has
// them refused.
var ErrRefused = errors.New("the broker refuses the connection")

// ErrNotLocal is wrapped by the error of [Server.Listen] for an address that other
// machines can reach, and for one that is none.
var ErrNotLocal = errors.New("not an address of this machine alone")

// Server is a broker. Its methods are safe for concurrent use.
type Server struct {
	cfg    Config
	vhosts map[string]*vhost
	faults Faults
	used   atomic.Int64 // bytes of messages
	full   atomic.Bool  // publishers have to wait

	mu        sync.Mutex // protects the fields below
	conns     map[*conn]struct{}
	listeners map[net.Listener]struct{}
	closed    bool
	noDisk    bool          // a fault
	blocked   string        // why publishers have to wait; empty when they need not
	unblocked chan struct{} // closed when blocked becomes empty
	ran       sync.WaitGroup
}

// New returns a server that nobody can connect to yet; see [Server.Serve] and
// [Server.Pipe]. It must be closed.
func New(cfg Config) *Server {
	s := &Server{
		cfg: cfg.withDefaults(), vhosts: map[string]*vhost{}, conns: map[*conn]struct{}{}, listeners: map[net.Listener]struct{}{},
		unblocked: make(chan struct{}),
	}
	s.faults.srv = s
	for _, name := range s.cfg.VHosts {
		s.vhosts[name] = newVHost(s, name)
	}
	return s
}

// Faults returns what makes the server misbehave.
func (s *Server) Faults() *Faults { return &s.faults }

// Listen listens at a TCP address of this machine and serves what comes, in the
// background, until Close. It returns the address; port 0 is any free one. An
// address that others can reach is refused: passwords travel in clear, and nothing
// here is made for strangers.
func (s *Server) Listen(ctx context.Context, address string) (string, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("embedded broker: %w: %w", ErrNotLocal, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", fmt.Errorf("embedded broker: %s is %w; use 127.0.0.1 or [::1]", address, ErrNotLocal)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return "", fmt.Errorf("embedded broker: %w", err)
	}
	if !s.begin(func() { s.listeners[l] = struct{}{} }) {
		return "", errors.Join(ErrClosed, l.Close())
	}
	go func() {
		defer s.ran.Done()
		if err := s.Serve(l); !errors.Is(err, ErrClosed) {
			s.cfg.Logger.Error("the embedded broker no longer accepts connections", "err", err)
		}
	}()
	return l.Addr().String(), nil
}

// begin counts a goroutine that the caller starts, unless the server was closed.
func (s *Server) begin(note func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	note()
	s.ran.Add(1)
	return true
}

// Serve accepts connections until the server is closed, and then returns
// [ErrClosed], or until accepting fails. It closes l.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	s.listeners[l] = struct{}{}
	closed := s.closed
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
		_ = l.Close()
	}()
	if closed {
		return ErrClosed
	}
	for pause := 5 * time.Millisecond; ; {
		nc, err := l.Accept()
		if err != nil {
			s.mu.Lock()
			closed := s.closed
			s.mu.Unlock()
			if closed {
				return ErrClosed
			}
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() || errors.Is(err, errTooManyFiles) {
				time.Sleep(pause)
				pause = min(2*pause, time.Second)
				continue
			}
			return err
		}
		pause = 5 * time.Millisecond
		_ = s.handle(nc) // it is closed then
	}
}

// Pipe returns the client's end of a new connection.
func (s *Server) Pipe() (net.Conn, error) {
	client, server := net.Pipe()
	if err := s.handle(server); err != nil {
		return nil, err
	}
	return client, nil
}

// handle serves one connection in the background, or closes it and says why.
func (s *Server) handle(nc net.Conn) error {
	c := newConn(s, nc)
	refused := s.faults.refuses()
	ok := s.begin(func() {
		if refused = refused || len(s.conns) >= s.cfg.MaxConnections; !refused {
			s.conns[c] = struct{}{}
		}
	})
	switch {
	case !ok:
		_ = nc.Close()
		return ErrClosed
	case refused:
		_ = nc.Close()
		s.ran.Done()
		return ErrRefused
	}
	go func() {
		defer s.ran.Done()
		c.serve()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	return nil
}

// Close closes all connections, waits until nothing runs any more, and forgets
// everything.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		_ = l.Close()
	}
	var conns []*conn
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	s.faults.release()
	for _, c := range conns {
		c.shutdown(connectionError(codeConnectionForced, "broker forced connection closure with reason 'shutdown'"))
	}
	s.ran.Wait()
	for _, v := range s.vhosts {
		v.mu.Lock()
		v.closed = true
		for _, q := range v.queues {
			v.deleteQueue(q)
		}
		v.mu.Unlock()
	}
}

// memory notes that messages take n bytes more, and blocks or unblocks publishers.
func (s *Server) memory(n int64) {
	if over := s.used.Add(n) > s.cfg.MaxMemory; over != s.full.Load() {
		s.mu.Lock()
		s.consider()
		s.mu.Unlock()
	}
}

// overflow returns the exception for a connection that goes on although messages
// take twice what they may: those that are halfway in when the limit is reached may
// come in, and may not be used for more.
func (s *Server) overflow() *exception {
	if used := s.used.Load(); used > 2*s.cfg.MaxMemory {
		return connectionError(codeResourceError, "messages take %d bytes, twice as much as they may", used)
	}
	return nil
}

// disk says whether a fault has it that the disk is full.
func (s *Server) disk(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noDisk = full
	s.consider()
}

// consider blocks or unblocks publishers if that is due; with the lock held. Whoever
// changes used looks at full after it, and this the other way round, so that one of
// two that come at once sees what the other did.
func (s *Server) consider() {
	for {
		why := ""
		switch {
		case s.noDisk:
			why = "disk"
		case s.used.Load() > s.cfg.MaxMemory:
			why = "memory"
		}
		if (why != "") == (s.blocked != "") {
			return
		}
		s.blocked = why
		s.full.Store(why != "")
		if why == "" {
			close(s.unblocked)
		} else {
			s.unblocked = make(chan struct{})
		}
		for c := range s.conns {
			if why != "" {
				c.tellBlocked("low on " + why)
			} else {
				c.tellUnblocked()
			}
		}
	}
}

// publishable returns nil, or what is closed when c may publish again.
func (s *Server) publishable(c *conn) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blocked == "" || s.closed {
		return nil
	}
	c.tellBlocked("low on " + s.blocked)
	return s.unblocked
}
