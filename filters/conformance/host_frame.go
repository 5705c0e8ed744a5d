package conformance

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// told is what host/probe.wat tells.
type told struct {
	events  string
	buffers [][2]uint32 // min_cap and result of each call of router_buffer
	ptr     uint32
	config  []byte
	frame   []byte
}

// ask sends a message to the probe.
func (c *hostChecker) ask(f Filter, stage Stage, m *Message) (*told, error) {
	out, err := f.Run(c.ctx, stage, m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", stage, err)
	}
	b := out.Message.Body
	if len(b) < 800 {
		return nil, fmt.Errorf("%s: of the new body arrive %d bytes", stage, len(b))
	}
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	events, calls, config := u32(0), u32(4), int(u32(16))
	if events > 256 || calls > 64 || 800+config > len(b) {
		return nil, fmt.Errorf("%s: the new body is not what the filter wrote", stage)
	}
	t := &told{events: string(b[32 : 32+events]), ptr: u32(8), config: b[800 : 800+config], frame: b[800+config:]}
	if n := u32(12); n != uint32(len(t.frame)) {
		return nil, fmt.Errorf("%s: the argument len is %d, the frame has %d bytes", stage, n, len(t.frame))
	}
	for i := range int(calls) {
		t.buffers = append(t.buffers, [2]uint32{u32(288 + 8*i), u32(288 + 8*i + 4)})
	}
	return t, nil
}

// frames checks what the host writes and in what order it calls.
func (c *hostChecker) frames() {
	c.check("host.frame", "frames hold the message, laid out as section 2 says, in every stage", func() error {
		return c.frame(Everything, nil)
	})
	for _, n := range []struct {
		id, proves string
		needs      Needs
		value      int64
	}{
		{"host.needs.nothing", "what a filter does not ask for is left out, all of it", Needs{}, 0},
		{"host.needs.body", "a filter that asks for the body gets the body only", Needs{Body: true}, 1},
		{"host.needs.headers", "a filter that asks for headers gets headers only", Needs{Headers: true}, 2},
		{"host.needs.properties", "a filter that asks for properties gets properties only", Needs{Properties: true}, 4 | 256},
		{"host.needs.prefix", "a filter that asks for the body's beginning gets no more", Needs{Prefix: 5}, 5<<32 | 8},
	} {
		c.check(n.id, n.proves, func() error { return c.frame(n.needs, map[string]any{"needs": n.value}) })
	}
	c.check("host.needs.names", "a filter that names headers gets those that there are", func() error {
		return c.frame(Needs{Headers: true, Names: []string{"tenant", "nobody-has-this", "price"}},
			map[string]any{"needs": int64(2), "names": "tenant,nobody-has-this,price"})
	})
	c.check("host.needs.bits", "a useless answer of router_needs is refused", c.uselessNeeds)
	c.check("host.config", "router_init gets the configuration flattened and as JSON", c.configFrame)
	c.check("host.order", "start function, _initialize, router_init and router_needs come once and in this order", c.order)
	c.check("host.buffer", "router_buffer is called when a frame needs more, for at least twice the room", c.buffer)
	c.check("host.close", "router_close is called when the filter is closed", c.closing)
}

func frameMessages() []Message {
	messages := sampleMessages()
	for _, odd := range [][]Message{{{}}, oddStrings(), oddValues(), manyHeaders(), hugeHeader(), bigBody()} {
		messages = append(messages, odd...)
	}
	return messages
}

// frame sends all messages to all stages of a probe.
func (c *hostChecker) frame(needs Needs, config map[string]any) error {
	return c.with(probeModule, config, Options{Name: "kit"}, func(f Filter) error {
		for i, m := range frameMessages() {
			for _, stage := range allStages {
				if stage != Pack && stage != Encode {
					m.Props[TargetSlot] = ""
				} else {
					m.Props[TargetSlot] = "queue:out"
				}
				t, err := c.ask(f, stage, &m)
				if err == nil {
					err = compareFrame(t.frame, &m, stage, needs)
				}
				if err != nil {
					return fmt.Errorf("message %d in %s: %w", i, stage, err)
				}
			}
		}
		return nil
	})
}

// compareFrame compares a frame with the one that the kit would write.
func compareFrame(frame []byte, m *Message, stage Stage, needs Needs) error {
	have, err := readFrame(frame)
	if err != nil {
		return err
	}
	shown := *m
	shown.Props[FilterName] = "kit"
	want, err := readFrame(Frame(&shown, stage, needs, Layout{}))
	if err != nil {
		return fmt.Errorf("the kit's own frame: %w", err)
	}
	want.Headers, have.Headers = sorted(want.Headers), sorted(have.Headers)
	if want.head != have.head {
		return fmt.Errorf("its head says %+v, not %+v", have.head, want.head)
	}
	wo, ho := Outcome{Message: want.Message}, Outcome{Message: have.Message}
	if diff := difference(wo.Lines(), ho.Lines()); diff != "" {
		return fmt.Errorf("it holds %s", diff)
	}
	if have.Received != want.Received {
		return fmt.Errorf("received is %d, not %d", have.Received, want.Received)
	}
	for i := range want.Headers {
		if w, h := want.Headers[i], have.Headers[i]; w.Flags != h.Flags {
			return fmt.Errorf("the flags of header %q are %d, not %d", w.Name, h.Flags, w.Flags)
		}
	}
	return nil
}

func (c *hostChecker) uselessNeeds() error {
	for _, config := range []map[string]any{
		{"needs": int64(16)},
		{"needs": int64(-1)},
		{"needs": int64(5<<32 | 9)},
		{"needs": int64(1 << 40)},
		{"names": "a,,b"},
		{"names": ",a"},
		{"names": strings.Repeat("n", 256)},
		{"names": strings.Repeat("n,", 64) + "n"},
	} {
		f, err := c.host.Load(c.ctx, probeModule, config, Options{Name: "kit"})
		if err == nil {
			return errors.Join(fmt.Errorf("it loads a filter with %v", config), f.Close())
		}
	}
	return nil
}

func (c *hostChecker) configFrame() error {
	config := map[string]any{
		"text": "grün\x00\"", "int": int64(-5), "float": 2.5, "yes": true, "no": false,
		"table": map[string]any{"list": []any{"a", int64(1), map[string]any{"deep": "x"}}, "empty": map[string]any{}, "none": []any{}},
	}
	for _, config := range []map[string]any{config, nil} {
		err := c.with(probeModule, config, Options{}, func(f Filter) error {
			t, err := c.ask(f, Decide, &Message{})
			if err != nil {
				return err
			}
			want, err := configMessage("kit", config)
			if err != nil {
				return err
			}
			have, err := readFrame(t.config)
			if err != nil {
				return err
			}
			switch {
			case have.stage != Config:
				return fmt.Errorf("the stage is %d, not 255", have.stage)
			case have.flags != flagConfig:
				return fmt.Errorf("the flags are %#x, not %#x", have.flags, flagConfig)
			case have.full != uint64(len(have.Body)):
				return fmt.Errorf("body_full_len is %d of %d", have.full, len(have.Body))
			}
			var w, h any
			if err := json.Unmarshal(have.Body, &h); err != nil {
				return fmt.Errorf("the body is no JSON: %w", err)
			}
			if err := json.Unmarshal(want.Body, &w); err != nil || !reflect.DeepEqual(w, h) {
				return fmt.Errorf("the body is %s, not %s", have.Body, want.Body)
			}
			want.Body, have.Body = nil, nil
			want.Headers, have.Headers = sorted(want.Headers), sorted(have.Headers)
			wo, ho := Outcome{Message: *want}, Outcome{Message: have.Message}
			if diff := difference(wo.Lines(), ho.Lines()); diff != "" {
				return fmt.Errorf("it holds %s", diff)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *hostChecker) order() error {
	return c.with(probeModule, nil, Options{}, func(f Filter) error {
		t, err := c.ask(f, Decide, &Message{})
		if err != nil {
			return err
		}
		if t.events != "sibcnhd" {
			return fmt.Errorf("the calls are %q, not %q (host/probe.wat has the letters)", t.events, "sibcnhd")
		}
		return nil
	})
}

func (c *hostChecker) buffer() error {
	return c.with(probeModule, nil, Options{}, func(f Filter) error {
		room, calls := uint32(0), 0
		for _, n := range []int{0, 10, 3000, 10, 3000, 3100, 20_000, 1000, 300_000, 300_000} {
			t, err := c.ask(f, Decide, &Message{Body: make([]byte, n)})
			if err != nil {
				return err
			}
			if calls == 0 {
				room, calls = t.buffers[0][0], 1 // for the configuration
			}
			for _, b := range t.buffers[calls:] {
				switch {
				case uint32(len(t.frame)) <= room:
					return fmt.Errorf("it asks for %d bytes for a frame of %d, though it has %d", b[0], len(t.frame), room)
				case b[0] < 2*room:
					return fmt.Errorf("it asks for %d bytes, having %d; at least twice as much is the rule", b[0], room)
				}
				room = b[0]
			}
			calls = len(t.buffers)
			if last := t.buffers[calls-1]; t.ptr != last[1] || uint32(len(t.frame)) > last[0] {
				return fmt.Errorf("a frame of %d bytes at %#x, where the buffer has %d at %#x", len(t.frame), t.ptr, last[0], last[1])
			}
		}
		return nil
	})
}

func (c *hostChecker) closing() error {
	var logged []string
	log := func(_ int, text string) { logged = append(logged, text) }
	err := c.with(probeModule, nil, Options{Log: log}, func(f Filter) error {
		_, err := c.ask(f, Decide, &Message{})
		return err
	})
	if err == nil && !slices.Contains(logged, "closed") {
		return fmt.Errorf("it was not (the log is %q)", logged)
	}
	return err
}
