package filter

import (
	"strings"
	"unicode/utf8"
	"unsafe"
)

// MaxDelta bounds how many bytes of changes one call may write, bodies that are
// given by reference not counted. A change that does not fit fails the message.
var MaxDelta = 1 << 20

const (
	opSetHeader = 1 + iota
	opDelHeader
	opClearHeaders
	opSetProp
	opTarget
	opAction
	opBody
	opBodyRef
	opEmit
	opError
)

// Delta collects what a filter changes. Its methods copy what they are given,
// except SetBodyRef.
type Delta struct {
	buf  []byte
	full bool
	keep []byte // what SetBodyRef names stays reachable
}

// Reset empties the delta and keeps its memory.
func (d *Delta) Reset() {
	d.buf, d.full = d.buf[:0], false
	if d.keep != nil {
		d.keep = nil
	}
}

// Len returns how many bytes of changes there are; 0 is no change.
func (d *Delta) Len() int { return len(d.buf) }

// room appends an op with a value of n bytes, and returns where the value goes;
// nil when it does not fit. The bytes up to the next multiple of 8 are zero.
func (d *Delta) room(code, flags byte, key string, n int) []byte {
	size := (8 + len(key) + n + 7) &^ 7
	at := len(d.buf)
	end := at + size
	if d.full || len(key) > 0xffff || end > MaxDelta {
		d.full = true
		return nil
	}
	if end > cap(d.buf) {
		grown := make([]byte, at, max(2*end, 512))
		copy(grown, d.buf)
		d.buf = grown
	}
	d.buf = d.buf[:end]
	op := d.buf[at:end]
	putU64(op[size-8:], 0)
	putU64(op, uint64(code)|uint64(flags)<<8|uint64(len(key))<<16|uint64(n)<<32)
	copy(op[8:], key)
	return op[8+len(key):]
}

// op appends an op whose value consists of the parts.
func (d *Delta) op(code, flags byte, key string, parts ...string) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	to := d.room(code, flags, key, n)
	if to == nil {
		return
	}
	for _, p := range parts {
		to = to[copy(to, p):]
	}
}

// SetHeader sets a header to a string, or to its bytes when it is not UTF-8.
func (d *Delta) SetHeader(name, text string) {
	t := UTF8
	if !utf8.ValidString(text) {
		t = Bytes
	}
	d.op(opSetHeader, byte(t)<<4, name, text)
}

// SetHeaderBytes sets a header to bytes.
func (d *Delta) SetHeaderBytes(name string, b []byte) {
	d.op(opSetHeader, byte(Bytes)<<4, name, view(b))
}

// SetHeaderInt sets a header to a 64-bit integer.
func (d *Delta) SetHeaderInt(name string, v int64) {
	var b [8]byte
	d.op(opSetHeader, byte(Int64)<<4, name, view(appendU64(b[:0], uint64(v))))
}

// SetHeaderBool sets a header to a boolean.
func (d *Delta) SetHeaderBool(name string, v bool) {
	s := "\x00"
	if v {
		s = "\x01"
	}
	d.op(opSetHeader, byte(Bool)<<4, name, s)
}

// DelHeader removes a header; an absent one is no error.
func (d *Delta) DelHeader(name string) { d.op(opDelHeader, 0, name) }

// ClearHeaders removes all headers.
func (d *Delta) ClearHeaders() { d.op(opClearHeaders, 0, "") }

// SetProp sets a property; an empty text removes it.
func (d *Delta) SetProp(s Slot, text string) {
	key := [2]byte{byte(s), byte(s >> 8)}
	d.op(opSetProp, 0, view(key[:]), text)
}

// Target adds a target written as in router.toml: queue:NAME,
// exchange:NAME/KEY, topic:[EXCHANGE/]TOPIC, server:[EXCHANGE/]TOPIC.SERVER,
// fanout:TOPIC or notify:[EXCHANGE/]TOPIC.PRIORITY. It returns false when the
// text is none.
func (d *Delta) Target(text string) bool {
	if name, ok := strings.CutPrefix(text, "queue:"); ok && name != "" {
		copy(d.room(opTarget, 0, "queue", len(name)), name)
		return true
	}
	kind, rest, _ := strings.Cut(text, ":")
	exchange, name, at := strings.Cut(rest, "/")
	if !at {
		exchange, name = "", rest
	}
	nul := ""
	if at {
		nul = "\x00"
	}
	dot := -1
	switch kind {
	case "fanout":
		if rest != "" {
			d.op(opTarget, 0, kind, rest)
		}
		return rest != ""
	case "exchange":
		if at {
			d.op(opTarget, 0, kind, exchange, "\x00", name)
		}
		return at
	case "topic":
		if name != "" {
			d.op(opTarget, 0, kind, name, nul, exchange)
		}
		return name != ""
	case "server":
		dot = strings.IndexByte(name, '.')
	case "notify":
		dot = strings.LastIndexByte(name, '.')
	}
	if dot <= 0 || dot+1 == len(name) {
		return false
	}
	d.op(opTarget, 0, kind, name[:dot], "\x00", name[dot+1:], nul, exchange)
	return true
}

// Drop acknowledges and counts the message.
func (d *Delta) Drop(reason string) { d.op(opAction, 0, "drop", reason) }

// Reject dead-letters the message with the reason, of which 256 bytes are kept.
func (d *Delta) Reject(reason ...string) { d.op(opAction, 0, "reject", reason...) }

// Retry asks for another run after delayMS; 0 is the route's own backoff.
func (d *Delta) Retry(delayMS int64, reason string) {
	var b [8]byte
	d.op(opAction, 0, "retry", view(appendU64(b[:0], uint64(delayMS))), reason)
}

// Reply answers the caller with the message as this delta leaves it.
func (d *Delta) Reply() { d.op(opAction, 0, "reply") }

// Stop skips the filters after this one.
func (d *Delta) Stop() { d.op(opAction, 0, "stop") }

// SetBody copies the new body into the delta.
func (d *Delta) SetBody(body []byte) { d.op(opBody, 0, "", view(body)) }

// SetBodyRef names the new body where it lies; it must not change until the
// next call. A slice of the message's body is allowed.
func (d *Delta) SetBodyRef(body []byte) {
	var b [8]byte
	at := uint32(uintptr(unsafe.Pointer(unsafe.SliceData(body))))
	d.keep = body
	d.op(opBodyRef, 0, "", view(appendU32(appendU32(b[:0], at), uint32(len(body)))))
}

// Emit starts a new message; what is written after it applies to that.
func (d *Delta) Emit() { d.op(opEmit, 0, "") }

// Error fails the message: a short code for metrics and a text for people,
// given in parts. Everything else in the delta is then ignored.
func (d *Delta) Error(code string, text ...string) { d.op(opError, 0, code, text...) }

// ErrorRetryable is Error for what may go well the next time.
func (d *Delta) ErrorRetryable(code string, text ...string) { d.op(opError, 2, code, text...) }
