package broker

import (
	"net"
	"sync"
	"time"
)

const (
	// fullAt is how many bytes may wait to be written before consumers of the
	// connection get nothing more.
	fullAt = 1 << 20
	// stopAt is how many may wait before nothing more is read from it.
	stopAt = 8 << 20
)

// outbox is what waits to be written to a connection. It is safe for concurrent use.
type outbox struct {
	mu      sync.Mutex
	buf     []byte
	writing int // bytes that were taken out of buf
	room    sync.Cond
	closed  bool // nothing more is taken
	wake    chan struct{}
	limited bool // somebody was told that it is full
}

func newOutbox() *outbox {
	o := &outbox{wake: make(chan struct{}, 1)}
	o.room.L = &o.mu
	return o
}

// append lets write add frames.
func (o *outbox) append(write func(buf []byte) []byte) {
	o.mu.Lock()
	if !o.closed {
		o.buf = write(o.buf)
	}
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// full reports whether consumers have to wait; they are then told when not.
func (o *outbox) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	full := len(o.buf)+o.writing > fullAt
	o.limited = o.limited || full
	return full
}

// waitRoom waits until there is room for answers.
func (o *outbox) waitRoom() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.buf)+o.writing > stopAt && !o.closed {
		o.room.Wait()
	}
}

// size returns how many bytes wait to be written.
func (o *outbox) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.buf) + o.writing
}

// ended reports whether nothing more is taken.
func (o *outbox) ended() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}

// close lets run end once everything was written.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.room.Broadcast()
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// abandon throws away what waits and lets run end.
func (o *outbox) abandon() {
	o.mu.Lock()
	o.buf = nil
	o.mu.Unlock()
	o.close()
}

// run writes until the outbox is closed and empty, or a write fails. Each interval
// in which there is nothing to write, it writes a heartbeat; the interval is sent
// once it is known. Room is called when there is some again.
func (o *outbox) run(nc net.Conn, interval <-chan time.Duration, timeout time.Duration, room func(), cut func([]byte) ([]byte, bool)) {
	var spare []byte
	var beat <-chan time.Time
	var ticker *time.Ticker
	for {
		select {
		case <-o.wake:
		case d := <-interval:
			ticker = time.NewTicker(d)
			defer ticker.Stop()
			beat = ticker.C
			continue
		case <-beat:
			o.mu.Lock()
			if len(o.buf) == 0 && !o.closed {
				o.buf = append(o.buf, frameHeartbeat, 0, 0, 0, 0, 0, 0, frameEnd)
			}
			o.mu.Unlock()
		}
		for {
			o.mu.Lock()
			data, closed := o.buf, o.closed
			if len(data) > 0 {
				o.buf, o.writing = spare[:0], len(data)
			}
			o.mu.Unlock()
			if len(data) == 0 {
				if closed {
					return
				}
				break
			}
			data, broken := cut(data)
			_ = nc.SetWriteDeadline(time.Now().Add(timeout)) // a connection without deadlines fails in Write
			_, err := nc.Write(data)
			o.mu.Lock()
			o.writing = 0
			told := o.limited && len(o.buf) <= fullAt/2
			if told {
				o.limited = false
			}
			o.room.Broadcast()
			o.mu.Unlock()
			if err != nil || broken {
				o.abandon()
				_ = nc.Close() // ends the reader too
				return
			}
			if spare = data[:0]; cap(spare) > 4*fullAt {
				spare = nil
			}
			if told {
				room()
			}
		}
	}
}
