package conformance

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Lines writes a delta as the golden vectors do, an op a line; SPEC.md.
func (d Delta) Lines() []string {
	lines := make([]string, len(d))
	for i, o := range d {
		lines[i] = o.String()
	}
	return lines
}

func (o Op) String() string {
	switch o.Code {
	case OpSetHeader:
		return "set " + quote(o.Key) + " " + valueText(Value{Type: Type(o.Flags >> 4), Data: o.Value})
	case OpDelHeader:
		return "del " + quote(o.Key)
	case OpClearHeaders:
		return "clear"
	case OpSetProp:
		return propText(binary.LittleEndian.Uint16(o.Key), o.Value)
	case OpTarget:
		return "target " + string(o.Key) + " " + quoteAll(o.Value)
	case OpAction:
		return actionText(string(o.Key), o.Value)
	case OpBody:
		return "body " + quote(o.Value)
	case OpBodyRef:
		return "body_ref " + quote(o.Value)
	case OpEmit:
		return "emit"
	case OpError:
		retryable := ""
		if o.Flags&opRetryable != 0 {
			retryable = "retryable "
		}
		return "error " + retryable + quote(o.Key) + " " + quote(o.Value)
	}
	return fmt.Sprintf("op %d %s %s", o.Code, quote(o.Key), quote(o.Value))
}

func quote[T ~string | ~[]byte](s T) string { return strconv.Quote(string(s)) }

// quoteAll quotes the strings that NULs separate.
func quoteAll(b []byte) string {
	var out []string
	for s := range strings.SplitSeq(string(b), "\x00") {
		out = append(out, quote(s))
	}
	return strings.Join(out, " ")
}

// valueText is a header's value with its type in front. It takes values of the
// wrong length, too.
func valueText(v Value) string {
	name := fmt.Sprintf("type%d", v.Type)
	if int(v.Type) < len(typeNames) {
		name = typeNames[v.Type]
	}
	n := int64(0)
	if len(v.Data) == 8 {
		n = int64(binary.LittleEndian.Uint64(v.Data))
	}
	switch {
	case v.Type == Null && len(v.Data) == 0:
		return name
	case v.Type == UTF8 || v.Type == Nested:
		return name + " " + quote(v.Data)
	case (v.Type == I64 || v.Type == Time) && len(v.Data) == 8:
		return name + " " + strconv.FormatInt(n, 10)
	case v.Type == F64 && len(v.Data) == 8:
		return name + " " + strconv.FormatFloat(math.Float64frombits(uint64(n)), 'g', -1, 64)
	case v.Type == Bool && len(v.Data) == 1:
		return name + " " + strconv.FormatBool(v.Data[0] != 0)
	}
	return strings.TrimSpace(name + " " + hex.EncodeToString(v.Data))
}

func propText(slot uint16, value []byte) string {
	switch {
	case slot == slotPriority && len(value) == 1:
		return fmt.Sprintf("priority %d", value[0])
	case slot == slotDeliveryMode && len(value) == 1:
		return fmt.Sprintf("delivery_mode %d", value[0])
	case slot == slotTimestamp && len(value) == 8:
		return fmt.Sprintf("timestamp %d", int64(binary.LittleEndian.Uint64(value)))
	case slot == slotTimestamp && len(value) == 0:
		return "timestamp none"
	}
	return fmt.Sprintf("prop %d %s", slot, quote(value))
}

func actionText(action string, value []byte) string {
	switch {
	case action == "drop" || action == "reject":
		return "action " + action + " " + quote(value)
	case (action == "retry" || action == "requeue") && len(value) >= 8:
		return fmt.Sprintf("action retry %d %s", int64(binary.LittleEndian.Uint64(value)), quote(value[8:]))
	}
	return "action " + action
}

// short cuts what a guest said for one line of a report.
func short(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	n := most
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
