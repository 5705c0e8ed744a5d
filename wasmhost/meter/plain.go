package meter

import (
	"encoding/binary"
	"math/bits"
)

// Nine of ten instructions stay as they are and end no path. What kind they are
// follows no pattern that a processor could guess, so the loop over them does not
// branch on it: a table says how long each is when its immediates take one byte
// each, as most do.

// plainClass is what the first immediate of an instruction is.
type plainClass uint8

const (
	classOther plainClass = iota // an instruction that is not for the quick loop
	classNone
	classLocal
	classGlobal
	classAlign // the offset follows
	classI32
	classI64
	_
	classes // a power of two, which no index has to be checked against
)

// plainInfo describes an opcode for the quick loop.
type plainInfo struct {
	counts uint64 // its weight, and what it pushes in the upper half
	class  plainClass
	size   uint8  // in bytes, with immediates of one byte each
	most   uint8  // in bytes, with the last immediate one byte less than it may have
	more   uint64 // in a word that begins with it, the bit of the second immediate that says that it goes on
	ends   uint64 // the bits of the last immediate that say so
}

// wordEnds has the bit of each byte that says that an integer goes on.
const wordEnds = 0x8080808080808080

var plainOpcodes = func() (t [256]plainInfo) {
	for op, info := range opcodes {
		p := plainInfo{counts: uint64(info.weight) + uint64(info.pushes)<<32}
		switch {
		case info.feature != 0: // rewrite notes it
		case info.shape == shapePlain:
			p.class, p.size = classNone, 1
		case info.shape == shapeLocal:
			p.class, p.size = classLocal, 2
		case info.shape == shapeGlobal:
			p.class, p.size = classGlobal, 2
		case info.shape == shapeMemArg:
			p.class, p.size, p.most, p.more, p.ends = classAlign, 3, 6, 0x80<<16, wordEnds&^0xffff
		case info.shape == shapeI32Const:
			p.class, p.size, p.most, p.ends = classI32, 2, 5, wordEnds&^0xff
		case info.shape == shapeI64Const:
			p.class, p.size, p.most, p.ends = classI64, 2, 8, wordEnds&^0xff
		}
		t[op] = p
	}
	return t
}()

// setLimits sets what the second byte of a plain instruction must be below, in the
// function at hand.
func (c *coder) setLimits() {
	c.limits = [classes]uint32{
		classNone: 0x100, classAlign: 32, classI32: 0x80, classI64: 0x80,
		classLocal: uint32(min(c.locals, 0x80)), classGlobal: uint32(min(len(c.m.globals), 0x80)),
	}
}

// plain goes through plain instructions and returns the position of the first
// that it leaves to others. It counts as rewrite does.
func (c *coder) plain(b []byte, p int) int {
	counts := uint64(c.run) + uint64(c.height)<<32
	for {
		p, counts = skipShort(b, p, counts, &c.limits)
		next := 0
		if p < len(b) && uint32(counts) < RunLength {
			next = skipLong(b, p+1, plainOpcodes[b[p]].class)
		}
		if next == 0 {
			c.run, c.height = uint32(counts), int32(counts>>32)
			return p
		}
		counts += plainOpcodes[b[p]].counts
		p = next
	}
}

// skipShort skips plain instructions with short immediates, up to RunLength, as
// long as a word of the code is left. It calls nothing, so that all it needs is in
// registers.
//
//go:noinline
func skipShort(b []byte, p int, counts uint64, limits *[classes]uint32) (int, uint64) {
	for p <= len(b)-8 && uint32(counts) < RunLength {
		word := binary.LittleEndian.Uint64(b[p:])
		info := &plainOpcodes[byte(word)]
		if uint32(byte(word>>8)) < limits[info.class%classes] && word&info.more == 0 {
			counts += info.counts
			p += int(info.size)
			continue
		}
		// Any integer of less than the greatest number of bytes is well-formed.
		last := bits.TrailingZeros64(^word&info.ends) / 8
		if last >= int(info.most) || byte(word>>8) >= 32 && info.class == classAlign {
			break
		}
		counts += info.counts
		p += last + 1
	}
	return p, counts
}

// skipLong skips immediates of any size. It returns 0 for instructions that plain
// leaves to others.
func skipLong(b []byte, p int, class plainClass) int {
	switch class {
	case classI32:
		return skipInt(b, p, 32)
	case classI64:
		return skipInt(b, p, 64)
	case classAlign:
		return skipMemArg(b, p)
	}
	return 0
}
