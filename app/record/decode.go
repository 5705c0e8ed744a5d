package record

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/wasmrouter/router/router"
)

// errMalformed says that what a record should be is none.
var errMalformed = errors.New("a record is malformed")

// Bounds of a record, above what brokers take. They hold for what is written, too,
// so that a small file of odd values cannot take all memory when it is read.
const (
	maxDepth  = 64      // of nested headers
	maxValues = 1 << 20 // in the headers of all messages of a record
	maxSent   = 1 << 16
	// maxReady bounds for how many things room is made before they are read.
	maxReady = 64
)

// decoder takes a record apart. After the first mistake all that it returns is
// empty.
type decoder struct {
	b      []byte
	values int // so many have been read
	bad    bool
}

func (d *decoder) fail() {
	d.b, d.bad = nil, true
}

func (d *decoder) uint() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

// count returns a number of things of which each takes a byte at least.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) bytes() []byte { return d.take(d.uint()) }
func (d *decoder) text() string  { return string(d.bytes()) }
func (d *decoder) byte() byte {
	if b := d.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}
func (d *decoder) bool() bool { return d.byte() == 1 }
func (d *decoder) time() time.Time {
	sec, nsec := d.int(), d.uint()
	if nsec >= 1e9 {
		d.fail()
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC()
}

// decode reads one record. The record shares b's memory.
func decode(b []byte) (*Record, error) {
	d := decoder{b: b}
	r := &Record{At: d.time(), Route: d.text()}
	origin := router.Origin{Queue: d.text(), Exchange: d.text(), RoutingKey: d.text(), Redelivered: d.bool(), Received: d.time()}
	properties := d.properties()
	headers := d.table(0)
	r.Received = router.NewEnvelope(headers, d.bytes())
	r.Received.Origin, r.Received.Properties = origin, properties
	for _, s := range [...]*string{&r.Decision.Action, &r.Decision.Reason, &r.Decision.Filter, &r.Decision.Stage, &r.Decision.Error} {
		*s = d.text()
	}
	r.Decision.Attempts = int(d.uint() & math.MaxInt32)
	n := d.count()
	if n > maxSent {
		d.fail()
	}
	for range n {
		if d.bad {
			break
		}
		r.Decision.Sent = append(r.Decision.Sent, d.sent(&r.Received))
	}
	if d.bad || len(d.b) > 0 {
		return nil, errMalformed
	}
	return r, nil
}

func (d *decoder) sent(received *router.Envelope) Sent {
	s := Sent{Target: router.Target{
		Kind: router.TargetKind(d.byte()), Exchange: d.text(), Topic: d.text(), Server: d.text(), Queue: d.text(), Priority: d.text(),
	}}
	flags := d.byte()
	env := received.Clone()
	if flags&sameProperties == 0 {
		env.Properties = d.properties()
	}
	if flags&sameHeaders == 0 {
		properties, body := env.Properties, env.Body
		env = router.NewEnvelope(d.table(0), body)
		env.Properties = properties
	}
	if flags&sameBody == 0 {
		env.Body = d.bytes()
	}
	env.Origin = router.Origin{}
	s.Envelope, s.Reply = env, flags&isReply != 0
	return s
}

func (d *decoder) properties() router.Properties {
	var p router.Properties
	for _, s := range texts(&p) {
		*s = d.text()
	}
	p.DeliveryMode, p.Priority = d.byte(), d.byte()
	if d.bool() {
		p.Timestamp = d.time()
	}
	return p
}

func (d *decoder) table(depth int) map[string]any {
	n := d.count()
	if n == 0 {
		return nil
	}
	m := make(map[string]any, min(n, maxReady))
	for range n {
		name := d.text()
		m[name] = d.value(depth)
		if d.bad {
			return nil
		}
	}
	return m
}

func (d *decoder) value(depth int) any {
	if d.values++; depth > maxDepth || d.values > maxValues {
		d.fail()
		return nil
	}
	switch d.byte() {
	case 'V':
		return nil
	case 't':
		return d.bool()
	case 'b':
		return int8(d.int())
	case 'B':
		return uint8(d.uint())
	case 's':
		return int16(d.int())
	case 'u':
		return uint16(d.uint())
	case 'I':
		return int32(d.int())
	case 'i':
		return uint32(d.uint())
	case 'l':
		return d.int()
	case 'f':
		if b := d.take(4); len(b) == 4 {
			return math.Float32frombits(binary.LittleEndian.Uint32(b))
		}
	case 'd':
		if b := d.take(8); len(b) == 8 {
			return math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
	case 'D':
		return router.Decimal{Scale: d.byte(), Value: int32(d.int())}
	case 'S':
		return d.text()
	case 'x':
		return d.bytes()
	case 'T':
		return d.time()
	case 'A':
		n := d.count()
		list := make([]any, 0, min(n, maxReady))
		for range n {
			list = append(list, d.value(depth+1))
			if d.bad {
				return nil
			}
		}
		return list
	case 'F':
		if m := d.table(depth + 1); m != nil {
			return m
		}
		return map[string]any{}
	}
	d.fail()
	return nil
}
