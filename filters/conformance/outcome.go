package conformance

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Outcome is what became of a message in one stage.
type Outcome struct {
	Message Message
	Action  string // forward, drop, reject, retry, reply; "" for none, and for forward without a target
	Reason  string
	Delay   int64 // of retry, ms; 15 minutes if it is more
	Stop    bool
	Targets []TargetNames
	Emitted []Emission
}

// TargetNames is a target: its kind and the names of section 3.1, without the
// optional ones at the end that are empty.
type TargetNames []string

// Emission is a message that EMIT made.
type Emission struct {
	Message Message
	Targets []TargetNames
}

// Apply returns what becomes of a message by a delta that [DecodeDelta] returned
// and that holds no ERROR.
func (d Delta) Apply(m *Message) Outcome {
	out := Outcome{Message: m.clone()}
	cur, targets := &out.Message, &out.Targets
	for _, o := range d {
		switch o.Code {
		case OpSetHeader:
			cur.set(string(o.Key), Value{Type: Type(o.Flags >> 4), Data: o.Value})
		case OpDelHeader:
			cur.del(string(o.Key))
		case OpClearHeaders:
			cur.Headers = nil
		case OpSetProp:
			cur.setProp(binary.LittleEndian.Uint16(o.Key), o.Value)
		case OpBody, OpBodyRef:
			cur.Body = o.Value
		case OpTarget:
			*targets = append(*targets, targetOf(o))
		case OpAction:
			out.act(string(o.Key), o.Value)
		case OpEmit:
			out.Emitted = append(out.Emitted, Emission{Message: out.Message.clone()})
			e := &out.Emitted[len(out.Emitted)-1]
			cur, targets = &e.Message, &e.Targets
		}
	}
	switch {
	case len(out.Targets) > 0:
		out.Action = "forward"
	case out.Action == "forward": // to those of the route, as without a decision
		out.Action = ""
	}
	return out
}

func targetOf(o Op) TargetNames {
	t := append(TargetNames{string(o.Key)}, strings.Split(string(o.Value), "\x00")...)
	return t.trim()
}

// trim drops the optional names that are empty.
func (t TargetNames) trim() TargetNames {
	if len(t) > 1+targetNames[t[0]].least && t[len(t)-1] == "" {
		return t[:len(t)-1]
	}
	return t
}

func (out *Outcome) act(action string, value []byte) {
	switch action {
	case "continue":
	case "stop":
		out.Stop = true
	case "retry", "requeue":
		out.Action, out.Reason = "retry", string(value[8:])
		out.Delay = min(int64(binary.LittleEndian.Uint64(value)), 15*60*1000)
	default:
		out.Action, out.Reason = action, string(value)
	}
}

func (m *Message) set(name string, v Value) {
	for i := range m.Headers {
		if m.Headers[i].Name == name {
			m.Headers[i].Value = v
			return
		}
	}
	m.Headers = append(m.Headers, Header{name, v})
}

func (m *Message) del(name string) {
	m.Headers = slices.DeleteFunc(m.Headers, func(h Header) bool { return h.Name == name })
}

func (m *Message) setProp(slot uint16, value []byte) {
	switch slot {
	case slotPriority:
		m.Priority = value[0]
	case slotDeliveryMode:
		m.DeliveryMode = value[0]
	case slotTimestamp:
		m.Timestamp = 0
		if len(value) == 8 {
			m.Timestamp = int64(binary.LittleEndian.Uint64(value)) * 1e9
		}
	default:
		m.Props[slot] = string(value)
	}
}

// Lines describes an outcome, a fact a line, so that two can be compared.
func (out *Outcome) Lines() []string {
	lines := out.Message.lines()
	if out.Action != "" {
		lines = append(lines, fmt.Sprintf("action %s %q after %d ms", out.Action, out.Reason, out.Delay))
	}
	if out.Stop {
		lines = append(lines, "stop")
	}
	lines = append(lines, targetLines(out.Targets)...)
	for i := range out.Emitted {
		lines = append(lines, fmt.Sprintf("emitted %d", i))
		lines = append(lines, out.Emitted[i].Message.lines()...)
		lines = append(lines, targetLines(out.Emitted[i].Targets)...)
	}
	return lines
}

func targetLines(targets []TargetNames) []string {
	var lines []string
	for _, t := range targets {
		lines = append(lines, fmt.Sprintf("target %q", t))
	}
	return lines
}

func (m *Message) lines() []string {
	var lines []string
	for _, h := range m.Headers {
		lines = append(lines, fmt.Sprintf("header %q: %s", h.Name, valueText(h.Value)))
	}
	slices.Sort(lines)
	for i, s := range m.Props {
		if s != "" {
			lines = append(lines, fmt.Sprintf("%s: %q", slotNames[i], s))
		}
	}
	return append(lines,
		fmt.Sprintf("priority %d, delivery mode %d, timestamp %d", m.Priority, m.DeliveryMode, m.Timestamp),
		bodyLine(m.Body))
}

func bodyLine(body []byte) string {
	if len(body) > 4096 {
		return fmt.Sprintf("body of %d bytes with the SHA-256 %x", len(body), sha256.Sum256(body))
	}
	return fmt.Sprintf("body %q", body)
}

// difference returns the first line that two descriptions do not share, as
// "have …, not …"; "" if there is none.
func difference(want, have []string) string {
	for i := range max(len(want), len(have)) {
		w, h := "nothing more", "nothing more"
		if i < len(want) {
			w = want[i]
		}
		if i < len(have) {
			h = have[i]
		}
		if w != h {
			return fmt.Sprintf("%s, not %s", short(h), short(w))
		}
	}
	return ""
}
