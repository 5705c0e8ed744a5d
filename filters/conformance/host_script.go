package conformance

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// The numbers of functions in host/calls.wat.
const (
	fnLog = iota
	fnLogEnabled
	fnHeaderGet
	fnBodyRead
	fnTime
	fnRandom
	fnMetricDef
	fnMetricAdd
	fnMetricObs
	fnKVGet
	fnKVSet
	fnKVSwap
	fnKVAdd
	fnKVDelete

	fnCopy = 50
)

// Where host/calls.wat and host/wasi.wat have things.
const (
	scriptAt  = 4096
	entrySize = 80
	dataAt    = scriptAt + 8 + 100*entrySize // behind 100 calls
	initAt    = 65536
	outside   = 0x7ffffff0
)

// script is a sequence of calls for host/calls.wat or host/wasi.wat, and data
// for their arguments.
type script struct {
	calls [][]int64 // function and arguments
	want  []any     // an int64, a check, or nothing
	data  []byte
	looks []look
}

// look is a piece of memory and what it must be afterwards.
type look struct {
	what string
	at   int64
	n    int
	want func([]byte) error
}

// put adds bytes to the data and returns their address.
func (s *script) put(b string) int64 {
	at := dataAt + len(s.data)
	s.data = append(s.data, b...)
	for len(s.data)%8 != 0 {
		s.data = append(s.data, 0xcc)
	}
	return int64(at)
}

// room adds n bytes of 0xcc.
func (s *script) room(n int) int64 { return s.put(strings.Repeat("\xcc", n)) }

// call adds a call with the result that it must have.
func (s *script) call(want any, function int64, args ...int64) {
	s.calls = append(s.calls, append([]int64{function}, args...))
	s.want = append(s.want, want)
}

// holds adds a piece of memory that must hold something afterwards.
func (s *script) holds(what string, at int64, want string) {
	s.see(what, at, len(want), func(b []byte) error {
		if string(b) != want {
			return fmt.Errorf("it is %q, not %q", b, want)
		}
		return nil
	})
}

func (s *script) see(what string, at int64, n int, want func([]byte) error) {
	s.looks = append(s.looks, look{what, at, n, want})
}

// bytes is the script as the filter reads it.
func (s *script) bytes() []byte {
	b := make([]byte, dataAt-scriptAt, dataAt-scriptAt+len(s.data))
	binary.LittleEndian.PutUint64(b, uint64(len(s.calls)))
	for i, call := range s.calls {
		for j, v := range call {
			binary.LittleEndian.PutUint64(b[8+i*entrySize+8*j:], uint64(v))
		}
	}
	return append(b, s.data...)
}

// check looks at what became of the script.
func (s *script) check(b []byte) error {
	if len(b) != len(s.bytes()) {
		return fmt.Errorf("the outcome has %d bytes, not %d", len(b), len(s.bytes()))
	}
	for i, want := range s.want {
		have := int64(binary.LittleEndian.Uint64(b[8+i*entrySize+72:]))
		var err error
		switch want := want.(type) {
		case int:
			if have != int64(want) {
				err = fmt.Errorf("it returns %d, not %d", have, want)
			}
		case func(int64) error:
			err = want(have)
		}
		if err != nil {
			return fmt.Errorf("call %d, of function %d with %d: %w", i, s.calls[i][0], s.calls[i][1:], err)
		}
	}
	for _, l := range s.looks {
		if err := l.want(b[l.at-scriptAt:][:l.n]); err != nil {
			return fmt.Errorf("%s: %w", l.what, err)
		}
	}
	return nil
}

// run runs the script as the message's body.
func (c *hostChecker) run(f Filter, m Message, s *script) error {
	m.Body = s.bytes()
	out, err := f.Run(c.ctx, Decide, &m)
	if err != nil {
		return err
	}
	return s.check(out.Message.Body)
}

// config is the configuration that makes router_init run the script.
func (s *script) config() map[string]any {
	return map[string]any{"script": hex.EncodeToString(s.bytes())}
}
