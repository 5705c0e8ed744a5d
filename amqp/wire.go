package amqp

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	wireGather = 256 << 10 // bytes waiting to be written before Write waits
	wireRead   = 16 << 10  // bytes asked for in one read
)

// wire is the transport handed to the AMQP library: it gathers small writes
// into few system calls and reads ahead.
//
// The library flushes once for each publish, while it holds its locks. Write
// therefore only appends to a buffer, and one goroutine writes whatever has
// come together by the time the previous system call has returned. A lone
// write is not delayed: there is no timer. A write error shows in the next
// Write, and closes the connection so that the reader sees it as well.
//
// It deliberately has no SetReadDeadline: the library would then pass every
// frame it reads through another goroutine to move the deadline. Read moves it
// itself.
type wire struct {
	nc    net.Conn
	clock func() time.Duration // stands still while the broker has blocked us

	// beat is the negotiated heartbeat; 0 during the handshake, which has its
	// own deadline.
	beat    atomic.Int64
	readTil time.Time // read deadline last set; the reader's own
	rbuf    []byte    // read and not yet taken; the reader's own
	rmem    [wireRead]byte

	// mu protects out and err. It is never held during I/O.
	mu   sync.Mutex
	room sync.Cond // out has been taken, or err set
	out  []byte
	err  error

	kick    chan struct{} // out is not empty
	stop    chan struct{}
	once    sync.Once
	writing atomic.Int64 // clock() at the start of the running write, +1; 0 if none
	wg      sync.WaitGroup
}

func newWire(nc net.Conn, clock func() time.Duration) *wire {
	w := &wire{nc: nc, clock: clock, kick: make(chan struct{}, 1), stop: make(chan struct{})}
	w.room.L = &w.mu
	w.wg.Go(w.flush)
	return w
}

// Write takes p over and returns; it waits only while too much is unwritten.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	for w.err == nil && len(w.out) >= wireGather {
		w.room.Wait()
	}
	if w.err != nil {
		err := w.err
		w.mu.Unlock()
		return 0, err
	}
	first := len(w.out) == 0
	w.out = append(w.out, p...)
	w.mu.Unlock()
	if first {
		select {
		case w.kick <- struct{}{}:
		default:
		}
	}
	return len(p), nil
}

func (w *wire) flush() {
	var spare []byte
	for {
		select {
		case <-w.kick:
		case <-w.stop:
			return
		}
		w.mu.Lock()
		buf := w.out
		w.out = spare[:0]
		w.mu.Unlock()
		w.room.Broadcast()
		if len(buf) == 0 {
			spare = buf
			continue
		}
		w.writing.Store(int64(w.clock()) + 1)
		_, err := w.nc.Write(buf)
		w.writing.Store(0)
		if err != nil {
			w.fail(err)
			return
		}
		spare = buf
		if cap(spare) > 2*wireGather {
			spare = nil
		}
	}
}

// stuck reports whether the running write has taken longer than limit, not
// counting the time while the broker has blocked the connection.
func (w *wire) stuck(limit time.Duration) bool {
	since := w.writing.Load()
	return since != 0 && w.clock()-time.Duration(since-1) > limit
}

// Read returns what has been read ahead, or reads. Only the library's reader
// calls it.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.rbuf) == 0 {
		if beat := time.Duration(w.beat.Load()); beat > 0 {
			// A peer is given up after one and a half heartbeats. Moving the
			// deadline now and then is enough; the eighth makes up for it.
			if now := time.Now(); w.readTil.Sub(now) < beat+beat/2 {
				w.readTil = now.Add(beat + beat/2 + beat/8)
				if err := w.nc.SetReadDeadline(w.readTil); err != nil {
					return 0, err
				}
			}
		}
		if len(p) >= len(w.rmem) {
			return w.nc.Read(p)
		}
		n, err := w.nc.Read(w.rmem[:])
		if n == 0 {
			return 0, err
		}
		w.rbuf = w.rmem[:n]
	}
	n := copy(p, w.rbuf)
	w.rbuf = w.rbuf[n:]
	return n, nil
}

// ready ends the handshake: its deadline is lifted and heartbeats are watched.
func (w *wire) ready(beat time.Duration) error {
	if err := w.nc.SetDeadline(time.Time{}); err != nil {
		return err
	}
	w.beat.Store(int64(beat))
	if beat > 0 {
		return w.nc.SetReadDeadline(time.Now().Add(beat + beat/2 + beat/8))
	}
	return nil
}

var errWireClosed = errors.New("connection closed")

// Close closes the connection at once; it never blocks. Unwritten bytes are
// lost.
func (w *wire) Close() error {
	w.fail(errWireClosed)
	return nil
}

func (w *wire) fail(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	w.mu.Unlock()
	w.room.Broadcast()
	w.once.Do(func() {
		close(w.stop)
		abort(w.nc)
	})
}

// abort closes nc without waiting: a TLS connection would try to send an alert
// through a socket that may be stuck.
func abort(nc net.Conn) {
	if under, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = under.NetConn()
	}
	_ = nc.Close()
}

var _ io.ReadWriteCloser = (*wire)(nil)
