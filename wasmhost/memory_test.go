package wasmhost

import (
	"bytes"
	"testing"
)

// A memory keeps what is in it, begins with zeros, and makes no more room than it
// may ever need.
func TestLinearMemory(t *testing.T) {
	m := &linearMemory{most: 4 << 20}
	var want []byte
	for i, size := range []int{0, pageSize, 2 * pageSize, 1 << 20, 1<<20 + pageSize, 3 << 20, 4 << 20} {
		before := m.bytes
		have := m.Reallocate(uint64(size))
		want = append(want, make([]byte, size-len(want))...)
		if !bytes.Equal(have, want) {
			t.Errorf("%d bytes are not those of before and zeros", size)
		}
		if cap(have) > 4<<20 {
			t.Errorf("room for %d bytes", cap(have))
		}
		if !bytes.Equal(before, want[:len(before)]) {
			t.Error("what was there is not what it was")
		}
		for at := range have {
			have[at] = byte(at ^ at>>8 ^ at>>16 ^ i)
		}
		copy(want, have)
	}
	m.Free()
	if m.bytes != nil {
		t.Error("the bytes are kept")
	}
}

// A memory that grows by little again and again is not copied each time.
func TestLinearMemoryHasRoomToGrow(t *testing.T) {
	m := &linearMemory{most: 64 << 20}
	moved := 0
	var at *byte
	for size := uint64(1 << 20); size <= 64<<20; size += pageSize {
		if b := m.Reallocate(size); &b[0] != at {
			at = &b[0]
			moved++
		}
	}
	if moved > 30 {
		t.Errorf("it was copied %d times", moved)
	}
}
