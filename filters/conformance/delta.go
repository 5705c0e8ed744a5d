package conformance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The ops of a delta; section 3.
const (
	OpSetHeader    = 1
	OpDelHeader    = 2
	OpClearHeaders = 3
	OpSetProp      = 4
	OpTarget       = 5
	OpAction       = 6
	OpBody         = 7
	OpBodyRef      = 8
	OpEmit         = 9
	OpError        = 10
)

const (
	opOptional  = 1 << 0
	opRetryable = 1 << 1

	slotPriority     = 32
	slotDeliveryMode = 33
	slotTimestamp    = 34

	maxOps     = 4096
	maxTargets = 16
	maxEmits   = 16
	maxOutput  = 4 << 20
	maxName    = 255
	maxCode    = 64
)

// Op is one op of a delta.
type Op struct {
	Code  uint8
	Flags uint8
	Key   []byte
	Value []byte // the body itself in an OpBodyRef
}

// Delta is what a handler returned, checked.
type Delta []Op

// DecodeDelta reads a delta and holds it to every rule of section 3. Memory is
// the guest's, for bodies given by reference, which are copied. The error names
// the op and the rule.
func DecodeDelta(data []byte, stage Stage, memory []byte) (Delta, error) {
	r := deltaReader{stage: stage, memory: memory, output: uint64(len(data))}
	if len(data) > maxOutput {
		return nil, fmt.Errorf("%d bytes are more than the %d of a delta", len(data), maxOutput)
	}
	var ops Delta
	for n := 0; len(data) > 0; n++ {
		if n == maxOps {
			return nil, fmt.Errorf("it has more than %d ops", maxOps)
		}
		op, size, err := readOp(data)
		if err != nil {
			return nil, fmt.Errorf("op %d: %w", n, err)
		}
		if err := r.check(&op); err != nil {
			return nil, fmt.Errorf("op %d (%s): %w", n, opName(op.Code), err)
		}
		ops = append(ops, op)
		data = data[min(size, len(data)):]
	}
	return ops, r.end()
}

// readOp returns the first op and its size with padding, which may be more
// than there is.
func readOp(data []byte) (Op, int, error) {
	if len(data) < 8 {
		return Op{}, 0, fmt.Errorf("%d bytes are too few for an op", len(data))
	}
	klen := uint64(binary.LittleEndian.Uint16(data[2:]))
	vlen := uint64(binary.LittleEndian.Uint32(data[4:]))
	if 8+klen+vlen > uint64(len(data)) {
		return Op{}, 0, fmt.Errorf("key of %d and value of %d bytes pass the end", klen, vlen)
	}
	size := int(8+klen+vlen+7) &^ 7
	op := Op{Code: data[0], Flags: data[1], Key: data[8 : 8+klen], Value: data[8+klen : 8+klen+vlen]}
	for _, b := range data[8+klen+vlen : min(size, len(data))] {
		if b != 0 {
			return op, size, errors.New("the padding is not zero")
		}
	}
	return op, size, nil
}

// deltaReader is what the rules remember from op to op.
type deltaReader struct {
	stage  Stage
	memory []byte

	output  uint64
	action  string // forward, drop, reject, retry or reply
	targets int    // of the message that is being changed
	emits   int
	failed  bool
}

func (r *deltaReader) check(o *Op) error {
	if o.Code == 0 || o.Code > OpError {
		if o.Flags&opOptional == 0 {
			return errors.New("there is no such op, and it may not be ignored")
		}
		return nil
	}
	allowed := uint8(opOptional)
	switch o.Code {
	case OpError:
		allowed |= opRetryable
	case OpSetHeader:
		allowed |= 0xf0
	}
	if o.Flags&^allowed != 0 {
		return fmt.Errorf("flags %#02x: bits that mean nothing here", o.Flags)
	}
	if r.stage == Config && o.Code != OpError {
		return errors.New("router_init can only report an ERROR")
	}
	switch o.Code {
	case OpSetHeader:
		return checkHeader(o)
	case OpDelHeader:
		return needEmpty("value", o.Value)
	case OpClearHeaders:
		return errors.Join(needEmpty("key", o.Key), needEmpty("value", o.Value))
	case OpSetProp:
		return checkProp(o)
	case OpTarget:
		return r.target(o)
	case OpAction:
		return r.doAction(o)
	case OpBody:
		return needEmpty("key", o.Key)
	case OpBodyRef:
		return r.bodyRef(o)
	case OpEmit:
		return errors.Join(needEmpty("key", o.Key), needEmpty("value", o.Value), r.emit())
	}
	r.failed = true
	if len(o.Key) > maxCode {
		return fmt.Errorf("the code has %d bytes; 64 are allowed", len(o.Key))
	}
	return errors.Join(needUTF8("code", o.Key), needUTF8("message", o.Value))
}

func (r *deltaReader) end() error {
	switch {
	case r.failed || r.emits == 0:
		return nil
	case r.targets == 0:
		return fmt.Errorf("the emitted message %d has no TARGET", r.emits)
	case r.action == "reject" || r.action == "retry":
		return fmt.Errorf("EMIT does not go with %s", r.action)
	}
	return nil
}

func needEmpty(what string, b []byte) error {
	if len(b) != 0 {
		return fmt.Errorf("it has a %s", what)
	}
	return nil
}

func needUTF8(what string, b []byte) error {
	if !utf8.Valid(b) {
		return fmt.Errorf("the %s is not UTF-8", what)
	}
	return nil
}

// needText checks for UTF-8 without control characters of at most 255 bytes.
func needText(what string, b []byte) error {
	if len(b) > maxName {
		return fmt.Errorf("the %s has %d bytes; 255 are allowed", what, len(b))
	}
	for _, c := range b {
		if c < 0x20 || c == 0x7f {
			return fmt.Errorf("the %s %q has control characters", what, b)
		}
	}
	return needUTF8(what, b)
}

func checkHeader(o *Op) error {
	if len(o.Key) == 0 {
		return errors.New("the name is empty")
	}
	if err := needText("name", o.Key); err != nil {
		return err
	}
	name := string(o.Key)
	if name == "CC" || name == "BCC" || strings.HasPrefix(strings.ToLower(name), "x-router-") {
		return fmt.Errorf("a filter cannot set %q", name)
	}
	size := map[Type]int{Null: 0, I64: 8, F64: 8, Bool: 1, Time: 8}
	switch t := Type(o.Flags >> 4); t {
	case UTF8:
		return needUTF8("value", o.Value)
	case Bytes:
		return nil
	case Null, I64, F64, Bool, Time:
		if len(o.Value) != size[t] {
			return fmt.Errorf("a value of type %s has %d bytes, not %d", typeNames[t], size[t], len(o.Value))
		}
		if t == Bool && o.Value[0] > 1 {
			return fmt.Errorf("a bool of %d", o.Value[0])
		}
		return nil
	default:
		return fmt.Errorf("a value of type %d cannot be set", t)
	}
}

func checkProp(o *Op) error {
	if len(o.Key) != 2 {
		return fmt.Errorf("a key of %d bytes; it is a u16", len(o.Key))
	}
	switch slot := binary.LittleEndian.Uint16(o.Key); {
	case slot >= ContentType && slot <= AppID:
		return needText("property", o.Value)
	case slot == Expiration:
		for _, c := range o.Value {
			if c < '0' || c > '9' {
				return fmt.Errorf("an expiration of %q; it is decimal", o.Value)
			}
		}
		return needText("property", o.Value)
	case slot == slotPriority && len(o.Value) == 1:
	case slot == slotDeliveryMode && len(o.Value) == 1 && o.Value[0] <= 2:
	case slot == slotTimestamp && (len(o.Value) == 0 || len(o.Value) == 8):
	case slot < numSlots:
		return fmt.Errorf("slot %d is read-only", slot)
	case slot < slotPriority || slot > slotTimestamp:
		return fmt.Errorf("there is no slot %d", slot)
	default:
		return fmt.Errorf("slot %d: the value % x does not fit it", slot, o.Value)
	}
	return nil
}

// targetNames says how many names each kind of target has, at least and at
// most, and how many of them must not be empty.
var targetNames = map[string]struct{ least, most, named int }{
	"queue": {1, 1, 1}, "exchange": {2, 2, 0}, "topic": {1, 2, 1},
	"server": {2, 3, 2}, "fanout": {1, 1, 1}, "notify": {2, 3, 2},
}

func (r *deltaReader) target(o *Op) error {
	if r.stage != Decide {
		return fmt.Errorf("it is for decide, not for %s", r.stage)
	}
	if r.targets++; r.targets > maxTargets {
		return fmt.Errorf("more than %d targets", maxTargets)
	}
	if r.emits == 0 && r.action != "" && r.action != "forward" {
		return fmt.Errorf("it does not go with %s", r.action)
	}
	kind, ok := targetNames[string(o.Key)]
	if !ok {
		return fmt.Errorf("there is no kind %q", o.Key)
	}
	names := strings.Split(string(o.Value), "\x00")
	if len(names) < kind.least || len(names) > kind.most {
		return fmt.Errorf("%s has %d to %d names, not %d", o.Key, kind.least, kind.most, len(names))
	}
	for i, name := range names {
		if err := needText("name", []byte(name)); err != nil {
			return err
		}
		if name == "" && i < kind.named {
			return fmt.Errorf("%s: name %d is empty", o.Key, i)
		}
	}
	return checkAddress(string(o.Key), names)
}

// checkAddress checks what the names become together.
func checkAddress(kind string, names []string) error {
	exchange, key := "", names[0]
	switch kind {
	case "exchange":
		exchange, key = names[0], names[1]
	case "topic":
		if len(names) > 1 {
			exchange = names[1]
		}
	case "fanout":
		key += "_fanout"
	case "server", "notify":
		key += "." + names[1]
		if len(names) > 2 {
			exchange = names[2]
		}
	}
	switch {
	case len(key) > maxName:
		return fmt.Errorf("%s: the names have %d bytes together; 255 are allowed", kind, len(key))
	case strings.Contains(exchange, "/"):
		return fmt.Errorf("%s: the exchange %q has a slash", kind, exchange)
	case kind == "notify" && strings.Contains(names[1], "."):
		return fmt.Errorf("notify: the priority %q has a dot", names[1])
	case kind == "server" && strings.HasPrefix(names[0], "."):
		return fmt.Errorf("server: the topic %q begins with a dot", names[0])
	}
	return nil
}

func (r *deltaReader) doAction(o *Op) error {
	if r.emits > 0 {
		return errors.New("it comes after EMIT")
	}
	action := string(o.Key)
	switch action {
	case "continue", "stop":
		return needEmpty("value", o.Value)
	case "forward", "reply":
		if r.stage != Decide {
			return fmt.Errorf("%s is for decide, not for %s", action, r.stage)
		}
		if err := needEmpty("value", o.Value); err != nil {
			return err
		}
	case "drop", "reject":
		if err := needUTF8("reason", o.Value); err != nil {
			return err
		}
	case "retry", "requeue":
		action = "retry"
		if len(o.Value) < 8 || int64(binary.LittleEndian.Uint64(o.Value)) < 0 {
			return errors.New("retry needs a delay of 8 bytes that is not negative")
		}
		if err := needUTF8("reason", o.Value[8:]); err != nil {
			return err
		}
	default:
		return fmt.Errorf("there is no action %q", o.Key)
	}
	if r.action != "" {
		return fmt.Errorf("%s after %s; one is allowed", action, r.action)
	}
	if action != "forward" && r.targets > 0 {
		return fmt.Errorf("%s does not go with TARGET", action)
	}
	r.action = action
	return nil
}

func (r *deltaReader) bodyRef(o *Op) error {
	if len(o.Key) != 0 || len(o.Value) != 8 {
		return errors.New("it has no key and a value of two u32")
	}
	at := uint64(binary.LittleEndian.Uint32(o.Value))
	n := uint64(binary.LittleEndian.Uint32(o.Value[4:]))
	if at+n > uint64(len(r.memory)) {
		return fmt.Errorf("%d bytes at %#x are outside the memory of %d", n, at, len(r.memory))
	}
	if r.output += n; r.output > maxOutput {
		return fmt.Errorf("delta and bodies have %d bytes; %d are allowed", r.output, maxOutput)
	}
	o.Value = append([]byte{}, r.memory[at:at+n]...)
	return nil
}

func (r *deltaReader) emit() error {
	if r.stage != Decide {
		return fmt.Errorf("it is for decide, not for %s", r.stage)
	}
	if r.emits > 0 && r.targets == 0 {
		return fmt.Errorf("the emitted message %d has no TARGET", r.emits)
	}
	if r.emits++; r.emits > maxEmits {
		return fmt.Errorf("more than %d emitted messages", maxEmits)
	}
	r.targets = 0
	return nil
}

func opName(code uint8) string {
	names := [...]string{"", "SET_HEADER", "DEL_HEADER", "CLEAR_HEADERS", "SET_PROP", "TARGET", "ACTION", "BODY", "BODY_REF", "EMIT", "ERROR"}
	if code == 0 || int(code) >= len(names) {
		return fmt.Sprintf("%d", code)
	}
	return names[code]
}
