package conformance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// The numbers of functions in host/wasi.wat.
const (
	fnFdWrite = iota
	fnClockTimeGet
	fnRandomGet
	fnArgsGet
	fnArgsSizesGet
	fnEnvironGet
	fnEnvironSizesGet
	fnPollOneoff
	fnProcExit
	fnSchedYield
	fnFdClose
	fnFdFdstatGet
	fnFdFdstatSetFlags
	fnFdPrestatGet
	fnFdPrestatDirName
	fnFdSeek
)

const badFile = 8 // EBADF

// wasi checks the functions of section 4.3.
func (c *hostChecker) wasi() {
	run := func(o Options, m Message, s *script) error {
		return c.with(wasiModule, nil, o, func(f Filter) error { return c.run(f, m, s) })
	}
	c.check("host.wasi.write", "fd_write to 1 and 2 goes to the log line by line, to others nowhere", c.wasiWrite)
	c.check("host.wasi.clock", "the clock is that of time_ns, the monotonic one moves with each reading", func() error {
		const received = 1_700_000_000_123_456_789
		s := &script{}
		now, one, two, none := s.room(8), s.room(8), s.room(8), s.room(8)
		s.call(0, fnClockTimeGet, 0, 1, now)
		s.call(0, fnClockTimeGet, 1, 1, one)
		s.call(0, fnClockTimeGet, 1, 1, two)
		s.call(nil, fnClockTimeGet, 77, 1, none)
		s.holds("the realtime clock", now, string(u64(received)))
		var first uint64
		s.see("the monotonic clock", one, 8, func(b []byte) error { first = binary.LittleEndian.Uint64(b); return nil })
		s.see("the monotonic clock", two, 8, func(b []byte) error {
			if second := binary.LittleEndian.Uint64(b); second <= first {
				return fmt.Errorf("it goes from %d to %d", first, second)
			}
			return nil
		})
		s.holds("the reading of a clock that does not exist", none, strings.Repeat("\xcc", 8))
		return run(Options{}, Message{Received: received}, s)
	})
	c.check("host.wasi.random", "random_get is as random", func() error {
		var draws [2]string
		for i := range draws {
			s := &script{}
			at := s.room(16)
			s.call(0, fnRandomGet, at, 16)
			s.see("the bytes", at, 16, func(b []byte) error { draws[i] = string(b); return nil })
			if err := run(Options{}, Message{}, s); err != nil {
				return err
			}
		}
		if draws[0] != draws[1] || strings.Contains(draws[0], "\xcc\xcc\xcc\xcc") {
			return fmt.Errorf("the same message draws %x and %x", draws[0], draws[1])
		}
		return nil
	})
	c.check("host.wasi.empty", "there are no arguments and no environment", func() error {
		s := &script{}
		for _, fn := range []int64{fnArgsSizesGet, fnEnvironSizesGet} {
			count, size := s.room(4), s.room(4)
			s.call(0, fn, count, size)
			s.holds("the number", count, "\x00\x00\x00\x00\xcc\xcc\xcc\xcc")
			s.holds("the size", size, "\x00\x00\x00\x00\xcc\xcc\xcc\xcc")
		}
		buf := s.room(8)
		s.call(0, fnArgsGet, buf, buf)
		s.call(0, fnEnvironGet, buf, buf)
		return run(Options{}, Message{}, s)
	})
	c.check("host.wasi.poll", "poll_oneoff returns at once, as if every clock had elapsed", func() error {
		s := &script{}
		sub := func(user uint64, tag byte, timeout uint64) string {
			b := append(u64(user), tag, 0, 0, 0, 0, 0, 0, 0)
			b = append(append(b, u64(1)...), u64(timeout)...)
			return string(append(b, make([]byte, 16)...))
		}
		in := s.put(sub(7, 0, 1<<60) + sub(8, 1, 0))
		out, n := s.room(64), s.room(4)
		s.call(0, fnPollOneoff, in, out, 2, n)
		s.holds("the number of events", n, "\x02\x00\x00\x00\xcc\xcc\xcc\xcc")
		s.holds("the clock's event", out, string(u64(7))+"\x00\x00\x00")
		s.holds("the file's event", out+32, string(u64(8))+"\x08\x00\x01")
		s.call(0, fnSchedYield)
		return run(Options{}, Message{}, s)
	})
	c.check("host.wasi.files", "there are no files", func() error {
		s := &script{}
		buf := s.room(64)
		s.call(badFile, fnFdClose, 3)
		s.call(badFile, fnFdSeek, 3, 0, 0, buf)
		s.call(badFile, fnFdPrestatGet, 3, buf)
		s.call(badFile, fnFdPrestatDirName, 3, buf, 8)
		s.call(badFile, fnFdFdstatGet, 3, buf)
		s.call(badFile, fnFdFdstatSetFlags, 3, 0)
		s.call(badFile, fnFdWrite, 3, buf, 1, buf)
		s.call(badFile, fnFdWrite, 0, buf, 1, buf)
		s.holds("the buffer", buf, strings.Repeat("\xcc", 64))
		for fd := range int64(3) {
			stat := s.room(24)
			s.call(0, fnFdFdstatGet, fd, stat)
			s.holds("the kind of a standard stream", stat, "\x02")
			s.see("the end of its description", stat, 24, func(b []byte) error {
				if strings.Contains(string(b), "\xcc") {
					return fmt.Errorf("it is not filled in: % x", b)
				}
				return nil
			})
		}
		return run(Options{}, Message{}, s)
	})
	c.check("host.wasi.exit", "proc_exit fails as exit", func() error {
		return c.with(wasiModule, nil, Options{}, func(f Filter) error {
			s := &script{}
			s.call(nil, fnProcExit, 3)
			fail, err := c.failureOf(f, Decide, &Message{Body: s.bytes()})
			if err == nil && fail.Class != ClassExit {
				err = fmt.Errorf("the class is %s", fail.Class)
			}
			return err
		})
	})
}

func (c *hostChecker) wasiWrite() error {
	var logged []string
	o := Options{Log: func(level int, text string) { logged = append(logged, fmt.Sprintf("%d %s", level, text)) }}
	s := &script{}
	write := func(fd int64, parts ...string) {
		var vec []byte
		total := 0
		for _, p := range parts {
			at := s.put(p)
			vec = append(vec, u64(uint64(len(p))<<32|uint64(at))...)
			total += len(p)
		}
		n := s.room(4)
		s.call(0, fnFdWrite, fd, s.put(string(vec)), int64(len(parts)), n)
		s.holds("the number of bytes written", n, string(u64(uint64(total)))[:4])
	}
	write(1, "out\n")
	write(2, "err ", "in parts", "\nand more\n")
	write(1, "begun, ")
	write(1, "ended\n")
	err := c.with(wasiModule, nil, o, func(f Filter) error { return c.run(f, Message{}, s) })
	if diff := difference([]string{"1 out", "2 err in parts", "2 and more", "1 begun, ended"}, logged); diff != "" {
		err = errors.Join(err, fmt.Errorf("the log has %s", diff))
	}
	return err
}
