package conformance

import (
	"encoding/binary"
	"math"
)

// Type is the type of a header's value; section 2.3.
type Type uint8

// The types.
const (
	Null Type = iota
	UTF8
	Bytes
	I64
	F64
	Bool
	Time
	Nested
)

var typeNames = [...]string{"null", "utf8", "bytes", "i64", "f64", "bool", "time", "nested"}

// Flags of header values.
const (
	Array   = 1 << 0 // of a nested value
	Decimal = 1 << 1 // of a utf8 value
)

// Value is a header's value as its bytes lie in a frame.
type Value struct {
	Type  Type
	Flags uint8
	Data  []byte
}

// TextValue returns a string.
func TextValue(s string) Value { return Value{Type: UTF8, Data: []byte(s)} }

// IntValue returns an integer.
func IntValue(v int64) Value { return Value{Type: I64, Data: u64(uint64(v))} }

// FloatValue returns a float.
func FloatValue(v float64) Value { return Value{Type: F64, Data: u64(math.Float64bits(v))} }

// BoolValue returns a boolean.
func BoolValue(v bool) Value {
	b := byte(0)
	if v {
		b = 1
	}
	return Value{Type: Bool, Data: []byte{b}}
}

func u64(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

// Header is one header.
type Header struct {
	Name string
	Value
}

// The slots of the property table.
const (
	Exchange = iota
	RoutingKey
	ContentType
	ContentEncoding
	CorrelationID
	ReplyTo
	MessageID
	AMQPType
	AppID
	UserID
	Source
	FilterName
	Expiration
	TargetSlot
	numSlots
)

var slotNames = [numSlots]string{
	"exchange", "routing_key", "content_type", "content_encoding", "correlation_id", "reply_to",
	"message_id", "type", "app_id", "user_id", "source", "filter_name", "expiration", "target",
}

// Message is a message, as much of it as filters see.
type Message struct {
	Headers      []Header // no name twice
	Props        [numSlots]string
	Body         []byte
	Timestamp    int64 // ns since 1970
	Received     int64 // ns since 1970
	Priority     uint8
	DeliveryMode uint8
	Redelivered  bool
}

// Header returns the value of a header.
func (m *Message) Header(name string) (Value, bool) {
	for _, h := range m.Headers {
		if h.Name == name {
			return h.Value, true
		}
	}
	return Value{}, false
}

func (m *Message) clone() Message {
	c := *m
	c.Headers = append([]Header(nil), m.Headers...)
	return c
}
