package wasmhost

import "unsafe"

// What exceptions may hold on to. To enter a handler, wazero copies the stack of
// the call and keeps the copy until the handler is left; a caught exception
// stays with whoever has a reference to it.
const (
	maxCopies     = 32 << 20  // bytes of stack copied for the handlers of a call
	keptCopies    = 256 << 10 // between calls
	maxExceptions = 16 << 10  // of one call, if the module has references to them
)

// exceptions is what a guest's throws and handlers hold.
type exceptions struct {
	thrown []unsafe.Pointer // in the call that runs
	copies int              // the most bytes of stack that handlers held at once
}

// exception is called by the guest before it throws and before it enters a
// handler. It bounds what only the host can see, and keeps the exceptions of the
// call: wazero hands out their addresses as numbers, and forgets an exception
// when the next one is thrown.
func (g *guest) exception() {
	f := g.running
	if !f.thrown.IsValid() || !f.handlers.IsValid() || !f.stack.IsValid() {
		panic(&guestFault{class: ClassHost, text: "exceptions of an unknown version of wazero"})
	}
	if g.filter.exceptionRefs {
		g.exceptions.keep(f.thrown.UnsafePointer())
	}
	size := f.stackSize()
	copies := size * (f.handlers.Len() + 1) // stacks only grow
	if size > maxStack || copies > maxCopies {
		panic(&guestFault{class: ClassTrap, text: "stack overflow: too many exception handlers on a stack of this size"})
	}
	g.exceptions.copies = max(g.exceptions.copies, copies)
	g.budget.copied(size)
}

func (e *exceptions) keep(thrown unsafe.Pointer) {
	n := len(e.thrown)
	if thrown == nil || n > 0 && e.thrown[n-1] == thrown {
		return
	}
	if n == maxExceptions {
		panic(&guestFault{class: ClassMemory, text: "too many exceptions in one call"})
	}
	e.thrown = append(e.thrown, thrown)
}

// end forgets the exceptions of a call. It reports whether its handlers held so
// much stack that the function, which keeps it, should be replaced.
func (e *exceptions) end() bool {
	if e.copies == 0 {
		return false
	}
	clear(e.thrown)
	much := e.copies > keptCopies
	*e = exceptions{thrown: e.thrown[:0]}
	return much
}
