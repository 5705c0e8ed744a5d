package wasmhost

import (
	"time"

	"github.com/tetratelabs/wazero/api"
)

// Error numbers of WASI preview 1.
const (
	wasiOK    = 0
	wasiBadF  = 8
	wasiInval = 28
)

// wasiFuncs are the functions that the runtimes of Go, Rust and C libraries
// insist on. They reach nothing: there are no files, arguments or environment.
var wasiFuncs = []hostFunc{
	{name: "args_get", params: types(i32, i32), results: types(i32), run: wasiNothing},
	{name: "args_sizes_get", params: types(i32, i32), results: types(i32), run: wasiZeroSizes},
	{name: "environ_get", params: types(i32, i32), results: types(i32), run: wasiNothing},
	{name: "environ_sizes_get", params: types(i32, i32), results: types(i32), run: wasiZeroSizes},
	{name: "clock_time_get", params: types(i32, i64, i32), results: types(i32), run: wasiClock},
	{name: "random_get", params: types(i32, i32), results: types(i32), run: wasiRandom},
	{name: "poll_oneoff", params: types(i32, i32, i32, i32), results: types(i32), run: wasiPoll},
	{name: "sched_yield", results: types(i32), run: wasiNothing},
	{name: "proc_exit", params: types(i32), run: wasiExit},
	{name: "fd_write", params: types(i32, i32, i32, i32), results: types(i32), run: wasiWrite},
	{name: "fd_fdstat_get", params: types(i32, i32), results: types(i32), run: wasiFdstat},
	{name: "fd_close", params: types(i32), results: types(i32), run: wasiNoFile},
	{name: "fd_fdstat_set_flags", params: types(i32, i32), results: types(i32), run: wasiNoFile},
	{name: "fd_prestat_get", params: types(i32, i32), results: types(i32), run: wasiNoFile},
	{name: "fd_prestat_dir_name", params: types(i32, i32, i32), results: types(i32), run: wasiNoFile},
	{name: "fd_seek", params: types(i32, i64, i32, i32), results: types(i32), run: wasiNoFile},
}

func wasiNothing(_ *guest, _ api.Memory, stack []uint64) { stack[0] = wasiOK }

func wasiNoFile(_ *guest, _ api.Memory, stack []uint64) { stack[0] = wasiBadF }

func wasiExit(_ *guest, _ api.Memory, stack []uint64) {
	panic(&exitError{code: uint32(stack[0])})
}

func wasiZeroSizes(_ *guest, mem api.Memory, stack []uint64) {
	clear(guestView(mem, stack[0], 4))
	clear(guestView(mem, stack[1], 4))
	stack[0] = wasiOK
}

// wasiClock shows the realtime clock as time_ns does. The monotonic clock of a
// filter without the grant counts its own readings: language runtimes wait for
// time to pass, and a replay must see the same.
func wasiClock(g *guest, mem api.Memory, stack []uint64) {
	var ns uint64
	switch id := uint32(stack[0]); {
	case id == 0:
		ns = uint64(g.now())
	case id > 3:
		stack[0] = wasiInval
		return
	case g.filter.grants.Clock:
		ns = uint64(monotonic())
	default:
		g.ticks += uint64(time.Microsecond)
		ns = g.ticks
	}
	if !mem.WriteUint64Le(uint32(stack[2]), ns) {
		panicOutside()
	}
	stack[0] = wasiOK
}

func wasiRandom(g *guest, mem api.Memory, stack []uint64) {
	g.random(guestView(mem, stack[0], stack[1]))
	stack[0] = wasiOK
}

// wasiPoll answers at once that every clock has elapsed and that no file is
// open. A subscription has 48 bytes: user data, then the tag at 8, then for a
// clock the timeout at 24. An event has 32: user data, error at 8, type at 10.
func wasiPoll(g *guest, mem api.Memory, stack []uint64) {
	n := uint32(stack[2])
	if n == 0 || n > 1024 {
		stack[0] = wasiInval
		return
	}
	in := guestView(mem, stack[0], uint64(n)*48)
	out := guestView(mem, stack[1], uint64(n)*32)
	g.budget.charge(int64(n))
	for i := range int(n) {
		sub, event := in[48*i:48*i+48], out[32*i:32*i+32]
		tag := sub[8]
		var user [8]byte
		copy(user[:], sub)
		timeout := le64(sub[24:])
		clear(event)
		copy(event, user[:])
		event[10] = tag
		if tag != 0 {
			event[8] = wasiBadF
		} else if !g.filter.grants.Clock {
			g.ticks += min(timeout, uint64(time.Hour))
		}
	}
	if !mem.WriteUint32Le(uint32(stack[3]), n) {
		panicOutside()
	}
	stack[0] = wasiOK
}

// maxWrite is how much one fd_write takes; of more it takes a part, as a pipe
// does. No yield can end the call before it has looked at all of that.
const maxWrite = 16 << 10

func wasiWrite(g *guest, mem api.Memory, stack []uint64) {
	fd, count := uint32(stack[0]), uint32(stack[2])
	if fd != 1 && fd != 2 {
		stack[0] = wasiBadF
		return
	}
	if count > 1024 {
		stack[0] = wasiInval
		return
	}
	vecs := guestView(mem, stack[1], uint64(count)*8)
	written := 0
	for i := range int(count) {
		v := le64(vecs[8*i:])
		text := guestView(mem, v&0xffffffff, v>>32)
		text = text[:min(len(text), maxWrite-written)]
		g.write(fd, text)
		written += len(text)
	}
	g.budget.charge(int64(count) + int64(written))
	if !mem.WriteUint32Le(uint32(stack[3]), uint32(written)) {
		panicOutside()
	}
	stack[0] = wasiOK
}

// wasiFdstat describes 0, 1 and 2 as character devices without rights.
func wasiFdstat(_ *guest, mem api.Memory, stack []uint64) {
	if uint32(stack[0]) > 2 {
		stack[0] = wasiBadF
		return
	}
	b := guestView(mem, stack[1], 24)
	clear(b)
	b[0] = 2
	stack[0] = wasiOK
}

func panicOutside() {
	panic(&guestFault{class: ClassInvalid, text: "a host function was given an address outside the memory"})
}

func le64(b []byte) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}
