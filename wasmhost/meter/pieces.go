package meter

// pieceLog says how large the pieces of a memory.fill or memory.copy are, 256
// KiB, which takes some 20 us: one instruction over all of a large memory cannot
// be interrupted, and the garbage collector of the host may have to wait for it.
const pieceLog = 18

// appendPieces appends the body of a helper (destination, value or source, n) that
// fills or copies piece by piece and charges for each. Locals: 3 the length of the
// piece, 4 whether to begin at the end, 5 an i64.
//
//	if n fits in a piece, or passes the end of the memory, which traps: all at once
//	else loop
//	  piece = min(n, 256 KiB)
//	  charge piece/64 + 1
//	  n -= piece
//	  if backwards: do destination+n, source+n, piece
//	  else: do destination, source, piece; destination += piece; source += piece
//	  until n = 0
func (m *module) appendPieces(dst []byte, k helperKind) []byte {
	operate := []byte{0xfc, bulkMemoryFill, 0}
	if k == helperCopy {
		operate = []byte{0xfc, bulkMemoryCopy, 0, 0}
	}
	pays := func(dst []byte, n byte) []byte { // for local n
		dst = appendU32(append(dst, opGlobalGet), m.fuelGlobal())
		dst = append(dst, opLocalGet, n, opI64ExtendU, opI64Const, bytesShift, opI64ShrU, opI64Const, 1, opI64Add)
		return m.appendPayment(dst, 5)
	}
	// fits leaves 1 if local at + n is within the memory.
	fits := func(dst []byte, at byte) []byte {
		return append(dst, opLocalGet, at, opI64ExtendU, opLocalGet, 2, opI64ExtendU, opI64Add,
			opMemorySize, 0, opI64ExtendU, opI64Const, 16, opI64Shl, opI64LeU)
	}
	dst = append(dst, 2, 2, byte(I32), 1, byte(I64))

	// whole = n <= piece, or out of bounds
	dst = append(dst, opLocalGet, 2, opI32Const)
	dst = append(appendS64(dst, 1<<pieceLog), opI32LeU)
	dst = append(fits(dst, 0), opI32Eqz, opI32Or)
	if k == helperCopy {
		dst = append(fits(dst, 1), opI32Eqz, opI32Or)
	}
	dst = append(dst, opIf, blockEmpty)
	// What passes the end of the memory is charged for all of it at most.
	dst = append(dst, opLocalGet, 2, opMemorySize, 0, opI32Const, 16, opI32Shl, opLocalTee, 3,
		opLocalGet, 2, opLocalGet, 3, opI32LtU, opSelect, opLocalSet, 3)
	dst = pays(dst, 3)
	dst = append(dst, opLocalGet, 0, opLocalGet, 1, opLocalGet, 2)
	dst = append(append(dst, operate...), opReturn, opEnd)

	if k == helperCopy { // overlapping: never overwrite what is still to be read
		dst = append(dst, opLocalGet, 0, opLocalGet, 1, opI32GtU, opLocalSet, 4)
	}
	dst = append(dst, opLoop, blockEmpty)
	dst = append(dst, opLocalGet, 2, opI32Const)
	dst = append(appendS64(dst, 1<<pieceLog), opLocalTee, 3, opLocalGet, 2, opLocalGet, 3, opI32LtU, opSelect, opLocalSet, 3)
	dst = pays(dst, 3)
	dst = append(dst, opLocalGet, 2, opLocalGet, 3, opI32Sub, opLocalSet, 2)
	dst = append(dst, opLocalGet, 4, opIf, blockEmpty)
	dst = append(dst, opLocalGet, 0, opLocalGet, 2, opI32Add, opLocalGet, 1, opLocalGet, 2, opI32Add, opLocalGet, 3)
	dst = append(append(dst, operate...), opElse)
	dst = append(dst, opLocalGet, 0, opLocalGet, 1, opLocalGet, 3)
	dst = append(dst, operate...)
	dst = append(dst, opLocalGet, 0, opLocalGet, 3, opI32Add, opLocalSet, 0)
	if k == helperCopy {
		dst = append(dst, opLocalGet, 1, opLocalGet, 3, opI32Add, opLocalSet, 1)
	}
	return append(dst, opEnd, opLocalGet, 2, opBrIf, 0, opEnd, opEnd)
}
