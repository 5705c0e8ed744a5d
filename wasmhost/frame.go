package wasmhost

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
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

func hashed(name string) headerName {
	hash := uint32(fnvBasis)
	for i := range len(name) {
		hash = (hash ^ uint32(name[i])) * fnvPrime
	}
	return headerName{name, hash}
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

// maxKeptNames is how many names of headers outlive their message.
const maxKeptNames = 256

// addSorted writes headers in the order of their names: a map has another one each
// time, and a filter should do the same, and cost the same, for the same message.
// The messages of a lane mostly have the same names, which then need no sorting.
func (f *frame) addSorted(w *headerWriter, headers map[string]any) {
	if start := *w; len(headers) == len(f.names) {
		for _, name := range f.names {
			value, ok := headers[name.name]
			if !ok {
				break
			}
			w.add(name, value)
		}
		if w.at == start.at+headerEntry*len(headers) || w.err != nil {
			return
		}
		*w = start
	}
	f.names = f.names[:0]
	for name := range headers {
		f.names = append(f.names, hashed(name))
	}
	slices.SortFunc(f.names, func(a, b headerName) int { return strings.Compare(a.name, b.name) })
	for _, name := range f.names {
		w.add(name, headers[name.name])
	}
	if len(f.names) > maxKeptNames {
		f.names = nil
	}
}

// headerWriter writes headers, their entries from at on and their names and
// values from off on. What does not fit is counted.
type headerWriter struct {
	frame   *frame
	buf     []byte
	at, off int
	err     error
}

func (h *headerWriter) add(key headerName, value any) {
	if h.err != nil {
		return
	}
	name := key.name
	if len(name) > math.MaxUint16 {
		h.err = errHeaderKey
		return
	}
	nameOff := h.off
	off := put(h.buf, nameOff, name)
	valOff := off
	var typ, flag uint8
	if s, ok := value.(string); ok {
		typ = typeUTF8
		off = put(h.buf, off, s)
	} else {
		w := frameWriter{buf: h.buf, off: off}
		if typ, flag, h.err = h.frame.value(&w, value); h.err != nil {
			return
		}
		off = w.off
	}
	h.off = off
	if at := h.at; at+headerEntry <= len(h.buf) {
		le := binary.LittleEndian
		e := h.buf[at : at+headerEntry : at+headerEntry]
		le.PutUint32(e, uint32(nameOff))
		le.PutUint32(e[4:], uint32(len(name))|uint32(typ)<<16|uint32(flag)<<24)
		le.PutUint32(e[8:], uint32(valOff))
		le.PutUint32(e[12:], uint32(off-valOff))
		le.PutUint32(e[16:], key.hash)
	}
	h.at += headerEntry
}

// value writes one header value and returns its type and entry flags.
func (f *frame) value(w *frameWriter, value any) (typ, flags uint8, err error) {
	switch v := value.(type) {
	case string:
		w.str(v)
		return typeUTF8, 0, nil
	case int64:
		w.u64(uint64(v))
	case int32:
		w.u64(uint64(v))
	case bool:
		b := [1]byte{}
		if v {
			b[0] = 1
		}
		w.bytes(b[:])
		return typeBool, 0, nil
	case []byte:
		w.bytes(v)
		return typeBytes, 0, nil
	case nil:
		return typeNull, 0, nil
	case int:
		w.u64(uint64(v))
	case int8:
		w.u64(uint64(v))
	case uint8:
		w.u64(uint64(v))
	case int16:
		w.u64(uint64(v))
	case uint16:
		w.u64(uint64(v))
	case uint32:
		w.u64(uint64(v))
	case float32:
		w.u64(math.Float64bits(float64(v)))
		return typeFloat, 0, nil
	case float64:
		w.u64(math.Float64bits(v))
		return typeFloat, 0, nil
	case time.Time:
		w.u64(uint64(v.Unix()))
		return typeTime, 0, nil
	case router.Decimal:
		f.json = appendDecimal(f.json[:0], v)
		w.bytes(f.json)
		return typeUTF8, headerDecimal, nil
	case []any:
		f.json, err = appendJSON(f.json[:0], v, 0)
		w.bytes(f.json)
		return typeNested, headerArray, err
	case map[string]any:
		f.json, err = appendJSON(f.json[:0], v, 0)
		w.bytes(f.json)
		return typeNested, 0, err
	default:
		return 0, 0, errHeaderType
	}
	return typeInt, 0, nil
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

// appendDecimal writes Value / 10^Scale without rounding.
func appendDecimal(b []byte, d router.Decimal) []byte {
	v := int64(d.Value)
	if v < 0 {
		b = append(b, '-')
		v = -v
	}
	var tmp [20]byte
	digits := strconv.AppendInt(tmp[:0], v, 10)
	scale := int(d.Scale)
	if scale == 0 {
		return append(b, digits...)
	}
	if whole := len(digits) - scale; whole > 0 {
		b = append(b, digits[:whole]...)
		digits = digits[whole:]
	} else {
		b = append(b, '0')
	}
	b = append(b, '.')
	for range scale - len(digits) {
		b = append(b, '0')
	}
	return append(b, digits...)
}
