package meter

import "time"

// UnitWeight is how many plain instructions one unit stands for at most.
const UnitWeight = 128

// RunLength is the number of plain instructions that may pass on a path before
// they are charged for although no loop or function begins. Shorter stretches are
// paid for by the loop or the function: each charge costs time, and in code that
// loads and stores much, as Go's does, one for every unit cost a third.
const RunLength = 8 * UnitWeight

// localsPerUnit is the number of declared locals, which are zeroed on entry,
// that cost one unit.
const localsPerUnit = 64

// frame is one open block of the function at hand. Its counts are the weight of
// the instructions since the last charge on the dearest path to a place.
type frame struct {
	kind    shape
	short   bool // of a loop
	typ     typeInfo
	base    int32  // height of the operand stack below the block
	entry   uint32 // at the start of an if, from where its else or its end may follow
	out     uint32 // at the branches to the end of the block
	due     uint32 // of a loop, at the branches to its start
	units   int32  // of a loop, where in coder.out its price stands
	clauses int32  // of a try_table, where its own begin in coder.clauses
}

// arity is how many values a branch to the block carries.
func (f *frame) arity() int {
	if f.kind == shapeLoop {
		return int(f.typ.params)
	}
	return int(f.typ.results)
}

// coder rewrites the function bodies of one module. It keeps its buffers from
// one function to the next.
type coder struct {
	m       *module
	frames  []frame
	clauses []clause // of the try_tables that are open
	tries   []int    // where those of each begin, for those that have some
	head    []byte   // the locals of the function at hand
	out     []byte   // its rewritten code
	charge  []byte   // the code that charges for a run in it
	units   int      // where in charge the price stands, one byte
	op      []byte   // an instruction

	limits [classes]uint32 // see setLimits
	ahead  int             // bytes that loops may still be read ahead

	// Of all functions so far:
	function int           // the index of the last
	spent    time.Duration // see compileTime
	found    findings
	code     []byte // the rewritten bodies
	most     int    // bytes that may be in code
	room     int    // bytes that it should have room for beyond that

	// Of the function at hand:
	locals  uint64 // parameters included
	blocks  int    // block, loop, if and the ifs of charges, handlers and their clauses
	targets int    // of br_table, and catch clauses
	carried int    // values that calls, blocks and branches carry
	height  int32  // of the operand stack, about
	live    uint64 // locals and operands at every place where code divides or meets
	shorts  int    // short loops that are open
	indexed bool   // there is a local for the index of an indirect call
	run     uint32
	due     uint32 // run at the places where the function ends
	leading bool   // nothing but plain instructions came before
	first   int    // where in out the price of the loop stands that every call enters, or 0
}

// rewrite decodes one body, the size not included, and leaves its metered form
// in c.head and c.out. Everything but charges, indices, bulk operations and
// exceptions is copied.
func (c *coder) rewrite(r *reader, typ typeInfo) {
	m := c.m
	start := r.pos
	declared := c.readLocals(r, int(typ.params))
	b, p := r.b, r.pos
	out := c.out[:0]
	c.charge = m.appendCharge(c.charge[:0], RunLength/UnitWeight, uint32(c.locals))
	c.units = 2 + sizeU32(m.fuelGlobal())
	c.blocks, c.targets, c.run = 1, 0, 0
	c.due, c.leading, c.first = 0, declared < localsPerUnit, 0
	c.shorts = 0
	c.carried, c.height, c.live, c.indexed = 0, 0, 0, false
	c.clauses, c.tries = c.clauses[:0], c.tries[:0]
	c.setLimits()
	c.frames = append(c.frames[:0], frame{kind: shapeBlock, typ: typeInfo{at: typ.at + typ.params, results: typ.results}})

	used := feature(0)
	from := p // what is copied to out ends here
	for {
		if p >= len(b) || plainOpcodes[b[p]].class != classOther {
			if p = c.plain(b, p); p >= len(b) {
				malformed(p, "function body without end")
			}
		}
		op := b[p]
		info := opcodes[op]
		if c.run >= RunLength {
			out = append(append(out, b[from:p]...), c.charge...)
			from = p
			c.run = 0
			c.blocks++
			c.divide(p)
			c.found.charges++
		}
		c.run += uint32(info.weight)
		used |= info.feature
		c.leading = c.leading && info.shape.leads()
		c.height += int32(info.pushes)
		at := p
		p++
		switch info.shape {
		case shapePlain:
		case shapeMemArg:
			p = skipMemArg(b, p)
		case shapeLocal:
			var i uint32
			i, p = leb(b, p)
			if uint64(i) >= c.locals {
				malformed(at, "local %d of %d", i, c.locals)
			}
		case shapeI32Const:
			p = skipInt(b, p, 32)
		case shapeI64Const:
			p = skipInt(b, p, 64)
		case shapeF32Const:
			p = skip(b, p, 4)
		case shapeF64Const:
			p = skip(b, p, 8)
		case shapeGlobal:
			var i uint32
			i, p = leb(b, p)
			if int(i) >= len(m.globals) {
				malformed(at, "global %d of %d", i, len(m.globals))
			}
		case shapeBlock, shapeIf, shapeLoop:
			var typ typeInfo
			typ, p = m.blockType(b, p)
			c.open(info.shape, typ, at)
			if info.shape == shapeLoop {
				out = c.loop(append(out, b[from:p]...), c.short(b, p))
				from = p
			}
		case shapeElse:
			c.turn(at)
		case shapeEnd:
			if c.close(out) {
				if p != len(b) {
					malformed(p, "%d bytes after the end of the function", len(b)-p)
				}
				c.out = append(out, b[from:p]...)
				c.found.features |= used
				c.begin(b[start:], declared)
				return
			}
		case shapeBr, shapeBrIf:
			var depth uint32
			depth, p = leb(b, p)
			c.branch(depth, at)
			if c.returns(depth) {
				out = append(out, b[from:at]...)
				if from = p; op == opBr {
					out = c.goBack(out, depth, at)
				} else {
					out = c.goBackIf(out, depth, at)
				}
			}
			if op == opBr {
				c.leave()
			}
		case shapeBrTable:
			if c.anyReturns(b, p) {
				out = c.checked(append(out, b[from:at]...), at)
				from = at
			}
			p = c.branches(b, p)
			c.leave()
		case shapeStop:
			c.carry(int(typ.results), at)
			c.depart()
		case shapeCall, shapeReturnCall, shapeRefFunc:
			var i uint32
			i, p = leb(b, p)
			moved := m.newFunc(i, at)
			if info.shape != shapeRefFunc {
				c.called(m.types[m.funcTypes[i]], at)
			}
			switch {
			case len(c.tries) > 0 && info.shape == shapeCall:
				c.op = appendU32(append(c.op[:0], op), moved)
				out = c.guarded(append(out, b[from:at]...), m.funcTypes[i], at, c.op)
				from = p
			case moved != i:
				out = append(append(out, b[from:at]...), op)
				out = appendU32(out, moved)
				from = p
			}
			if info.shape == shapeReturnCall {
				c.depart()
			}
		case shapeCallIndirect, shapeReturnCallIndirect:
			var typ, table uint32
			typ, p = leb(b, p)
			m.needType(typ, at)
			c.called(m.types[typ], at)
			table, p = leb(b, p)
			m.needTable(table, at)
			switch {
			case info.shape == shapeReturnCallIndirect:
				c.depart()
			case len(c.tries) > 0:
				out = c.guardedIndirect(append(out, b[from:at]...), typ, at, b[at:p])
				from = p
			}
		case shapeTry:
			out, p = c.openTry(append(out, b[from:at]...), b, p)
			from = p
		case shapeThrow, shapeThrowRef:
			out, p = c.throw(append(out, b[from:at]...), b, at)
			from = p
		case shapeTable:
			var table uint32
			table, p = leb(b, p)
			m.needTable(table, at)
		case shapeMemSize:
			p = m.skipMemory(b, p)
		case shapeMemGrow:
			p = m.skipMemory(b, p)
			out = append(append(out, b[from:at]...), opCall)
			out = appendU32(out, c.helper(helperGrow))
			from = p
		case shapeSelectTyped:
			p = skipSelectType(b, p)
		case shapeRefNull:
			p = skipRefType(b, p)
		case shapeVector:
			var op uint32
			op, p = skipVector(b, p)
			c.height += int32(vectorPushes[op])
		case shapeBulk:
			var charged helperKind
			charged, p = m.skipBulk(b, p)
			sub, _ := leb(b, at+1)
			used |= bulkFeature(sub)
			if sub == bulkTableSize {
				c.height++
			}
			if charged != helperNone {
				out = c.appendCallHelper(append(out, b[from:at]...), charged)
				from = at
			}
			if charged == helperFill || charged == helperCopy {
				from = p
			}
		default:
			refuseOpcode(op, at)
		}
	}
}

// begin writes the beginning of the function at hand: the local declarations,
// with the locals that metering needs, an i64 for charges and perhaps an index,
// and the charge for entering it, unless its first loop charges for that.
func (c *coder) begin(body []byte, declared uint64) {
	groups, more := leb(body, 0)
	end := more
	for range groups {
		_, end = leb(body, end)
		end++
	}
	added := uint32(1)
	if c.indexed {
		added++
	}
	c.head = append(appendU32(c.head[:0], groups+added), body[more:end]...)
	c.head = append(c.head, 1, byte(I64))
	if c.indexed {
		c.head = append(c.head, 1, byte(I32))
	}
	units := 1 + uint64(c.due/UnitWeight)
	if c.first > 0 {
		c.out[c.first] = max(c.out[c.first], byte(units))
		return
	}
	c.head = c.m.appendCharge(c.head, units+declared/localsPerUnit, uint32(c.locals))
	c.found.charges++
}

// readLocals checks the local declarations and returns how many locals they
// declare. Nothing is allocated for them.
func (c *coder) readLocals(r *reader, params int) uint64 {
	c.locals = uint64(params)
	for range r.count("local declarations", 2, -1, "") {
		at := r.pos
		c.locals += uint64(r.u32("local count"))
		if c.locals > uint64(c.m.limits.Locals) {
			overLimit(at, "locals in a function", c.locals, c.m.limits.Locals, "Locals", "split the function")
		}
		readValueType(r, "local type")
	}
	return c.locals - uint64(params)
}

// compileTime estimates what the function costs the compiler beyond the part
// that is linear in its size. The factors were measured with wazero's compiler.
// Ordinary functions have few live values; the largest of Go have some 30,000.
func (c *coder) compileTime() time.Duration {
	sq := func(n int) float64 { return float64(n) * float64(n) }
	live := max(0, float64(c.live)-5000)
	ns := 25*sq(c.blocks) + 0.3*sq(c.targets) + 3000*live + 1000*float64(c.carried)
	return time.Duration(min(ns, float64(time.Hour)))
}
