package meter

import (
	"fmt"
	"runtime"
)

// span is a range of the module, the payload of a section.
type span struct{ from, to int }

func (s span) empty() bool { return s.to == 0 }

// typeInfo is the type of a function or block; its value types are a part of
// module.values, at the start of which each value type stands by itself, at the
// place of its code.
type typeInfo struct {
	at              int32 // in module.values
	params, results int32
}

func (t typeInfo) values() int { return int(t.params + t.results) }

type tableInfo struct {
	elem     byte
	min, max uint32 // max is 2^32-1 if there is none
}

type globalInfo struct {
	typ     ValueType
	mutable bool
}

// module is what the sections read so far have told, and what has been rewritten.
type module struct {
	in        []byte
	limits    Limits
	chunkSize int // chunkSize, but for tests
	workers   int
	info      Module

	section string // being read, for errors
	coder   *coder // that of the code section, while it is being read

	span    [secEnd]span
	types   []typeInfo
	values  []ValueType
	tables  []tableInfo
	globals []globalInfo
	tags    []uint32 // their types

	importedFuncs    int
	importedTables   int
	importedMemories int
	importedGlobals  int

	defined   int      // functions in the function section
	funcTypes []uint32 // of all functions
	exports   []exportEntry
	start     int // index in the metered module, -1 for none
	elements  int
	dataCount int // of the data count section, -1 for none

	features  feature
	found     findings
	code      []byte // metered bodies, after the room for what stands before them
	room      int
	globalSec []byte // rewritten entries
	elemSec   []byte // rewritten entries
	nameMap   []byte // rewritten function names
	nameCount int
	named     bool // a name section was seen
}

type exportEntry struct {
	kind  Kind
	index uint32
}

func newModule(in []byte, limits Limits) *module {
	return &module{
		in: in, limits: limits, chunkSize: chunkSize, workers: min(maxWorkers, runtime.GOMAXPROCS(0)),
		start: -1, dataCount: -1, values: singleTypes,
	}
}

// singleTypes holds every value type at the place of its code. It has no spare
// capacity: who appends to it gets a copy.
var singleTypes = func() []ValueType {
	types := make([]ValueType, 0x80)
	for i := range types {
		types[i] = ValueType(i)
	}
	return types
}()

// where says which part of the module an error is in.
func (m *module) where() string {
	if m.coder != nil {
		return fmt.Sprintf("%s: function %d", m.section, m.coder.function)
	}
	return m.section
}

func (m *module) params(i uint32) []ValueType {
	t := m.types[i]
	return m.values[t.at : t.at+t.params : t.at+t.params]
}

func (m *module) results(i uint32) []ValueType {
	t := m.types[i]
	from := t.at + t.params
	return m.values[from : from+t.results : from+t.results]
}

func (m *module) finishInfo() {
	if m.start >= 0 {
		m.addStart()
	}
	m.info.Functions = m.defined
	m.info.Tables = len(m.tables)
	for _, t := range m.tables {
		m.info.TableElements += int(t.min)
	}
	m.info.Globals = len(m.globals)
	m.info.Tags = len(m.tags)
	m.info.FunctionNames = m.nameCount
	m.info.ChargePoints = m.found.charges
	m.info.Exceptions, m.info.ExceptionRefs = m.found.exceptions, m.found.exceptionRefs
	m.features |= m.found.features
	for _, t := range m.types {
		if t.results > 1 {
			m.features |= featureMultiValue
		}
	}
	for _, t := range m.tables {
		if ValueType(t.elem) == ExternRef {
			m.features |= featureReferenceTypes
		}
	}
	if len(m.tags) > 0 {
		m.features |= featureExceptions
	}
	if len(m.tables) > 1 {
		m.features |= featureReferenceTypes
	}
	m.info.Features = m.features.names()
}

func isValueType(t byte) bool {
	switch ValueType(t) {
	case I32, I64, F32, F64, V128, FuncRef, ExternRef, ExnRef:
		return true
	}
	return false
}

func readValueType(r *reader, what string) ValueType {
	at := r.pos
	t := r.byte(what)
	if !isValueType(t) {
		refuseType(at, t)
	}
	return ValueType(t)
}

// readRefType reads the type of what a table or an element segment holds.
func readRefType(r *reader, what string) byte {
	at := r.pos
	t := r.byte(what)
	if t == byte(ExnRef) {
		refuseKeptException(at, "table")
	}
	if t != byte(FuncRef) && t != byte(ExternRef) {
		refuseType(at, t)
	}
	return t
}

// refuseType names the proposal an unknown type belongs to.
func refuseType(at int, t byte) {
	switch t {
	case 0x63, 0x64:
		unsupported(at, "typed function references", "build for the core specification 2.0")
	case 0x5e, 0x5f, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x71, 0x72, 0x73, 0x74, 0x77, 0x78:
		unsupported(at, "garbage-collected types", "build for the core specification 2.0")
	}
	malformed(at, "unknown value type %#x", t)
}
