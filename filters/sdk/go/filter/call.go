package filter

import (
	"runtime"
	"strings"
	"unsafe"
)

var (
	input   []byte // the host writes frames to its start
	message Message
	delta   Delta
	garbage int
)

// NoGarbage says that the filter's handlers do not allocate. [Handle] then
// never yields to the garbage collector.
var NoGarbage bool

// yieldAfter is how much garbage is made between two yields. The collector of a
// guest runs only while a handler yields: without that, memory grows for ever.
const yieldAfter = 64 << 10

// Garbage tells how many bytes a handler has allocated, when it is far more
// than four times the size of its message, which Handle assumes.
func Garbage(n int) { garbage += n }

// Handle runs a handler on the frame that the host has written. It is what an
// exported function of a stage returns.
func Handle(at, n uint32, handle func(*Message, *Delta)) int64 {
	return handleFrame(frameAt(at, n), handle)
}

func handleFrame(frame []byte, handle func(*Message, *Delta)) int64 {
	message.frame = frame
	if !message.valid() {
		return malformed
	}
	delta.Reset()
	handle(&message, &delta)
	if !NoGarbage {
		if garbage += 4*len(frame) + 512; garbage >= yieldAfter {
			garbage = 0
			runtime.Gosched()
		}
	}
	return delta.result()
}

func (d *Delta) result() int64 {
	if d.full {
		d.Reset()
		d.Error("too-big", "the change does not fit the filter's delta buffer")
	}
	if len(d.buf) == 0 {
		return 0
	}
	at := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(d.buf))))
	return int64(at<<32 | uint64(len(d.buf)))
}

func names(b []byte) int64 {
	if len(b) == 0 {
		return 0
	}
	return int64(uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))<<32 | uint64(len(b)))
}

// configure runs OnInit.
func configure(m *Message, d *Delta) {
	if OnInit == nil {
		return
	}
	if err := OnInit(m); err != nil {
		d.Error("config", strings.ToValidUTF8(err.Error(), "?"))
	}
}

// buffer returns an input buffer of at least n bytes.
func buffer(n uint32) []byte {
	if uint64(n) > uint64(len(input)) {
		input = nil // one that is too small need not be kept meanwhile
		input = make([]byte, (uint64(n)+4095)&^4095)
	}
	return input
}
