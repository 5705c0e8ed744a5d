package conformance

import (
	"fmt"
	"strings"
)

// key adds a key to the data and returns the two arguments that name it.
func (s *script) key(k string) (at, n int64) { return s.put(k), int64(len(k)) }

func (s *script) kvSet(want any, key, value string, ttl int64) {
	k, kn := s.key(key)
	v, vn := s.key(value)
	s.call(want, fnKVSet, k, kn, v, vn, ttl)
}

// kvGet asks for an entry with a buffer of n bytes. A value of "-" means that
// there must be none.
func (s *script) kvGet(key, value string, n int) {
	k, kn := s.key(key)
	want, holds := len(value), value
	switch {
	case value == "-":
		want, holds = -1, ""
	case len(value) > n:
		holds = ""
	}
	buf := s.room(n + 8)
	s.call(want, fnKVGet, k, kn, buf, int64(n))
	s.holds(fmt.Sprintf("the buffer of %d bytes for %q", n, key), buf, holds+"\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc")
}

// kvSwap swaps; an old value of "-" means that there must be none.
func (s *script) kvSwap(want any, key, old, value string, ttl int64) {
	k, kn := s.key(key)
	o, on := s.key(old)
	if old == "-" {
		o, on = 0, -1
	}
	v, vn := s.key(value)
	s.call(want, fnKVSwap, k, kn, o, on, v, vn, ttl)
}

func (s *script) kvAdd(want any, key string, by, ttl int64) {
	k, kn := s.key(key)
	s.call(want, fnKVAdd, k, kn, by, ttl)
}

func (s *script) kvDelete(want any, key string) {
	k, kn := s.key(key)
	s.call(want, fnKVDelete, k, kn)
}

func (c *hostChecker) kv() error {
	s := &script{}
	s.kvGet("a", "-", 8)
	s.kvSet(1, "a", "one", 0)
	s.kvGet("a", "one", 8)
	s.kvGet("a", "one", 3)
	s.kvGet("a", "one", 2)
	s.kvGet("A", "-", 8)
	s.kvSet(1, "a", "", 0)
	s.kvGet("a", "", 0)
	s.kvSet(1, "a\x00\xff", "bin\x00", 0)
	s.kvGet("a\x00\xff", "bin\x00", 8)

	s.kvSwap(0, "a", "-", "x", 0) // there is one
	s.kvSwap(0, "a", "no", "x", 0)
	s.kvSwap(1, "a", "", "two", 0)
	s.kvSwap(0, "a", "tw", "x", 0)
	s.kvSwap(0, "b", "", "x", 0) // there is none
	s.kvSwap(1, "b", "-", "new", 0)
	s.kvGet("a", "two", 8)
	s.kvGet("b", "new", 8)

	s.kvAdd(5, "n", 5, 0)
	s.kvAdd(-2, "n", -7, 0)
	s.kvGet("n", "\xfe\xff\xff\xff\xff\xff\xff\xff", 8)
	s.kvSet(1, "m", "\xff\xff\xff\xff\xff\xff\xff\x7f", 0)
	s.kvAdd(-1<<63, "m", 1, 0) // it wraps
	s.kvAdd(3, "a", 3, 0)      // of another length, so it starts anew
	s.kvGet("a", "\x03\x00\x00\x00\x00\x00\x00\x00", 8)

	s.kvDelete(1, "a")
	s.kvDelete(0, "a")
	s.kvDelete(0, "")
	s.kvGet("a", "-", 8)
	s.kvSwap(1, "a", "-", "again", 0)
	return c.calls(Message{}, s)
}

func (c *hostChecker) kvBounds() error {
	s := &script{}
	long := strings.Repeat("k", 255)
	s.kvSet(1, long, "v", 0)
	s.kvGet(long, "v", 8)
	s.kvSet(0, long+"k", "v", 0)
	s.kvSet(0, "", "v", 0)
	s.kvAdd(7, "", 7, 0)
	s.kvAdd(7, long+"k", 7, 0)
	s.kvSwap(0, "", "-", "v", 0)
	s.kvSwap(0, long+"k", "-", "v", 0)
	s.kvGet("", "-", 8)
	s.kvGet(long+"k", "-", 8)
	// A quarter of 1 MiB is 262,144 bytes, of which 128 are the entry's and 1
	// the key's. The filter has 262,144 bytes of memory at least.
	k := s.put("q")
	s.call(1, fnKVSet, k, 1, 0, 262144-129, 0)
	s.call(0, fnKVSet, k, 1, 0, 262144-128, 0)
	s.call(262144-129, fnKVGet, k, 1, 0, 0) // the old one stays
	s.call(0, fnKVSwap, k, 1, 0, 262144-129, 0, 262144-128, 0)
	return c.calls(Message{}, s)
}

func (c *hostChecker) kvTTL() error {
	const second = int64(1_000_000_000)
	return c.with(callsModule, nil, Options{Metrics: true, KV: true}, func(f Filter) error {
		for _, step := range []struct {
			at int64
			do func(*script)
		}{
			{1000, func(s *script) {
				s.kvSet(1, "a", "x", 5000)
				s.kvSet(1, "b", "x", 5000)
				s.kvSet(1, "default", "x", 0)
				s.kvSet(1, "negative", "x", -1)
				s.kvSet(2, "huge", "x", 1<<62) // it is cut to an hour
				s.kvSet(1, "hour", "x", 3600_000)
				s.kvSet(2, "more", "x", 3600_001)
				s.kvAdd(1, "n", 1, 5000)
				s.kvSwap(1, "s", "-", "x", 5000)
			}},
			{1004, func(s *script) {
				s.kvGet("a", "x", 8)
				s.kvSet(1, "b", "y", 5000) // lives anew
				s.kvAdd(2, "n", 1, 5000)   // keeps its own end
				s.kvSwap(1, "s", "x", "y", 5000)
			}},
			{1002, func(s *script) { s.kvGet("a", "x", 8) }}, // the clock does not go back
			{1006, func(s *script) {
				s.kvGet("a", "-", 8)
				s.kvGet("b", "y", 8)
				s.kvAdd(1, "n", 1, 5000)
				s.kvGet("s", "y", 8)
				s.kvDelete(0, "a")
				s.kvSwap(1, "a", "-", "z", 1000)
			}},
			{1010, func(s *script) {
				s.kvGet("b", "-", 8)
				s.kvGet("default", "x", 8)
				s.kvGet("negative", "x", 8)
				s.kvGet("huge", "x", 8)
			}},
			{1000 + 3601, func(s *script) {
				s.kvGet("default", "-", 8)
				s.kvGet("negative", "-", 8)
				s.kvGet("huge", "-", 8)
				s.kvGet("hour", "-", 8)
				s.kvGet("more", "-", 8)
			}},
		} {
			s := &script{}
			step.do(s)
			if err := c.run(f, Message{Received: (1_700_000_000 + step.at) * second}, s); err != nil {
				return fmt.Errorf("at %d s: %w", step.at, err)
			}
		}
		return nil
	})
}

// kvEvict fills the cache of 1 MiB with entries of a bit less than 200,000 bytes,
// of which five fit.
func (c *hostChecker) kvEvict() error {
	s := &script{}
	set := func(name string) {
		k, kn := s.key(name)
		s.call(1, fnKVSet, k, kn, 0, 199_000, 0)
	}
	has := func(want int, name string) {
		k, kn := s.key(name)
		s.call(want, fnKVGet, k, kn, 0, 0)
	}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		set(name)
	}
	has(199_000, "a") // used, so b is the oldest
	set("f")
	has(-1, "b")
	has(199_000, "a")
	set("g")
	has(-1, "c")
	has(199_000, "d")
	return c.calls(Message{}, s)
}

func (c *hostChecker) kvShared() error {
	o := Options{Metrics: true, KV: true}
	return c.with(callsModule, nil, o, func(f Filter) error {
		s := &script{}
		s.kvSet(1, "a", "kept", 0)
		if err := c.run(f, Message{}, s); err != nil {
			return err
		}
		bad := &script{} // ends the instance
		bad.call(nil, fnLog, 1, outside, 16)
		if _, err := c.failureOf(f, Decide, &Message{Body: bad.bytes()}); err != nil {
			return err
		}
		s = &script{}
		s.kvGet("a", "kept", 8)
		if err := c.run(f, Message{}, s); err != nil {
			return fmt.Errorf("after a new instance: %w", err)
		}
		o.Name = "other"
		return c.with(callsModule, nil, o, func(f Filter) error {
			s := &script{}
			s.kvGet("a", "-", 8)
			if err := c.run(f, Message{}, s); err != nil {
				return fmt.Errorf("in another filter: %w", err)
			}
			return nil
		})
	})
}
