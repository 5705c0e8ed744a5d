package filter

import "unsafe"

//go:wasmimport router header_get
func hostHeaderGet(key unsafe.Pointer, keyLen uint32, buf unsafe.Pointer, size uint32) int32

// ReadHeader returns the length of a header's value as it was when the call
// began, those too that the frame left out, or -1 if there is none. The value's
// bytes are written to b if they fit.
func ReadHeader(name string, b []byte) int {
	return int(hostHeaderGet(unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)), unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))))
}
