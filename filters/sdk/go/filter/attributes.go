package filter

import "math"

// DeliveryMode returns the message's delivery mode: 0 absent, 1 transient, 2
// persistent.
func (m *Message) DeliveryMode() uint8 { return m.frame[57] }

// ReceivedNS returns when the router received the message, in nanoseconds since
// 1970.
func (m *Message) ReceivedNS() int64 { return int64(u64(m.frame[64:])) }

// BodyFullLen returns the length of the whole body, of which the frame may hold
// less; see [ReadBody].
func (m *Message) BodyFullLen() uint64 { return u64(m.frame[32:]) }

// SetHeaderFloat sets a header to a 64-bit float.
func (d *Delta) SetHeaderFloat(name string, v float64) {
	var b [8]byte
	d.op(opSetHeader, byte(Float64)<<4, name, view(appendU64(b[:0], math.Float64bits(v))))
}

// SetHeaderTime sets a header to a time in seconds since 1970.
func (d *Delta) SetHeaderTime(name string, seconds int64) {
	var b [8]byte
	d.op(opSetHeader, byte(Time)<<4, name, view(appendU64(b[:0], uint64(seconds))))
}

// SetHeaderNull sets a header that has no value.
func (d *Delta) SetHeaderNull(name string) { d.op(opSetHeader, byte(Null)<<4, name) }

// Slots that are no texts.
const (
	slotPriority     Slot = 32
	slotDeliveryMode Slot = 33
	slotTimestamp    Slot = 34
)

// SetPriority sets the message's priority.
func (d *Delta) SetPriority(priority uint8) { d.SetProp(slotPriority, view([]byte{priority})) }

// SetDeliveryMode sets the delivery mode: 0 removes it, 1 is transient, 2
// persistent.
func (d *Delta) SetDeliveryMode(mode uint8) { d.SetProp(slotDeliveryMode, view([]byte{mode})) }

// SetTimestamp sets the timestamp property, in seconds since 1970.
func (d *Delta) SetTimestamp(seconds int64) {
	var b [8]byte
	d.SetProp(slotTimestamp, view(appendU64(b[:0], uint64(seconds))))
}

// DelTimestamp removes the timestamp property.
func (d *Delta) DelTimestamp() { d.SetProp(slotTimestamp, "") }

// Forward sends the message to the targets of an earlier filter or of the
// route. A target says so by itself.
func (d *Delta) Forward() { d.op(opAction, 0, "forward") }

// Continue leaves an earlier decision as it is, as writing nothing does.
func (d *Delta) Continue() { d.op(opAction, 0, "continue") }
