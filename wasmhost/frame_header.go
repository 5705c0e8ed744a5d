package wasmhost

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wasmrouter/router/router"
)

func hashed(name string) headerName {
	hash := uint32(fnvBasis)
	for i := range len(name) {
		hash = (hash ^ uint32(name[i])) * fnvPrime
	}
	return headerName{name, hash}
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
