package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// The types of frames, and the octet behind each.
const (
	frameMethod    = 1
	frameHeader    = 2
	frameBody      = 3
	frameHeartbeat = 8
	frameEnd       = 0xce

	frameOverhead = 8 // of the head and the end
	minFrameMax   = 4096
)

// maxDepth is how deeply tables and arrays may nest.
const maxDepth = 128

var (
	errShort   = errors.New("ends too soon")
	errNesting = fmt.Errorf("tables nest deeper than %d", maxDepth)
)

// A table is a field table in the order in which it came.
type table []field

type field struct {
	name  string
	value any
}

// decimal is an AMQP decimal value.
type decimal struct {
	scale uint8
	value uint32
}

// get returns the value of a name, nil when there is none.
func (t table) get(name string) any {
	for i := range t {
		if t[i].name == name {
			return t[i].value
		}
	}
	return nil
}

func (t table) has(name string) bool {
	for i := range t {
		if t[i].name == name {
			return true
		}
	}
	return false
}

// set replaces or appends a value.
func (t table) set(name string, value any) table {
	for i := range t {
		if t[i].name == name {
			t[i].value = value
			return t
		}
	}
	return append(t, field{name, value})
}

func (t table) without(name string) table {
	var rest table
	for _, f := range t {
		if f.name != name {
			rest = append(rest, f)
		}
	}
	return rest
}

// decoder reads the arguments of a method. The first error sticks; what is read
// after it is zero.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) take(n int) []byte {
	if d.err != nil || n > len(d.b) {
		if d.err == nil {
			d.err = errShort
		}
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) u8() uint8 {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) u16() uint16 {
	if b := d.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) short() string { return string(d.take(int(d.u8()))) }

func (d *decoder) long() []byte {
	n := d.u32()
	if uint64(n) > uint64(len(d.b)) {
		d.take(len(d.b) + 1)
		return nil
	}
	return d.take(int(n))
}

func (d *decoder) table(depth int) table {
	if depth == maxDepth && d.err == nil {
		d.err = errNesting
	}
	in := decoder{b: d.long(), err: d.err}
	var t table
	for len(in.b) > 0 && in.err == nil {
		name := in.short()
		value := in.value(depth)
		t = append(t, field{name, value})
	}
	d.err = in.err
	return t
}

func (d *decoder) value(depth int) any {
	switch typ := d.u8(); typ {
	case 't':
		return d.u8() != 0
	case 'b':
		return int8(d.u8())
	case 'B':
		return d.u8()
	case 's', 'U':
		return int16(d.u16())
	case 'u':
		return d.u16()
	case 'I':
		return int32(d.u32())
	case 'i':
		return d.u32()
	case 'l', 'L':
		return int64(d.u64())
	case 'f':
		return math.Float32frombits(d.u32())
	case 'd':
		return math.Float64frombits(d.u64())
	case 'D':
		return decimal{d.u8(), d.u32()}
	case 'S':
		return string(d.long())
	case 'x':
		return append([]byte{}, d.long()...)
	case 'T':
		return time.Unix(int64(d.u64()), 0).UTC()
	case 'F':
		return d.table(depth + 1)
	case 'A':
		if depth+1 >= maxDepth && d.err == nil {
			d.err = errNesting
		}
		in := decoder{b: d.long(), err: d.err}
		list := []any{}
		for len(in.b) > 0 && in.err == nil {
			list = append(list, in.value(depth+1))
		}
		d.err = in.err
		return list
	case 'V':
		return nil
	default:
		if d.err == nil {
			d.err = fmt.Errorf("a table value of type %q", typ)
		}
		return nil
	}
}

// wellFormed reports whether b can be decoded as what a table holds, or without names
// as what an array holds. It says what decoding would, without making anything.
func wellFormed(b []byte, names bool, depth int) bool {
	for len(b) > 0 {
		if names {
			if n := 1 + int(b[0]); n < len(b) {
				b = b[n:]
			} else {
				return false
			}
		}
		size := 0
		typ := b[0]
		b = b[1:]
		switch typ {
		case 'V':
		case 't', 'b', 'B':
			size = 1
		case 's', 'U', 'u':
			size = 2
		case 'I', 'i', 'f':
			size = 4
		case 'D':
			size = 5
		case 'l', 'L', 'd', 'T':
			size = 8
		case 'S', 'x', 'F', 'A':
			if len(b) < 4 {
				return false
			}
			size = int(binary.BigEndian.Uint32(b))
			b = b[4:]
		default:
			return false
		}
		if size < 0 || size > len(b) {
			return false
		}
		if typ == 'F' || typ == 'A' {
			if depth+1 >= maxDepth || !wellFormed(b[:size], typ == 'F', depth+1) {
				return false
			}
		}
		b = b[size:]
	}
	return true
}

// encoder appends arguments.
type encoder struct{ b []byte }

func (e *encoder) u8(v uint8)   { e.b = append(e.b, v) }
func (e *encoder) u16(v uint16) { e.b = binary.BigEndian.AppendUint16(e.b, v) }
func (e *encoder) u32(v uint32) { e.b = binary.BigEndian.AppendUint32(e.b, v) }
func (e *encoder) u64(v uint64) { e.b = binary.BigEndian.AppendUint64(e.b, v) }

// short appends a text of which 255 bytes are kept.
func (e *encoder) short(s string) {
	s = s[:min(len(s), 255)]
	e.u8(uint8(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) long(s string) {
	e.u32(uint32(len(s)))
	e.b = append(e.b, s...)
}

// sized appends what write appends, behind its length.
func (e *encoder) sized(write func()) {
	at := len(e.b)
	e.u32(0)
	write()
	binary.BigEndian.PutUint32(e.b[at:], uint32(len(e.b)-at-4))
}

func (e *encoder) table(t table) {
	e.sized(func() {
		for _, f := range t {
			e.short(f.name)
			e.value(f.value)
		}
	})
}

func (e *encoder) value(v any) {
	switch v := v.(type) {
	case bool:
		e.u8('t')
		e.u8(bit(v, 0))
	case int8:
		e.u8('b')
		e.u8(uint8(v))
	case uint8:
		e.u8('B')
		e.u8(v)
	case int16:
		e.u8('s')
		e.u16(uint16(v))
	case uint16:
		e.u8('u')
		e.u16(v)
	case int32:
		e.u8('I')
		e.u32(uint32(v))
	case uint32:
		e.u8('i')
		e.u32(v)
	case int64:
		e.u8('l')
		e.u64(uint64(v))
	case float32:
		e.u8('f')
		e.u32(math.Float32bits(v))
	case float64:
		e.u8('d')
		e.u64(math.Float64bits(v))
	case decimal:
		e.u8('D')
		e.u8(v.scale)
		e.u32(v.value)
	case string:
		e.u8('S')
		e.long(v)
	case []byte:
		e.u8('x')
		e.long(string(v))
	case time.Time:
		e.u8('T')
		e.u64(uint64(v.Unix()))
	case table:
		e.u8('F')
		e.table(v)
	case []any:
		e.u8('A')
		e.sized(func() {
			for _, item := range v {
				e.value(item)
			}
		})
	default:
		e.u8('V')
	}
}

// bit returns 1<<n if set.
func bit(set bool, n int) uint8 {
	if set {
		return 1 << n
	}
	return 0
}

// integer returns a table value as an integer, if it is one.
func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int8:
		return int64(v), true
	case uint8:
		return int64(v), true
	case int16:
		return int64(v), true
	case uint16:
		return int64(v), true
	case int32:
		return int64(v), true
	case uint32:
		return int64(v), true
	case int64:
		return v, true
	}
	return 0, false
}
