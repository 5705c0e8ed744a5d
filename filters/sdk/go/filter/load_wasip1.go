package filter

import "unsafe"

// The compiler makes several loads and stores of these without unsafe.

func u16(b []byte) uint16 { return *(*uint16)(unsafe.Pointer(&b[:2][0])) }

func u32(b []byte) uint32 { return *(*uint32)(unsafe.Pointer(&b[:4][0])) }

func u64(b []byte) uint64 { return *(*uint64)(unsafe.Pointer(&b[:8][0])) }

func putU64(b []byte, v uint64) { *(*uint64)(unsafe.Pointer(&b[:8][0])) = v }
