package meter

// write puts the metered module together.
func (m *module) write() []byte {
	before := m.writeBeforeCode()
	after := m.writeNames()
	data := m.span[secData]
	helpers := m.appendHelpers(nil)
	bodies := uint32(m.defined + len(m.helpers))
	code := sizeU32(bodies) + len(m.code) + len(helpers)

	out := make([]byte, 0, len(before)+len(after)+code+data.to-data.from+32)
	out = append(out, before...)
	if bodies > 0 {
		out = appendU32(append(out, secCode), uint32(code))
		out = appendU32(out, bodies)
		out = append(out, m.code...)
		out = append(out, helpers...)
	}
	if !data.empty() {
		out = appendSection(out, secData, m.in[data.from:data.to])
	}
	return append(out, after...)
}

func (m *module) appendHelpers(dst []byte) []byte {
	for _, k := range m.helpers {
		dst = m.appendHelper(dst, k)
	}
	return dst
}

// writeBeforeCode writes the header and the sections up to the code.
func (m *module) writeBeforeCode() []byte {
	size := 512 + m.span[secType].to - m.span[secType].from + m.span[secImport].to - m.span[secImport].from +
		m.span[secFunction].to - m.span[secFunction].from + m.span[secExport].to - m.span[secExport].from +
		len(m.globalSec) + len(m.elemSec)
	out := append(make([]byte, 0, size+size/8), m.in[:8]...)
	types, added := []byte{
		0x60, 0, 0, // of the fuel function
		0x60, 1, byte(I32), 1, byte(I32), // of helpers
		0x60, 3, byte(I32), byte(I32), byte(I32), 0, // of helpers that work in pieces
	}, 3
	if m.exnTyped {
		types, added = append(types, 0x60, 1, byte(ExnRef), 0), 4
	}
	out = m.appendVector(out, secType, len(m.types), m.body(secType), types, added)

	fuel := appendName(appendName(nil, FuelModule), FuelFunction)
	fuel = appendU32(append(fuel, byte(KindFunction)), uint32(len(m.types)))
	out = m.appendVector(out, secImport, len(m.info.Imports), m.body(secImport), fuel, 1)

	var helperTypes []byte
	for _, k := range m.helpers {
		helperTypes = appendU32(helperTypes, m.helperType(k))
	}
	out = m.appendVector(out, secFunction, m.defined, m.body(secFunction), helperTypes, len(m.helpers))

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
	credit := appendU32(append(appendName(nil, FuelGlobal), byte(KindGlobal)), m.fuelGlobal())
	out = m.appendVector(out, secExport, len(m.exports), exports, credit, 1)

	if m.start >= 0 {
		out = appendSection(out, secStart, appendU32(nil, uint32(m.start)))
	}
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
	for i, k := range m.helpers {
		names = appendU32(names, uint32(len(m.funcTypes)+1+i))
		names = appendName(names, k.name())
	}
	count := uint32(m.nameCount + 1 + len(m.helpers))
	part := appendU32([]byte{1}, uint32(sizeU32(count)+len(names)))
	part = append(appendU32(part, count), names...)
	return appendSection(nil, secCustom, append(appendName(nil, "name"), part...))
}
