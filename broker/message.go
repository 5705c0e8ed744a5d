package broker

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// The flags of properties, in the order in which they are written.
const (
	propContentType     = 1 << 15
	propContentEncoding = 1 << 14
	propHeaders         = 1 << 13
	propDeliveryMode    = 1 << 12
	propPriority        = 1 << 11
	propCorrelationID   = 1 << 10
	propReplyTo         = 1 << 9
	propExpiration      = 1 << 8
	propMessageID       = 1 << 7
	propTimestamp       = 1 << 6
	propType            = 1 << 5
	propUserID          = 1 << 4
	propAppID           = 1 << 3
	propClusterID       = 1 << 2
)

// properties are those that the broker looks at, and all of them as they came.
type properties struct {
	raw []byte // flags and values

	flags      uint16
	headers    []byte // the table with its length, of raw
	priority   uint8
	replyTo    string
	expiration string
	userID     string

	// Where in raw the values begin and end that the broker may change.
	headersAt, headersEnd, replyAt, replyEnd, expirationAt, expirationEnd int
}

// parseProperties reads the flags and values of a content header.
func parseProperties(raw []byte) (properties, error) {
	d := decoder{b: raw}
	p := properties{raw: raw, flags: d.u16()}
	if p.flags&3 != 0 && d.err == nil {
		return p, fmt.Errorf("property flags %#x", p.flags)
	}
	at := func() int { return len(raw) - len(d.b) }
	if p.flags&propContentType != 0 {
		d.short()
	}
	if p.flags&propContentEncoding != 0 {
		d.short()
	}
	if p.flags&propHeaders != 0 {
		p.headersAt = at()
		d.long()
		p.headersEnd = at()
		p.headers = raw[p.headersAt:p.headersEnd]
	}
	if p.flags&propDeliveryMode != 0 {
		d.u8()
	}
	if p.flags&propPriority != 0 {
		p.priority = d.u8()
	}
	if p.flags&propCorrelationID != 0 {
		d.short()
	}
	if p.flags&propReplyTo != 0 {
		p.replyAt = at()
		p.replyTo = d.short()
		p.replyEnd = at()
	}
	if p.flags&propExpiration != 0 {
		p.expirationAt = at()
		p.expiration = d.short()
		p.expirationEnd = at()
	}
	if p.flags&propMessageID != 0 {
		d.short()
	}
	if p.flags&propTimestamp != 0 {
		d.u64()
	}
	if p.flags&propType != 0 {
		d.short()
	}
	if p.flags&propUserID != 0 {
		p.userID = d.short()
	}
	if p.flags&propAppID != 0 {
		d.short()
	}
	if p.flags&propClusterID != 0 {
		d.short()
	}
	if d.err == nil && len(d.b) > 0 {
		return p, fmt.Errorf("%d bytes behind the properties", len(d.b))
	}
	return p, d.err
}

// table returns the headers.
func (p *properties) table() (table, error) {
	if p.flags&propHeaders == 0 {
		return nil, nil
	}
	d := decoder{b: p.headers}
	t := d.table(0)
	return t, d.err
}

// with returns the properties with other headers, and without an expiration if
// that is asked for.
func (p *properties) with(headers table, keepExpiration bool) properties {
	flags := p.flags | propHeaders
	e := encoder{make([]byte, 0, len(p.raw)+64)}
	e.u16(0)
	before := p.headersAt
	behind := p.headersEnd
	if p.flags&propHeaders == 0 {
		// The headers come behind the content type and encoding.
		d := decoder{b: p.raw[2:]}
		if flags&propContentType != 0 {
			d.short()
		}
		if flags&propContentEncoding != 0 {
			d.short()
		}
		before = len(p.raw) - len(d.b)
		behind = before
	}
	e.b = append(e.b, p.raw[2:before]...)
	e.table(headers)
	if flags&propExpiration != 0 && !keepExpiration {
		flags &^= propExpiration
		e.b = append(e.b, p.raw[behind:p.expirationAt]...)
		e.b = append(e.b, p.raw[p.expirationEnd:]...)
	} else {
		e.b = append(e.b, p.raw[behind:]...)
	}
	e.b[0], e.b[1] = byte(flags>>8), byte(flags)
	changed, _ := parseProperties(e.b)
	return changed
}

// withReplyTo returns the properties with another reply_to; there must be one.
func (p *properties) withReplyTo(address string) properties {
	e := encoder{make([]byte, 0, len(p.raw)+len(address))}
	e.b = append(e.b, p.raw[:p.replyAt]...)
	e.short(address)
	e.b = append(e.b, p.raw[p.replyEnd:]...)
	changed, _ := parseProperties(e.b)
	return changed
}

// ttl returns how long the message may wait, and whether it says so.
func (p *properties) ttl() (time.Duration, bool, error) {
	if p.flags&propExpiration == 0 {
		return 0, false, nil
	}
	ms, err := strconv.ParseUint(p.expiration, 10, 32)
	if err != nil {
		return 0, false, fmt.Errorf("invalid expiration '%s'", p.expiration)
	}
	return time.Duration(ms) * time.Millisecond, true, nil
}

// message is one published message. The queues that hold it share it; nothing in
// it changes.
type message struct {
	exchange string
	key      string
	keys     []string // with those of the headers CC and BCC, when there are any
	props    properties
	body     []byte
}

// size is what a message in a queue counts as in limits of memory.
func (m *message) size() int64 { return int64(len(m.body)) + int64(len(m.props.raw)) + overhead }

// overhead is about what else a message in a queue takes.
const overhead = 400

// routingKeys returns the key, and those that the headers CC and BCC add.
func (m *message) routingKeys() []string {
	if m.keys != nil {
		return m.keys
	}
	return []string{m.key}
}

// carbonCopies reads the headers CC and BCC into m and takes BCC away. Headers that
// nobody could read are refused.
func (m *message) carbonCopies() *exception {
	raw := m.props.headers
	if wellFormed(raw[4:], true, 0) && !bytes.Contains(raw, []byte("\x02CC")) && !bytes.Contains(raw, []byte("\x03BCC")) {
		return nil // by far the most common
	}
	headers, err := m.props.table()
	if err != nil {
		return connectionError(codeSyntaxError, "headers: %v", err)
	}
	for _, name := range []string{"CC", "BCC"} {
		v := headers.get(name)
		if !headers.has(name) {
			continue
		}
		list, ok := v.([]any)
		if !ok {
			return channelError(codePreconditionFailed, "invalid value of header %s: an array of texts is needed", name)
		}
		for _, item := range list {
			key, ok := item.(string)
			if !ok {
				return channelError(codePreconditionFailed, "invalid value of header %s: an array of texts is needed", name)
			}
			if m.keys == nil {
				m.keys = []string{m.key}
			}
			m.keys = append(m.keys, key)
		}
	}
	if headers.has("BCC") {
		m.props = m.props.with(headers.without("BCC"), true)
	}
	return nil
}
