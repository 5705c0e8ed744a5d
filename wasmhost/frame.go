package wasmhost

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/wasmrouter/router/router"
)

// The frame's layout; docs/ABI.md section 2.
const (
	frameMagic   = 0x31525452 // "RTR1"
	frameHead    = 80
	frameProps   = 14
	headerEntry  = 20
	stageConfig  = 255
	flagRedeliv  = 1 << 0
	flagBodyCut  = 1 << 1
	flagNoBody   = 1 << 2
	flagNoHeader = 1 << 3
	flagNoProps  = 1 << 4
	flagConfig   = 1 << 5
	flagSelected = 1 << 6
)

// Types of header values.
const (
	typeNull = iota
	typeUTF8
	typeBytes
	typeInt
	typeFloat
	typeBool
	typeTime
	typeNested
)

const (
	headerArray   = 1 << 0
	headerDecimal = 1 << 1
)

var (
	errHeaderKey  = errors.New("a header's name is longer than 65535 bytes")
	errHeaderType = errors.New("a header's value is of no AMQP type")
	errNesting    = errors.New("a header is nested too deeply")
)

// The hash of header names: FNV-1a, 32 bit.
const (
	fnvBasis = 0x811c9dc5
	fnvPrime = 0x01000193
)

// needs is what router_needs returned, unpacked.
type needs struct {
	body, headers, props bool
	prefix               uint32 // with body false: bytes of the body wanted
	stateless            bool
	names                []headerName // with headers true: only these, if there are any
}

// headerName is a header's name with its hash.
type headerName struct {
	name string
	hash uint32
}

var needsAll = needs{body: true, headers: true, props: true}

// frame is one message to be written for a guest.
type frame struct {
	env    *router.Envelope
	stage  uint8
	flags  uint32
	needs  needs
	filter string
	target string

	json  []byte       // scratch for nested headers
	names []headerName // of the last message's headers, sorted
}

// put copies s to buf at off if there is room, and returns the offset after it
// in either case.
func put[T ~string | ~[]byte](buf []byte, off int, s T) int {
	end := off + len(s)
	if end <= len(buf) {
		copy(buf[off:end], s)
	}
	return end
}

// frameWriter is put for values of all types.
type frameWriter struct {
	buf []byte
	off int
}

func (w *frameWriter) str(s string)   { w.off = put(w.buf, w.off, s) }
func (w *frameWriter) bytes(b []byte) { w.off = put(w.buf, w.off, b) }

func (w *frameWriter) u64(v uint64) {
	o := w.off
	w.off += 8
	if w.off <= len(w.buf) {
		binary.LittleEndian.PutUint64(w.buf[o:], v)
	}
}

// encode writes the frame into buf and returns its length. A length above
// len(buf) means that it did not fit, and that buf holds nothing of use.
func (f *frame) encode(buf []byte) (int, error) {
	env := f.env
	le := binary.LittleEndian
	flags := f.flags
	if env.Origin.Redelivered {
		flags |= flagRedeliv
	}

	nProp := frameProps
	if !f.needs.props {
		nProp = 0
		flags |= flagNoProps
	}
	headers := env.Headers()
	entries := len(headers)
	switch {
	case !f.needs.headers:
		headers, entries = nil, 0
		flags |= flagNoHeader
	case len(f.needs.names) > 0:
		entries = len(f.needs.names)
		flags |= flagSelected
	}
	body := env.Body
	if !f.needs.body {
		n := min(len(body), int(f.needs.prefix))
		switch {
		case f.needs.prefix == 0:
			flags |= flagNoBody
		case n < len(body):
			flags |= flagBodyCut
		}
		body = body[:n]
	}

	// What fits is written, and everything is counted, so that one pass either
	// writes the frame or tells how much room it needs.
	hdrOff := frameHead + 8*nProp
	off := hdrOff + headerEntry*entries
	fits := off <= len(buf)

	if nProp > 0 {
		props := [frameProps]*string{
			&env.Origin.Exchange, &env.Origin.RoutingKey, &env.ContentType, &env.ContentEncoding,
			&env.CorrelationID, &env.ReplyTo, &env.MessageID, &env.Type, &env.AppID, &env.UserID,
			&env.Origin.Queue, &f.filter, &env.Expiration, &f.target,
		}
		for i, s := range props {
			if fits {
				le.PutUint64(buf[frameHead+8*i:], uint64(uint32(off))|uint64(len(*s))<<32)
			}
			if *s != "" {
				off = put(buf, off, *s)
			}
		}
	}

	w := headerWriter{frame: f, buf: buf, at: hdrOff, off: off}
	if flags&flagSelected != 0 {
		for _, name := range f.needs.names {
			if value, ok := headers[name.name]; ok {
				w.add(name, value)
			}
		}
	} else {
		f.addSorted(&w, headers)
	}
	if w.err != nil {
		return 0, w.err
	}
	off = w.off

	off = (off + 7) &^ 7
	bodyOff := off
	if off += len(body); off > len(buf) {
		return off, nil
	}
	copy(buf[bodyOff:off], body)

	h := buf[:frameHead:frameHead]
	le.PutUint32(h, frameMagic)
	le.PutUint32(h[4:], frameHead)
	le.PutUint32(h[8:], uint32(off))
	le.PutUint32(h[12:], flags)
	le.PutUint32(h[16:], uint32(hdrOff))
	le.PutUint32(h[20:], uint32((w.at-hdrOff)/headerEntry))
	le.PutUint32(h[24:], uint32(bodyOff))
	le.PutUint32(h[28:], uint32(len(body)))
	le.PutUint64(h[32:], uint64(len(env.Body)))
	le.PutUint64(h[40:], uint64(unixNano(env.Timestamp)))
	le.PutUint32(h[48:], frameHead)
	le.PutUint32(h[52:], uint32(nProp))
	le.PutUint64(h[56:], uint64(env.Priority)|uint64(env.DeliveryMode)<<8|uint64(f.stage)<<16)
	le.PutUint64(h[64:], uint64(unixNano(env.Origin.Received)))
	le.PutUint64(h[72:], 0)
	return off, nil
}

// unixNano is t in ns since 1970, 0 for the zero time, and the nearest there is
// for times that 64 bits cannot hold.
func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	switch s := t.Unix(); {
	case s > math.MaxInt64/int64(time.Second)-1:
		return math.MaxInt64
	case s < math.MinInt64/int64(time.Second)+1:
		return math.MinInt64
	}
	return t.UnixNano()
}
