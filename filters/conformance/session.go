package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// session is one instance of a filter and the router's side of the protocol.
type session struct {
	inst   Instance
	mod    *module
	name   string // the filter's
	needs  Needs
	layout Layout // of the frames of messages

	buf, size uint32 // the input buffer
	fill      bool   // all of the buffer is overwritten before each frame
}

// answer is what one call gave.
type answer struct {
	result int64
	delta  Delta
}

// String is the answer as the golden vectors write it.
func (a answer) String() string {
	switch {
	case a.result == 0:
		return "pass"
	case a.result < 0:
		return fmt.Sprintf("result %d", a.result)
	}
	return strings.Join(a.delta.Lines(), "\n")
}

// The ways in which a call breaks the ABI. Each has a check of its own.
type (
	trapError   struct{ error } // the call did not return
	bufferError struct{ error } // the input buffer is unusable
	placeError  struct{ error } // the delta lies nowhere
	rulesError  struct{ error } // the delta breaks a rule of section 3
)

// errFull: router_buffer returned 0.
var errFull = errors.New("router_buffer returned 0")

// refusedError is a configuration that the filter does not want.
type refusedError struct{ delta Delta }

func (e *refusedError) Error() string {
	return "the filter refuses its configuration: " + short(strings.Join(e.delta.Lines(), "; "))
}

func (s *session) call(ctx context.Context, m *Message, export string, args ...uint32) (uint64, error) {
	v, err := s.inst.Call(ctx, m, export, args...)
	if err != nil {
		return 0, trapError{fmt.Errorf("%s does not return (%w)", export, err)}
	}
	return v, nil
}

// start does what the router does before the first message.
func (s *session) start(ctx context.Context, config *Message) error {
	if _, ok := s.mod.export("_initialize"); ok {
		if _, err := s.call(ctx, nil, "_initialize"); err != nil {
			return err
		}
	}
	if err := s.init(ctx, Frame(config, Config, Everything, Layout{})); err != nil {
		return err
	}
	return s.readNeeds(ctx)
}

func (s *session) init(ctx context.Context, frame []byte) error {
	if _, ok := s.mod.export("router_init"); !ok {
		return nil
	}
	a, err := s.handle(ctx, nil, Config, frame)
	switch {
	case err != nil:
		return err
	case a.result < 0:
		return fmt.Errorf("router_init returns %d; report what is wrong as a delta with an ERROR", a.result)
	case a.result > 0:
		return &refusedError{a.delta}
	}
	return nil
}

func (s *session) readNeeds(ctx context.Context) error {
	s.needs = Everything
	if _, ok := s.mod.export("router_needs"); !ok {
		return nil
	}
	v, err := s.call(ctx, nil, "router_needs")
	if err != nil {
		return err
	}
	n := Needs{Body: v&1 != 0, Headers: v&2 != 0, Properties: v&4 != 0, Stateless: v&256 != 0}
	known := uint64(1 | 2 | 4 | 256)
	if v&8 != 0 {
		n.Prefix = uint32(v >> 32)
		known |= 8 | 0xffffffff<<32
	}
	switch {
	case v&^known != 0:
		return needsError{fmt.Errorf("router_needs returns %#x: the bits %#x mean nothing and must be 0", v, v&^known)}
	case n.Body && v&8 != 0:
		return needsError{fmt.Errorf("router_needs returns %#x: the whole body (bit 0) and its beginning (bit 3) exclude each other", v)}
	}
	s.needs = n
	return s.readNames(ctx)
}

// needsError is a useless answer of router_needs or router_needs_headers.
type needsError struct{ error }

func (s *session) readNames(ctx context.Context) error {
	if _, ok := s.mod.export("router_needs_headers"); !ok {
		return nil
	}
	v, err := s.call(ctx, nil, "router_needs_headers")
	if err != nil || v == 0 {
		return err
	}
	at, n := v>>32, v&0xffffffff
	memory := s.inst.Memory()
	if at+n > uint64(len(memory)) {
		return needsError{fmt.Errorf("router_needs_headers: %d bytes at %#x are outside the memory", n, at)}
	}
	names := strings.Split(string(memory[at:at+n]), "\x00")
	if len(names) > 64 {
		return needsError{fmt.Errorf("router_needs_headers: %d names; at most 64 are allowed", len(names))}
	}
	for _, name := range names {
		if len(name) == 0 || len(name) > maxName {
			return needsError{fmt.Errorf("router_needs_headers: a name of %d bytes; 1 to 255 are allowed", len(name))}
		}
	}
	s.needs.Names = names
	return nil
}

// grow makes the buffer large enough for n bytes.
func (s *session) grow(ctx context.Context, n uint32) error {
	if n <= s.size {
		return nil
	}
	want := max(n, 2*s.size, 1024)
	v, err := s.call(ctx, nil, "router_buffer", want)
	if err != nil {
		return err
	}
	at := uint32(v)
	switch {
	case at == 0:
		return errFull
	case at%8 != 0:
		return bufferError{fmt.Errorf("router_buffer(%d) returns %#x; align the buffer to 8 bytes", want, at)}
	case uint64(at)+uint64(want) > uint64(len(s.inst.Memory())):
		return bufferError{fmt.Errorf("router_buffer(%d) returns %#x, from where there are not so many bytes of memory; grow the memory or return 0", want, at)}
	}
	s.buf, s.size = at, want
	return nil
}

// handle gives a frame to the filter and reads its answer.
func (s *session) handle(ctx context.Context, m *Message, stage Stage, frame []byte) (answer, error) {
	if err := s.grow(ctx, uint32(len(frame))); err != nil {
		return answer{}, err
	}
	room := s.inst.Memory()[s.buf:][:s.size]
	if n := copy(room, frame); s.fill {
		for i := n; i < len(room); i++ {
			room[i] = 0xa5
		}
	}
	v, err := s.call(ctx, m, stage.Export(), s.buf, uint32(len(frame)))
	if err != nil || int64(v) <= 0 {
		return answer{result: int64(v)}, err
	}
	at, n := v>>32, v&0xffffffff
	memory := s.inst.Memory()
	switch {
	case n == 0:
		return answer{}, placeError{fmt.Errorf("%s returns %#x: a delta without bytes; return 0 when nothing changes", stage.Export(), v)}
	case at+n > uint64(len(memory)):
		return answer{}, placeError{fmt.Errorf("%s returns %d bytes at %#x, which are outside the memory of %d", stage.Export(), n, at, len(memory))}
	}
	delta, err := DecodeDelta(append([]byte(nil), memory[at:at+n]...), stage, memory)
	if err != nil {
		return answer{}, rulesError{fmt.Errorf("%s: %w", stage, err)}
	}
	return answer{int64(v), delta}, nil
}

// message gives a message to the filter.
func (s *session) message(ctx context.Context, stage Stage, m *Message) (answer, error) {
	shown := *m
	shown.Props[FilterName] = s.name
	if stage != Pack && stage != Encode {
		shown.Props[TargetSlot] = ""
	}
	return s.handle(ctx, m, stage, Frame(&shown, stage, s.needs, s.layout))
}
