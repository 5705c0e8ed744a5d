package meter

// helperKind is a function appended to the module that charges for a bulk
// operation or an exception.
type helperKind uint8

// The kinds, in the order in which they are appended. Those that are used less
// come last, because one that is not used is there, empty, if one after it is.
const (
	helperCopy      helperKind = iota // memory.copy in pieces
	helperFill                        // memory.fill in pieces
	helperGrow                        // grows the memory by n pages and charges, returns the result
	helperStart                       // calls the start function
	helperBytes                       // charges for n bytes of memory, returns n
	helperElements                    // charges for n table elements, returns n
	helperException                   // charges for a throw or a handler and calls the fuel function
	helpers                           // how many there are
	helperNone      = helpers
)

// name is what a trace calls the helper.
func (k helperKind) name() string {
	switch k {
	case helperStart:
		return FuelModule + ".start"
	case helperBytes:
		return FuelModule + ".charge_bytes"
	case helperElements:
		return FuelModule + ".charge_elements"
	case helperException:
		return FuelModule + ".exception"
	case helperFill:
		return FuelModule + ".memory_fill"
	case helperCopy:
		return FuelModule + ".memory_copy"
	}
	return FuelModule + ".memory_grow"
}

const (
	bytesShift    = 6  // 64 bytes a unit
	elementsShift = 3  // 8 elements a unit
	pagesShift    = 10 // 1024 units a page
)

// addStart adds the helper that calls the start function. Were that exported by
// itself, code could refer to it that could not before.
func (m *module) addStart() {
	m.found.used[helperStart] = true
	m.found.helpers = max(m.found.helpers, helperStart+1)
}

// firstHelper is the index of the first helper in the metered module.
func (m *module) firstHelper() uint32 { return uint32(len(m.funcTypes)) + 1 }

// helper returns the index of a helper in the metered module and has it added.
func (c *coder) helper(k helperKind) uint32 {
	c.found.used[k] = true
	c.found.helpers = max(c.found.helpers, k+1)
	return c.m.firstHelper() + uint32(k)
}

// helperType returns the type of a helper in the metered module: that of the
// fuel function, (i32) -> (i32), or (i32 i32 i32) -> ().
func (m *module) helperType(k helperKind) uint32 {
	switch {
	case !m.found.used[k], k == helperException, k == helperStart:
		return uint32(len(m.types))
	case k == helperFill, k == helperCopy:
		return uint32(len(m.types)) + 2
	}
	return uint32(len(m.types)) + 1
}

func (c *coder) appendCallHelper(dst []byte, k helperKind) []byte {
	return appendU32(append(dst, opCall), c.helper(k))
}

// appendHelper appends the body of a helper, its size included. Local 0 is the
// operand, 1 an i32, 2 an i32 and 3 an i64.
func (m *module) appendHelper(dst []byte, k helperKind) []byte {
	if !m.found.used[k] {
		return append(dst, 2, 0, opEnd)
	}
	if k == helperStart {
		body := append(appendU32([]byte{0, opCall}, uint32(m.start)), opEnd)
		return append(appendU32(dst, uint32(len(body))), body...)
	}
	if k == helperException {
		body := m.appendCharge([]byte{1, 1, byte(I64)}, exceptionUnits, 0)
		body = append(appendU32(append(body, opCall), uint32(m.importedFuncs)), opEnd)
		return append(appendU32(dst, uint32(len(body))), body...)
	}
	body := []byte{2, 2, byte(I32), 1, byte(I64)}
	result := byte(0)
	switch k {
	case helperFill, helperCopy:
		body = m.appendPieces(nil, k)
		return append(appendU32(dst, uint32(len(body))), body...)
	case helperBytes:
		// units = min(n/64, memory.size*1024) + 1
		body = append(body,
			opLocalGet, 0, opI32Const, bytesShift, opI32ShrU, opLocalTee, 1,
			opMemorySize, 0, opI32Const, 16-bytesShift, opI32Shl, opLocalTee, 2,
			opLocalGet, 1, opLocalGet, 2, opI32LtU, opSelect,
			opI64ExtendU, opI64Const, 1, opI64Add, opLocalSet, 3)
	case helperElements:
		// units = min(n, limit)/8 + 1
		body = append(body, opLocalGet, 0, opI32Const)
		body = appendS64(body, int64(m.limits.TableElements))
		body = append(body, opLocalTee, 1, opLocalGet, 0, opLocalGet, 1, opI32LtU, opSelect,
			opI32Const, elementsShift, opI32ShrU,
			opI64ExtendU, opI64Const, 1, opI64Add, opLocalSet, 3)
	case helperGrow:
		// result = memory.grow(n); units = 1, or n*1024 + 1 if it grew
		body = append(body,
			opI64Const, 1,
			opLocalGet, 0, opI64ExtendU, opI64Const, pagesShift, opI64Shl, opI64Const, 1, opI64Add,
			opLocalGet, 0, opMemoryGrow, 0, opLocalTee, 1, opI32Const, 0x7f, opI32Eq, opSelect,
			opLocalSet, 3)
		result = 1
	}
	body = append(body, opGlobalGet)
	body = appendU32(body, m.fuelGlobal())
	body = append(body, opLocalGet, 3)
	body = m.appendPayment(body, 3)
	body = append(body, opLocalGet, result, opEnd)
	return append(appendU32(dst, uint32(len(body))), body...)
}

// appendCharge appends code that charges units at any place between two
// instructions: it neither needs nor leaves operands. It overwrites local i64
// number local.
func (m *module) appendCharge(dst []byte, units uint64, local uint32) []byte {
	dst = appendU32(append(dst, opGlobalGet), m.fuelGlobal())
	dst = appendS64(append(dst, opI64Const), int64(units))
	return m.appendPayment(dst, local)
}

// appendPayment appends code that takes the credit and a price from the stack,
// stores the difference, and calls the fuel function if it is negative. The
// local saves the compiler, which does not see that a global was just written,
// a load that waits for the store.
func (m *module) appendPayment(dst []byte, local uint32) []byte {
	dst = appendU32(append(dst, opI64Sub, opLocalTee), local)
	dst = appendU32(append(dst, opGlobalSet), m.fuelGlobal())
	dst = appendU32(append(dst, opLocalGet), local)
	return m.appendCheck(append(dst, opI64Const, 0, opI64LtS))
}

// appendCheck appends code that calls the fuel function if the condition on the
// stack holds.
func (m *module) appendCheck(dst []byte) []byte {
	return append(appendU32(append(dst, opIf, blockEmpty, opCall), uint32(m.importedFuncs)), opEnd)
}

// appendPrice appends code that takes one unit, to be written over, from the
// credit without a look at what is left.
func (m *module) appendPrice(dst []byte) []byte {
	dst = appendU32(append(dst, opGlobalGet), m.fuelGlobal())
	return appendU32(append(dst, opI64Const, 1, opI64Sub, opGlobalSet), m.fuelGlobal())
}

func appendS64(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func (m *module) fuelGlobal() uint32 { return uint32(len(m.globals)) }
