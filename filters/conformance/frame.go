package conformance

import (
	"encoding/binary"
	"slices"
)

// The head of a frame; section 2.1.
const (
	magic    = 0x31525452 // "RTR1"
	headSize = 80

	flagRedelivered = 1 << 0
	flagTruncated   = 1 << 1
	flagNoBody      = 1 << 2
	flagNoHeaders   = 1 << 3
	flagNoProps     = 1 << 4
	flagConfig      = 1 << 5
	flagNamed       = 1 << 6
	knownFlags      = 1<<7 - 1
)

// Needs is what router_needs returned, taken apart; section 1.1.
type Needs struct {
	Body, Headers, Properties, Stateless bool
	Prefix                               uint32
	Names                                []string // the only headers, if there are any
}

// Everything is what a filter needs that does not export router_needs.
var Everything = Needs{Body: true, Headers: true, Properties: true}

// Layout are liberties that a frame of a later router may take within ABI 1.
// Its zero value is the frame of today.
type Layout struct {
	Head      int    // bytes of additional fields behind the head
	Minor     uint16 // minor version
	Flags     uint32 // additional flags
	Slots     int    // additional property slots
	Reserved  bool   // the reserved bytes of the head are in use
	OddHeader bool   // one more header, of a type and flags that nobody knows
	Shuffled  bool   // strings before the tables, and gaps between all parts
}

// Frame writes the frame of a message; section 2.
func Frame(m *Message, stage Stage, needs Needs, l Layout) []byte {
	w := frame{buf: make([]byte, headSize+l.Head), gap: l.Shuffled}
	flags := l.Flags
	if m.Redelivered {
		flags |= flagRedelivered
	}
	if stage == Config {
		flags |= flagConfig
	}
	for i := headSize; i < len(w.buf); i++ {
		w.buf[i] = 0xa5
	}

	props := slices.Clone(m.Props[:])
	for range l.Slots {
		props = append(props, "more")
	}
	if !needs.Properties {
		props, flags = nil, flags|flagNoProps
	}
	headers := m.Headers
	if needs.Headers && len(needs.Names) > 0 && stage != Config {
		headers = slices.DeleteFunc(slices.Clone(headers), func(h Header) bool { return !slices.Contains(needs.Names, h.Name) })
		flags |= flagNamed
	}
	if l.OddHeader {
		odd := Header{"x-odd", Value{Type: 9, Flags: 0x80, Data: []byte("odd")}}
		headers = append(slices.Clone(headers), odd)
	}
	if !needs.Headers {
		headers, flags = nil, flags|flagNoHeaders
	}
	body := m.Body
	if !needs.Body {
		body = body[:min(len(body), int(needs.Prefix))]
		switch {
		case needs.Prefix == 0:
			flags |= flagNoBody
		case len(body) < len(m.Body):
			flags |= flagTruncated
		}
	}

	var propAt, headerAt int
	tables := func() {
		propAt = w.room(4, 8*len(props))
		headerAt = w.room(4, 20*len(headers))
	}
	if !l.Shuffled {
		tables()
	}
	var texts [][2]uint32
	for _, s := range props {
		texts = append(texts, w.add(s))
	}
	for _, h := range headers {
		texts = append(texts, w.add(h.Name), w.add(string(h.Data)))
	}
	if l.Shuffled {
		tables()
	}
	bodyAt := w.room(8, len(body))
	copy(w.buf[bodyAt:], body)

	le := binary.LittleEndian
	b := w.buf
	for i := range props {
		le.PutUint32(b[propAt+8*i:], texts[i][0])
		le.PutUint32(b[propAt+8*i+4:], texts[i][1])
	}
	for i, h := range headers {
		key, value := texts[len(props)+2*i], texts[len(props)+2*i+1]
		e := b[headerAt+20*i:]
		le.PutUint32(e, key[0])
		le.PutUint16(e[4:], uint16(key[1]))
		e[6], e[7] = byte(h.Type), h.Value.Flags
		le.PutUint32(e[8:], value[0])
		le.PutUint32(e[12:], value[1])
		le.PutUint32(e[16:], Hash(h.Name))
	}
	le.PutUint32(b, magic)
	le.PutUint16(b[4:], uint16(headSize+l.Head))
	le.PutUint16(b[6:], l.Minor)
	le.PutUint32(b[8:], uint32(len(b)))
	le.PutUint32(b[12:], flags)
	le.PutUint32(b[16:], uint32(headerAt))
	le.PutUint32(b[20:], uint32(len(headers)))
	le.PutUint32(b[24:], uint32(bodyAt))
	le.PutUint32(b[28:], uint32(len(body)))
	le.PutUint64(b[32:], uint64(len(m.Body)))
	le.PutUint64(b[40:], uint64(m.Timestamp))
	le.PutUint32(b[48:], uint32(propAt))
	le.PutUint32(b[52:], uint32(len(props)))
	b[56], b[57], b[58] = m.Priority, m.DeliveryMode, byte(stage)
	le.PutUint64(b[64:], uint64(m.Received))
	if l.Reserved {
		copy(b[59:64], "\xff\xff\xff\xff\xff")
		le.PutUint64(b[72:], 1<<63|1)
	}
	return b
}

// frame is a frame that is being written.
type frame struct {
	buf []byte
	gap bool
}

// room appends n bytes at a multiple of align and returns where.
func (w *frame) room(align, n int) int {
	if w.gap {
		w.buf = append(w.buf, "\xee\xee\xee\xee\xee\xee\xee\xee\xee\xee\xee"...)
	}
	for len(w.buf)%align != 0 {
		w.buf = append(w.buf, 0)
	}
	at := len(w.buf)
	w.buf = append(w.buf, make([]byte, n)...)
	return at
}

func (w *frame) add(s string) [2]uint32 {
	at := w.room(1, len(s))
	copy(w.buf[at:], s)
	return [2]uint32{uint32(at), uint32(len(s))}
}

// Hash returns the hash of a header's name: FNV-1a, 32 bit.
func Hash(name string) uint32 {
	h := uint32(0x811c9dc5)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 0x01000193
	}
	return h
}
