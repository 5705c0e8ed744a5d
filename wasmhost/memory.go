package wasmhost

import (
	"context"

	"github.com/tetratelabs/wazero/experimental"
)

// Left to itself wazero grows a memory by appending to it: up to all of it is
// copied and cleared at one go, which nothing can interrupt and which takes tens of
// milliseconds when the pages are new. The garbage collector waits for that, and
// everybody for the garbage collector.

// copyStep is how many bytes of a memory that grows are copied at a time.
const copyStep = 256 << 10

// withMemories is the context whose values make wazero take memory from here.
var withMemories = experimental.WithMemoryAllocator(context.Background(),
	experimental.MemoryAllocatorFunc(func(_, most uint64) experimental.LinearMemory {
		return &linearMemory{most: most}
	}))

// linearMemory is the memory of one guest. It is Go's: a view that outlives the
// guest stays valid.
type linearMemory struct {
	bytes []byte
	most  uint64 // bytes it may ever have
}

// Reallocate makes the memory size bytes long; it never becomes shorter. New bytes
// are zero, and untouched where the system gives out new pages.
func (m *linearMemory) Reallocate(size uint64) []byte {
	old := m.bytes
	if size <= uint64(cap(old)) {
		m.bytes = old[:size]
		return m.bytes
	}
	room := size
	if len(old) > 0 { // it grows, and will do so again
		room = max(size, min(m.most, uint64(len(old)+len(old)/4)))
	}
	m.bytes = make([]byte, size, room)
	for at := 0; at < len(old); at += copyStep {
		copy(m.bytes[at:], old[at:min(len(old), at+copyStep)])
	}
	return m.bytes
}

// Free forgets the memory.
func (m *linearMemory) Free() { m.bytes = nil }
