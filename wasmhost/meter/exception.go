package meter

import "slices"

// Exceptions are rewritten more than the rest, because wazero's compiler (1.12)
// gets three things wrong. It enters a try_table by copying the stack of the
// call and catches by putting that copy back, so what the body did to local
// variables is lost. A try_table without clauses removes the handler around it
// when it ends. And nothing keeps the exception alive that an exnref refers to.
//
// Therefore a try_table becomes a plain block, and every instruction in it that
// may throw gets a try_table of its own, with the clauses of all that surround
// it: nothing lies between the copy and the throw then, and no handler is open
// while other code of the function runs. Before each of them, and before each
// throw, the fuel function is called: the host, which alone knows how large the
// stack is, bounds the copies and keeps the exceptions. References to exceptions
// are accepted in locals and operands only, where they end with the call.

// exceptionUnits is the price of a throw and of a call with a handler: both are
// visits to the host, and a handler takes 10 KB of stack at least.
const exceptionUnits = 64

// The kinds of catch clauses. Bit 0 says that a reference to the exception is
// handed on, bit 1 that all exceptions are caught.
const (
	catchRef = 1 << iota
	catchAll
	catchEnd // one more than the last
)

// clause is a catch clause of a try_table that is open.
type clause struct {
	kind   byte
	tag    uint32 // of those that do not catch all
	target uint32 // in coder.frames
}

func (m *module) readTags(r *reader) {
	for range r.count("tags", 2, m.limits.Tags, "Tags") {
		m.addTag(r)
	}
	r.done()
}

// addTag reads a tag, of an import or of the tag section, and returns its type.
func (m *module) addTag(r *reader) uint32 {
	at := r.pos
	if attribute := r.byte("attribute of tag"); attribute != 0 {
		malformed(at, "unknown attribute of tag %#x", attribute)
	}
	t := r.u32("type of tag")
	m.needType(t, at)
	if len(m.results(t)) > 0 {
		malformed(at, "tag with results")
	}
	values := m.params(t)
	if limit := m.limits.TagValues; len(values) > limit {
		overLimit(at, "values carried by a tag", uint64(len(values)), limit, "TagValues", "throw the address of the values")
	}
	for _, v := range values {
		if v == V128 { // wazero writes 16 bytes where it has made room for 8
			unsupported(at, "exception that carries a v128", "throw the address of the value")
		}
	}
	if m.tags = append(m.tags, t); len(m.tags) > m.limits.Tags {
		overLimit(at, "tags", uint64(len(m.tags)), m.limits.Tags, "Tags", "")
	}
	return t
}

func (m *module) needTag(i uint32, at int) {
	if int(i) >= len(m.tags) {
		malformed(at, "tag %d of %d", i, len(m.tags))
	}
}

// refuseKeptException refuses to keep a reference to an exception where it
// outlives the call.
func refuseKeptException(at int, where string) {
	unsupported(at, "exnref in a "+where, "keep caught exceptions in local variables")
}

// openTry enters a try_table, which becomes a block. The position it is given
// and the one it returns follow the opcode and the clauses.
func (c *coder) openTry(out, b []byte, p int) ([]byte, int) {
	at := p - 1
	typ, after := c.m.blockType(b, p)
	out = append(append(out, opBlock), b[p:after]...)
	n, p := leb(b, after)
	if uint64(n)*2 > uint64(len(b)-p) {
		malformed(at, "try_table with %d clauses, but only %d bytes are left", n, len(b)-p)
	}
	c.needTargets(int(n), at)
	first := len(c.clauses)
	for range n {
		p = c.readClause(b, p)
	}
	c.open(shapeTry, typ, at)
	c.frames[len(c.frames)-1].clauses = int32(first)
	if n > 0 {
		c.tries = append(c.tries, first)
	}
	c.found.exceptions = true
	return out, p
}

// closeTry forgets the clauses of a try_table.
func (c *coder) closeTry(first int) {
	if len(c.clauses) > first {
		c.clauses = c.clauses[:first]
		c.tries = c.tries[:len(c.tries)-1]
	}
}

func (c *coder) readClause(b []byte, p int) int {
	m, at := c.m, p
	p = skip(b, p, 1)
	cl := clause{kind: b[at]}
	if cl.kind >= catchEnd {
		malformed(at, "unknown catch clause %#x", cl.kind)
	}
	var values []ValueType
	if cl.kind&catchAll == 0 {
		cl.tag, p = leb(b, p)
		m.needTag(cl.tag, at)
		values = m.params(m.tags[cl.tag])
	}
	var depth uint32
	depth, p = leb(b, p)
	f := c.label(depth, at) // nothing has run there since the charge for the throw
	if !m.takes(f, values, cl.kind&catchRef != 0) {
		malformed(at, "catch clause whose label takes other values than it hands on")
	}
	if cl.kind&catchRef != 0 {
		c.found.exceptionRefs = true
	}
	cl.target = uint32(len(c.frames)-1) - depth
	c.clauses = append(c.clauses, cl)
	return p
}

// takes reports whether a label takes these values, and a reference after them.
// The runtime does not get to see the clauses of a body that cannot throw.
func (m *module) takes(f *frame, values []ValueType, ref bool) bool {
	from := int(f.typ.at)
	if f.kind != shapeLoop {
		from += int(f.typ.params)
	}
	label := m.values[from : from+f.arity()]
	if ref {
		if len(label) == 0 || label[len(label)-1] != ExnRef {
			return false
		}
		label = label[:len(label)-1]
	}
	return slices.Equal(label, values)
}

// handlers goes through the clauses that apply to an instruction, in the order
// in which they are tried.
func (c *coder) handlers(yield func(clause) bool) {
	end := len(c.clauses)
	for _, first := range slices.Backward(c.tries) {
		for _, cl := range c.clauses[first:end] {
			if !yield(cl) || cl.kind&catchAll != 0 {
				return
			}
		}
		end = first
	}
}

// guarded appends an instruction that may throw, within a try_table if one is
// open. The type says what the instruction takes and leaves.
func (c *coder) guarded(out []byte, typ uint32, at int, code []byte) []byte {
	if len(c.tries) == 0 {
		return append(out, code...)
	}
	m := c.m
	n := 0
	for cl := range c.handlers {
		n++
		if cl.kind&catchAll == 0 {
			c.carry(m.types[m.tags[cl.tag]].values()+1, at)
		}
		c.divide(at)
	}
	c.needTargets(n, at)
	c.addBlocks(n+1, at)
	c.divide(at)
	out = append(c.appendCallHelper(out, helperException), opTryTable)
	out = appendU32(appendS64(out, int64(typ)), uint32(n))
	for cl := range c.handlers {
		out = append(out, cl.kind)
		if cl.kind&catchAll == 0 {
			out = appendU32(out, cl.tag)
		}
		out = appendU32(out, uint32(len(c.frames)-1)-cl.target)
	}
	return append(append(out, code...), opEnd)
}

// guardedIndirect is guarded for call_indirect: the index, which is no part of
// the type, goes through a local.
func (c *coder) guardedIndirect(out []byte, typ uint32, at int, code []byte) []byte {
	index := uint32(c.locals) + 1
	c.indexed = true
	out = appendU32(append(out, opLocalSet), index)
	c.op = appendU32(append(c.op[:0], opLocalGet), index)
	c.op = append(c.op, code...)
	return c.guarded(out, typ, at, c.op)
}

// throw writes a throw or throw_ref and returns the position after it.
func (c *coder) throw(out, b []byte, at int) ([]byte, int) {
	m, p := c.m, at+1
	var typ uint32
	if b[at] == opThrow {
		var tag uint32
		tag, p = leb(b, p)
		m.needTag(tag, at)
		typ = m.tags[tag]
		c.carry(4*m.types[typ].values(), at) // all of them are spilled for a call, and stored
	} else {
		typ = c.exnType()
	}
	c.found.exceptions = true
	if len(c.tries) == 0 {
		out = c.appendCallHelper(out, helperException)
	}
	out = append(c.guarded(out, typ, at, b[at:p]), opUnreachable)
	c.depart()
	return out, p
}

// exnType returns the type (exnref) -> () of the metered module.
func (c *coder) exnType() uint32 {
	c.found.exnTyped = true
	return uint32(len(c.m.types)) + 3
}
