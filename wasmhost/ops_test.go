package wasmhost

import (
	"encoding/binary"
	"math"
)

// The deltas that tests hand to the guests.

func rawOp(code, flags uint8, key, value string) []byte {
	b := []byte{code, flags, byte(len(key)), byte(len(key) >> 8)}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
	b = append(append(b, key...), value...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	return b
}

func ops(list ...[]byte) string {
	var all []byte
	for _, o := range list {
		all = append(all, o...)
	}
	return string(all)
}

func u16(v uint16) string { return string(binary.LittleEndian.AppendUint16(nil, v)) }
func u32(v uint32) string { return string(binary.LittleEndian.AppendUint32(nil, v)) }
func u64(v uint64) string { return string(binary.LittleEndian.AppendUint64(nil, v)) }

func setHeader(name string, typ uint8, value string) []byte {
	return rawOp(opSetHeader, typ<<4, name, value)
}

func setProperty(slot uint16, value string) []byte { return rawOp(opSetProp, 0, u16(slot), value) }
func target(kind, names string) []byte             { return rawOp(opTarget, 0, kind, names) }
func action(name, value string) []byte             { return rawOp(opAction, 0, name, value) }
func bodyOp(value string) []byte                   { return rawOp(opBody, 0, "", value) }
func bodyRef(ptr, n uint32) []byte                 { return rawOp(opBodyRef, 0, "", u32(ptr)+u32(n)) }
func emit() []byte                                 { return rawOp(opEmit, 0, "", "") }
func float(v float64) string                       { return u64(math.Float64bits(v)) }
