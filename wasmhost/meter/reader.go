package meter

import "unicode/utf8"

// reader walks a part of the module. Positions are offsets in the whole module,
// so that every error can name one. All methods panic with a bailout.
type reader struct {
	b   []byte // the module up to the end of the part
	pos int
}

func (r *reader) remaining() int { return len(r.b) - r.pos }

func (r *reader) byte(what string) byte {
	if r.pos >= len(r.b) {
		malformed(r.pos, "%s: unexpected end", what)
	}
	c := r.b[r.pos]
	r.pos++
	return c
}

func (r *reader) u32(what string) uint32 {
	if r.pos < len(r.b) && r.b[r.pos] < 0x80 {
		r.pos++
		return uint32(r.b[r.pos-1])
	}
	v, next := longU32(r.b, r.pos)
	if next == 0 {
		malformed(r.pos, "%s: truncated or over-long integer", what)
	}
	r.pos = next
	return v
}

// count reads the length of a vector whose entries take at least size bytes and
// refuses one that the remaining bytes cannot hold or the limit forbids.
func (r *reader) count(what string, size, limit int, name string) int {
	at := r.pos
	n := r.u32(what)
	if uint64(n)*uint64(size) > uint64(r.remaining()) {
		malformed(at, "%d %s announced, but only %d bytes are left", n, what, r.remaining())
	}
	if limit >= 0 && uint64(n) > uint64(limit) {
		overLimit(at, what, uint64(n), limit, name, "")
	}
	return int(n)
}

// bytes reads a length and as many bytes; the result is a part of the module.
func (r *reader) bytes(what string) []byte {
	at := r.pos
	n := r.u32(what)
	if uint64(n) > uint64(r.remaining()) {
		malformed(at, "%s of %d bytes announced, but only %d bytes are left", what, n, r.remaining())
	}
	b := r.b[r.pos : r.pos+int(n)]
	r.pos += int(n)
	return b
}

func (r *reader) name(what string, limit int) string {
	at := r.pos
	b := r.bytes(what)
	if len(b) > limit {
		overLimit(at, "bytes of "+what, uint64(len(b)), limit, "NameLength", "shorten the name")
	}
	if !utf8.Valid(b) {
		malformed(at, "%s is not UTF-8", what)
	}
	return string(b)
}

func (r *reader) skip(n int, what string) {
	if n > r.remaining() {
		malformed(r.pos, "%s: unexpected end", what)
	}
	r.pos += n
}

// done refuses bytes left over.
func (r *reader) done() {
	if r.pos != len(r.b) {
		malformed(r.pos, "%d bytes left over at the end of the section", len(r.b)-r.pos)
	}
}

// longU32 decodes an unsigned LEB128 integer of up to five bytes. The position
// it returns is zero if the bytes are no such integer.
func longU32(b []byte, pos int) (uint32, int) {
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		if pos >= len(b) {
			return 0, 0
		}
		c := b[pos]
		pos++
		v |= uint32(c&0x7f) << shift
		if c < 0x80 {
			if shift == 28 && c > 0x0f {
				return 0, 0
			}
			return v, pos
		}
	}
	return 0, 0
}

// skipSigned returns the position after a signed LEB128 integer of the given
// width in bits, or zero. It refuses what a strict decoder refuses: too many
// bytes, and unused bits that are no sign extension.
func skipSigned(b []byte, pos, bits int) int {
	for shift := 0; shift < bits; shift += 7 {
		if pos >= len(b) {
			return 0
		}
		c := b[pos]
		pos++
		if c < 0x80 {
			if used := bits - shift; used < 7 {
				rest := int8(c<<1) >> used // sign bit of the value and the unused bits above it
				if rest != 0 && rest != -1 {
					return 0
				}
			}
			return pos
		}
	}
	return 0
}

func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func sizeU32(v uint32) int {
	n := 1
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}

func appendName(b []byte, s string) []byte {
	return append(appendU32(b, uint32(len(s))), s...)
}
