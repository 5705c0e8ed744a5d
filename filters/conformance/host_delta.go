package conformance

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// ops builds deltas.
type ops struct{ b []byte }

func (o ops) op(code, flags uint8, key, value string) ops {
	b := append(append([]byte(nil), o.b...), code, flags)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(key)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
	b = append(append(b, key...), value...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	return ops{b}
}

func (o ops) set(name string, t Type, value string) ops {
	return o.op(OpSetHeader, uint8(t)<<4, name, value)
}
func (o ops) prop(slot uint16, value string) ops { return o.op(OpSetProp, 0, u16(slot), value) }
func (o ops) target(kind string, names ...string) ops {
	return o.op(OpTarget, 0, kind, strings.Join(names, "\x00"))
}
func (o ops) action(action, value string) ops { return o.op(OpAction, 0, action, value) }
func (o ops) emit() ops                       { return o.op(OpEmit, 0, "", "") }
func (o ops) body(s string) ops               { return o.op(OpBody, 0, "", s) }
func (o ops) ref(at, n uint32) ops {
	return o.op(OpBodyRef, 0, "", string(u64(uint64(n)<<32|uint64(at))))
}
func (o ops) error(flags uint8, code, text string) ops { return o.op(OpError, flags, code, text) }

func u16(v uint16) string   { return string([]byte{byte(v), byte(v >> 8)}) }
func delay(ms int64) string { return string(u64(uint64(ms))) }

// then adds bytes as they are.
func (o ops) then(s string) ops { return ops{append(append([]byte(nil), o.b...), s...)} }

// cut leaves n bytes out at the end.
func (o ops) cut(n int) ops { return ops{o.b[:len(o.b)-n]} }

func repeat(n int, o ops) ops { return ops{[]byte(strings.Repeat(string(o.b), n))} }

// What host/echo.wat has in its memory.
const (
	echoText   = "static body"
	echoTextAt = 1024
	echoBuffer = 65536
)

// echoMemory is the echo's memory as far as the kit's deltas refer to it: the
// text and the beginning of the frame.
func echoMemory() []byte {
	memory := make([]byte, echoBuffer+4)
	copy(memory[echoTextAt:], echoText)
	binary.LittleEndian.PutUint32(memory[echoBuffer:], magic)
	return memory
}

// echoMessage is a message that makes the echo return something: mode 0 the delta.
func echoMessage(mode int64, delta []byte) *Message {
	m := &Message{
		Headers:   []Header{{"k", TextValue("v")}, {"n", IntValue(7)}, {"tenant", TextValue("acme")}},
		Body:      append(u64(uint64(mode)), delta...),
		Timestamp: 1_700_000_000_000_000_000, Priority: 1, DeliveryMode: 2,
	}
	m.Props[ContentType], m.Props[Expiration], m.Props[ReplyTo] = "text/plain", "5000", "replies"
	return m
}

// count asks the echo how many messages it has had.
func (c *hostChecker) count(f Filter) (int64, error) {
	out, err := f.Run(c.ctx, Decide, &Message{})
	if err != nil {
		return 0, fmt.Errorf("the message after it: %w", err)
	}
	v, ok := out.Message.Header("count")
	if !ok || v.Type != I64 || len(v.Data) != 8 {
		return 0, fmt.Errorf("a header that the filter set is missing: %s", short(fmt.Sprint(out.Lines())))
	}
	return int64(binary.LittleEndian.Uint64(v.Data)), nil
}

// deltaCase is a delta and where it is handed back.
type deltaCase struct {
	name   string
	delta  ops
	stages []Stage // decide if there are none
}

func (d deltaCase) in() []Stage {
	if d.stages == nil {
		return []Stage{Decide}
	}
	return d.stages
}

// deltas checks what the host makes of good and of bad ones.
func (c *hostChecker) deltas() {
	c.check("host.delta.valid", "a delta has the effect of each of its ops, in their order", func() error {
		return c.with(echoModule, nil, Options{}, func(f Filter) error {
			for _, d := range validDeltas() {
				for _, stage := range d.in() {
					m := echoMessage(0, d.delta.b)
					ops, err := DecodeDelta(d.delta.b, stage, echoMemory())
					if err != nil {
						return fmt.Errorf("the kit's own delta %q: %w", d.name, err)
					}
					out, err := f.Run(c.ctx, stage, m)
					if err == nil {
						err = expect(m, ops, out)
					}
					if err != nil {
						return fmt.Errorf("%s, in %s: %w", d.name, stage, err)
					}
				}
			}
			return nil
		})
	})
	c.check("host.delta.error", "an ERROR fails the message, says whether it may be tried again, and changes nothing", c.reported)
	c.check("host.delta.invalid", "a delta that breaks a rule changes nothing, fails as invalid, and ends the instance", func() error {
		return c.with(echoModule, nil, Options{}, func(f Filter) error {
			for _, d := range invalidDeltas() {
				for _, stage := range d.in() {
					if _, err := DecodeDelta(d.delta.b, stage, echoMemory()); err == nil {
						return fmt.Errorf("the kit itself takes the delta with %s, in %s", d.name, stage)
					}
					if err := c.invalid(f, stage, echoMessage(0, d.delta.b)); err != nil {
						return fmt.Errorf("%s, in %s: %w", d.name, stage, err)
					}
				}
			}
			return nil
		})
	})
	c.check("host.delta.place", "a delta that lies nowhere fails as invalid, and ends the instance", func() error {
		return c.with(echoModule, nil, Options{}, func(f Filter) error {
			for _, result := range []uint64{1024 << 32, 0x7fffff00<<32 | 8, 0x7fffffff<<32 | 0xffffffff, 1024<<32 | 0xffffffff, 1024<<32 | 1<<24} {
				if err := c.invalid(f, Decide, echoMessage(int64(result), nil)); err != nil {
					return fmt.Errorf("result %#x: %w", result, err)
				}
			}
			return nil
		})
	})
}

// invalid runs a message that must fail as invalid and end the instance.
func (c *hostChecker) invalid(f Filter, stage Stage, m *Message) error {
	return c.fails(f, stage, m, false, ClassInvalid)
}

// fails runs a message that must fail with one of the classes, and looks
// whether the instance that comes after it is the same.
func (c *hostChecker) fails(f Filter, stage Stage, m *Message, stays bool, classes ...string) error {
	before, err := c.count(f)
	if err != nil {
		return err
	}
	fail, err := c.failureOf(f, stage, m)
	if err != nil {
		return err
	}
	after, err := c.count(f)
	if err != nil {
		return err
	}
	want, what := int64(1), "the instance lives on; a new one must take over"
	if stays {
		want, what = before+2, "the instance was replaced; it must stay"
	}
	known := false
	for _, class := range classes {
		known = known || class == fail.Class
	}
	switch {
	case !known:
		return fmt.Errorf("the class is %s, not %s (%s)", fail.Class, strings.Join(classes, " or "), short(fail.Text))
	case after != want:
		return fmt.Errorf("%s", what)
	}
	return nil
}

func (c *hostChecker) reported() error {
	return c.with(echoModule, nil, Options{}, func(f Filter) error {
		for _, d := range []struct {
			delta     ops
			stage     Stage
			retryable bool
			says      string
		}{
			{ops{}.error(0, "E1", "größe"), Decide, false, "größe"},
			{ops{}.error(opRetryable, "E2", "later"), Decode, true, "later"},
			{ops{}.error(0, "", ""), Encode, false, ""},
			{ops{}.error(opOptional, strings.Repeat("c", 64), strings.Repeat("t", 1000)), Decide, false, "ttt"},
			{ops{}.set("k", UTF8, "changed").body("changed").target("queue", "q").error(0, "E3", "after others").action("continue", ""), Decide, false, "after others"},
			{ops{}.error(0, "E4", "the first").error(opRetryable, "E5", "the second"), Decide, false, "the first"},
		} {
			m := echoMessage(0, d.delta.b)
			if err := c.fails(f, d.stage, m, true, ClassError); err != nil {
				return fmt.Errorf("%s: %w", d.says, err)
			}
			fail, err := c.failureOf(f, d.stage, m)
			switch {
			case err != nil:
				return err
			case fail.Retryable != d.retryable:
				return fmt.Errorf("%q: retryable is %t, not %t", d.says, fail.Retryable, d.retryable)
			case !strings.Contains(fail.Text, d.says):
				return fmt.Errorf("the text is %q, which does not hold %q", short(fail.Text), d.says)
			}
		}
		return nil
	})
}

// Deltas returns all that [CheckHost] uses, good and bad, by what is remarkable
// about them: seeds for the tests of a decoder.
func Deltas() map[string][]byte {
	all := map[string][]byte{}
	for _, d := range append(validDeltas(), invalidDeltas()...) {
		all[d.name] = d.delta.b
	}
	return all
}
