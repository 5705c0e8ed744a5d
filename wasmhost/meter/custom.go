package meter

import "unicode/utf8"

// readCustom checks the name of a custom section. All are dropped, except that
// the function names of the first name section are kept if they are well-formed:
// a trace without them is hard to read, and a damaged name section is no reason
// to refuse a module.
func (m *module) readCustom(r *reader) {
	if r.name("name of custom section", max(m.limits.NameLength, 255)) != "name" || m.named {
		return
	}
	m.named = true
	if m.code == nil || r.remaining() > m.limits.NameSection { // names belong after the code
		return
	}
	for r.remaining() > 0 {
		id := r.b[r.pos]
		r.pos++
		part := nameReader{b: r.b, pos: r.pos}
		size := part.u32()
		if part.bad || int64(size) > int64(len(part.b)-part.pos) {
			return
		}
		part.b = part.b[:part.pos+int(size)]
		r.pos = len(part.b)
		if id == 1 {
			m.readFunctionNames(&part)
			return
		}
	}
}

// nameReader reads what may be damaged without harm.
type nameReader struct {
	b   []byte
	pos int
	bad bool
}

func (r *nameReader) u32() uint32 {
	v, next := longU32(r.b, r.pos)
	if next == 0 {
		r.bad = true
		return 0
	}
	r.pos = next
	return v
}

func (r *nameReader) name() []byte {
	n := r.u32()
	if r.bad || int64(n) > int64(len(r.b)-r.pos) {
		r.bad = true
		return nil
	}
	b := r.b[r.pos : r.pos+int(n)]
	r.pos += int(n)
	if !utf8.Valid(b) {
		r.bad = true
	}
	return b
}

// maxFunctionName is how many bytes of a function's name are kept. Every trap
// makes a trace of some thirty names.
const maxFunctionName = 256

func cutName(name []byte) []byte {
	if len(name) <= maxFunctionName {
		return name
	}
	n := maxFunctionName
	for !utf8.RuneStart(name[n]) {
		n--
	}
	return name[:n]
}

// readFunctionNames renumbers the names into m.nameMap and puts that of the fuel
// function in its place. The names of helpers, which come last, follow when the
// module is written.
func (m *module) readFunctionNames(r *nameReader) {
	n := r.u32()
	if r.bad || int64(n)*2 > int64(len(r.b)-r.pos) {
		return
	}
	out := make([]byte, 0, len(r.b)-r.pos+64)
	fuel := uint32(m.importedFuncs)
	fuelNamed := false
	nameFuel := func() {
		out = appendName(appendU32(out, fuel), FuelModule+"."+FuelFunction)
		fuelNamed = true
	}
	previous := int64(-1)
	for range n {
		i := r.u32()
		name := r.name()
		if r.bad || int64(i) <= previous || int(i) >= len(m.funcTypes) {
			return
		}
		previous = int64(i)
		name = cutName(name)
		if i >= fuel {
			if !fuelNamed {
				nameFuel()
			}
			i++
		}
		out = appendU32(out, i)
		out = append(appendU32(out, uint32(len(name))), name...)
	}
	if r.pos != len(r.b) {
		return
	}
	if !fuelNamed {
		nameFuel()
	}
	m.nameMap, m.nameCount = out, int(n)
}
