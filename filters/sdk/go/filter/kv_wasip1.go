package filter

import (
	"math"
	"unsafe"
)

//go:wasmimport router kv_get
func hostKVGet(k unsafe.Pointer, kn uint32, p unsafe.Pointer, n uint32) int32

//go:wasmimport router kv_set
func hostKVSet(k unsafe.Pointer, kn uint32, v unsafe.Pointer, vn uint32, ttlMS int64) int32

//go:wasmimport router kv_swap
func hostKVSwap(k unsafe.Pointer, kn uint32, old unsafe.Pointer, on uint32, v unsafe.Pointer, vn uint32, ttlMS int64) int32

//go:wasmimport router kv_add
func hostKVAdd(k unsafe.Pointer, kn uint32, n, ttlMS int64) int64

//go:wasmimport router kv_delete
func hostKVDelete(k unsafe.Pointer, kn uint32) int32

func kvGet(key string, buf []byte) int {
	k, kn := textAt(key)
	p, n := bytesAt(buf)
	return int(hostKVGet(k, kn, p, n))
}

func kvSet(key string, value []byte, ttlMS int64) bool {
	k, kn := textAt(key)
	v, vn := bytesAt(value)
	return hostKVSet(k, kn, v, vn, ttlMS) != 0
}

func kvSwap(key string, old, value []byte, ttlMS int64) bool {
	k, kn := textAt(key)
	o, on := bytesAt(old)
	if old == nil {
		on = math.MaxUint32
	}
	v, vn := bytesAt(value)
	return hostKVSwap(k, kn, o, on, v, vn, ttlMS) != 0
}

func kvAdd(key string, n, ttlMS int64) int64 {
	k, kn := textAt(key)
	return hostKVAdd(k, kn, n, ttlMS)
}

func kvDelete(key string) bool {
	k, kn := textAt(key)
	return hostKVDelete(k, kn) != 0
}

func textAt(s string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(s)), uint32(len(s))
}

func bytesAt(b []byte) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))
}
