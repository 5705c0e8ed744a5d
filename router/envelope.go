package router

import (
	"maps"
	"time"
)

// Properties are the AMQP 0-9-1 basic properties of a message, without its
// headers. A zero field is an absent property. Strings are at most 255 bytes
// on the wire.
type Properties struct {
	ContentType     string
	ContentEncoding string
	DeliveryMode    uint8 // 0 absent, 1 transient, 2 persistent
	Priority        uint8
	CorrelationID   string
	ReplyTo         string
	Expiration      string // milliseconds, decimal
	MessageID       string
	Timestamp       time.Time // second resolution on the wire
	Type            string
	UserID          string
	AppID           string
}

// Decimal is the AMQP decimal field value: Value / 10^Scale.
type Decimal struct {
	Scale uint8
	Value int32
}

// Origin says where a message came from.
type Origin struct {
	Queue       string
	Exchange    string
	RoutingKey  string
	Redelivered bool
	Received    time.Time
}

// Envelope is one message on its way through the router. It has one owner at a
// time and is not safe for concurrent use.
//
// Header values are of the types nil, bool, int8, uint8, int16, uint16, int32,
// uint32, int64, float32, float64, string, []byte, [time.Time], [Decimal],
// []any and map[string]any, one for each AMQP field type, nested without
// bound; nothing else may be stored.
//
// Body and header values are shared between an envelope and its clones and
// must never be changed in place: a change replaces them.
type Envelope struct {
	Origin Origin
	Properties
	Body []byte

	headers map[string]any
	owned   bool // headers belong to this envelope alone
}

// NewEnvelope returns an envelope that takes headers over; the caller must not
// use the map afterwards.
func NewEnvelope(headers map[string]any, body []byte) Envelope {
	return Envelope{headers: headers, owned: true, Body: body}
}

// Headers returns the headers to read. The map must not be changed.
func (e *Envelope) Headers() map[string]any { return e.headers }

// Header returns the header of that name, and whether there is one.
func (e *Envelope) Header(name string) (any, bool) {
	v, ok := e.headers[name]
	return v, ok
}

// SetHeader sets one header; value must be of a type that [Envelope] names.
func (e *Envelope) SetHeader(name string, value any) {
	e.own()
	e.headers[name] = value
}

// DelHeader removes one header; an absent one is no error.
func (e *Envelope) DelHeader(name string) {
	if _, ok := e.headers[name]; !ok {
		return
	}
	e.own()
	delete(e.headers, name)
}

// ClearHeaders removes all headers.
func (e *Envelope) ClearHeaders() {
	e.headers, e.owned = nil, false
}

// Clone returns an independent envelope. Neither sees the other's later
// changes; header maps are copied only when one of them changes.
func (e *Envelope) Clone() Envelope {
	e.owned = false
	return *e
}

func (e *Envelope) own() {
	switch {
	case e.headers == nil:
		e.headers = make(map[string]any, 4)
	case !e.owned:
		e.headers = maps.Clone(e.headers)
	}
	e.owned = true
}
