package meter

import "bytes"

// Section ids of the binary format.
const (
	secCustom byte = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	secTag
	secEnd // one more than the last
)

// sections names the sections and gives their place in a module: tags stand
// before globals, the data count before the code.
var sections = [secEnd]struct {
	name string
	rank int
}{
	secType: {"type section", 1}, secImport: {"import section", 2}, secFunction: {"function section", 3},
	secTable: {"table section", 4}, secMemory: {"memory section", 5}, secTag: {"tag section", 6},
	secGlobal: {"global section", 7}, secExport: {"export section", 8}, secStart: {"start section", 9},
	secElement: {"element section", 10}, secDataCount: {"data count section", 11}, secCode: {"code section", 12},
	secData: {"data section", 13}, secCustom: {"custom section", 0},
}

var magic = []byte("\x00asm")

// Instrument checks module against limits and returns a module that charges
// fuel, as the doc of the package describes. It reads module and keeps no
// reference to it. A refusal is an [*Error]; any other error is about limits.
// It is safe for concurrent use.
func Instrument(module []byte, limits Limits) (*Module, error) {
	limits, err := limits.resolve()
	if err != nil {
		return nil, err
	}
	return newModule(module, limits).instrument()
}

func (m *module) instrument() (out *Module, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case bailout:
			r.err.Where = m.where()
			out, err = nil, r.err
		default:
			panic(r)
		}
	}()
	m.checkHeader()
	m.read()
	m.info.Bytes = m.write()
	return &m.info, nil
}

// checkHeader recognises what people mistake for a core module.
func (m *module) checkHeader() {
	in := m.in
	if len(in) > m.limits.ModuleSize {
		overLimit(0, "bytes of module", uint64(len(in)), m.limits.ModuleSize, "ModuleSize", "strip it (-s -w, --strip-all)")
	}
	text := bytes.TrimLeft(in[:min(len(in), 64)], "\xef\xbb\xbf \t\r\n")
	switch {
	case len(in) == 0:
		malformed(0, "not a WebAssembly module: empty file")
	case bytes.HasPrefix(in, magic) && len(in) >= 8:
	case bytes.HasPrefix(magic, in[:min(len(in), 4)]) || bytes.HasPrefix(in, magic):
		malformed(len(in), "not a WebAssembly module: header cut off")
	case bytes.HasPrefix(text, []byte("(")) || bytes.HasPrefix(text, []byte(";;")):
		unsupported(0, "text format", "build it with wat2wasm")
	default:
		malformed(0, "not a WebAssembly module")
	}
	switch {
	case bytes.Equal(in[4:8], []byte{1, 0, 0, 0}):
	case in[6] == 1 && in[7] == 0:
		unsupported(4, "component model binary", "build a core module, for example with the target wasm32-wasip1 or wasm32-unknown-unknown")
	default:
		unsupported(4, "unknown version of the binary format", "build for version 1")
	}
}

// read walks the sections in their order and checks each of them.
func (m *module) read() {
	r := reader{b: m.in, pos: 8}
	rank := 0
	for r.remaining() > 0 {
		at := r.pos
		id := r.byte("section id")
		if id >= secEnd {
			malformed(at, "unknown section id %#x", id)
		}
		payload := r.bytes(sections[id].name)
		s := &reader{b: m.in[:r.pos], pos: r.pos - len(payload)}
		if id == secCustom {
			m.section = "custom section"
			m.readCustom(s)
			m.section = ""
			continue
		}
		if sections[id].rank <= rank {
			malformed(at, "%s twice or out of order", sections[id].name)
		}
		rank = sections[id].rank
		m.section = sections[id].name
		m.span[id] = span{s.pos, len(s.b)}
		m.readSection(id, s)
		m.section = ""
	}
	if m.defined > 0 && m.span[secCode].empty() {
		malformed(len(m.in), "%d declared functions, but no code section", m.defined)
	}
	if m.dataCount > 0 && m.span[secData].empty() {
		malformed(len(m.in), "%d data segments announced, but no data section", m.dataCount)
	}
	m.finishInfo()
}

func (m *module) readSection(id byte, r *reader) {
	switch id {
	case secType:
		m.readTypes(r)
	case secImport:
		m.readImports(r)
	case secFunction:
		m.readFunctions(r)
	case secTable:
		m.readTables(r)
	case secMemory:
		m.readMemories(r)
	case secTag:
		m.readTags(r)
	case secGlobal:
		m.readGlobals(r)
	case secExport:
		m.readExports(r)
	case secStart:
		at := r.pos
		i := r.u32("start function")
		m.start = int(m.newFunc(i, at))
		if m.types[m.funcTypes[i]].values() > 0 {
			malformed(at, "start function with parameters or results")
		}
		m.info.HasStart = true
		r.done()
	case secElement:
		m.readElements(r)
	case secDataCount:
		at := r.pos
		m.dataCount = int(r.u32("data count"))
		if m.dataCount > m.limits.DataSegments {
			overLimit(at, "data segments", uint64(m.dataCount), m.limits.DataSegments, "DataSegments", "")
		}
		r.done()
	case secCode:
		m.codeSection(r)
	case secData:
		m.readData(r)
	}
}
