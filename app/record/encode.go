package record

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/wasmrouter/router/router"
)

// The flags of an output: what its envelope has in common with the message that was
// received, and that it is a reply.
const (
	sameProperties = 1 << iota
	sameHeaders
	sameBody
	isReply
)

// encoder appends the parts of a record. docs/RECORDING.md has the layout.
type encoder struct {
	b      []byte
	values int // so many have been appended
}

func (e *encoder) uint(n uint64)    { e.b = binary.AppendUvarint(e.b, n) }
func (e *encoder) int(n int64)      { e.b = binary.AppendVarint(e.b, n) }
func (e *encoder) bytes(b []byte)   { e.uint(uint64(len(b))); e.b = append(e.b, b...) }
func (e *encoder) text(s string)    { e.uint(uint64(len(s))); e.b = append(e.b, s...) }
func (e *encoder) time(t time.Time) { e.int(t.Unix()); e.uint(uint64(t.Nanosecond())) }

func (e *encoder) bool(v bool) {
	n := byte(0)
	if v {
		n = 1
	}
	e.b = append(e.b, n)
}

// append appends a record. Its error is of headers that hold what none may.
func (r *Record) append(b []byte) ([]byte, error) {
	if n := len(r.Decision.Sent); n > maxSent {
		return b, fmt.Errorf("a record has %d messages that were sent; at most %d can be read again", n, maxSent)
	}
	e := encoder{b: b}
	e.time(r.At)
	e.text(r.Route)
	o := &r.Received.Origin
	e.text(o.Queue)
	e.text(o.Exchange)
	e.text(o.RoutingKey)
	e.bool(o.Redelivered)
	e.time(o.Received)
	e.properties(&r.Received.Properties)
	if err := e.table(r.Received.Headers(), 0); err != nil {
		return b, err
	}
	e.bytes(r.Received.Body)
	d := &r.Decision
	for _, s := range [...]string{d.Action, d.Reason, d.Filter, d.Stage, d.Error} {
		e.text(s)
	}
	e.uint(uint64(d.Attempts))
	e.uint(uint64(len(d.Sent)))
	for i := range d.Sent {
		if err := e.sent(&d.Sent[i], &r.Received); err != nil {
			return b, err
		}
	}
	return e.b, nil
}

// sent appends an output as what is different from the message received.
func (e *encoder) sent(s *Sent, received *router.Envelope) error {
	t := &s.Target
	e.b = append(e.b, byte(t.Kind))
	for _, name := range [...]string{t.Exchange, t.Topic, t.Server, t.Queue, t.Priority} {
		e.text(name)
	}
	flags := byte(0)
	if s.Envelope.Properties == received.Properties {
		flags |= sameProperties
	}
	if reflect.DeepEqual(s.Envelope.Headers(), received.Headers()) {
		flags |= sameHeaders
	}
	if bytes.Equal(s.Envelope.Body, received.Body) {
		flags |= sameBody
	}
	if s.Reply {
		flags |= isReply
	}
	e.b = append(e.b, flags)
	if flags&sameProperties == 0 {
		e.properties(&s.Envelope.Properties)
	}
	if flags&sameHeaders == 0 {
		if err := e.table(s.Envelope.Headers(), 0); err != nil {
			return err
		}
	}
	if flags&sameBody == 0 {
		e.bytes(s.Envelope.Body)
	}
	return nil
}

// texts are the properties that are text, in the order of the format.
func texts(p *router.Properties) [9]*string {
	return [...]*string{
		&p.ContentType, &p.ContentEncoding, &p.CorrelationID, &p.ReplyTo, &p.Expiration,
		&p.MessageID, &p.Type, &p.UserID, &p.AppID,
	}
}

func (e *encoder) properties(p *router.Properties) {
	for _, s := range texts(p) {
		e.text(*s)
	}
	e.b = append(e.b, p.DeliveryMode, p.Priority)
	e.bool(!p.Timestamp.IsZero())
	if !p.Timestamp.IsZero() {
		e.time(p.Timestamp)
	}
}

// table appends headers in the order of their names.
func (e *encoder) table(m map[string]any, depth int) error {
	e.uint(uint64(len(m)))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		e.text(name)
		if err := e.value(m[name], depth); err != nil {
			return fmt.Errorf("header %q: %w", name, err)
		}
	}
	return nil
}

// value appends a value after the letter that AMQP 0-9-1 has for its type.
func (e *encoder) value(v any, depth int) error {
	if e.values++; depth > maxDepth || e.values > maxValues {
		return fmt.Errorf("headers with more than %d values, or nested deeper than %d, cannot be read again", maxValues, maxDepth)
	}
	letter := func(l byte) { e.b = append(e.b, l) }
	switch v := v.(type) {
	case nil:
		letter('V')
	case bool:
		letter('t')
		e.bool(v)
	case int8:
		letter('b')
		e.int(int64(v))
	case uint8:
		letter('B')
		e.uint(uint64(v))
	case int16:
		letter('s')
		e.int(int64(v))
	case uint16:
		letter('u')
		e.uint(uint64(v))
	case int32:
		letter('I')
		e.int(int64(v))
	case uint32:
		letter('i')
		e.uint(uint64(v))
	case int64:
		letter('l')
		e.int(v)
	case float32:
		letter('f')
		e.b = binary.LittleEndian.AppendUint32(e.b, math.Float32bits(v))
	case float64:
		letter('d')
		e.b = binary.LittleEndian.AppendUint64(e.b, math.Float64bits(v))
	case router.Decimal:
		letter('D')
		e.b = append(e.b, v.Scale)
		e.int(int64(v.Value))
	case string:
		letter('S')
		e.text(v)
	case []byte:
		letter('x')
		e.bytes(v)
	case time.Time:
		letter('T')
		e.time(v)
	case []any:
		letter('A')
		e.uint(uint64(len(v)))
		for _, one := range v {
			if err := e.value(one, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		letter('F')
		return e.table(v, depth+1)
	default:
		return fmt.Errorf("a header cannot hold %T", v)
	}
	return nil
}
