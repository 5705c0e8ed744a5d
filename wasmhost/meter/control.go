package meter

import (
	"fmt"
	"slices"
	"time"
)

// The charges of straight code follow the control flow: at every place the coder
// knows the weight of the dearest path since a charge. Branches only go forward,
// except to a loop, so one pass is enough. What is on the meter where a path goes
// back to a loop, or leaves the function, is added to the price of that loop or
// function, which is written when all of it is known.

// fewValues is how many values an instruction may carry before it costs the
// compiler more than its size tells.
const fewValues = 8

// carry notes an instruction that hands on n values. Two bytes of code are
// enough to move two thousand of them.
func (c *coder) carry(n, at int) {
	if n <= fewValues {
		return
	}
	c.carried += n
	if limit := c.m.limits.CarriedValues; c.carried > limit {
		overLimit(at, "values handed on by the calls and branches of a function", uint64(c.carried), limit, "CarriedValues", "pass them in memory")
	}
}

// called notes a call of a function of that type. What is on the meter is added to
// the price of the calling function, too: who calls itself without end never gets
// to where it would be charged for.
func (c *coder) called(typ typeInfo, at int) {
	c.due = max(c.due, c.run)
	c.carry(typ.values(), at)
	c.height += typ.results - typ.params
}

// divide notes a place where code divides or meets. The compiler keeps a list of
// what is live at each of them, and may have to move all of that.
func (c *coder) divide(at int) {
	c.live += c.locals + uint64(max(c.height, 0))
	if limit := c.m.limits.LiveValues; c.live > uint64(limit) {
		overLimit(at, "locals and operands at all blocks and branches of a function", c.live, limit, "LiveValues", "split the function")
	}
}

// leave goes to what follows an instruction that control does not pass: dead
// code, up to the end of the block.
func (c *coder) leave() {
	c.run = 0
	c.height = c.frames[len(c.frames)-1].base
}

// depart leaves the function.
func (c *coder) depart() {
	c.due = max(c.due, c.run)
	c.leave()
}

// loop appends the charge of the loop that was just opened.
func (c *coder) loop(out []byte, short bool) []byte {
	f := &c.frames[len(c.frames)-1]
	f.units = int32(len(out) + c.units)
	if f.short = short; short {
		c.shorts++
		c.leading = false
		return c.m.appendPrice(out)
	}
	if c.leading { // and nothing ran before it that has been charged for
		c.first, c.leading = int(f.units), false
	}
	return append(out, c.charge...)
}

// addBlocks notes blocks of the metered function.
func (c *coder) addBlocks(n, at int) {
	c.blocks += n
	if limit := c.m.limits.ControlBlocks; c.blocks > limit {
		overLimit(at, "blocks in a function, with those for metering", uint64(c.blocks), limit, "ControlBlocks", "split the function")
	}
}

// needTargets notes targets of a br_table or of catch clauses.
func (c *coder) needTargets(n, at int) {
	c.targets += n
	if limit := c.m.limits.BrTableTargets; c.targets > limit {
		overLimit(at, "br_table targets and catch clauses in a function", uint64(c.targets), limit, "BrTableTargets", "split the function")
	}
}

// open enters a block, loop, if or try_table.
func (c *coder) open(kind shape, typ typeInfo, at int) {
	blocks, run := 1, c.run
	c.carry(typ.values(), at)
	c.divide(at)
	if kind == shapeLoop {
		blocks++ // the if of its charge
		c.run = 0
		c.found.charges++
	}
	c.addBlocks(blocks, at)
	n := len(c.frames)
	if limit := c.m.limits.Depth; n > limit {
		overLimit(at, "nested blocks", uint64(n), limit, "Depth", "nest less deeply")
	}
	if n == cap(c.frames) {
		c.frames = slices.Grow(c.frames, n)
	}
	c.frames = c.frames[:n+1]
	c.frames[n] = frame{kind: kind, typ: typ, base: c.height - typ.params, entry: c.run, due: run}
}

// turn goes from the then branch of an if to its else branch.
func (c *coder) turn(at int) {
	f := &c.frames[len(c.frames)-1]
	if f.kind != shapeIf {
		malformed(at, "else without if")
	}
	f.kind = shapeElse
	f.out = max(f.out, c.run)
	c.run = f.entry
	c.height = f.base + f.typ.params
}

// close leaves a block and reports whether it was the function itself. It writes
// the price of a loop to out.
func (c *coder) close(out []byte) bool {
	f := &c.frames[len(c.frames)-1] // whose place is taken when another is opened
	c.frames = c.frames[:len(c.frames)-1]
	c.height = f.base + f.typ.results
	switch f.kind {
	case shapeIf: // the condition may have been false
		c.run = max(c.run, f.out, f.entry)
	case shapeTry:
		c.closeTry(int(f.clauses))
		c.run = max(c.run, f.out)
	case shapeLoop:
		if f.short {
			c.shorts--
		}
		out[f.units] = byte(1 + f.due/UnitWeight) // at most RunLength and an instruction: below 64
	default:
		c.run = max(c.run, f.out)
	}
	if len(c.frames) > 0 {
		return false
	}
	c.due = max(c.due, c.run)
	return true
}

// label returns the block that a branch out of depth blocks goes to.
func (c *coder) label(depth uint32, at int) *frame {
	if uint64(depth) >= uint64(len(c.frames)) {
		malformed(at, "branch out of %d blocks, only %d are open", uint64(depth)+1, len(c.frames))
	}
	return &c.frames[len(c.frames)-1-int(depth)]
}

// branch notes a branch out of depth blocks.
func (c *coder) branch(depth uint32, at int) {
	f := c.label(depth, at)
	c.carry(f.arity(), at)
	c.divide(at)
	if f.kind == shapeLoop {
		f.due = max(f.due, c.run)
	} else {
		f.out = max(f.out, c.run)
	}
}

// branches notes the targets of a br_table and returns the position after it.
func (c *coder) branches(b []byte, p int) int {
	at := p
	n, p := leb(b, p)
	if uint64(n) >= uint64(len(b)-p) { // one more target follows, the default
		malformed(at, "br_table with %d targets, but only %d bytes are left", n, len(b)-p)
	}
	c.needTargets(int(n), at)
	p, left := c.plainTargets(b, p, int(n)+1)
	for range left {
		var depth uint32
		at := p
		depth, p = leb(b, p)
		c.branch(depth, at)
	}
	return p
}

// plainTargets notes the first of n targets of a br_table, as branch would, up to
// one that is not short or is over a limit. It returns the position after them and
// how many are left. The tables of a large function in Go have thousands.
func (c *coder) plainTargets(b []byte, p, n int) (int, int) {
	each := c.locals + uint64(max(c.height, 0))
	if c.live+uint64(n)*each > uint64(c.m.limits.LiveValues) {
		return p, n
	}
	frames, run := c.frames, c.run
	for ; n > 0 && p < len(b) && int(b[p]) < min(len(frames), 0x80); n-- {
		f := &frames[len(frames)-1-int(b[p])]
		if f.arity() > fewValues {
			break
		}
		if f.kind == shapeLoop {
			f.due = max(f.due, run)
		} else {
			f.out = max(f.out, run)
		}
		c.live += each
		p++
	}
	return p, n
}

// overTime reports that the estimate of the compile time went over its limit.
func overTime(at int, have, limit time.Duration) {
	panic(bailout{&Error{
		Reason: ErrLimit, Offset: at,
		What: fmt.Sprintf("functions with so many blocks, branches, loops and locals that compiling takes up to %v or more, at most %v allowed",
			have.Round(time.Millisecond), limit),
		Advice: "split the large functions or raise the limit CompileTime",
	}})
}

// overGrowth reports that the charges take more room than the module. The bound
// is fixed: it is what keeps the memory of Instrument in proportion to its input.
func overGrowth(at, have, most int) {
	panic(bailout{&Error{
		Reason: ErrLimit, Offset: at,
		What:   fmt.Sprintf("%d bytes of metered code, at most %d for a module of this size", have, most),
		Advice: "it has too many tiny loops and functions, merge them (-O2)",
	}})
}
