package meter

import (
	"fmt"
	"strings"
)

func (m *module) readTypes(r *reader) {
	n := r.count("types", 3, m.limits.Types, "Types")
	m.types = make([]typeInfo, 0, n)
	for range n {
		at := r.pos
		switch form := r.byte("type"); form {
		case 0x60:
		case 0x4e, 0x4f, 0x50, 0x5e, 0x5f:
			unsupported(at, "garbage-collected types", "build for the core specification 2.0")
		default:
			malformed(at, "unknown form of type %#x", form)
		}
		t := typeInfo{at: int32(len(m.values))}
		t.params = m.readTypeVector(r, "parameters")
		t.results = m.readTypeVector(r, "results")
		if have, limit := len(m.values)-len(singleTypes), m.limits.TypeValues; have > limit {
			overLimit(at, "parameters and results of all types", uint64(have), limit, "TypeValues", "")
		}
		m.types = append(m.types, t)
	}
	r.done()
}

func (m *module) readTypeVector(r *reader, what string) int32 {
	n := r.count(what, 1, m.limits.Params, "Params")
	for range n {
		m.values = append(m.values, readValueType(r, what))
	}
	return int32(n)
}

func (m *module) readImports(r *reader) {
	n := r.count("imports", 4, m.limits.Imports, "Imports")
	for range n {
		at := r.pos
		im := Import{
			Module: r.name("module of import", m.limits.NameLength),
			Name:   r.name("name of import", m.limits.NameLength),
		}
		if im.Module == FuelModule || strings.HasPrefix(im.Name, reservedPrefix) {
			reserved(at, fmt.Sprintf("import %q from %q: the name belongs to the host", im.Name, im.Module))
		}
		kindAt := r.pos
		im.Kind = Kind(r.byte("kind of import"))
		switch im.Kind {
		case KindFunction:
			t := r.u32("type of import")
			m.needType(t, kindAt)
			m.funcTypes = append(m.funcTypes, t)
			m.importedFuncs++
			im.Params, im.Results = m.params(t), m.results(t)
		case KindTable:
			m.addTable(r)
			m.importedTables++
		case KindMemory:
			m.addMemory(r)
			m.importedMemories++
		case KindGlobal:
			g := m.addGlobal(r)
			m.importedGlobals++
			im.Type, im.Mutable = g.typ, g.mutable
		case KindTag:
			t := m.addTag(r)
			im.Params = m.params(t)
		default:
			malformed(kindAt, "unknown kind of import %#x", byte(im.Kind))
		}
		m.info.Imports = append(m.info.Imports, im)
	}
	m.checkFunctions(r.pos, len(m.funcTypes))
	r.done()
}

func (m *module) checkFunctions(at, n int) {
	if n > m.limits.Functions {
		overLimit(at, "functions", uint64(n), m.limits.Functions, "Functions", "drop unused code (-Wl,--gc-sections, lto)")
	}
}

func (m *module) readFunctions(r *reader) {
	at := r.pos
	m.defined = r.count("functions", 1, -1, "")
	m.checkFunctions(at, len(m.funcTypes)+m.defined)
	types := make([]uint32, len(m.funcTypes), len(m.funcTypes)+m.defined)
	copy(types, m.funcTypes)
	for range m.defined {
		at := r.pos
		t := r.u32("type of function")
		m.needType(t, at)
		types = append(types, t)
	}
	m.funcTypes = types
	r.done()
}

// pagesOfMemory is what 32 bits can address.
const pagesOfMemory = 1 << 16

// readLimits reads the minimum and maximum of a table or memory. The maximum is
// 2^32-1 if the size is not bounded.
func readLimits(r *reader, what string) (low, high uint32, bounded bool) {
	at := r.pos
	flags := r.byte("limits of " + what)
	switch {
	case flags&0x02 != 0 && flags < 8:
		unsupported(at, "shared "+what, "build without threads (-mno-atomics, no -pthread)")
	case flags&0x04 != 0 && flags < 8:
		unsupported(at, what+"64", "build for wasm32")
	case flags&0x08 != 0 && flags < 16:
		unsupported(at, "custom page size", "build with pages of 64 KiB")
	case flags > 1:
		malformed(at, "unknown limits of %s %#x", what, flags)
	}
	low, high = r.u32("minimum of "+what), ^uint32(0)
	if bounded = flags == 1; bounded {
		high = r.u32("maximum of " + what)
		if high < low {
			malformed(at, "minimum %d of %s above its maximum %d", low, what, high)
		}
	}
	return low, high, bounded
}

func (m *module) addTable(r *reader) {
	at := r.pos
	if r.remaining() > 0 && r.b[r.pos] == 0x40 {
		unsupported(at, "table with initial value", "build for the core specification 2.0")
	}
	t := tableInfo{elem: readRefType(r, "type of table")}
	t.min, t.max, _ = readLimits(r, "table")
	m.tables = append(m.tables, t)
	if len(m.tables) > m.limits.Tables {
		overLimit(at, "tables", uint64(len(m.tables)), m.limits.Tables, "Tables", "")
	}
	total := uint64(0)
	for _, t := range m.tables {
		total += uint64(t.min)
	}
	if total > uint64(m.limits.TableElements) {
		overLimit(at, "table elements", total, m.limits.TableElements, "TableElements", "")
	}
}

func (m *module) readTables(r *reader) {
	for range r.count("tables", 3, m.limits.Tables, "Tables") {
		m.addTable(r)
		// A growing table is stopped by its maximum and nothing else.
		t := &m.tables[len(m.tables)-1]
		t.max = min(t.max, uint32(m.limits.TableElements))
	}
	r.done()
}

func (m *module) addMemory(r *reader) {
	at := r.pos
	if m.info.HasMemory {
		unsupported(at, "multiple memories", "keep to one memory")
	}
	low, high, bounded := readLimits(r, "memory")
	if low > pagesOfMemory || bounded && high > pagesOfMemory {
		malformed(at, "memory of more than %d pages", pagesOfMemory)
	}
	if low > uint32(m.limits.MemoryPages) {
		overLimit(at, "pages of initial memory", uint64(low), m.limits.MemoryPages, "MemoryPages", "reserve less static data and stack (-z stack-size)")
	}
	m.info.HasMemory = true
	m.info.MemoryMinPages, m.info.MemoryMaxPages = low, min(high, uint32(m.limits.MemoryPages))
}

func (m *module) readMemories(r *reader) {
	at := r.pos
	n := r.count("memories", 2, -1, "")
	if n > 1 {
		unsupported(at, "multiple memories", "keep to one memory")
	}
	if n == 1 {
		m.addMemory(r)
	}
	r.done()
}

func (m *module) addGlobal(r *reader) globalInfo {
	at := r.pos
	g := globalInfo{typ: readValueType(r, "type of global")}
	if g.typ == ExnRef {
		refuseKeptException(at, "global")
	}
	switch mutability := r.byte("mutability of global"); mutability {
	case 0:
	case 1:
		g.mutable = true
	default:
		if mutability&2 != 0 {
			unsupported(at, "threads", "build without shared globals")
		}
		malformed(at, "unknown mutability of global %#x", mutability)
	}
	m.globals = append(m.globals, g)
	if len(m.globals) > m.limits.Globals {
		overLimit(at, "globals", uint64(len(m.globals)), m.limits.Globals, "Globals", "")
	}
	return g
}

func (m *module) readGlobals(r *reader) {
	n := r.count("globals", 4, m.limits.Globals, "Globals")
	e := editor{m: m, r: r, from: r.pos}
	for range n {
		m.addGlobal(r)
		e.constant("initial value of global")
	}
	m.globalSec = e.finish()
	r.done()
}

func (m *module) readExports(r *reader) {
	n := r.count("exports", 3, m.limits.Exports, "Exports")
	m.info.Exports = make([]Export, 0, n)
	m.exports = make([]exportEntry, 0, n)
	for range n {
		at := r.pos
		ex := Export{Name: r.name("name of export", m.limits.NameLength)}
		if strings.HasPrefix(ex.Name, reservedPrefix) {
			reserved(at, fmt.Sprintf("export %q: names that start with %s belong to the host", ex.Name, reservedPrefix))
		}
		kindAt := r.pos
		ex.Kind = Kind(r.byte("kind of export"))
		i := r.u32("index of export")
		switch ex.Kind {
		case KindFunction:
			moved := m.newFunc(i, kindAt)
			ex.Params, ex.Results = m.params(m.funcTypes[i]), m.results(m.funcTypes[i])
			i = moved
		case KindTable:
			m.needTable(i, kindAt)
		case KindMemory:
			if i != 0 || !m.info.HasMemory {
				malformed(kindAt, "export of memory %d, which does not exist", i)
			}
		case KindGlobal:
			if int(i) >= len(m.globals) {
				malformed(kindAt, "global %d of %d", i, len(m.globals))
			}
			ex.Type, ex.Mutable = m.globals[i].typ, m.globals[i].mutable
		case KindTag:
			m.needTag(i, kindAt)
			ex.Params = m.params(m.tags[i])
		default:
			malformed(kindAt, "unknown kind of export %#x", byte(ex.Kind))
		}
		m.info.Exports = append(m.info.Exports, ex)
		m.exports = append(m.exports, exportEntry{ex.Kind, i})
	}
	r.done()
}
