package meter

import (
	"sync"
	"sync/atomic"
	"time"
)

// Function bodies are rewritten in chunks, which depend on nothing but the sections
// before them: several processors can share them, and how many there are makes no
// difference to the output or to the error.

// chunkSize is how many bytes of code make a chunk at least. Most modules in C and
// Rust have one.
const chunkSize = 128 << 10

// maxWorkers is how many goroutines rewrite the bodies of one module at most. There
// are no more of them than processors.
const maxWorkers = 4

// Metered code may not exceed maxGrowth times the module plus growthSlack bytes,
// so that a module of nothing but empty loops cannot multiply its size.
const (
	maxGrowth   = 2
	growthSlack = 64 << 10
)

// chunk is a part of the code section.
type chunk struct {
	function int // the index of its first
	bodies   int
	from, to int // in the module

	ok    bool   // the rest is set
	code  []byte // rewritten, in its place in module.code
	spent time.Duration
	found findings
}

// findings is what the code of functions tells about the module.
type findings struct {
	features      feature
	helpers       helperKind // one more than the last that is used
	charges       int
	exceptions    bool
	exceptionRefs bool
	used          [helpers]bool
	exnTyped      bool // the type (exnref) -> () is needed
}

func (f *findings) add(g findings) {
	f.features |= g.features
	f.charges += g.charges
	f.exceptions = f.exceptions || g.exceptions
	f.exceptionRefs = f.exceptionRefs || g.exceptionRefs
	f.exnTyped = f.exnTyped || g.exnTyped
	f.helpers = max(f.helpers, g.helpers)
	for k, used := range g.used {
		f.used[k] = f.used[k] || used
	}
}

// codeSection rewrites all function bodies into m.code, with room for the rest of
// the module on both sides.
func (m *module) codeSection(r *reader) {
	n := r.count("function bodies", 3, -1, "")
	if n != m.defined {
		malformed(r.pos, "%d function bodies for %d declared functions", n, m.defined)
	}
	m.info.CodeSize = r.remaining()
	chunks := m.cut(r, n)
	workers := min(len(chunks), m.workers)
	spare := r.remaining() / 8
	if workers > 1 {
		spare *= 3
	}
	m.room = m.roomBeforeCode()
	after := len(m.in) - len(r.b) + 512
	m.code = make([]byte, m.room, m.room+r.remaining()+spare+after)
	if workers > 1 {
		m.share(chunks, workers)
	}
	m.coder = &coder{m: m, room: after, most: m.room + maxGrowth*len(m.in) + growthSlack}
	m.coder.join(chunks)
	m.code, m.found = m.coder.code, m.coder.found
	m.coder = nil
	r.pos = chunks[len(chunks)-1].to
	r.done()
}

// cut divides the code section into chunks, at least one. What is wrong with the
// size of a body is found when the last chunk is rewritten.
func (m *module) cut(r *reader, n int) []chunk {
	chunks := make([]chunk, 1, r.remaining()/m.chunkSize+1)
	chunks[0] = chunk{function: m.importedFuncs, from: r.pos, to: r.pos}
	last := &chunks[0]
	for i := range n {
		size, next := longU32(r.b, last.to)
		if next == 0 || uint64(size) > uint64(len(r.b)-next) {
			last.bodies += n - i
			last.to = len(r.b)
			break
		}
		if last.to-last.from >= m.chunkSize {
			chunks = append(chunks, chunk{function: m.importedFuncs + i, from: last.to})
			last = &chunks[len(chunks)-1]
		}
		last.bodies++
		last.to = next + int(size)
	}
	return chunks
}

// share has the chunks rewritten by so many goroutines, this one included. Each
// chunk has a place of its own in m.code, with room to grow by three eighths; one
// that fails or needs more is left to join, and so are those after it.
func (m *module) share(chunks []chunk, workers int) {
	var next atomic.Int32
	var failed atomic.Bool
	places := m.code[m.room:cap(m.code)]
	place := func(at int) int { at -= chunks[0].from; return at + at/8*3 }
	work := func() {
		c := &coder{m: m}
		for !failed.Load() {
			i := int(next.Add(1)) - 1
			if i >= len(chunks) {
				return
			}
			ch := &chunks[i]
			from, to := place(ch.from), place(ch.to)
			c.code, c.most = places[from:from:to], to-from
			if !c.attempt(ch) {
				failed.Store(true)
			}
		}
	}
	var helpers sync.WaitGroup
	for range workers - 1 {
		helpers.Go(work)
	}
	work()
	helpers.Wait()
}

// attempt rewrites a chunk and reports whether nothing went wrong. Whatever did
// happens again in join.
func (c *coder) attempt(ch *chunk) (ok bool) {
	defer func() { _ = recover() }()
	c.spent, c.found = 0, findings{}
	c.bodies(ch)
	ch.ok, ch.code, ch.spent, ch.found = true, c.code, c.spent, c.found
	return true
}

// join puts the chunks together. From the first on that is not ready, or would take
// the module over a limit, they are rewritten here, one after the other.
func (c *coder) join(chunks []chunk) {
	c.code = c.m.code
	ready := true
	for i := range chunks {
		ch := &chunks[i]
		if ready = ready && ch.ok && c.spent+ch.spent <= c.m.limits.CompileTime; ready {
			c.code = append(c.code, ch.code...) // which are at the same place or behind it
			c.spent += ch.spent
			c.found.add(ch.found)
			continue
		}
		c.bodies(ch)
	}
}

// bodies appends the rewritten bodies of a chunk to c.code.
func (c *coder) bodies(ch *chunk) {
	m := c.m
	r := &reader{b: m.in[:ch.to], pos: ch.from}
	c.ahead = aheadFactor*(ch.to-ch.from) + aheadSlack
	for i := range ch.bodies {
		c.function = ch.function + i
		at := r.pos
		body := r.bytes("function body")
		if len(body) > m.limits.BodySize {
			overLimit(at, "bytes of function body", uint64(len(body)), m.limits.BodySize, "BodySize", "split the function")
		}
		c.rewrite(&reader{b: r.b[:r.pos], pos: r.pos - len(body)}, m.types[m.funcTypes[c.function]])
		size := len(c.head) + len(c.out)
		need := len(c.code) + 5 + size
		if need > c.most {
			overGrowth(at, need-m.room, c.most-m.room)
		}
		if need > cap(c.code) { // rare, and then once
			c.code = append(make([]byte, 0, c.most+c.room), c.code...)
		}
		c.code = append(append(appendU32(c.code, uint32(size)), c.head...), c.out...)
		if c.spent += c.compileTime(); c.spent > m.limits.CompileTime {
			overTime(at, c.spent, m.limits.CompileTime)
		}
	}
}
