package meter

// editor copies a section and renumbers the functions it refers to.
type editor struct {
	m    *module
	r    *reader
	out  []byte
	from int // what is copied to out ends here
}

// function reads a function index and writes its new value.
func (e *editor) function() {
	at := e.r.pos
	i := e.r.u32("function index")
	if moved := e.m.newFunc(i, at); moved != i {
		e.out = appendU32(append(e.out, e.r.b[e.from:at]...), moved)
		e.from = e.r.pos
	}
}

// maxConstantHeight is how many operands a constant expression may have on its
// stack: runtimes keep that of each instruction on their heap.
const maxConstantHeight = 16

// constant reads a constant expression, which must leave one value.
func (e *editor) constant(what string) {
	r := e.r
	height := 0
	for {
		at := r.pos
		height++
		switch op := r.byte(what); op {
		case opEnd:
			if height != 2 {
				malformed(at, "%s: %d values, not one", what, height-1)
			}
			return
		case opI32Const:
			r.pos = skipInt(r.b, r.pos, 32)
		case opI64Const:
			r.pos = skipInt(r.b, r.pos, 64)
		case 0x43:
			r.skip(4, what)
		case 0x44:
			r.skip(8, what)
		case opGlobalGet:
			if i := r.u32(what); int(i) >= len(e.m.globals) {
				malformed(at, "global %d of %d", i, len(e.m.globals))
			}
		case opRefNull:
			readRefType(r, what)
		case opRefFunc:
			e.function()
		case 0xfd:
			if sub := r.byte(what); sub != 0x0c {
				malformed(at, "%s: vector opcode %#x is not constant", what, sub)
			}
			r.skip(16, what)
		case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e: // add, sub, mul
			e.m.features |= featureExtendedConst
			if height -= 2; height < 1 {
				malformed(at, "%s: opcode %#x without operands", what, op)
			}
		case 0xfb:
			refuseOpcode(op, at)
		default:
			malformed(at, "%s: opcode %#x is not constant", what, op)
		}
		if height > maxConstantHeight {
			unsupported(at, "constant expression with so many operands", "compute it when the module starts")
		}
	}
}

// finish returns the section from the place the editor began at.
func (e *editor) finish() []byte {
	return append(e.out, e.r.b[e.from:e.r.pos]...)
}

// readElements checks the element segments, of which there are eight forms: bit 0
// of the flags says not active, bit 1 an explicit table or declarative, bit 2
// expressions in place of indices.
func (m *module) readElements(r *reader) {
	m.elements = r.count("element segments", 3, m.limits.ElementSegments, "ElementSegments")
	e := editor{m: m, r: r, from: r.pos}
	items := 0
	for range m.elements {
		at := r.pos
		flags := r.u32("form of element segment")
		if flags > 7 {
			malformed(at, "unknown form of element segment %d", flags)
		}
		if flags&1 == 0 {
			table := uint32(0)
			if flags&2 != 0 {
				table = r.u32("table of element segment")
			}
			m.needTable(table, at)
			e.constant("offset of element segment")
		}
		if flags&3 != 0 {
			if flags&4 != 0 {
				readRefType(r, "type of element segment")
			} else if kind := r.byte("kind of element segment"); kind != 0 {
				malformed(at, "unknown kind of element segment %#x", kind)
			}
		}
		n := r.count("elements of segment", 1, m.limits.ElementItems, "ElementItems")
		if items += n; items > m.limits.ElementItems {
			overLimit(at, "elements in segments", uint64(items), m.limits.ElementItems, "ElementItems", "")
		}
		for range n {
			if flags&4 != 0 {
				e.constant("element")
			} else {
				e.function()
			}
		}
	}
	m.elemSec = e.finish()
	r.done()
}

func (m *module) readData(r *reader) {
	at := r.pos
	n := r.count("data segments", 2, m.limits.DataSegments, "DataSegments")
	if m.dataCount >= 0 && n != m.dataCount {
		malformed(at, "%d data segments, but %d announced", n, m.dataCount)
	}
	e := editor{m: m, r: r, from: r.pos}
	for range n {
		at := r.pos
		switch flags := r.u32("form of data segment"); flags {
		case 0, 2:
			if flags == 2 && r.u32("memory of data segment") != 0 {
				unsupported(at, "multiple memories", "keep to one memory")
			}
			if !m.info.HasMemory {
				malformed(at, "active data segment in a module without memory")
			}
			e.constant("offset of data segment")
		case 1:
		default:
			malformed(at, "unknown form of data segment %d", flags)
		}
		m.info.DataSize += len(r.bytes("data segment"))
		if m.info.DataSize > m.limits.DataSize {
			overLimit(at, "bytes of data", uint64(m.info.DataSize), m.limits.DataSize, "DataSize", "")
		}
	}
	r.done()
	if e.out != nil {
		malformed(at, "offset of data segment refers to a function")
	}
}
