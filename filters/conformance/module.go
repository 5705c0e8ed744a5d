package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// module is what the kit reads of a WebAssembly file: who it imports, what it
// exports, its memories.
type module struct {
	types    []string // as "(i32 i32) -> (i64)"
	imports  []extern
	exports  []extern
	memories []memory // imported ones first
	funcs    []string // types of all functions, imported ones first
	foreign  int      // imported memories
}

// extern is an import or an export.
type extern struct {
	module, name string
	kind         byte
	typ          string // of a function
}

type memory struct{ shared, long bool }

const (
	kindFunc   = 0
	kindTable  = 1
	kindMemory = 2
	kindGlobal = 3
)

var errCut = errors.New("it ends in the middle")

// parseModule reads a module. It checks no more than it needs: the engine
// validates the rest.
func parseModule(b []byte) (*module, error) {
	switch {
	case !bytes.HasPrefix(b, []byte("\x00asm")):
		return nil, errors.New("it does not begin with \\0asm: it is no WebAssembly")
	case len(b) >= 8 && b[6] == 1 && b[4] != 1:
		return nil, errors.New("it is a component; filters are core modules")
	case !bytes.HasPrefix(b[4:], []byte{1, 0, 0, 0}):
		return nil, errors.New("it is not of WebAssembly version 1")
	}
	m := &module{}
	r := &reader{b: b[8:]}
	var exports *reader
	for len(r.b) > 0 && r.err == nil {
		id := r.byte()
		s := &reader{b: r.bytes(r.u32())}
		switch id {
		case 1:
			s.each(func() { m.types = append(m.types, s.funcType()) })
		case 2:
			s.each(func() { m.imports = append(m.imports, m.readImport(s)) })
		case 3:
			s.each(func() { m.funcs = append(m.funcs, m.typeAt(s)) })
		case 5:
			s.each(func() { m.memories = append(m.memories, s.memory()) })
		case 7:
			exports = s
		}
		if id != 7 && s.err != nil {
			return nil, s.err
		}
	}
	if exports != nil {
		exports.each(func() {
			e := extern{name: exports.name(), kind: exports.byte()}
			if i := exports.u32(); e.kind == kindFunc && int(i) < len(m.funcs) {
				e.typ = m.funcs[i]
			}
			m.exports = append(m.exports, e)
		})
		if exports.err != nil {
			return nil, exports.err
		}
	}
	return m, r.err
}

func (m *module) typeAt(r *reader) string {
	i := r.u32()
	if int(i) >= len(m.types) {
		r.fail(fmt.Errorf("it has no type %d", i))
		return ""
	}
	return m.types[i]
}

func (m *module) readImport(r *reader) extern {
	e := extern{module: r.name(), name: r.name(), kind: r.byte()}
	switch e.kind {
	case kindFunc:
		e.typ = m.typeAt(r)
		m.funcs = append(m.funcs, e.typ)
	case kindTable:
		r.byte()
		r.limits()
	case kindMemory:
		m.memories = append(m.memories, r.memory())
		m.foreign++
	case kindGlobal:
		r.bytes(2)
	default:
		r.fail(fmt.Errorf("import %s.%s is of the unknown kind %d", e.module, e.name, e.kind))
	}
	return e
}

// export returns an export by name.
func (m *module) export(name string) (extern, bool) {
	for _, e := range m.exports {
		if e.name == name {
			return e, true
		}
	}
	return extern{}, false
}

// uses reports whether the module imports a function whose name has the prefix.
func (m *module) uses(module, prefix string) bool {
	for _, i := range m.imports {
		if i.module == module && strings.HasPrefix(i.name, prefix) {
			return true
		}
	}
	return false
}

// reader reads the binary format. After an error it returns zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(len(r.b)) {
		r.fail(errCut)
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u64() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		c := r.byte()
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	r.fail(errors.New("it has a number that is too long"))
	return 0
}

func (r *reader) u32() uint32 {
	v := r.u64()
	if v > 1<<32-1 {
		r.fail(errors.New("it has a number that is too large"))
	}
	return uint32(v)
}

func (r *reader) name() string { return string(r.bytes(r.u32())) }

// each calls read for each element of a vector until an error.
func (r *reader) each(read func()) {
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		read()
	}
}

func (r *reader) funcType() string {
	if form := r.byte(); form != 0x60 && r.err == nil {
		r.fail(fmt.Errorf("it has a type of the form %#x; filters have function types only", form))
	}
	params := r.valueTypes()
	return params + " -> " + r.valueTypes()
}

func (r *reader) valueTypes() string {
	var names []string
	r.each(func() {
		t := r.byte()
		name, ok := map[byte]string{0x7f: "i32", 0x7e: "i64", 0x7d: "f32", 0x7c: "f64", 0x7b: "v128"}[t]
		if !ok {
			name = fmt.Sprintf("type%#x", t)
		}
		names = append(names, name)
	})
	return "(" + strings.Join(names, " ") + ")"
}

func (r *reader) limits() (flags byte) {
	flags = r.byte()
	r.u64()
	if flags&1 != 0 {
		r.u64()
	}
	return flags
}

func (r *reader) memory() memory {
	flags := r.limits()
	return memory{shared: flags&2 != 0, long: flags&4 != 0}
}
