package meter

// Decoders of immediates. They take the module up to the end of the function and
// a position, and return the position after the immediate.

func leb(b []byte, p int) (uint32, int) {
	if p < len(b) && b[p] < 0x80 {
		return uint32(b[p]), p + 1
	}
	return lebSlow(b, p)
}

func lebSlow(b []byte, p int) (uint32, int) {
	v, next := longU32(b, p)
	if next == 0 {
		malformed(p, "truncated or over-long integer")
	}
	return v, next
}

func skip(b []byte, p, n int) int {
	if n > len(b)-p {
		malformed(p, "truncated immediate")
	}
	return p + n
}

func skipInt(b []byte, p, bits int) int {
	if p < len(b) && b[p] < 0x80 {
		return p + 1
	}
	next := skipSigned(b, p, bits)
	if next == 0 {
		malformed(p, "truncated or over-long integer")
	}
	return next
}

func skipMemArg(b []byte, p int) int {
	at := p
	align, p := leb(b, p)
	if align >= 32 {
		if align&0x40 != 0 {
			unsupported(at, "multiple memories", "keep to one memory")
		}
		malformed(at, "alignment 2^%d", align)
	}
	_, p = leb(b, p)
	return p
}

// skipMemory skips the index of a memory, a single zero byte.
func (m *module) skipMemory(b []byte, p int) int {
	if p >= len(b) {
		malformed(p, "truncated immediate")
	}
	if b[p] != 0 {
		unsupported(p, "multiple memories", "keep to one memory")
	}
	if !m.info.HasMemory {
		malformed(p, "memory instruction in a module without memory")
	}
	return p + 1
}

// blockType returns how many values a block takes and leaves.
func (m *module) blockType(b []byte, p int) (typeInfo, int) {
	if p < len(b) && b[p] == blockEmpty {
		return typeInfo{}, p + 1
	}
	if p < len(b) && isValueType(b[p]) {
		return typeInfo{at: int32(b[p]), results: 1}, p + 1
	}
	at := p
	i, p := leb(b, p)
	if b[p-1]&0x40 != 0 { // a negative number in this signed integer
		refuseType(at, b[at])
	}
	m.needType(i, at)
	return m.types[i], p
}

func skipSelectType(b []byte, p int) int {
	if len(b)-p < 2 || b[p] != 1 {
		malformed(p, "select with a number of types other than one")
	}
	if !isValueType(b[p+1]) {
		refuseType(p+1, b[p+1])
	}
	return p + 2
}

func skipRefType(b []byte, p int) int {
	if p >= len(b) {
		malformed(p, "truncated immediate")
	}
	if t := ValueType(b[p]); t != FuncRef && t != ExternRef && t != ExnRef {
		refuseType(p, b[p])
	}
	return p + 1
}

// skipVector skips the sub-opcode of a vector instruction and its immediates.
// A sub-opcode from 0x80 on takes two bytes, the second of which is 1; no other
// form is accepted, because decoders disagree about it. It returns the sub-opcode.
func skipVector(b []byte, p int) (uint32, int) {
	at := p
	op, p := leb(b, p)
	if op > 0xff {
		unsupported(at, "relaxed vector instructions", "build without -mrelaxed-simd")
	}
	if p-at != sizeU32(op) {
		malformed(at, "over-long vector opcode")
	}
	switch vectors[op] {
	case vectorPlain:
	case vectorMemArg:
		p = skipMemArg(b, p)
	case vectorMemArgLane:
		p = skip(b, skipMemArg(b, p), 1)
	case vectorLane:
		p = skip(b, p, 1)
	case vectorConst:
		p = skip(b, p, 16)
	default:
		malformed(at, "unknown vector opcode %#x", op)
	}
	return op, p
}

// skipBulk skips the sub-opcode of a bulk or saturating instruction and its
// immediates, and says which helper charges for it. In all of them the length is
// the topmost operand, which is what a helper takes and returns that does not do
// all of the work.
func (m *module) skipBulk(b []byte, p int) (helperKind, int) {
	at := p
	op, p := leb(b, p)
	var i uint32
	switch op {
	case 0, 1, 2, 3, 4, 5, 6, 7:
		return helperNone, p
	case bulkMemoryInit:
		i, p = leb(b, p)
		m.needData(i, at)
		return helperBytes, m.skipMemory(b, p)
	case bulkDataDrop:
		i, p = leb(b, p)
		m.needData(i, at)
		return helperNone, p
	case bulkMemoryCopy:
		return helperCopy, m.skipMemory(b, m.skipMemory(b, p))
	case bulkMemoryFill:
		return helperFill, m.skipMemory(b, p)
	case bulkTableInit:
		i, p = leb(b, p)
		m.needElement(i, at)
		i, p = leb(b, p)
		m.needTable(i, at)
		return helperElements, p
	case bulkElemDrop:
		i, p = leb(b, p)
		m.needElement(i, at)
		return helperNone, p
	case bulkTableCopy:
		i, p = leb(b, p)
		m.needTable(i, at)
		i, p = leb(b, p)
		m.needTable(i, at)
		return helperElements, p
	case bulkTableGrow:
		i, p = leb(b, p)
		m.needTable(i, at)
		m.needBoundedTable(i, at)
		return helperElements, p
	case bulkTableSize:
		i, p = leb(b, p)
		m.needTable(i, at)
		return helperNone, p
	case bulkTableFill:
		i, p = leb(b, p)
		m.needTable(i, at)
		return helperElements, p
	}
	if op >= 0x13 && op <= 0x16 {
		unsupported(at, "wide arithmetic", "build without -mwide-arithmetic")
	}
	malformed(at, "unknown opcode 0xfc %#x", op)
	return helperNone, p
}

func (m *module) needType(i uint32, at int) {
	if int(i) >= len(m.types) {
		malformed(at, "type %d of %d", i, len(m.types))
	}
}

func (m *module) needTable(i uint32, at int) {
	if int(i) >= len(m.tables) {
		malformed(at, "table %d of %d", i, len(m.tables))
	}
}

// needBoundedTable refuses to grow an imported table without a small maximum:
// the maximum of a table of one's own has been lowered to the limit, that of an
// import is not ours to change.
func (m *module) needBoundedTable(i uint32, at int) {
	if t := m.tables[i]; t.max > uint32(m.limits.TableElements) {
		unsupported(at, "table.grow without a small maximum", "declare a maximum for the imported table")
	}
}

func (m *module) needElement(i uint32, at int) {
	if int(i) >= m.elements {
		malformed(at, "element segment %d of %d", i, m.elements)
	}
}

func (m *module) needData(i uint32, at int) {
	switch {
	case m.dataCount < 0:
		malformed(at, "instruction refers to a data segment, but there is no data count section")
	case int(i) >= m.dataCount:
		malformed(at, "data segment %d of %d", i, m.dataCount)
	}
}

// newFunc returns the index of a function in the metered module.
func (m *module) newFunc(i uint32, at int) uint32 {
	if int(i) >= len(m.funcTypes) {
		malformed(at, "function %d of %d", i, len(m.funcTypes))
	}
	if int(i) >= m.importedFuncs {
		return i + 1
	}
	return i
}
