package broker

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// recorded is a client that says what it has to say, takes whatever comes, and goes.
type recorded struct{ io.Reader }

func (recorded) Write(b []byte) (int, error)      { return len(b), nil }
func (recorded) Close() error                     { return nil }
func (recorded) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (recorded) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (recorded) SetDeadline(time.Time) error      { return nil }
func (recorded) SetReadDeadline(time.Time) error  { return nil }
func (recorded) SetWriteDeadline(time.Time) error { return nil }

// say returns a frame.
func say(typ byte, channel uint16, payload []byte) []byte {
	b := []byte{typ, byte(channel >> 8), byte(channel), 0, 0, 0, 0}
	return endFrame(append(b, payload...), 0)
}

// hello opens the connection and two channels.
func hello() []byte {
	b := []byte("AMQP\x00\x00\x09\x01")
	method := func(channel, class, id uint16, args func(*encoder)) { b = appendMethod(b, channel, class, id, args) }
	method(0, 10, 11, func(e *encoder) {
		e.table(table{{"capabilities", table{{"consumer_cancel_notify", true}, {"connection.blocked", true}}}})
		e.short("PLAIN")
		e.long("\x00guest\x00guest")
		e.short("en_US")
	})
	method(0, 10, 31, func(e *encoder) {
		e.u16(0)
		e.u32(0)
		e.u16(0)
	})
	method(0, 10, 40, func(e *encoder) {
		e.short("/")
		e.short("")
		e.u8(0)
	})
	for channel := range uint16(2) {
		method(channel+1, 20, 10, func(e *encoder) { e.short("") })
	}
	return b
}

// hear serves a client that says that and goes; leave forgets it.
func (s *Server) hear(said []byte) (leave func()) {
	c := newConn(s, recorded{bytes.NewReader(said)})
	s.conns[c] = struct{}{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.serve()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		panic("it hangs")
	}
	return func() { delete(s.conns, c) }
}

// FuzzHandshake has a client begin with anything. Nobody without a login may have a
// queue made or a connection counted, and nothing may panic, hang, or be left behind.
func FuzzHandshake(f *testing.F) {
	f.Add(hello())
	f.Add([]byte("AMQP\x00\x01\x00\x00"))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Add(bytes.Replace(hello(), []byte("guest"), []byte("other"), 1))
	f.Add(bytes.Replace(hello(), []byte("PLAIN"), []byte("AMQPL"), 1))
	f.Add(hello()[8:])
	for n := 8; n < len(hello()); n += 7 {
		f.Add(hello()[:n])
		f.Add(append(hello()[:n], hello()...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := New(Config{MaxMemory: 1 << 16, MaxMessage: 1 << 14, HandshakeTimeout: time.Hour})
		leave := s.hear(data)
		if !bytes.HasPrefix(data, []byte("AMQP\x00\x00\x09\x01")) && len(s.vhosts["/"].queues) > 0 {
			t.Errorf("%d queues without a header of the protocol", len(s.vhosts["/"].queues))
		}
		leave()
		s.Close()
		if used := s.used.Load(); used != 0 {
			t.Errorf("%d bytes are left", used)
		}
	})
}

// FuzzConnection has a client say anything behind a proper beginning. Of each piece
// of the input the first byte says what it is: an even one is a frame, with its type,
// channel and length in four more bytes, an odd one is taken as it is; the type 0
// opens the channel again if it was closed. Nothing may panic, hang, or be left
// behind.
func FuzzConnection(f *testing.F) {
	for _, seed := range seeds() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := New(Config{MaxMemory: 1 << 16, MaxMessage: 1 << 14, HandshakeTimeout: time.Hour})
		in := hello()
		for len(data) >= 5 {
			n := min(int(binary.BigEndian.Uint16(data[3:])), len(data)-5)
			switch channel := uint16(data[2] & 3); {
			case data[0]&1 != 0:
				in = append(in, data[5:5+n]...)
			case data[1]&3 != 0:
				in = append(in, say(data[1]&3, channel, data[5:5+n])...)
			default:
				in = append(in, say(frameMethod, channel, []byte{0, 20, 0, 41})...)
				in = append(in, say(frameMethod, channel, []byte{0, 20, 0, 10, 0})...)
			}
			data = data[5+n:]
		}
		leave := s.hear(in)
		leave()
		for _, v := range s.vhosts {
			for _, q := range v.queues {
				if q.unacked != 0 || len(q.consumers) != 0 || q.owner != nil {
					t.Errorf("queue %q: %d unacked, %d consumers, exclusive %v", q.name, q.unacked, len(q.consumers), q.owner != nil)
				}
			}
			if len(v.replies) != 0 {
				t.Errorf("%d addresses of replies are left", len(v.replies))
			}
		}
		s.Close()
		if used := s.used.Load(); used != 0 {
			t.Errorf("%d bytes are left", used)
		}
	})
}

// seeds are conversations that use every method.
func seeds() [][]byte {
	var all [][]byte
	var b []byte
	piece := func(typ, channel byte, payload []byte) {
		b = append(b, 0, typ, channel, byte(len(payload)>>8), byte(len(payload)))
		b = append(b, payload...)
	}
	method := func(channel byte, class, id uint16, args func(*encoder)) {
		frame := appendMethod(nil, 0, class, id, args)
		piece(frameMethod, channel, frame[7:len(frame)-1])
	}
	end := func() {
		all = append(all, b)
		b = nil
	}
	declare := func(channel byte, name string, bits byte, args table) {
		method(channel, 50, 10, func(e *encoder) {
			e.u16(0)
			e.short(name)
			e.u8(bits)
			e.table(args)
		})
	}
	publish := func(channel byte, exchange, key string, props []byte, body string, bits byte) {
		method(channel, 60, 40, func(e *encoder) {
			e.u16(0)
			e.short(exchange)
			e.short(key)
			e.u8(bits)
		})
		header := binary.BigEndian.AppendUint64([]byte{0, 60, 0, 0}, uint64(len(body)))
		piece(frameHeader, channel, append(header, props...))
		if body != "" {
			piece(frameBody, channel, []byte(body))
		}
	}
	consume := func(channel byte, queue, tag string, bits byte) {
		method(channel, 60, 20, func(e *encoder) {
			e.u16(0)
			e.short(queue)
			e.short(tag)
			e.u8(bits)
			e.table(table{{"x-priority", int32(3)}})
		})
	}
	settle := func(channel byte, id uint16, tag uint64, bits byte) {
		method(channel, 60, id, func(e *encoder) {
			e.u64(tag)
			e.u8(bits)
		})
	}
	none := []byte{0, 0}

	// Queues with all arguments; dead letters that go round.
	declare(1, "q", 0, table{
		{"x-message-ttl", int32(1000)},
		{"x-expires", int32(1000)},
		{"x-max-length", int32(2)},
		{"x-max-length-bytes", int64(100)},
		{"x-max-priority", int8(9)},
		{"x-dead-letter-exchange", ""},
		{"x-dead-letter-routing-key", "q"},
		{"x-overflow", "reject-publish-dlx"},
		{"x-single-active-consumer", true},
		{"x-delivery-limit", int32(1)},
	})
	method(1, 85, 10, func(e *encoder) { e.u8(0) })
	for range 4 {
		publish(1, "", "q", none, "body", 1)
	}
	consume(2, "q", "c", 0)
	settle(2, 120, 1, 3)
	settle(2, 80, 0, 1)
	piece(0, 2, nil)
	consume(2, "q", "c", 0)
	method(2, 60, 30, func(e *encoder) {
		e.short("c")
		e.u8(0)
	})
	end()

	// Exchanges and bindings.
	declare(1, "q", 0, nil)
	for i, kind := range exchangeKinds {
		method(1, 40, 10, func(e *encoder) {
			e.u16(0)
			e.short("x" + kind)
			e.short(kind)
			e.u8(0)
			e.table(table{{"alternate-exchange", "amq.fanout"}})
		})
		for _, bind := range []uint16{20, 50, 20} {
			method(1, 50, bind, func(e *encoder) {
				e.u16(0)
				e.short("")
				e.short("x" + kind)
				e.short("a.*.#")
				if bind == 20 {
					e.u8(0)
				}
				e.table(table{{"x-match", "any"}, {"k", "v"}})
			})
		}
		if i > 0 {
			method(1, 40, 30, func(e *encoder) {
				e.u16(0)
				e.short("x" + kind)
				e.short("x" + exchangeKinds[i-1])
				e.short("k")
				e.u8(0)
				e.table(nil)
			})
		}
		var props encoder
		props.u16(propHeaders | propPriority | propReplyTo | propExpiration | propUserID)
		props.table(table{{"k", "v"}, {"CC", []any{"q", "r"}}, {"BCC", []any{"q"}}})
		props.u8(5)
		props.short("elsewhere")
		props.short("10")
		props.short("guest")
		publish(1, "x"+kind, "a.b.c", props.b, "body", 1)
	}
	method(1, 50, 10, func(e *encoder) { // another declaration, which is refused
		e.u16(0)
		e.short("q")
		e.u8(2)
		e.table(nil)
	})
	piece(0, 1, nil)
	publish(1, "", "none", none, "lost", 1)
	settle(1, 80, 5, 1)
	piece(0, 1, nil)
	method(1, 99, 99, nil)
	end()

	// Transactions, get, recover, prefetch.
	declare(1, "q", 12, nil)
	method(1, 90, 10, nil)
	publish(1, "", "q", none, "one", 0)
	publish(1, "", "q", none, "two", 0)
	method(1, 90, 20, nil)
	method(2, 60, 10, func(e *encoder) {
		e.u32(0)
		e.u16(1)
		e.u8(1)
	})
	for _, channel := range []byte{1, 2} {
		method(channel, 60, 70, func(e *encoder) {
			e.u16(0)
			e.short("q")
			e.u8(0)
		})
		settle(channel, 90, 1, 1)
	}
	method(1, 90, 30, nil)
	consume(2, "q", "", 0)
	method(2, 60, 110, func(e *encoder) { e.u8(1) })
	method(1, 50, 30, func(e *encoder) {
		e.u16(0)
		e.short("q")
		e.u8(0)
	})
	end()

	// Direct replies, flow, and closes.
	consume(1, replyAddress, "r", 2)
	var props encoder
	props.u16(propReplyTo)
	props.short(replyAddress)
	declare(2, "server", 2, nil)
	publish(1, "", "server", props.b, "call", 1)
	consume(2, "server", "", 6)
	method(2, 20, 20, func(e *encoder) { e.u8(1) })
	for _, id := range []uint16{40, 41} {
		method(2, 20, id, func(e *encoder) {
			e.u16(200)
			e.short("bye")
			e.u32(0)
		})
	}
	method(1, 50, 40, func(e *encoder) {
		e.u16(0)
		e.short("server")
		e.u8(0)
	})
	method(1, 40, 20, func(e *encoder) {
		e.u16(0)
		e.short("none")
		e.u8(1)
	})
	method(0, 10, 50, func(e *encoder) {
		e.u16(200)
		e.short("bye")
		e.u32(0)
	})
	end()
	return all
}

// steady is a client that always has more to say, and counts how often the time to
// hear from it begins anew.
type steady struct {
	recorded
	deadlines int
	written   bytes.Buffer
}

func (s *steady) SetReadDeadline(time.Time) error {
	s.deadlines++
	return nil
}

func (s *steady) Write(b []byte) (int, error) { return s.written.Write(b) }

// TestATrafficThatNeverPauses has confirms come and the time begin anew although
// there is always more to read.
func TestATrafficThatNeverPauses(t *testing.T) {
	in := hello()
	in = appendMethod(in, 1, 85, 10, func(e *encoder) { e.u8(0) })
	const n = 20000
	for range n {
		in = appendMethod(in, 1, 60, 40, func(e *encoder) {
			e.u16(0)
			e.short("")
			e.short("nowhere")
			e.u8(0)
		})
		in = append(in, say(frameHeader, 1, make([]byte, 14))...)
		in[len(in)-1-13] = 60 // the class
	}
	client := &steady{recorded: recorded{bytes.NewReader(in)}}
	s := New(Config{})
	defer s.Close()
	c := newConn(s, client)
	c.serve()
	batches := bytes.Count(client.written.Bytes(), []byte{frameMethod, 0, 1, 0, 0, 0, 13, 0, 60, 0, 80})
	if least := 2 * n / atOnce; batches < least || client.deadlines < least {
		t.Errorf("%d batches of confirms, %d deadlines; %d are due", batches, client.deadlines, least)
	}
}
