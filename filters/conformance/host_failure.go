package conformance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// failures checks classes and what becomes of the instance; section 5.
func (c *hostChecker) failures() {
	for _, f := range []struct {
		id, proves string
		mode       int64 // of host/echo.wat
		stays      bool
		classes    []string
	}{
		{"host.result.malformed", "the result -2 fails the message as error, and the instance stays", -2, true, []string{ClassError}},
		{"host.result.unsupported", "the result -3 fails the message as error, and the instance stays", -3, true, []string{ClassError}},
		{"host.result.internal", "the result -4 fails the message as error, and the instance stays", -4, true, []string{ClassError}},
		{"host.result.other", "any result below fails the message as error, and the instance stays", -1 << 63, true, []string{ClassError}},
		{"host.result.memory", "the result -1 fails as memory, and ends the instance", -1, false, []string{ClassMemory}},
		{"host.fail.trap", "unreachable fails as trap, and ends the instance", 1, false, []string{ClassTrap}},
		{"host.fail.loop", "an endless loop fails as deadline, and ends the instance", 2, false, []string{ClassDeadline}},
		{"host.fail.recursion", "an endless recursion fails, and ends the instance", 3, false, []string{ClassTrap, ClassDeadline}},
		{"host.fail.bounds", "a load outside the memory fails as trap, and ends the instance", 4, false, []string{ClassTrap}},
		{"host.fail.division", "a division by zero fails as trap, and ends the instance", 5, false, []string{ClassTrap}},
		{"host.fail.exit", "proc_exit(0) fails as exit, and ends the instance", 6, false, []string{ClassExit}},
		{"host.fail.abort", "abort fails as trap, and ends the instance", 7, false, []string{ClassTrap}},
		{"host.fail.memory", "a trap with all memory taken fails as memory, and ends the instance", 8, false, []string{ClassMemory}},
		{"host.fail.pointer", "an import that is given a bad address fails as invalid, and ends the instance", 9, false, []string{ClassInvalid}},
	} {
		c.check(f.id, f.proves, func() error {
			return c.with(echoModule, nil, Options{}, func(filter Filter) error {
				return c.fails(filter, Decide, echoMessage(f.mode, nil), f.stays, f.classes...)
			})
		})
	}
	c.check("host.fail.abort-text", "the text of abort is told", func() error {
		return c.with(echoModule, nil, Options{}, func(f Filter) error {
			fail, err := c.failureOf(f, Decide, echoMessage(7, nil))
			if err == nil && !strings.Contains(fail.Text, "went wrong") {
				err = fmt.Errorf("it says %q", short(fail.Text))
			}
			return err
		})
	})
	c.check("host.fail.no-buffer", "router_buffer that returns 0 fails as memory, and ends the instance", func() error {
		return c.with(echoModule, nil, Options{Memory: 16 << 20}, func(f Filter) error {
			return c.fails(f, Decide, echoMessage(0, make([]byte, 8<<20)), false, ClassMemory)
		})
	})
	c.check("host.fail.too-big", "a message larger than the filter's memory fails as memory, without a call", func() error {
		return c.with(echoModule, nil, Options{Memory: 2 << 20}, func(f Filter) error {
			n, err := c.count(f)
			if err != nil {
				return err
			}
			fail, err := c.failureOf(f, Decide, echoMessage(0, make([]byte, 4<<20)))
			if err != nil {
				return err
			}
			if fail.Class != ClassMemory {
				return fmt.Errorf("the class is %s, not memory", fail.Class)
			}
			m, err := c.count(f)
			if err == nil && m != n+1 {
				err = fmt.Errorf("the filter was called or replaced: its count went from %d to %d", n, m)
			}
			return err
		})
	})
}

// modulePieces is the smallest filter there is, in pieces: the names of its
// exports, "" for none, the type of its stage and an import.
type modulePieces struct {
	marker, newer, buffer, decide, memory string
	decideType                            byte
	imports                               string
}

// build makes the module. Its types are 0 () -> (), 1 (i32) -> (i32) and 2 (i32
// i32) -> (i64).
func (p modulePieces) build() []byte {
	section := func(id byte, content string) string { return string([]byte{id, byte(len(content))}) + content }
	export := func(name string, kind, index byte) string {
		return string(byte(len(name))) + name + string([]byte{kind, index})
	}
	var exports []string
	imported := byte(0)
	if p.imports != "" {
		imported = 1
	}
	for i, name := range []string{p.marker, p.buffer, p.decide, p.newer} {
		if name != "" {
			exports = append(exports, export(name, kindFunc, imported+byte(i%3)))
		}
	}
	if p.memory != "" {
		exports = append(exports, export(p.memory, kindMemory, 0))
	}
	m := "\x00asm\x01\x00\x00\x00" +
		section(1, "\x03\x60\x00\x00\x60\x01\x7f\x01\x7f\x60\x02\x7f\x7f\x01\x7e")
	if p.imports != "" {
		m += section(2, "\x01"+p.imports)
	}
	m += section(3, "\x03\x00\x01"+string([]byte{p.decideType})) + section(5, "\x01\x00\x01") + section(7, string([]byte{byte(len(exports))})+strings.Join(exports, ""))
	body := map[byte]string{0: "\x02\x00\x0b", 1: "\x05\x00\x41\x80\x08\x0b", 2: "\x04\x00\x42\x00\x0b"}
	return []byte(m + section(10, "\x03"+body[0]+body[1]+body[p.decideType]))
}

func importOf(module, name string) string {
	return string([]byte{byte(len(module))}) + module + string([]byte{byte(len(name))}) + name + "\x00\x00"
}

// refusals checks what a host must not load.
func (c *hostChecker) refusals() {
	whole := modulePieces{marker: "router_abi_1", buffer: "router_buffer", decide: "router_decide", memory: "memory", decideType: 2}
	c.check("host.load.smallest", "the smallest filter is loaded", func() error {
		return c.with(whole.build(), nil, Options{}, func(f Filter) error {
			out, err := f.Run(c.ctx, Decide, &Message{Body: []byte("x")})
			if err == nil {
				err = expect(&Message{Body: []byte("x")}, nil, out)
			}
			return err
		})
	})
	c.check("host.load.newer", "a module with the markers of ABI 1 and a later one is loaded", func() error {
		p := whole
		p.newer = "router_abi_2"
		return c.with(p.build(), nil, Options{}, func(Filter) error { return nil })
	})
	for _, r := range []struct {
		id, proves string
		change     func(*modulePieces)
		says       string
	}{
		{"host.refuse.marker", "a module without the marker is refused, by its name", func(p *modulePieces) { p.marker = "" }, "router_abi_1"},
		{"host.refuse.newer", "a module of another ABI is refused, and the error says which", func(p *modulePieces) { p.marker = "router_abi_7" }, "7"},
		{"host.refuse.buffer", "a module without router_buffer is refused, by its name", func(p *modulePieces) { p.buffer = "" }, "router_buffer"},
		{"host.refuse.stage", "a module without a stage is refused", func(p *modulePieces) { p.decide = "router_other" }, "router_decide"},
		{"host.refuse.memory", "a module that does not export its memory is refused", func(p *modulePieces) { p.memory = "mem" }, "memory"},
		{"host.refuse.type", "a stage of the wrong type is refused, by its name", func(p *modulePieces) { p.decideType = 1 }, "router_decide"},
		{"host.refuse.import", "an import that no host has is refused, by its name", func(p *modulePieces) { p.imports = importOf("evil", "function") }, "evil.function"},
		{"host.refuse.import-type", "an import of the wrong type is refused, by its name", func(p *modulePieces) { p.imports = importOf("router", "time_ns") }, "time_ns"},
	} {
		c.check(r.id, r.proves, func() error {
			p := whole
			r.change(&p)
			return c.refused(p.build(), nil, Options{}, r.says)
		})
	}
	c.check("host.refuse.start", "a configuration that the filter refuses is refused, with its text", func() error {
		return c.refused(refusingModule, nil, Options{}, "no such configuration")
	})
	c.check("host.refuse.garbage", "what is no module is refused", func() error {
		whole := whole.build()
		for _, b := range [][]byte{nil, []byte("(module)"), whole[:len(whole)-1], slices.Concat(whole, []byte{0xff})} {
			if err := c.refused(b, nil, Options{}, ""); err != nil {
				return err
			}
		}
		return nil
	})
	for _, g := range []struct{ grant, missing string }{{"metrics", "metric_"}, {"kv", "kv_"}} {
		c.check("host.grant."+g.grant, "functions of the grant "+g.grant+" are refused without it", func() error {
			return c.refused(callsModule, nil, Options{Metrics: g.grant != "metrics", KV: g.grant != "kv"}, g.missing)
		})
	}
}

// refused loads what must not be loaded.
func (c *hostChecker) refused(module []byte, config map[string]any, o Options, says string) error {
	o.Name = "kit"
	f, err := c.host.Load(c.ctx, module, config, o)
	if err == nil {
		return errors.Join(errors.New("it is loaded"), f.Close())
	}
	if !strings.Contains(err.Error(), says) {
		return fmt.Errorf("the error does not name %s: %s", says, short(err.Error()))
	}
	return nil
}
