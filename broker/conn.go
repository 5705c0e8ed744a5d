package broker

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	frameMax   = 131072
	channelMax = 2047

	// closeWait is how long the other side may take to agree to a close.
	closeWait = 2 * time.Second

	// atOnce is how many frames are handled at most before confirms are sent.
	atOnce = 256
)

var errTooManyFiles = syscall.EMFILE

// conn is one connection. The goroutine of serve reads; another one writes.
type conn struct {
	srv *Server
	nc  net.Conn
	br  *bufio.Reader
	out *outbox

	// Set while the connection is opened, and read-only once open is true.
	v             *vhost
	user, name    string
	frameMax      int
	channelMax    int
	heartbeat     time.Duration
	cancelNotify  bool
	blockedNotify bool
	authNotify    bool
	since         time.Time
	open          atomic.Bool

	told bool // that publishers have to wait; protected by srv.mu

	closing atomic.Bool // connection.close was sent: nothing but its answer counts

	channels   map[uint16]*channel // protected by v.mu
	exclusives []*queue            // protected by v.mu
	unfinished int64               // bytes of messages on their way in; protected by v.mu

	payload   []byte      // of the frame that was read last
	publishes atomic.Bool // something was published: blocks with the server
	confirms  []*channel  // that owe confirms
}

func newConn(s *Server, nc net.Conn) *conn {
	return &conn{srv: s, nc: nc, br: bufio.NewReaderSize(nc, 64<<10), out: newOutbox(), channels: map[uint16]*channel{}, frameMax: minFrameMax}
}

// cut is [Faults.cut] for this connection, once it has a name.
func (c *conn) cut(data []byte) ([]byte, bool) {
	if !c.open.Load() {
		return data, false
	}
	return c.srv.faults.cut(c.name, data)
}

// serve speaks with the client until the connection ends, and cleans up.
func (c *conn) serve() {
	interval := make(chan time.Duration, 1)
	var writer sync.WaitGroup
	writer.Go(func() {
		c.out.run(c.nc, interval, c.srv.cfg.WriteTimeout, c.resume, c.cut)
	})
	err := c.handshake()
	if err == nil {
		if c.heartbeat > 0 {
			interval <- c.heartbeat / 2
		}
		c.since = time.Now()
		c.open.Store(true)
		err = c.loop()
	}
	if e, ok := errors.AsType[*exception](err); ok {
		c.shutdown(e)
		c.drain()
	}
	c.teardown()
	c.out.close()
	giveUp := time.AfterFunc(closeWait, func() { _ = c.nc.Close() }) // on who does not read
	writer.Wait()
	giveUp.Stop()
	_ = c.nc.Close()
}

func (e *exception) Error() string { return e.text }

// readFrame returns the next frame; its payload is valid until the next call.
func (c *conn) readFrame() (typ byte, channel uint16, payload []byte, err error) {
	head, err := c.br.Peek(7)
	if err != nil {
		return 0, 0, nil, err
	}
	typ, channel = head[0], binary.BigEndian.Uint16(head[1:])
	size := int(binary.BigEndian.Uint32(head[3:]))
	if size < 0 || size > c.frameMax-frameOverhead {
		return 0, 0, nil, connectionError(codeFrameError, "type %d, %d bytes of payload: a frame has at most %d bytes", typ, size, c.frameMax)
	}
	_, _ = c.br.Discard(7) // they are there
	if n := size + 1; cap(c.payload) < n {
		c.payload = make([]byte, max(n, 4096))
	}
	payload = c.payload[:size+1]
	if _, err := io.ReadFull(c.br, payload); err != nil {
		return 0, 0, nil, err
	}
	if payload[size] != frameEnd {
		return 0, 0, nil, connectionError(codeFrameError, "a frame that ends with the octet %d", payload[size])
	}
	return typ, channel, payload[:size], nil
}

// loop handles frames until the connection ends.
func (c *conn) loop() error {
	for frames := 0; ; frames++ {
		if c.br.Buffered() == 0 || frames == atOnce {
			frames = 0
			c.flush()
			if stalled := c.srv.faults.reading(); stalled != nil {
				<-stalled
			}
			c.awaitUntil(2 * c.heartbeat)
		}
		if c.publishes.Load() && c.srv.full.Load() && !c.halfway() {
			c.flush()
			c.awaitUnblocked()
		}
		typ, number, payload, err := c.readFrame()
		if err != nil {
			return err
		}
		c.out.waitRoom()
		if typ == frameHeartbeat {
			continue
		}
		if number == 0 {
			if err := c.method(typ, payload); err != nil {
				return err
			}
			continue
		}
		if c.closing.Load() {
			continue
		}
		if err := c.frame(typ, number, payload); err != nil {
			return err
		}
	}
}

// halfway reports whether messages have come in part, which the rest would make
// room for.
func (c *conn) halfway() bool {
	c.v.mu.Lock()
	defer c.v.mu.Unlock()
	return c.unfinished > 0
}

// awaitUntil bounds the time until the client says something; 0 is for ever. One
// that was told of a close has closeWait instead.
func (c *conn) awaitUntil(d time.Duration) {
	if c.closing.Load() {
		return
	}
	var deadline time.Time
	if d > 0 {
		deadline = time.Now().Add(d)
	}
	_ = c.nc.SetReadDeadline(deadline)
	if c.closing.Load() { // it came in between
		_ = c.nc.SetReadDeadline(time.Now().Add(closeWait))
	}
}

// awaitUnblocked waits until publishers may go on, or the connection ends.
func (c *conn) awaitUnblocked() {
	for unblocked := c.srv.publishable(c); unblocked != nil && !c.closing.Load() && !c.out.ended(); unblocked = c.srv.publishable(c) {
		select {
		case <-unblocked:
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// method handles a method of the connection itself.
func (c *conn) method(typ byte, payload []byte) error {
	d := decoder{b: payload}
	class, method := d.u16(), d.u16()
	if typ != frameMethod || d.err != nil || class != 10 {
		return connectionError(codeUnexpectedFrame, "a frame of type %d on channel 0", typ)
	}
	switch method {
	case 50: // close
		c.teardown() // who hears that it is closed finds nothing exclusive left
		c.send(0, 10, 51, nil)
		return io.EOF
	case 51: // close-ok
		return io.EOF
	case 70: // update-secret
		c.send(0, 10, 71, nil)
		return nil
	}
	return &exception{code: codeCommandInvalid, text: "COMMAND_INVALID - unexpected method on channel 0", connection: true, class: class, method: method}
}

// frame handles a frame of a channel.
func (c *conn) frame(typ byte, number uint16, payload []byte) error {
	c.v.mu.Lock()
	defer c.v.mu.Unlock()
	ch := c.channels[number]
	if ch == nil {
		return c.openChannel(typ, number, payload)
	}
	var e *exception
	switch {
	case ch.closing:
		c.whileClosing(ch, typ, payload)
		return nil
	case typ == frameMethod:
		e = ch.method(payload)
	case typ == frameHeader:
		e = ch.header(payload)
	case typ == frameBody:
		e = ch.body(payload)
	default:
		e = connectionError(codeFrameError, "a frame of type %d", typ)
	}
	if e == nil {
		return nil
	}
	if e.connection {
		return e
	}
	ch.fail(e)
	return nil
}

func (c *conn) openChannel(typ byte, number uint16, payload []byte) error {
	d := decoder{b: payload}
	class, method := d.u16(), d.u16()
	switch {
	case typ != frameMethod || class != 20 || method != 10:
		if class == 20 && method == 41 {
			return nil // close-ok of a channel that both sides closed at once
		}
		e := connectionError(codeChannelError, "expected 'channel.open'")
		e.class, e.method = class, method
		return e
	case int(number) > c.channelMax:
		return connectionError(codeNotAllowed, "channel number %d is greater than the negotiated channel_max (%d)", number, c.channelMax)
	}
	c.channels[number] = newChannel(c, number)
	c.send(number, 20, 11, func(e *encoder) { e.long("") })
	return nil
}

// whileClosing waits for the answer to channel.close.
func (c *conn) whileClosing(ch *channel, typ byte, payload []byte) {
	d := decoder{b: payload}
	class, method := d.u16(), d.u16()
	if typ != frameMethod || class != 20 {
		return
	}
	switch method {
	case 40: // close: both sides closed at once
		c.send(ch.id, 20, 41, nil)
		delete(c.channels, ch.id)
	case 41: // close-ok
		delete(c.channels, ch.id)
	}
}

// flush sends the confirms that are owed.
func (c *conn) flush() {
	if len(c.confirms) == 0 {
		return
	}
	c.v.mu.Lock()
	for _, ch := range c.confirms {
		ch.flushConfirms()
	}
	c.v.mu.Unlock()
	clear(c.confirms)
	c.confirms = c.confirms[:0]
}

// shutdown tells the client that the connection is closed, and lets go of
// everything that belongs to it. The client may then take a moment to agree.
func (c *conn) shutdown(e *exception) {
	if c.closing.Swap(true) {
		return
	}
	c.send(0, 10, 50, func(w *encoder) {
		w.u16(e.code)
		w.short(e.text)
		w.u16(e.class)
		w.u16(e.method)
	})
	_ = c.nc.SetReadDeadline(time.Now().Add(closeWait))
	if c.open.Load() {
		c.teardown()
	}
}

// drain reads until the client has agreed to the close, or its time is up.
func (c *conn) drain() {
	_ = c.nc.SetReadDeadline(time.Now().Add(closeWait))
	for {
		typ, number, payload, err := c.readFrame()
		if _, ok := errors.AsType[*exception](err); ok {
			// What is left unread would make the operating system take the close
			// back.
			_, _ = io.Copy(io.Discard, c.br)
			return
		}
		if err != nil || number == 0 && typ == frameMethod && c.method(typ, payload) != nil {
			return
		}
	}
}

// teardown gives back what is outstanding and deletes what was exclusive.
func (c *conn) teardown() {
	if c.v == nil {
		return
	}
	c.v.mu.Lock()
	defer c.v.mu.Unlock()
	for id, ch := range c.channels {
		ch.letGo()
		delete(c.channels, id)
	}
	for len(c.exclusives) > 0 {
		c.v.deleteQueue(c.exclusives[0])
	}
}

// resume hands out again what waited for the client to read.
func (c *conn) resume() {
	c.v.mu.Lock()
	defer c.v.mu.Unlock()
	for _, ch := range c.channels {
		ch.proceed()
	}
}

// tellBlocked says once that publishers have to wait; with the server's lock held.
func (c *conn) tellBlocked(why string) {
	if c.open.Load() && c.blockedNotify && !c.told { // open comes after what the handshake notes
		c.told = true
		c.send(0, 10, 60, func(e *encoder) { e.short(why) })
	}
}

func (c *conn) tellUnblocked() {
	if c.told {
		c.told = false
		c.send(0, 10, 61, nil)
	}
}
