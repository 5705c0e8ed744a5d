package broker_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/broker"
)

// raw is a client that says what no client should.
type raw struct {
	t *testing.T
	net.Conn
}

func dialRaw(t *testing.T, address string) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	return &raw{t, nc}
}

func (r *raw) send(b []byte) {
	r.t.Helper()
	if _, err := r.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

func frame(typ byte, channel uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{typ}, channel)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(append(b, payload...), 0xce)
}

func method(class, id uint16, args ...byte) []byte {
	return append(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, class), id), args...)
}

// read returns the next frame.
func (r *raw) read() (typ byte, payload []byte, err error) {
	var head [7]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	payload = make([]byte, binary.BigEndian.Uint32(head[3:])+1)
	_, err = io.ReadFull(r, payload)
	return head[0], payload[:len(payload)-1], err
}

// open opens the connection and channel 1.
func (r *raw) open() *raw {
	r.t.Helper()
	r.send([]byte("AMQP\x00\x00\x09\x01"))
	startOK := append(method(10, 11, 0, 0, 0, 0, 5), "PLAIN\x00\x00\x00\x0c\x00guest\x00guest\x05en_US"...)
	for _, answer := range [][]byte{
		frame(1, 0, startOK), append(frame(1, 0, method(10, 31, 0, 0, 0, 2, 0, 0, 0, 0)), frame(1, 0, method(10, 40, 1, '/', 0, 0))...), frame(1, 1, method(20, 10, 0)),
	} {
		if _, _, err := r.read(); err != nil {
			r.t.Fatal(err)
		}
		r.send(answer)
	}
	if _, _, err := r.read(); err != nil {
		r.t.Fatal(err)
	}
	return r
}

// closed returns the code with which the server closes the connection, 0 if it says
// nothing.
func (r *raw) closed() int {
	r.t.Helper()
	code := 0
	for {
		typ, payload, err := r.read()
		if err != nil {
			return code
		}
		if typ == 1 && bytes.HasPrefix(payload, method(10, 50)) {
			code = int(binary.BigEndian.Uint16(payload[4:]))
			_, _ = r.Write(frame(1, 0, method(10, 51)))
			_ = r.Conn.(*net.TCPConn).CloseWrite()
		}
	}
}

func TestClientsThatBreakTheRules(t *testing.T) {
	s, address := startServer(t, func(c *broker.Config) {
		c.HandshakeTimeout, c.MaxMessage = 300*time.Millisecond, 1<<20
	})
	publish := frame(1, 1, method(60, 40, 0, 0, 0, 1, 'q', 0))
	big := make([]byte, 140000)
	for _, c := range []struct {
		name string
		open bool
		send []byte
		code int
	}{
		{"another protocol", false, []byte("GET / HTTP/1.1\r\n\r\n"), 0},
		{"silence", false, nil, 0},
		{"half a head", false, []byte("AMQ"), 0},
		{"no login", false, []byte("AMQP\x00\x00\x09\x01"), 0},
		{"a frame before login that is too large", false, append([]byte("AMQP\x00\x00\x09\x01"), frame(1, 0, make([]byte, 5000))...), 501},
		{"a frame that is too large", true, frame(3, 1, big), 501},
		{"a length that is a lie", true, []byte{1, 0, 1, 0xff, 0xff, 0xff, 0xff, 0}, 501},
		{"a wrong end", true, append(frame(1, 1, method(20, 10, 0))[:12], 0xcd), 501},
		{"a type of frame there is not", true, frame(9, 1, nil), 501},
		{"a method there is not", true, frame(1, 1, method(60, 999)), 503},
		{"a class there is not", true, frame(1, 1, method(77, 1)), 503},
		{"arguments that end too soon", true, frame(1, 1, method(50, 10, 0, 0, 9, 'x')), 502},
		{"a table that ends too soon", true, frame(1, 1, method(50, 10, 0, 0, 1, 'x', 0, 0, 0, 0, 9, 1)), 502},
		{"a second channel.open", true, frame(1, 1, method(20, 10, 0)), 504},
		{"a channel that is not open", true, frame(1, 7, method(50, 10)), 504},
		{"a body without a header", true, frame(3, 1, []byte("x")), 505},
		{"a header without a publish", true, frame(2, 1, make([]byte, 14)), 505},
		{"a method in place of a header", true, append(bytes.Clone(publish), publish...), 505},
		{"a body that is longer than it says", true, append(append(bytes.Clone(publish), frame(2, 1, []byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0})...), frame(3, 1, []byte("xy"))...), 501},
		{"properties that are none", true, append(bytes.Clone(publish), frame(2, 1, []byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff})...), 502},
		{"channel 0", true, frame(3, 0, []byte("x")), 505},
		{"a method of channels on channel 0", true, frame(1, 0, method(20, 10, 0)), 505},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := dialRaw(t, address)
			if c.open {
				r.open()
			}
			_, _ = r.Write(c.send) // may be refused before all of it is written
			if got := r.closed(); got != c.code {
				t.Errorf("closed with %d, not %d", got, c.code)
			}
		})
	}
	t.Cleanup(func() { // after all of them
		if conn, err := amqp091.Dial("amqp://guest:guest@" + address); err != nil {
			t.Errorf("the broker is not well: %v", err)
		} else {
			_ = conn.Close()
		}
		s.Close()
	})
}

// TestAHugeMessage has a message that is larger than allowed: the channel ends, the
// connection does not.
func TestAHugeMessage(t *testing.T) {
	r := dialRaw(t, start(t, func(c *broker.Config) { c.MaxMessage = 1000 })).open()
	r.send(frame(1, 1, method(60, 40, 0, 0, 0, 1, 'q', 0)))
	r.send(frame(2, 1, []byte{0, 60, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0}))
	r.send(frame(3, 1, make([]byte, 100000)))
	typ, payload, err := r.read()
	if err != nil || typ != 1 || !bytes.HasPrefix(payload, append(method(20, 40), 406>>8, 406&255)) {
		t.Fatalf("%d %x, %v", typ, payload, err)
	}
	r.send(frame(1, 1, method(20, 41)))
	r.send(frame(1, 1, method(20, 10, 0)))
	if _, payload, err = r.read(); err != nil || !bytes.HasPrefix(payload, method(20, 11)) {
		t.Fatalf("%x, %v", payload, err)
	}
}

// TestAClientThatReadsNothing consumes and does not read: what it could not take
// stays in its queue, and others are served.
func TestAClientThatReadsNothing(t *testing.T) {
	s, address := startServer(t, func(c *broker.Config) { c.WriteTimeout = time.Second })
	conn := openPipe(t, s)
	b := setUp(t, conn)
	r := dialRaw(t, address).open()
	r.send(frame(1, 1, method(60, 20, 0, 0, 1, 'q', 0, 0, 0, 0, 0, 0)))
	if _, payload, err := r.read(); err != nil || !bytes.HasPrefix(payload, method(60, 21)) {
		t.Fatalf("%x, %v", payload, err)
	}
	body := string(make([]byte, 100<<10))
	const n = 400
	go func() {
		for range n {
			if b.ch.PublishWithContext(t.Context(), "", "q", false, false, amqp091.Publishing{Body: []byte(body)}) != nil {
				return
			}
		}
	}()
	for range n {
		receive(t, b.confirms)
	}
	// The broker gives the client up, and all of its messages come back.
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		q, err := b.ch.QueueDeclarePassive("q", false, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		if q.Messages == n {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("%d of %d messages are there", q.Messages, n)
		}
	}
}

// TestCloseWithClientsThatDoNotCare closes a server whose clients go on sending, or
// read nothing.
func TestCloseWithClientsThatDoNotCare(t *testing.T) {
	s, address := startServer(t, func(c *broker.Config) { c.WriteTimeout = time.Hour })
	b := setUp(t, openPipe(t, s))
	deaf, busy := dialRaw(t, address).open(), dialRaw(t, address).open()
	deaf.send(frame(1, 1, method(60, 20, 0, 0, 1, 'q', 0, 2, 0, 0, 0, 0)))
	for range 300 {
		b.publish(string(make([]byte, 100<<10)))
		receive(t, b.confirms)
	}
	flood := bytes.Repeat(frame(8, 0, nil), 1000)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = busy.SetDeadline(time.Time{})
		for {
			if _, err := busy.Write(flood); err != nil {
				return
			}
		}
	}()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.Close()
	}()
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Fatal("the server does not close")
	}
	<-gone
}
