package meter

// The check whether any credit is left ends a block of code and, with the call in
// it, makes the compiler forget what it knew of the memory. At the start of a loop
// over the bytes of a text that is dearer than all the rest of metering. In a short
// loop it therefore stands where control goes back to the start, which is where the
// compiler forgets anyway. In long loops there are too many such places.

// shortLength is the size in bytes of the longest short loop, the loops in it
// included: every loop is read ahead this far.
const shortLength = 2048

// All loops of a module together are read ahead for aheadFactor times its code and
// aheadSlack bytes, so that the time this takes stays in proportion to the module,
// however its loops are nested. Those of C and Go take 0.1 to 2 times the code.
// Past that, loops are long.
const (
	aheadFactor = 2
	aheadSlack  = 64 << 10
)

// shortBacks is how many branches go back to the start of a short loop at most.
const shortBacks = 4

// short reports whether the loop whose body begins at p is short. What is wrong
// with the code is found when the code is rewritten.
func (c *coder) short(b []byte, p int) bool {
	b = b[:min(len(b), p+shortLength, p+c.ahead)]
	start := p
	defer func() { c.ahead -= min(p, len(b)) - start }()
	backs := 0
	for open := uint32(1); p < len(b); {
		op := b[p]
		p++
		switch opcodes[op].shape {
		case shapePlain, shapeElse, shapeStop:
		case shapeMemArg:
			p = skipLEB(b, skipLEB(b, p))
		case shapeLocal, shapeGlobal, shapeI32Const, shapeI64Const, shapeMemSize:
			p = skipLEB(b, p)
		case shapeBr, shapeBrIf:
			if depth, _ := longU32(b, p); depth == open-1 {
				if backs++; backs > shortBacks {
					return false
				}
			}
			p = skipLEB(b, p)
		case shapeF32Const:
			p += 4
		case shapeF64Const:
			p += 8
		case shapeBlock, shapeIf, shapeLoop:
			p = skipLEB(b, p)
			open++
		case shapeEnd:
			if open--; open == 0 {
				return true
			}
		case shapeBrTable:
			n, after := longU32(b, p)
			if after == 0 || int64(n) >= int64(len(b)) {
				return false
			}
			for p = after; n > 0; n-- {
				p = skipLEB(b, p)
			}
			p = skipLEB(b, p)
		case shapeBulk, shapeVector:
			bulk, after := longU32(b, p)
			if after == 0 || opcodes[op].shape == shapeVector || bulk > 7 {
				return false
			}
			p = after
		default: // not worth it
			return false
		}
	}
	return false
}

// skipLEB skips an integer of any size. It may return a position past the end.
func skipLEB(b []byte, p int) int {
	for p < len(b) && b[p] >= 0x80 {
		p++
	}
	return p + 1
}

// returns reports whether a branch goes back to the start of a short loop.
func (c *coder) returns(depth uint32) bool {
	if c.shorts == 0 || uint64(depth) >= uint64(len(c.frames)) { // malformed, as branch will find
		return false
	}
	f := &c.frames[len(c.frames)-1-int(depth)]
	return f.kind == shapeLoop && f.short
}

// anyReturns is returns for a br_table at p.
func (c *coder) anyReturns(b []byte, p int) bool {
	if c.shorts == 0 {
		return false
	}
	n, p := leb(b, p)
	for i := uint32(0); i <= n && p < len(b); i++ {
		var depth uint32
		if depth, p = longU32(b, p); p == 0 {
			return false
		}
		if c.returns(depth) {
			return true
		}
	}
	return false
}

// checked appends the check of the credit.
func (c *coder) checked(out []byte, at int) []byte {
	c.addBlocks(1, at)
	c.divide(at)
	return c.m.appendCheck(append(c.credit(out), opI64Const, 0, opI64LtS))
}

func (c *coder) credit(out []byte) []byte {
	return appendU32(append(out, opGlobalGet), c.m.fuelGlobal())
}

// goBack appends a branch to the start of a short loop, which is taken at once if
// there is credit left. There is one jump for each round then, as before.
func (c *coder) goBack(out []byte, depth uint32, at int) []byte {
	c.addBlocks(1, at)
	c.divide(at)
	out = appendU32(append(c.credit(out), opI64Const, 0, opI64GeS, opBrIf), depth)
	out = appendU32(append(out, opCall), uint32(c.m.importedFuncs))
	return appendU32(append(out, opBr), depth)
}

// goBackIf is goBack for a br_if.
func (c *coder) goBackIf(out []byte, depth uint32, at int) []byte {
	if c.label(depth, at).arity() > 0 { // values hide behind the condition
		return appendU32(append(c.checked(out, at), opBrIf), depth)
	}
	c.addBlocks(2, at)
	c.divide(at)
	c.divide(at)
	condition := uint32(c.locals) + 1
	c.indexed = true
	out = appendU32(append(out, opLocalTee), condition)
	out = c.credit(append(out, opI32Const, 0))
	out = appendU32(append(out, opI64Const, 0, opI64GeS, opSelect, opBrIf), depth)
	out = appendU32(append(out, opLocalGet), condition)
	out = appendU32(append(out, opIf, blockEmpty, opCall), uint32(c.m.importedFuncs))
	return append(appendU32(append(out, opBr), depth+1), opEnd)
}
