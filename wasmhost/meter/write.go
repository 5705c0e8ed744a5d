package meter

// write puts the metered module together, around the bodies that are there.
func (m *module) write() []byte {
	before := m.writeBeforeCode()
	out := m.code
	if bodies := uint32(m.defined + int(m.found.helpers)); bodies > 0 {
		for k := range m.found.helpers {
			out = m.appendHelper(out, k)
		}
		before = appendU32(append(before, secCode), uint32(sizeU32(bodies)+len(out)-m.room))
		before = appendU32(before, bodies)
	}
	if free := m.room - len(before); free >= 0 {
		out = out[free:]
		copy(out, before)
	} else {
		out = append(before, out[m.room:]...)
	}
	if data := m.span[secData]; !data.empty() {
		out = appendSection(out, secData, m.in[data.from:data.to])
	}
	return append(out, m.writeNames()...)
}

// roomBeforeCode returns a size that what stands before the code fits in, as good
// as always: entries get longer where an index does.
func (m *module) roomBeforeCode() int {
	size := 1024 + len(m.globalSec) + 2*len(m.elemSec)
	for _, id := range []byte{secType, secImport, secFunction, secTag, secExport} {
		size += m.span[id].to - m.span[id].from
	}
	return size + size/8
}

// writeBeforeCode writes the header and the sections up to the code.
func (m *module) writeBeforeCode() []byte {
	out := append(make([]byte, 0, m.roomBeforeCode()), m.in[:8]...)
	types, added := []byte{
		0x60, 0, 0, // of the fuel function
		0x60, 1, byte(I32), 1, byte(I32), // of helpers
		0x60, 3, byte(I32), byte(I32), byte(I32), 0, // of helpers that work in pieces
	}, 3
	if m.found.exnTyped {
		types, added = append(types, 0x60, 1, byte(ExnRef), 0), 4
	}
	out = m.appendVector(out, secType, len(m.types), m.body(secType), types, added)

	fuel := appendName(appendName(nil, FuelModule), FuelFunction)
	fuel = appendU32(append(fuel, byte(KindFunction)), uint32(len(m.types)))
	out = m.appendVector(out, secImport, len(m.info.Imports), m.body(secImport), fuel, 1)

	var helperTypes []byte
	for k := range m.found.helpers {
		helperTypes = appendU32(helperTypes, m.helperType(k))
	}
	out = m.appendVector(out, secFunction, m.defined, m.body(secFunction), helperTypes, int(m.found.helpers))

	var tables []byte
	for _, t := range m.tables[m.importedTables:] {
		tables = appendU32(append(tables, t.elem, 1), t.min)
		tables = appendU32(tables, t.max)
	}
	out = m.appendVector(out, secTable, len(m.tables)-m.importedTables, tables, nil, 0)
	if m.info.HasMemory && m.importedMemories == 0 {
		memory := appendU32([]byte{1}, m.info.MemoryMinPages)
		memory = appendU32(memory, m.info.MemoryMaxPages)
		out = m.appendVector(out, secMemory, 1, memory, nil, 0)
	}
	if tags := m.span[secTag]; !tags.empty() {
		out = appendSection(out, secTag, m.in[tags.from:tags.to])
	}
	out = m.appendVector(out, secGlobal, len(m.globals)-m.importedGlobals, m.globalSec,
		[]byte{byte(I64), 1, opI64Const, 0, opEnd}, 1)

	var exports []byte
	for i, ex := range m.exports {
		exports = append(appendName(exports, m.info.Exports[i].Name), byte(ex.kind))
		exports = appendU32(exports, ex.index)
	}
	own, owned := appendU32(append(appendName(nil, FuelGlobal), byte(KindGlobal)), m.fuelGlobal()), 1
	if m.start >= 0 {
		own = appendU32(append(appendName(own, StartFunction), byte(KindFunction)), m.firstHelper()+uint32(helperStart))
		owned++
	}
	out = m.appendVector(out, secExport, len(m.exports), exports, own, owned)
	out = m.appendVector(out, secElement, m.elements, m.elemSec, nil, 0)
	if m.dataCount >= 0 {
		out = appendSection(out, secDataCount, appendU32(nil, uint32(m.dataCount)))
	}
	return out
}

// body returns the entries of a section, its count not included.
func (m *module) body(id byte) []byte {
	s := m.span[id]
	if s.empty() {
		return nil
	}
	_, from := lebSlow(m.in, s.from)
	return m.in[from:s.to]
}

// appendVector appends a section of n entries and more ones, and nothing at all
// if there are none.
func (m *module) appendVector(dst []byte, id byte, n int, entries, extra []byte, more int) []byte {
	if n+more == 0 {
		return dst
	}
	count := uint32(n + more)
	dst = appendU32(append(dst, id), uint32(sizeU32(count)+len(entries)+len(extra)))
	dst = appendU32(dst, count)
	return append(append(dst, entries...), extra...)
}

func appendSection(dst []byte, id byte, payload []byte) []byte {
	dst = appendU32(append(dst, id), uint32(len(payload)))
	return append(dst, payload...)
}

// writeNames writes the name section, or nothing if no names were kept.
func (m *module) writeNames() []byte {
	if m.nameMap == nil {
		return nil
	}
	names := m.nameMap
	count := uint32(m.nameCount) + 1
	for k := range m.found.helpers {
		if m.found.used[k] {
			names = appendU32(names, m.firstHelper()+uint32(k))
			names = appendName(names, k.name())
			count++
		}
	}
	part := appendU32([]byte{1}, uint32(sizeU32(count)+len(names)))
	part = append(appendU32(part, count), names...)
	return appendSection(nil, secCustom, append(appendName(nil, "name"), part...))
}
