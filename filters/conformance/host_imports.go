package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
)

// calls runs a script with a new filter that has all grants of section 4.1 but
// clock and random.
func (c *hostChecker) calls(m Message, s *script) error {
	return c.with(callsModule, nil, Options{Metrics: true, KV: true}, func(f Filter) error { return c.run(f, m, s) })
}

// imports checks the functions of the module router.
func (c *hostChecker) imports() {
	c.check("host.log", "log writes lines of every level, cut at 1 KiB", c.log)
	c.check("host.log.lines", "of one call's lines the first 10 are written", func() error {
		return c.logged(10, func(lines []string) error {
			if got := strings.Join(lines, ""); got != "abcdefghij" {
				return fmt.Errorf("these are: %q", got)
			}
			return nil
		})
	})
	c.check("host.header_get", "header_get gives any header's bytes if they fit, and else their length", c.headerGet)
	c.check("host.body_read", "body_read gives the bytes from the offset", c.bodyRead)
	c.check("host.time", "time_ns is when the message was received, and real with the grant clock", c.time)
	c.check("host.random", "random depends on message and filter only, and on neither with the grant random", c.random)
	c.check("host.init", "during router_init there is no message, and metrics can be defined", c.init)
	c.check("host.metric", "metrics are counted", c.metrics)
	c.check("host.kv", "the cache gets, sets, swaps, adds and deletes", c.kv)
	c.check("host.kv.bounds", "the cache refuses keys that are empty or over 255 bytes, and huge entries", c.kvBounds)
	c.check("host.kv.ttl", "entries end by the clock of the messages", c.kvTTL)
	c.check("host.kv.evict", "the cache makes room by the least recently used", c.kvEvict)
	c.check("host.kv.shared", "the cache outlives an instance, and is another filter's own", c.kvShared)
	c.check("host.pointers", "every function that is given a bad address fails the message as invalid", c.pointers)
}

func (c *hostChecker) log() error {
	var logged []string
	o := Options{Metrics: true, KV: true, Log: func(level int, text string) { logged = append(logged, fmt.Sprintf("%d %s", level, text)) }}
	s := &script{}
	for level := range 4 {
		at := s.put(fmt.Sprintf("line %d", level))
		s.call(nil, fnLogEnabled, int64(level))
		s.call(nil, fnLog, int64(level), at, 6)
	}
	s.call(nil, fnLog, 1, s.put("abc"), 0)
	err := c.with(callsModule, nil, o, func(f Filter) error { return c.run(f, Message{}, s) })
	if err != nil {
		return err
	}
	if diff := difference([]string{"0 line 0", "1 line 1", "2 line 2", "3 line 3", "1 "}, logged); diff != "" {
		return fmt.Errorf("the log has %s", diff)
	}
	return c.logged(11, func(lines []string) error {
		if len(lines) != 1 || len(lines[0]) > 1024 || !strings.HasPrefix(lines[0], strings.Repeat("x", 1000)) {
			return fmt.Errorf("of a line of 2,000 bytes is left: %d lines, %d bytes", len(lines), len(strings.Join(lines, "")))
		}
		return nil
	})
}

// logged runs a mode of the echo and hands over what it logs.
func (c *hostChecker) logged(mode int64, look func([]string) error) error {
	var lines []string
	o := Options{Log: func(_ int, text string) { lines = append(lines, text) }}
	err := c.with(echoModule, nil, o, func(f Filter) error {
		_, err := f.Run(c.ctx, Decide, echoMessage(mode, nil))
		return err
	})
	return errors.Join(err, look(lines))
}

func (c *hostChecker) headerGet() error {
	m := sampleMessages()[0]
	m.Headers = append(m.Headers, Header{"", TextValue("no name")}, Header{"bad\xff\x00", TextValue("\xff\x00")}, Header{"long", TextValue(strings.Repeat("l", 3000))})
	s := &script{}
	get := func(want int, name string, n int, holds string) {
		buf := s.room(max(n, len(holds)) + 8)
		s.call(want, fnHeaderGet, s.put(name), int64(len(name)), buf, int64(n))
		s.holds(fmt.Sprintf("the buffer of %d bytes for %q", n, name), buf, holds+"\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc")
	}
	for _, h := range m.Headers {
		get(len(h.Data), h.Name, len(h.Data), string(h.Data))
		get(len(h.Data), h.Name, len(h.Data)+8, string(h.Data))
		if len(h.Data) > 0 {
			get(len(h.Data), h.Name, len(h.Data)-1, "")
		}
	}
	get(-1, "absent", 64, "")
	get(-1, "Tenant", 64, "")
	get(-1, "tenant\x00", 64, "")
	return c.calls(m, s)
}

func (c *hostChecker) bodyRead() error {
	s := &script{}
	// The body is the script itself. It is complete when its calls are, so
	// that what they must read is known only then.
	type read struct{ off, n, to int64 }
	var reads []read
	for _, r := range []read{{0, 64, 0}, {8, 16, 0}, {100, 0, 0}} {
		r.to = s.room(int(r.n) + 8)
		reads = append(reads, r)
		s.call(int(r.n), fnBodyRead, r.off, r.to, r.n)
	}
	size := int64(len(s.bytes())) + 16
	tail := s.room(8)
	s.room(8)
	s.call(4, fnBodyRead, size-4, tail, 64)
	s.call(0, fnBodyRead, size, tail, 64)
	s.call(0, fnBodyRead, size+1, tail, 64)
	s.call(0, fnBodyRead, math.MaxUint32, tail, 64)
	script := string(s.bytes())
	for _, r := range reads {
		s.holds(fmt.Sprintf("%d bytes from %d", r.n, r.off), r.to, script[r.off:r.off+r.n]+"\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc")
	}
	s.holds("the last 4 bytes", tail, script[size-4:]+"\xcc\xcc\xcc\xcc")
	return c.calls(Message{}, s)
}

func (c *hostChecker) time() error {
	const received = 1_700_000_000_123_456_789
	s := &script{}
	equal := func(v int64) error {
		if v != received {
			return fmt.Errorf("%d, not %d", v, int64(received))
		}
		return nil
	}
	s.call(equal, fnTime)
	s.call(equal, fnTime)
	if err := c.calls(Message{Received: received, Timestamp: 5}, s); err != nil {
		return err
	}
	now := &script{}
	now.call(func(v int64) error {
		if v == received || v < received {
			return fmt.Errorf("with the grant clock it is %d", v)
		}
		return nil
	}, fnTime)
	return c.with(callsModule, nil, Options{Metrics: true, KV: true, Clock: true}, func(f Filter) error {
		return c.run(f, Message{Received: received}, now)
	})
}

// drawn runs one script that draws random bytes twice.
func (c *hostChecker) drawn(o Options, id string) (a, b string, err error) {
	o.Metrics, o.KV = true, true
	s := &script{}
	first, second := s.room(16), s.room(16)
	s.call(nil, fnRandom, first, 16)
	s.call(nil, fnRandom, second, 16)
	s.call(nil, fnRandom, first, 0)
	take := func(to *string) func([]byte) error {
		return func(b []byte) error { *to = string(b); return nil }
	}
	s.see("the first", first, 16, take(&a))
	s.see("the second", second, 16, take(&b))
	m := Message{}
	m.Props[MessageID] = id
	return a, b, c.with(callsModule, nil, o, func(f Filter) error { return c.run(f, m, s) })
}

func (c *hostChecker) random() error {
	var draws []string
	for _, d := range []struct {
		o  Options
		id string
	}{{Options{Name: "one"}, "m1"}, {Options{Name: "one"}, "m1"}, {Options{Name: "one"}, "m2"}, {Options{Name: "two"}, "m1"}, {Options{Name: "one", Random: true}, "m1"}, {Options{Name: "one", Random: true}, "m1"}} {
		a, b, err := c.drawn(d.o, d.id)
		if err != nil {
			return err
		}
		if a == b || strings.Contains(a, "\xcc\xcc\xcc\xcc") {
			return fmt.Errorf("one call draws %x and then %x", a, b)
		}
		draws = append(draws, a+b)
	}
	switch {
	case draws[0] != draws[1]:
		return errors.New("the same message gives different bytes")
	case draws[0] == draws[2]:
		return errors.New("another message gives the same bytes")
	case draws[0] == draws[3]:
		return errors.New("another filter gets the same bytes")
	case draws[4] == draws[5] || draws[4] == draws[0]:
		return errors.New("with the grant random the bytes are no others")
	}
	return nil
}

func (c *hostChecker) init() error {
	s := &script{}
	buf := s.room(16)
	s.call(-1, fnHeaderGet, s.put("script"), 6, buf, 16)
	s.call(0, fnBodyRead, 0, buf, 16)
	s.call(0, fnTime)
	s.holds("the buffer", buf, strings.Repeat("\xcc", 16))
	name := func(n string) []int64 { return []int64{s.put(n), int64(len(n))} }
	define := func(want any, kind int64, n string) { s.call(want, fnMetricDef, append([]int64{kind}, name(n)...)...) }
	var ids []int64
	id := func(v int64) error {
		if v < 0 || bytes.Contains(fmt.Append(nil, ids), fmt.Append(nil, v)) {
			return fmt.Errorf("it returns %d, after %v", v, ids)
		}
		ids = append(ids, v)
		return nil
	}
	again := func(i int) func(int64) error {
		return func(v int64) error {
			if v != ids[i] {
				return fmt.Errorf("it returns %d for the name that has %d", v, ids[i])
			}
			return nil
		}
	}
	define(id, 0, "a")
	define(id, 1, "b_1")
	define(id, 2, "c"+strings.Repeat("c", 63))
	define(again(0), 0, "a")
	define(-1, 1, "a")
	for _, bad := range []string{"", "A", "1a", "_a", "a-b", "a b", "ä", "c" + strings.Repeat("c", 64)} {
		define(-1, 0, bad)
	}
	define(-1, 3, "d")
	define(-1, -1, "d")
	for i := range 61 {
		define(nil, 0, fmt.Sprintf("m%d", i))
	}
	define(-1, 0, "too_many")
	define(again(0), 0, "a")

	look := &script{}
	copied := look.room(len(s.bytes()))
	look.call(nil, fnCopy, copied, initAt, int64(len(s.bytes())))
	look.call(-1, fnMetricDef, 0, look.put("late"), 4)
	look.see("the script of router_init", copied, len(s.bytes()), s.check)
	return c.with(callsModule, s.config(), Options{Metrics: true, KV: true}, func(f Filter) error { return c.run(f, Message{}, look) })
}

func (c *hostChecker) metrics() error {
	s := &script{}
	for kind, name := range []string{"total", "level", "seconds"} {
		s.call(kind, fnMetricDef, int64(kind), s.put(name), int64(len(name)))
	}
	use := &script{}
	float := func(v float64) int64 { return int64(math.Float64bits(v)) }
	for _, v := range []int64{5, 7, -3} {
		use.call(nil, fnMetricAdd, 0, v) // the last is ignored
	}
	use.call(nil, fnMetricAdd, 1, 10)
	use.call(nil, fnMetricAdd, 1, -4)
	use.call(nil, fnMetricObs, 2, float(0.25))
	use.call(nil, fnMetricObs, 2, float(0.5))
	use.call(nil, fnMetricAdd, 99, 1) // nobody's
	use.call(nil, fnMetricObs, -1, float(1))
	set := &script{}
	set.call(nil, fnMetricObs, 1, float(2.5))
	return c.with(callsModule, s.config(), Options{Metrics: true, KV: true}, func(f Filter) error {
		if err := c.run(f, Message{}, use); err != nil {
			return err
		}
		meter, ok := f.(Meter)
		if !ok {
			return nil
		}
		if m := meter.Metrics(); m["total"] != 12 || m["level"] != 6 || m["seconds"] != 0.75 {
			return fmt.Errorf("counter, gauge and histogram are %g, %g and %g, not 12, 6 and 0.75", m["total"], m["level"], m["seconds"])
		}
		if err := c.run(f, Message{}, set); err != nil {
			return err
		}
		if v := meter.Metrics()["level"]; v != 2.5 {
			return fmt.Errorf("a gauge that is set to 2.5 is %g", v)
		}
		return nil
	})
}

func (c *hostChecker) pointers() error {
	const bad, n = outside, 16
	return c.with(callsModule, nil, Options{Metrics: true, KV: true}, func(f Filter) error {
		for _, call := range [][]int64{
			{fnLog, 1, bad, n},
			{fnHeaderGet, bad, n, dataAt, n},
			{fnHeaderGet, dataAt, 1, bad, n},
			{fnBodyRead, 0, bad, n},
			{fnRandom, bad, n},
			{fnRandom, dataAt, math.MaxUint32},
			{fnKVGet, bad, n, dataAt, n},
			{fnKVSet, bad, n, dataAt, n, 0},
			{fnKVSet, dataAt, 1, bad, n, 0},
			{fnKVSwap, dataAt, 1, dataAt, 1, bad, n, 0},
			{fnKVSwap, dataAt, 1, bad, n, dataAt, 1, 0},
			{fnKVSwap, bad, n, dataAt, -1, dataAt, 1, 0},
			{fnKVAdd, bad, n, 1, 0},
			{fnKVDelete, bad, n},
		} {
			s := &script{}
			s.put("k")
			s.call(nil, call[0], call[1:]...)
			m := Message{Headers: []Header{{"k", TextValue("value")}}, Body: s.bytes()}
			fail, err := c.failureOf(f, Decide, &m)
			if err == nil && fail.Class != ClassInvalid {
				err = fmt.Errorf("the class is %s", fail.Class)
			}
			if err != nil {
				return fmt.Errorf("function %d with %d: %w", call[0], call[1:], err)
			}
		}
		return nil
	})
}
