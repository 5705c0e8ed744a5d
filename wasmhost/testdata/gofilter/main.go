// A Go filter without an SDK, as small as it gets.
package main

import (
	"encoding/binary"
	"os"
	"unsafe"
)

var (
	input []byte
	out   []byte
	keep  []byte
)

func main() {}

//go:wasmexport router_abi_1
func abi() {}

//go:wasmexport router_buffer
func buffer(n uint32) uint32 {
	input = make([]byte, (n+7)&^7)
	return uint32(uintptr(unsafe.Pointer(&input[0])))
}

//go:wasmexport router_decide
func decide(_, n uint32) int64 {
	f := input[:n]
	le := binary.LittleEndian
	body := f[le.Uint32(f[24:]):]
	body = body[:le.Uint32(f[28:])]
	if len(body) > 0 {
		switch body[0] {
		case '!':
			panic("told to")
		case 'e':
			os.Exit(4)
		case 'l':
			for {
			}
		case 'm':
			for {
				keep = append(keep, make([]byte, 1<<20)...)
			}
		case 'r':
			recurse(1)
		}
	}
	prio := int64(-1)
	found := 0
	at := f[le.Uint32(f[16:]):]
	for range le.Uint32(f[20:]) {
		e := at[:20]
		at = at[20:]
		switch le.Uint32(e[16:]) {
		case hashTenant, hashType:
			found++
		case hashPriority:
			found++
			prio = int64(le.Uint64(f[le.Uint32(e[8:]):]))
		}
	}
	if found != 3 {
		return 0
	}
	name := "orders.low"
	if prio > 5 {
		name = "orders.high"
	}
	out = append(out[:0], 5, 0, 5, 0, byte(len(name)), 0, 0, 0)
	out = append(out, "queue"...)
	out = append(out, name...)
	return int64(uintptr(unsafe.Pointer(&out[0])))<<32 | int64(len(out))
}

var (
	hashTenant   = hash("tenant")
	hashType     = hash("type")
	hashPriority = hash("priority")
)

func hash(s string) uint32 {
	h := uint32(0x811c9dc5)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 0x01000193
	}
	return h
}

//go:noinline
func recurse(n int) int {
	if n == 0 {
		return 0
	}
	return recurse(n+1) + 1
}
