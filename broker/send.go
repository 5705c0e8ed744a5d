package broker

import (
	"crypto/subtle"
	"encoding/binary"
)

// send writes a method; args nil is none.
func (c *conn) send(channel, class, method uint16, args func(*encoder)) {
	c.out.append(func(b []byte) []byte { return appendMethod(b, channel, class, method, args) })
}

func appendMethod(b []byte, channel, class, method uint16, args func(*encoder)) []byte {
	at := len(b)
	e := encoder{append(b, frameMethod, byte(channel>>8), byte(channel), 0, 0, 0, 0)}
	e.u16(class)
	e.u16(method)
	if args != nil {
		args(&e)
	}
	return endFrame(e.b, at)
}

// endFrame completes the frame that begins at.
func endFrame(b []byte, at int) []byte {
	binary.BigEndian.PutUint32(b[at+3:], uint32(len(b)-at-7))
	return append(b, frameEnd)
}

// appendContent writes header and body of a message.
func (c *conn) appendContent(b []byte, channel uint16, m *message) []byte {
	at := len(b)
	e := encoder{append(b, frameHeader, byte(channel>>8), byte(channel), 0, 0, 0, 0)}
	e.u16(60)
	e.u16(0)
	e.u64(uint64(len(m.body)))
	b = endFrame(append(e.b, m.props.raw...), at)
	for body := m.body; len(body) > 0; {
		n := min(len(body), c.frameMax-frameOverhead)
		at := len(b)
		b = append(b, frameBody, byte(channel>>8), byte(channel), 0, 0, 0, 0)
		b = endFrame(append(b, body[:n]...), at)
		body = body[n:]
	}
	return b
}

func (c *conn) sendDelivery(channel uint16, consumer string, tag uint64, redelivered bool, m *message) {
	c.out.append(func(b []byte) []byte {
		b = appendMethod(b, channel, 60, 60, func(e *encoder) {
			e.short(consumer)
			e.u64(tag)
			e.u8(bit(redelivered, 0))
			e.short(m.exchange)
			e.short(m.key)
		})
		return c.appendContent(b, channel, m)
	})
}

func (c *conn) sendReturn(channel, code uint16, text string, m *message) {
	c.out.append(func(b []byte) []byte {
		b = appendMethod(b, channel, 60, 50, func(e *encoder) {
			e.u16(code)
			e.short(text)
			e.short(m.exchange)
			e.short(m.key)
		})
		return c.appendContent(b, channel, m)
	})
}

func sameSecret(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
