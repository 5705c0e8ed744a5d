package meter

// shape says what follows an opcode and how the rewriter treats it.
type shape uint8

const (
	shapeUnknown shape = iota // refused
	shapePlain                // no immediate
	shapeStop                 // no immediate, control does not continue: unreachable, return
	shapeBlock
	shapeLoop
	shapeIf
	shapeElse
	shapeEnd
	shapeBr
	shapeBrIf
	shapeBrTable
	shapeCall
	shapeCallIndirect
	shapeReturnCall
	shapeReturnCallIndirect
	shapeTry
	shapeThrow
	shapeThrowRef
	shapeSelectTyped
	shapeLocal
	shapeGlobal
	shapeTable
	shapeMemArg
	shapeMemSize
	shapeMemGrow
	shapeI32Const
	shapeI64Const
	shapeF32Const
	shapeF64Const
	shapeRefNull
	shapeRefFunc
	shapeBulk   // prefix 0xfc
	shapeVector // prefix 0xfd
)

// leads reports whether control passes such an instruction to the next, always.
func (s shape) leads() bool {
	switch s {
	case shapePlain, shapeMemArg, shapeLocal, shapeI32Const, shapeI64Const, shapeF32Const, shapeF64Const,
		shapeGlobal, shapeBlock, shapeLoop, shapeMemSize, shapeVector:
		return true
	}
	return false
}

// opcodeInfo is the shape of an opcode, its weight in straight code, by how many
// values the operand stack is higher after it, as far as the opcode alone tells,
// and the proposal it came with.
type opcodeInfo struct {
	shape   shape
	weight  uint8
	pushes  int8
	feature feature
}

// Weights: what an instruction counts towards RunLength. Those of memory are for
// a load that misses the caches, and those of numbers for operands that the
// processor is slow with: a guest could do nothing else.
const (
	weightPlain   = 1
	weightMemory  = 4
	weightNumber  = 4 // division, floating point and vectors
	weightCall    = 16
	weightRefFunc = 64 // a call of the runtime's
)

const (
	opUnreachable = 0x00
	opBlock       = 0x02
	opLoop        = 0x03
	opIf          = 0x04
	opThrow       = 0x08
	opThrowRef    = 0x0a
	opEnd         = 0x0b
	opCall        = 0x10
	opLocalGet    = 0x20
	opLocalSet    = 0x21
	opLocalTee    = 0x22
	opSelect      = 0x1b
	opTryTable    = 0x1f
	opGlobalGet   = 0x23
	opGlobalSet   = 0x24
	opMemorySize  = 0x3f
	opMemoryGrow  = 0x40
	opI32Const    = 0x41
	opI64Const    = 0x42
	opI32Eq       = 0x46
	opI32LtU      = 0x49
	opI64LtS      = 0x53
	opI64GeS      = 0x59
	opI32Shl      = 0x74
	opI32ShrU     = 0x76
	opI64Add      = 0x7c
	opI64Sub      = 0x7d
	opI64Shl      = 0x86
	opI64ExtendU  = 0xad
	opBr          = 0x0c
	opElse        = 0x05
	opBrIf        = 0x0d
	opReturn      = 0x0f
	opI32Eqz      = 0x45
	opI32GtU      = 0x4b
	opI32LeU      = 0x4d
	opI32Add      = 0x6a
	opI32Sub      = 0x6b
	opI32Or       = 0x72
	opI64LeU      = 0x58
	opI64ShrU     = 0x88
	opRefNull     = 0xd0
	opRefFunc     = 0xd2

	blockEmpty = 0x40
)

// opcodes describes the one-byte opcodes of the core specification 2.0, of tail
// calls and of exceptions.
var opcodes = func() (t [256]opcodeInfo) {
	set := func(s shape, weight uint8, from, to int) {
		for op := from; op <= to; op++ {
			t[op] = opcodeInfo{shape: s, weight: weight}
		}
	}
	one := func(s shape, op int) { set(s, weightPlain, op, op) }
	one(shapeStop, 0x00)  // unreachable
	one(shapePlain, 0x01) // nop
	one(shapeBlock, 0x02)
	one(shapeLoop, 0x03)
	one(shapeIf, 0x04)
	one(shapeElse, 0x05)
	one(shapeThrow, opThrow)
	one(shapeThrowRef, opThrowRef)
	one(shapeEnd, 0x0b)
	one(shapeBr, 0x0c)
	one(shapeBrIf, 0x0d)
	one(shapeBrTable, 0x0e)
	one(shapeStop, 0x0f) // return
	set(shapeCall, weightCall, 0x10, 0x10)
	set(shapeCallIndirect, weightCall, 0x11, 0x11)
	set(shapeReturnCall, weightCall, 0x12, 0x12)
	set(shapeReturnCallIndirect, weightCall, 0x13, 0x13)
	set(shapePlain, weightPlain, 0x1a, 0x1b) // drop, select
	one(shapeSelectTyped, 0x1c)
	one(shapeTry, opTryTable)
	set(shapeLocal, weightPlain, 0x20, 0x22)
	set(shapeGlobal, weightPlain, 0x23, 0x24)
	set(shapeTable, weightMemory, 0x25, 0x26)
	set(shapeMemArg, weightMemory, 0x28, 0x3e)
	one(shapeMemSize, 0x3f)
	one(shapeMemGrow, 0x40)
	one(shapeI32Const, 0x41)
	one(shapeI64Const, 0x42)
	one(shapeF32Const, 0x43)
	one(shapeF64Const, 0x44)
	set(shapePlain, weightPlain, 0x45, 0xc4)  // comparisons to sign extension
	set(shapePlain, weightNumber, 0x6d, 0x70) // i32 div, rem
	set(shapePlain, weightNumber, 0x7f, 0x82) // i64 div, rem
	set(shapePlain, weightNumber, 0x8d, 0x97) // f32 ceil to max
	set(shapePlain, weightNumber, 0x9b, 0xa5) // f64 ceil to max
	one(shapeRefNull, 0xd0)
	one(shapePlain, 0xd1) // ref.is_null
	set(shapeRefFunc, weightRefFunc, 0xd2, 0xd2)
	one(shapeBulk, 0xfc)
	set(shapeVector, weightNumber, 0xfd, 0xfd)
	for _, p := range []struct{ n, from, to int }{
		{-1, 0x04, 0x04}, {-1, 0x0d, 0x0e}, {-1, 0x11, 0x11}, // if, br_if, br_table, call_indirect
		{-1, 0x1a, 0x1a}, {-2, 0x1b, 0x1c}, // drop, select
		{1, 0x20, 0x20}, {-1, 0x21, 0x21}, {1, 0x23, 0x23}, {-1, 0x24, 0x24}, // locals, globals
		{-2, 0x26, 0x26}, {-2, 0x36, 0x3e}, {1, 0x3f, 0x3f}, // table.set, stores, memory.size
		{1, 0x41, 0x44}, {-1, 0x46, 0x4f}, {-1, 0x51, 0x66}, // constants, comparisons
		{-1, 0x6a, 0x78}, {-1, 0x7c, 0x8a}, {-1, 0x92, 0x98}, {-1, 0xa0, 0xa6}, // arithmetic
		{1, 0xd0, 0xd0}, {1, 0xd2, 0xd2}, // ref.null, ref.func
	} {
		for op := p.from; op <= p.to; op++ {
			t[op].pushes = int8(p.n)
		}
	}
	for op := range t {
		t[op].feature = opcodeFeature(op)
	}
	return t
}()

// Sub-opcodes of prefix 0xfc from 8 on; 0 to 7 are saturating truncations.
const (
	bulkMemoryInit = 8
	bulkDataDrop   = 9
	bulkMemoryCopy = 10
	bulkMemoryFill = 11
	bulkTableInit  = 12
	bulkElemDrop   = 13
	bulkTableCopy  = 14
	bulkTableGrow  = 15
	bulkTableSize  = 16
	bulkTableFill  = 17
)

// vectorShape says what follows a vector sub-opcode.
type vectorShape uint8

const (
	vectorUnknown vectorShape = iota
	vectorPlain
	vectorMemArg
	vectorMemArgLane // alignment, offset, lane
	vectorLane
	vectorConst // 16 bytes, also the lanes of i8x16.shuffle
)

// vectors describes the sub-opcodes of prefix 0xfd of the core specification.
var vectors = func() (t [256]vectorShape) {
	set := func(s vectorShape, from, to int) {
		for op := from; op <= to; op++ {
			t[op] = s
		}
	}
	set(vectorMemArg, 0x00, 0x0b) // loads and the store of 128 bits, extending and splatting loads
	set(vectorConst, 0x0c, 0x0d)
	set(vectorPlain, 0x0e, 0x14)
	set(vectorLane, 0x15, 0x22)
	set(vectorPlain, 0x23, 0x53)
	set(vectorMemArgLane, 0x54, 0x5b)
	set(vectorMemArg, 0x5c, 0x5d)
	set(vectorPlain, 0x5e, 0xff)
	for _, hole := range []int{
		0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb, 0xc2, 0xc5, 0xc6,
		0xcf, 0xd0, 0xd2, 0xd3, 0xd4, 0xe2, 0xee,
	} {
		t[hole] = vectorUnknown
	}
	return t
}()

// vectorPushes is by how many values the operand stack is higher after a vector
// instruction: most take two and leave one.
var vectorPushes = func() (t [256]int8) {
	set := func(n int8, ranges ...int) {
		for i := 0; i < len(ranges); i += 2 {
			for op := ranges[i]; op <= ranges[i+1]; op++ {
				t[op] = n
			}
		}
	}
	set(-1, 0x00, 0xff)
	set(1, 0x0c, 0x0c)                                                                                     // constant
	set(-2, 0x0b, 0x0b, 0x52, 0x52, 0x58, 0x5b)                                                            // stores, bitselect
	set(0, 0x00, 0x0a, 0x5c, 0x5d, 0x0f, 0x16, 0x18, 0x19, 0x1b, 0x1b, 0x1d, 0x1d, 0x1f, 0x1f, 0x21, 0x21) // loads, splats, lanes read
	set(0, 0x4d, 0x4d, 0x53, 0x53, 0x5e, 0x64, 0x67, 0x6a, 0x74, 0x75, 0x7a, 0x7a, 0x7c, 0x81, 0x83, 0x84) // one operand
	set(0, 0x87, 0x8a, 0x94, 0x94, 0xa0, 0xa1, 0xa3, 0xa4, 0xa7, 0xaa, 0xc0, 0xc1, 0xc3, 0xc4, 0xc7, 0xca) // one operand
	set(0, 0xe0, 0xe1, 0xe3, 0xe3, 0xec, 0xed, 0xef, 0xef, 0xf8, 0xff)                                     // one operand
	return t
}()

// refuseOpcode names the proposal an unknown opcode belongs to.
func refuseOpcode(op byte, at int) {
	switch op {
	case 0x06, 0x07, 0x09, 0x18, 0x19:
		legacy := map[byte]string{0x06: "try", 0x07: "catch", 0x09: "rethrow", 0x18: "delegate", 0x19: "catch_all"}
		unsupported(at, "legacy exception instruction "+legacy[op], "translate it (wasm-opt --translate-to-exnref) or build with try_table (-mllvm -wasm-use-legacy-eh=false)")
	case 0x14, 0x15, 0xd3, 0xd4, 0xd5, 0xd6:
		unsupported(at, "typed function references", "build for the core specification 2.0")
	case 0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6:
		unsupported(at, "stack switching", "build for the core specification 2.0")
	case 0xfb:
		unsupported(at, "garbage-collected types", "build for the core specification 2.0")
	case 0xfe:
		unsupported(at, "threads", "build without atomics (-mno-atomics) and shared memory")
	}
	malformed(at, "unknown opcode %#x", op)
}
