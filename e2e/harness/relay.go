package harness

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// Side says which of a router's connections something happens to.
type Side string

// The router sends on one connection and listens on others; their names tell them
// apart.
const (
	Sending   Side = "send"
	Listening Side = "listen"
)

// Relay is a way from a router to a broker that tells the router's connections apart,
// so that things go wrong on one side alone, and that loses packets as a network does:
// the kernel drops them before TCP sees them, and both ends send them again. Its
// methods may be called concurrently. It needs no privileges.
type Relay struct {
	t        *testing.T
	broker   string
	listener net.Listener
	wg       sync.WaitGroup

	mu   sync.Mutex // protects the fields below
	legs map[*leg]Side
	down map[Side]bool
	loss map[Side]int // percent
}

// leg is one connection through a relay.
type leg struct{ router, broker *net.TCPConn }

// NewRelay starts a relay before the broker at addr; it ends with the test.
func NewRelay(t *testing.T, addr string) *Relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{t: t, broker: addr, listener: l, legs: map[*leg]Side{}, down: map[Side]bool{}, loss: map[Side]int{}}
	r.wg.Go(r.accept)
	t.Cleanup(r.close)
	return r
}

// URL is the broker's address through the relay.
func (r *Relay) URL() string { return "amqp://guest:guest@" + r.listener.Addr().String() + "/" }

// Lose has a share of the packets of that side dropped, in percent, in both
// directions, on connections that there are too. With 100 nothing arrives any more,
// not even the end of a connection; with 0 that is over.
func (r *Relay) Lose(side Side, percent int) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loss[side] = percent
	for l, s := range r.legs {
		if s != side {
			continue
		}
		if err := l.lose(percent); err != nil {
			r.t.Fatal(err)
		}
	}
}

// Swallow loses all that the router sends on that side's connections from now on until
// they end; what the broker sends still arrives.
func (r *Relay) Swallow(side Side) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for l, s := range r.legs {
		if s != side {
			continue
		}
		if err := drop(l.router, 100); err != nil && !errors.Is(err, net.ErrClosed) {
			r.t.Fatal(err)
		}
	}
}

// Reset ends the connections of that side with a reset, and returns how many there were.
func (r *Relay) Reset(side Side) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l, s := range r.legs {
		if s == side {
			l.reset()
			n++
		}
	}
	return n
}

// Up says whether there are connections of that side. Down cuts those that there are,
// and later ones as soon as they have said who they are.
func (r *Relay) Up(side Side, up bool) {
	r.mu.Lock()
	r.down[side] = !up
	r.mu.Unlock()
	if !up {
		r.Reset(side)
	}
}

func (r *Relay) accept() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.serve(c.(*net.TCPConn)) })
	}
}

// serve relays one connection until either end closes it.
func (r *Relay) serve(router *net.TCPConn) {
	defer router.Close()
	c, err := net.Dial("tcp", r.broker)
	if err != nil {
		return // the router sees the connection end
	}
	l := &leg{router, c.(*net.TCPConn)}
	defer l.broker.Close()
	r.mu.Lock()
	r.legs[l] = "" // so that close finds it
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.legs, l)
		r.mu.Unlock()
	}()
	var back sync.WaitGroup
	back.Go(func() { l.copy(l.router, l.broker) })
	defer back.Wait()
	defer l.broker.Close()
	side, hello, err := l.introduce()
	if err != nil {
		return // either end has gone
	}
	r.mu.Lock()
	r.legs[l] = side
	down, percent := r.down[side], r.loss[side]
	if percent > 0 {
		err = l.lose(percent)
	}
	r.mu.Unlock()
	if err != nil {
		r.t.Error(err)
	}
	if down || err != nil {
		l.reset()
		return
	}
	if _, err := l.broker.Write(hello); err == nil {
		l.copy(l.broker, l.router)
	}
}

// introduce lets the client say which protocol it speaks, and returns its first frame
// and the side that it is. The frame is a connection.start-ok, which holds the name of
// the connection, NAME/PURPOSE@HOST; the purpose of a listener goes on with its queue.
func (l *leg) introduce() (side Side, frame []byte, err error) {
	if _, err := io.CopyN(l.broker, l.router, int64(len("AMQP\x00\x00\x09\x01"))); err != nil {
		return "", nil, err
	}
	head := make([]byte, 1+2+4) // type, channel, size
	if _, err := io.ReadFull(l.router, head); err != nil {
		return "", nil, err
	}
	size := binary.BigEndian.Uint32(head[3:])
	if size > 64<<10 {
		return "", nil, fmt.Errorf("the client's first frame has %d bytes", size)
	}
	frame = append(head, make([]byte, size+1)...)
	if _, err := io.ReadFull(l.router, frame[len(head):]); err != nil {
		return "", nil, err
	}
	switch {
	case bytes.Contains(frame, []byte("/send@")):
		side = Sending
	case bytes.Contains(frame, []byte("/listen ")):
		side = Listening
	}
	return side, frame, nil
}

// copy hands on what from sends until it ends, and then ends both.
func (l *leg) copy(to, from *net.TCPConn) {
	_, err := io.Copy(to, from)
	if err != nil { // a reset stays a reset
		l.reset()
	}
	_ = l.router.Close()
	_ = l.broker.Close()
}

// reset ends both connections with a reset.
func (l *leg) reset() {
	for _, c := range []*net.TCPConn{l.router, l.broker} {
		_ = c.SetLinger(0) // an error means that it has ended
		_ = c.Close()
	}
}

// lose has the kernel drop that share of the packets that come from either end.
func (l *leg) lose(percent int) error {
	for _, c := range []*net.TCPConn{l.router, l.broker} {
		if err := drop(c, percent); err != nil && !errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("drop %d %% of the packets: %w", percent, err)
		}
	}
	return nil
}

func (r *Relay) close() {
	_ = r.listener.Close()
	r.mu.Lock()
	for l := range r.legs {
		l.reset()
	}
	r.mu.Unlock()
	r.wg.Wait()
}
