package wasmhost

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wasmrouter/router/router"
)

// The ops of a delta; docs/ABI.md section 3.
const (
	opSetHeader    = 1
	opDelHeader    = 2
	opClearHeaders = 3
	opSetProp      = 4
	opTarget       = 5
	opAction       = 6
	opBody         = 7
	opBodyRef      = 8
	opEmit         = 9
	opError        = 10
)

const (
	opFlagOptional  = 1 << 0
	opFlagRetryable = 1 << 1
	opFlagReserved  = 1<<2 | 1<<3

	maxOps       = 4096
	maxErrorCode = 64
	maxDelay     = 15 * 60 * 1000 // ms
	maxReason    = 256
	maxShort     = 255 // bytes of an AMQP short string
)

// Slots of SET_PROP beyond the frame's table.
const (
	slotExpiration   = 12
	slotPriority     = 32
	slotDeliveryMode = 33
	slotTimestamp    = 34
)

// op is one checked op. Key and value point into the copy of the delta, the
// value of a BODY_REF into guest memory.
type op struct {
	code, flags uint8
	slot        uint16
	target      *router.Target // shared, not to be changed
	key, value  []byte
}

// deltaLimits bound one delta.
type deltaLimits struct {
	output        int64
	targets, emit int
}

// guestMemory is what BODY_REF is resolved in.
type guestMemory interface {
	Read(offset, byteCount uint32) ([]byte, bool)
}

// delta is the decoded answer of one call: checked whole, then applied whole.
// It is reused from call to call.
type delta struct {
	ops    []op
	action router.Action
	reason []byte
	delay  time.Duration
	stop   bool

	names   interner
	parsed  targetCache
	pending int // targets of the message being read

	data  []byte       // copy of the delta that was read
	stage router.Stage // in which it was
	again bool         // the same bytes in the same stage mean the same
}

func (x *delta) reset() {
	clear(x.ops) // lets go of the bodies
	x.ops = x.ops[:0]
	x.action, x.reason, x.delay, x.stop, x.pending = router.Undecided, nil, 0, false, 0
}

// keptDelta is how large a copy of a delta outlives the one that needed it.
const keptDelta = 256 << 10

// read copies and decodes the delta that lies in view. Most messages of a route
// are treated alike: a delta that is byte for byte the last one need not be
// decoded again.
func (x *delta) read(view []byte, stage router.Stage, mem guestMemory, lim deltaLimits) *failure {
	if x.again && stage == x.stage && bytes.Equal(view, x.data) {
		return nil
	}
	if cap(x.data) > keptDelta && len(view) < cap(x.data)/4 {
		x.data = nil
	}
	x.data, x.stage = append(x.data[:0], view...), stage
	fail := x.decode(x.data, stage, mem, lim)
	x.again = fail == nil && !slices.ContainsFunc(x.ops, func(o op) bool { return o.code == opBodyRef })
	return fail
}

// decode checks the delta in data, which nobody else may change meanwhile,
// and remembers what apply needs. The failure it returns has the class error
// when the filter reported one.
func (x *delta) decode(data []byte, stage router.Stage, mem guestMemory, lim deltaLimits) *failure {
	x.reset()
	out := uint64(len(data))
	emitted := 0
	var reported *failure
	for off, n := 0, 0; off < len(data); n++ {
		if n == maxOps {
			return invalidf("more than %d ops", maxOps)
		}
		rest := data[off:]
		if len(rest) < 8 {
			return invalidf("op %d at byte %d: %d bytes are too short for an op", n, off, len(rest))
		}
		klen := uint64(binary.LittleEndian.Uint16(rest[2:]))
		vlen := uint64(binary.LittleEndian.Uint32(rest[4:]))
		if 8+klen+vlen > uint64(len(rest)) {
			return invalidf("op %d at byte %d: key of %d and value of %d bytes pass the end of the delta", n, off, klen, vlen)
		}
		o := op{code: rest[0], flags: rest[1], key: rest[8 : 8+klen : 8+klen], value: rest[8+klen : 8+klen+vlen : 8+klen+vlen]}
		off += int(min((8+klen+vlen+7)&^7, uint64(len(rest))))

		if o.code == 0 || o.code > opError {
			if o.flags&opFlagOptional != 0 {
				continue
			}
			return invalidf("op %d: unknown op %d", n, o.code)
		}
		if o.flags&opFlagReserved != 0 ||
			o.flags&opFlagRetryable != 0 && o.code != opError ||
			o.flags>>4 != 0 && o.code != opSetHeader {
			return invalidf("op %d: flags %#x mean nothing for op %d", n, o.flags, o.code)
		}
		var err error
		switch o.code {
		case opSetHeader:
			err = checkHeader(o)
		case opDelHeader:
			if len(o.value) != 0 {
				err = errors.New("DEL_HEADER takes no value")
			}
		case opClearHeaders, opEmit:
			if len(o.key)+len(o.value) != 0 {
				err = errors.New("the op takes neither key nor value")
			}
			if o.code == opEmit && err == nil {
				emitted++
				err = x.checkEmit(stage, emitted, lim)
			}
		case opSetProp:
			err = checkProp(&o)
		case opTarget:
			err = x.addTarget(&o, rest[8:8+klen+vlen], stage, emitted, lim)
		case opAction:
			err = x.addAction(o, stage, emitted)
		case opBody, opBodyRef:
			err = resolveBody(&o, mem, &out, lim.output)
		case opError:
			if reported == nil {
				reported, err = reportedError(o)
			}
		}
		if err != nil {
			return invalidf("op %d: %w", n, err)
		}
		x.ops = append(x.ops, o)
	}
	if reported != nil {
		return reported
	}
	if emitted > 0 && x.pending == 0 {
		return invalidf("emitted message %d has no target", emitted)
	}
	if emitted > 0 && (x.action == router.Reject || x.action == router.Retry) {
		return invalidf("EMIT does not go with the action %s", x.action)
	}
	return nil
}

func (x *delta) checkEmit(stage router.Stage, emitted int, lim deltaLimits) error {
	switch {
	case stage != router.Decide:
		return fmt.Errorf("EMIT is for the decide stage, not for %s", stage)
	case emitted > lim.emit:
		return fmt.Errorf("more than %d emitted messages", lim.emit)
	case emitted > 1 && x.pending == 0:
		return fmt.Errorf("emitted message %d has no target", emitted-1)
	}
	x.pending = 0
	return nil
}

func (x *delta) addTarget(o *op, text []byte, stage router.Stage, emitted int, lim deltaLimits) error {
	if stage != router.Decide {
		return fmt.Errorf("TARGET is for the decide stage, not for %s", stage)
	}
	if x.pending++; x.pending > lim.targets {
		return fmt.Errorf("more than %d targets", lim.targets)
	}
	if emitted == 0 && x.action != router.Undecided && x.action != router.Forward {
		return fmt.Errorf("TARGET does not go with the action %s", x.action)
	}
	var err error
	o.target, err = x.parsed.target(text, len(o.key))
	return err
}

func (x *delta) addAction(o op, stage router.Stage, emitted int) error {
	if emitted > 0 {
		return errors.New("ACTION after EMIT")
	}
	var a router.Action
	switch string(o.key) {
	case "continue", "stop":
		if len(o.value) != 0 {
			return fmt.Errorf("the action %q takes no value", o.key)
		}
		x.stop = x.stop || o.key[0] == 's'
		return nil
	case "forward":
		a = router.Forward
	case "drop":
		a = router.Drop
	case "reject":
		a = router.Reject
	case "retry", "requeue":
		a = router.Retry
	case "reply":
		a = router.Reply
	default:
		return fmt.Errorf("unknown action %q", cutText(string(o.key), 32))
	}
	if x.action != router.Undecided {
		return fmt.Errorf("the action %s after the action %s", a, x.action)
	}
	reason := o.value
	switch a {
	case router.Forward, router.Reply:
		if stage != router.Decide {
			return fmt.Errorf("the action %s is for the decide stage, not for %s", a, stage)
		}
		if len(o.value) != 0 {
			return fmt.Errorf("the action %s takes no value", a)
		}
	case router.Retry:
		if len(reason) < 8 {
			return errors.New("the action retry needs a delay of 8 bytes")
		}
		ms := int64(binary.LittleEndian.Uint64(reason))
		if ms < 0 {
			return fmt.Errorf("a retry delay of %d ms", ms)
		}
		x.delay = time.Duration(min(ms, maxDelay)) * time.Millisecond
		reason = reason[8:]
	}
	if a != router.Forward && x.pending > 0 {
		return fmt.Errorf("the action %s does not go with TARGET", a)
	}
	x.action, x.reason = a, reason
	return nil
}

func checkHeader(o op) error {
	name := o.key
	switch {
	case len(name) == 0 || len(name) > maxShort:
		return fmt.Errorf("a header name of %d bytes; 1 to 255 are allowed", len(name))
	case !validText(name):
		return fmt.Errorf("the header name %q has control characters or is not UTF-8", cutText(string(name), 64))
	case string(name) == "CC" || string(name) == "BCC",
		len(name) >= 9 && strings.EqualFold(string(name[:9]), "x-router-"):
		return fmt.Errorf("the header %q cannot be set by a filter", cutText(string(name), 64))
	}
	want, ok := valueSize(o.flags >> 4)
	switch typ := o.flags >> 4; {
	case ok && len(o.value) != want:
		return fmt.Errorf("header %q: a value of type %d has %d bytes, not %d", cutText(string(name), 64), typ, want, len(o.value))
	case typ == typeBool && o.value[0] > 1:
		return fmt.Errorf("header %q: a bool of %d", cutText(string(name), 64), o.value[0])
	case typ == typeUTF8 && !utf8.Valid(o.value):
		return fmt.Errorf("header %q: the value is not UTF-8; use type 2 for bytes", cutText(string(name), 64))
	case typ == typeNested:
		return fmt.Errorf("header %q: nested values cannot be set", cutText(string(name), 64))
	case typ > typeNested:
		return fmt.Errorf("header %q: unknown type %d", cutText(string(name), 64), typ)
	}
	return nil
}

func checkProp(o *op) error {
	if len(o.key) != 2 {
		return fmt.Errorf("SET_PROP with a key of %d bytes; it is a u16", len(o.key))
	}
	o.slot = binary.LittleEndian.Uint16(o.key)
	switch s := o.slot; {
	case s >= 2 && s <= 8 || s == slotExpiration:
		if len(o.value) > maxShort {
			return fmt.Errorf("property slot %d: %d bytes; 255 are allowed", s, len(o.value))
		}
		if !validText(o.value) {
			return fmt.Errorf("property slot %d: control characters or not UTF-8", s)
		}
		if s == slotExpiration {
			for _, c := range o.value {
				if c < '0' || c > '9' {
					return fmt.Errorf("expiration %q: decimal milliseconds are allowed", cutText(string(o.value), 32))
				}
			}
		}
	case s < frameProps:
		return fmt.Errorf("property slot %d is read-only", s)
	case s == slotPriority || s == slotDeliveryMode:
		if len(o.value) != 1 || s == slotDeliveryMode && o.value[0] > 2 {
			return fmt.Errorf("property slot %d: one byte is needed, at most 2 for the delivery mode", s)
		}
	case s == slotTimestamp:
		if len(o.value) != 0 && len(o.value) != 8 {
			return fmt.Errorf("the timestamp has 8 bytes or none, not %d", len(o.value))
		}
	default:
		return fmt.Errorf("unknown property slot %d", s)
	}
	return nil
}

// resolveBody makes o's value the new body. Nothing runs in the guest between
// this and apply, so a view of its memory is enough until then.
func resolveBody(o *op, mem guestMemory, out *uint64, limit int64) error {
	if len(o.key) != 0 {
		return errors.New("BODY takes no key")
	}
	if o.code == opBody {
		return nil
	}
	if len(o.value) != 8 {
		return fmt.Errorf("BODY_REF with a value of %d bytes; it is two u32", len(o.value))
	}
	ptr, n := binary.LittleEndian.Uint32(o.value), binary.LittleEndian.Uint32(o.value[4:])
	if *out += uint64(n); *out > uint64(limit) {
		return fmt.Errorf("output of %d bytes passes the limit of %d", *out, limit)
	}
	view, ok := mem.Read(ptr, n)
	if !ok {
		return fmt.Errorf("BODY_REF to address %d, length %d, outside the memory", ptr, n)
	}
	o.value = view
	return nil
}

func reportedError(o op) (*failure, error) {
	if len(o.key) > maxErrorCode {
		return nil, fmt.Errorf("an error code of %d bytes; 64 are allowed", len(o.key))
	}
	text := cutText(string(o.value[:min(len(o.value), maxReason+1)]), maxReason)
	if code := cutText(string(o.key), maxErrorCode); code != "" {
		text = strings.TrimSuffix(code+": "+text, ": ")
	}
	if text == "" {
		text = "no reason given"
	}
	return &failure{class: ClassError, retryable: o.flags&opFlagRetryable != 0, err: errors.New(text)}, nil
}

// validText reports whether b is UTF-8 without control characters.
func validText(b []byte) bool {
	for _, c := range b {
		if c < 0x20 || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(b)
}

// valueSize is the length that a header type prescribes, if it does.
func valueSize(typ uint8) (int, bool) {
	switch typ {
	case typeNull:
		return 0, true
	case typeBool:
		return 1, true
	case typeInt, typeFloat, typeTime:
		return 8, true
	}
	return 0, false
}
