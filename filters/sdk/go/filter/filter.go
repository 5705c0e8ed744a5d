// Package filter is for writing router filters in Go, against filter ABI 1.
//
// A filter is a main package that exports a handler for each stage it takes
// part in, built with GOOS=wasip1 GOARCH=wasm and -buildmode=c-shared:
//
//	package main
//
//	import "github.com/wasmrouter/router/filters/sdk/go/filter"
//
//	func main() {}
//
//	//go:wasmexport router_decide
//	func decide(at, n uint32) int64 { return filter.Handle(at, n, route) }
//
//	func route(m *filter.Message, d *filter.Delta) {
//		kind, found := m.JSON("order.type")
//		switch {
//		case !found:
//			d.Reject("the body has no order.type")
//		case kind.Is("created"):
//			d.Target("queue:orders.created")
//		}
//	}
//
// What a handler writes to the delta is the message's change; writing nothing
// leaves the message as it is. Nothing in this package allocates during a call.
// Strings and slices that it returns point into the message and are valid until
// the handler returns: clone what is kept.
//
// The package also builds on other platforms, where the host's functions do
// nothing, so that a filter's logic can be unit-tested with [NewMessage].
package filter

import (
	"errors"
	"strconv"
	"strings"
	"unsafe"
)

// Needs says what of a message the host hands over, see the Need constants. A
// filter sets it before or in [OnInit]; it starts as everything.
var Needs int64 = NeedBody | NeedHeaders | NeedProperties

// The bits of [Needs].
const (
	NeedBody       = 1 << 0
	NeedHeaders    = 1 << 1
	NeedProperties = 1 << 2
	Stateless      = 1 << 8 // nothing is kept between messages
)

var needed []byte // the names of NeedHeader, with a NUL between two

// NeedHeader names headers that the filter reads. When it was called, before or
// in [OnInit], only the headers named are handed over, at most 64, which makes
// calls cheaper; [Message.Header] does not find others.
func NeedHeader(name ...string) {
	for _, s := range name {
		if len(needed) > 0 {
			needed = append(needed, 0)
		}
		needed = append(needed, s...)
	}
}

// OnInit, when a filter sets it in an init function, is called once for each
// instance with the configuration: its headers are the TOML table flattened
// with dots, its body is the same as JSON. An error refuses the configuration
// and is shown to the operator.
var OnInit func(config *Message) error

// Results below zero; the message fails.
const (
	noMemory  int64 = -1
	malformed int64 = -2
)

// Flags of a frame.
const (
	Redelivered   = 1 << 0
	BodyTruncated = 1 << 1
	NoBody        = 1 << 2
	NoHeaders     = 1 << 3
	NoProperties  = 1 << 4
)

// Slot names a property.
type Slot uint16

// The properties. Exchange, RoutingKey, UserID, Source, FilterName and Target
// can only be read.
const (
	Exchange Slot = iota
	RoutingKey
	ContentType
	ContentEncoding
	CorrelationID
	ReplyTo
	MessageID
	Type
	AppID
	UserID
	Source // the queue the message came from
	FilterName
	Expiration
	Target // in pack and encode: where this copy goes
)

var slotNames = [...]string{
	"exchange", "routing_key", "content_type", "content_encoding", "correlation_id",
	"reply_to", "message_id", "type", "app_id", "user_id", "source", "filter_name", "expiration", "target",
}

// SlotNamed returns the slot that configuration calls name.
func SlotNamed(name string) (Slot, bool) {
	for i, n := range slotNames {
		if n == name {
			return Slot(i), true
		}
	}
	return 0, false
}

// HeaderType is the type of a header's value.
type HeaderType uint8

// The header types.
const (
	Null HeaderType = iota
	UTF8
	Bytes
	Int64
	Float64
	Bool
	Time   // seconds since 1970
	Nested // JSON text; can only be read
)

// Value is one header's value: text, bytes, or a number's little-endian bytes.
type Value struct {
	Type HeaderType
	Raw  string
}

// Text returns strings and bytes as they are, and integers, times and booleans
// written out; it returns false for other types. Integers are written to buf.
func (v Value) Text(buf []byte) (string, bool) {
	switch v.Type {
	case UTF8, Bytes:
		return v.Raw, true
	case Int64, Time:
		n := int64(u64([]byte(v.Raw)))
		return view(strconv.AppendInt(buf[:0], n, 10)), true
	case Bool:
		return strconv.FormatBool(v.Raw[0] != 0), true
	}
	return "", false
}

// Message is the message of one call, or the configuration.
type Message struct {
	frame []byte // NewMessage has checked its head, and that its tables lie in it
}

const (
	headLen   = 80
	headerLen = 20 // of one header's entry
	magic     = 0x31525452
)

// NewMessage reads a frame, and reports whether it is one.
func NewMessage(frame []byte) (Message, bool) {
	m := Message{frame}
	return m, m.valid()
}

func (m *Message) valid() bool {
	return len(m.frame) >= headLen && m.u32(0) == magic &&
		uint64(m.u32(16))+headerLen*uint64(m.u32(20)) <= uint64(len(m.frame)) &&
		uint64(m.u32(48))+8*uint64(m.u32(52)) <= uint64(len(m.frame))
}

// u32 reads from the head or a table. The compiler would check each byte's index
// and load the bytes one by one.
func (m *Message) u32(at uint32) uint32 { return *(*uint32)(m.at(at)) }

func (m *Message) at(n uint32) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(unsafe.SliceData(m.frame)), n)
}

// text returns n bytes of the frame, nothing when they are outside.
func (m *Message) text(at, n uint32) string {
	if uint64(at)+uint64(n) > uint64(len(m.frame)) {
		return ""
	}
	return unsafe.String((*byte)(m.at(at)), n)
}

// Flags returns the frame's flags, see Redelivered and the like.
func (m *Message) Flags() uint32 { return m.u32(12) }

// Body returns the message's body. It may be changed in place, as scratch.
func (m *Message) Body() []byte {
	at := m.u32(24)
	return m.frame[at : at+m.u32(28)]
}

// TimestampNS returns the timestamp property in nanoseconds since 1970, or 0.
func (m *Message) TimestampNS() int64 { return int64(u64(m.frame[40:])) }

// Priority returns the message's priority, 0 to 255.
func (m *Message) Priority() uint8 { return m.frame[56] }

// Prop returns a property, empty when the message has none.
func (m *Message) Prop(s Slot) string {
	if uint32(s) >= m.u32(52) {
		return ""
	}
	at := m.u32(48) + 8*uint32(s)
	return m.text(m.u32(at), m.u32(at+4))
}

// HeaderCount returns how many headers there are.
func (m *Message) HeaderCount() int { return int(m.u32(20)) }

// HeaderAt returns the i-th header, 0 ≤ i < HeaderCount.
func (m *Message) HeaderAt(i int) (string, Value) {
	at := m.u32(16) + headerLen*uint32(i)
	return m.text(m.u32(at), m.nameLen(at)), m.value(at)
}

// Header finds a header by its name.
func (m *Message) Header(name string) (Value, bool) {
	if at := m.find(name); at != 0 {
		return m.value(at), true
	}
	return Value{}, false
}

// find returns where a header's entry is, 0 when there is none.
func (m *Message) find(name string) uint32 {
	at := m.u32(16)
	for end := at + headerLen*m.u32(20); at < end; at += headerLen {
		if m.nameLen(at) == uint32(len(name)) && m.text(m.u32(at), uint32(len(name))) == name {
			return at
		}
	}
	return 0
}

// HeaderHashed is Header for a name whose [Hash] is known.
func (m *Message) HeaderHashed(name string, hash uint32) (Value, bool) {
	at := m.u32(16)
	for end := at + headerLen*m.u32(20); at < end; at += headerLen {
		if m.u32(at+16) == hash && m.text(m.u32(at), m.nameLen(at)) == name {
			return m.value(at), true
		}
	}
	return Value{}, false
}

// nameLen, kind and value read the entry of a header.
func (m *Message) nameLen(at uint32) uint32 { return uint32(*(*uint16)(m.at(at + 4))) }

func (m *Message) kind(at uint32) HeaderType { return *(*HeaderType)(m.at(at + 6)) }

func (m *Message) value(at uint32) Value {
	return Value{m.kind(at), m.text(m.u32(at+8), m.u32(at+12))}
}

// HeaderText returns a header that is a string; see [Value.Text] for others.
func (m *Message) HeaderText(name string) (string, bool) {
	at := m.find(name)
	if at == 0 {
		return "", false
	}
	if t := m.kind(at); t != UTF8 && t != Bytes {
		return "", false
	}
	return m.text(m.u32(at+8), m.u32(at+12)), true
}

// ConfigText returns a copy, to keep, of a configured string, or the default.
func (m *Message) ConfigText(name, without string) string {
	if s, ok := m.HeaderText(name); ok {
		return strings.Clone(s)
	}
	return without
}

// ConfigBool returns a configured boolean, or the default.
func (m *Message) ConfigBool(name string, without bool) bool {
	if v, ok := m.Header(name); ok && v.Type == Bool {
		return v.Raw != "\x00"
	}
	return without
}

// ConfigRequire returns an error, for [OnInit] to return, that names the first of
// the keys whose configured value is not a string with something in it.
func (m *Message) ConfigRequire(names ...string) error {
	for _, name := range names {
		if s, ok := m.HeaderText(name); !ok || s == "" {
			return errors.New(name + " is missing")
		}
	}
	return nil
}

// ConfigList returns copies, to keep, of the strings of a configured array, or
// of the one string that stands in its place.
func (m *Message) ConfigList(name string) []string {
	if s, ok := m.HeaderText(name); ok {
		return []string{strings.Clone(s)}
	}
	var list []string
	for {
		s, ok := m.HeaderText(name + "." + strconv.Itoa(len(list)))
		if !ok {
			return list
		}
		list = append(list, strings.Clone(s))
	}
}

// JSON finds a value in the body by its path, as [FindJSON].
func (m *Message) JSON(path string) (JSON, bool) {
	v, found, _ := FindJSON(m.Body(), path)
	return v, found
}

// Hash returns the hash by which frames index header names (FNV-1a).
func Hash(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}
