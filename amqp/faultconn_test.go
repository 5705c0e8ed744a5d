package amqp_test

import (
	"context"
	"net"
	"sync"
)

// faults dials connections that stall or break on command. Give its Dial to
// the code under test.
type faults struct {
	mu     sync.Mutex // protects the fields below
	conns  map[*faultConn]struct{}
	stall  chan struct{} // closed when writes may go on; nil if they may
	refuse error         // of dials
	dials  int
}

func newFaults() *faults { return &faults{conns: map[*faultConn]struct{}{}} }

func (f *faults) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	f.mu.Lock()
	f.dials++
	err := f.refuse
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &faultConn{Conn: nc, f: f, closed: make(chan struct{})}
	f.mu.Lock()
	f.conns[c] = struct{}{}
	f.mu.Unlock()
	return c, nil
}

// Refuse makes further dials fail; nil lets them pass.
func (f *faults) Refuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = err
}

// Stall makes writes hang until Resume or until their connection is closed.
func (f *faults) Stall() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stall = make(chan struct{})
}

// Resume lets writes go on.
func (f *faults) Resume() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.stall)
	f.stall = nil
}

// Cut closes all connections as a network does: without a word.
func (f *faults) Cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		_ = c.Conn.Close()
	}
}

// Dials returns how many dials there were.
func (f *faults) Dials() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dials
}

type faultConn struct {
	net.Conn
	f      *faults
	once   sync.Once
	closed chan struct{}
}

func (c *faultConn) Write(p []byte) (int, error) {
	c.f.mu.Lock()
	stall := c.f.stall
	c.f.mu.Unlock()
	if stall != nil {
		select {
		case <-stall:
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
	return c.Conn.Write(p)
}

func (c *faultConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.f.mu.Lock()
		delete(c.f.conns, c)
		c.f.mu.Unlock()
	})
	return c.Conn.Close()
}
