package conformance

import (
	"encoding/binary"
	"fmt"
)

// sent is a frame that a host wrote, taken apart.
type sent struct {
	Message
	head
}

// head are fields of a frame that are not the message's.
type head struct {
	stage   Stage
	flags   uint32
	full    uint64 // body_full_len
	nProps  uint32
	headers uint32
}

// readFrame reads a frame of ABI 1, minor version 0, and holds it to every rule of
// section 2. The error names the field.
func readFrame(b []byte) (*sent, error) {
	if len(b) < headSize {
		return nil, fmt.Errorf("a frame of %d bytes", len(b))
	}
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	size := uint64(len(b))
	hdrOff, bodyOff, bodyLen, propOff := u32(16), u32(24), u32(28), u32(48)
	f := &sent{head: head{flags: u32(12), full: u64(32), nProps: u32(52), headers: u32(20), stage: Stage(b[58])}}
	for _, rule := range []struct {
		ok   bool
		what string
	}{
		{u32(0) == magic, "the magic is not RTR1"},
		{binary.LittleEndian.Uint16(b[4:]) == headSize, "head_len is not 80"},
		{binary.LittleEndian.Uint16(b[6:]) == 0, "the minor version is not 0"},
		{u32(8) == uint32(size), "total_len is not the frame's length"},
		{f.flags&^uint32(knownFlags) == 0, "there are flags that mean nothing"},
		{hdrOff%4 == 0, "hdr_off is not a multiple of 4"},
		{propOff%4 == 0, "prop_off is not a multiple of 4"},
		{bodyOff%8 == 0, "body_off is not a multiple of 8"},
		{f.nProps == numSlots || f.nProps == 0, "n_prop is neither 14 nor 0"},
		{uint64(propOff)+8*uint64(f.nProps) <= size, "the properties pass the end"},
		{uint64(hdrOff)+20*uint64(f.headers) <= size, "the headers pass the end"},
		{uint64(bodyOff)+uint64(bodyLen) == size, "the body is not what comes last"},
		{string(b[59:64]) == "\x00\x00\x00\x00\x00" && u64(72) == 0, "reserved bytes are not 0"},
		{hdrOff >= headSize && propOff >= headSize && bodyOff >= headSize, "something lies in the head"},
	} {
		if !rule.ok {
			return nil, fmt.Errorf("%s (% x)", rule.what, b[:headSize])
		}
	}
	text := func(at, n uint32) (string, error) {
		if n > 0 && (uint64(at)+uint64(n) > uint64(bodyOff) || at < headSize) {
			return "", fmt.Errorf("%d bytes at %d do not lie between head and body", n, at)
		}
		if n == 0 {
			return "", nil
		}
		return string(b[at : at+n]), nil
	}
	for i := range int(f.nProps) {
		s, err := text(u32(int(propOff)+8*i), u32(int(propOff)+8*i+4))
		if err != nil {
			return nil, fmt.Errorf("property %s: %w", slotNames[i], err)
		}
		f.Props[i] = s
	}
	for i := range int(f.headers) {
		e := int(hdrOff) + 20*i
		name, err := text(u32(e), uint32(binary.LittleEndian.Uint16(b[e+4:])))
		if err != nil {
			return nil, fmt.Errorf("the name of header %d: %w", i, err)
		}
		value, err := text(u32(e+8), u32(e+12))
		if err != nil {
			return nil, fmt.Errorf("the value of header %q: %w", name, err)
		}
		if u32(e+16) != Hash(name) {
			return nil, fmt.Errorf("the hash of header %q is %#x, not %#x", name, u32(e+16), Hash(name))
		}
		f.Headers = append(f.Headers, Header{name, Value{Type: Type(b[e+6]), Flags: b[e+7], Data: []byte(value)}})
	}
	f.Body = b[bodyOff:]
	f.Timestamp, f.Received = int64(u64(40)), int64(u64(64))
	f.Priority, f.DeliveryMode, f.Redelivered = b[56], b[57], f.flags&flagRedelivered != 0
	return f, nil
}
