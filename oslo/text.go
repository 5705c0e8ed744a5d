package oslo

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// plain has the ASCII characters that stand for themselves in a JSON string as
// Python writes it.
var plain = func() (t [256]bool) {
	for c := byte(0x20); c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// appendQuoted appends text as a JSON string of ASCII characters, the way
// Python writes it. Text may be generalised UTF-8; a byte that is neither
// becomes the lone surrogate U+DC00 + byte, Python's surrogateescape.
func appendQuoted[T ~string | ~[]byte](dst []byte, text T) []byte {
	return append(appendEscaped(append(dst, '"'), text), '"')
}

// appendEscaped appends what is between the quotes.
func appendEscaped[T ~string | ~[]byte](dst []byte, text T) []byte {
	for i := 0; i < len(text); {
		start := i
		for i < len(text) && plain[text[i]] {
			i++
		}
		dst = append(dst, text[start:i]...)
		if i == len(text) {
			break
		}
		c := text[i]
		if c < utf8.RuneSelf {
			i++
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			case '\b':
				dst = append(dst, '\\', 'b')
			case '\f':
				dst = append(dst, '\\', 'f')
			default:
				dst = appendEscape(dst, rune(c))
			}
			continue
		}
		var seq [utf8.UTFMax]byte
		n := copy(seq[:], text[i:])
		r, size := utf8.DecodeRune(seq[:n])
		switch {
		case r != utf8.RuneError || size > 1:
		case n >= 3 && c == 0xed && seq[1]&0xe0 == 0xa0 && seq[2]&0xc0 == 0x80:
			r, size = 0xd000|rune(seq[1]&0x3f)<<6|rune(seq[2]&0x3f), 3
		default:
			r = 0xdc00 + rune(c)
		}
		i += size
		if r > 0xffff {
			hi, lo := utf16.EncodeRune(r)
			dst = appendEscape(dst, hi)
			r = lo
		}
		dst = appendEscape(dst, r)
	}
	return dst
}

func appendEscape(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// unquote returns the text of a JSON string that the scanner has accepted, and
// some text of one that only has its quotes. The result shares memory with
// quoted when nothing in it is escaped.
func unquote(quoted []byte) []byte {
	in := quoted[1 : len(quoted)-1]
	i := bytes.IndexByte(in, '\\')
	if i < 0 {
		return in
	}
	out := make([]byte, i, len(in))
	copy(out, in)
	for i < len(in) {
		if in[i] != '\\' {
			n := bytes.IndexByte(in[i:], '\\')
			if n < 0 {
				n = len(in) - i
			}
			out = append(out, in[i:i+n]...)
			i += n
			continue
		}
		switch c := in[i+1]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, pair := escaped(in[i:])
			if r < 0 { // only in text that is being salvaged
				out = append(out, c)
				break
			}
			switch {
			case pair:
				out = utf8.AppendRune(out, r)
				i += 6
			case utf16.IsSurrogate(r):
				out = append(out, 0xed, 0x80|byte(r>>6&0x3f), 0x80|byte(r&0x3f))
			default:
				out = utf8.AppendRune(out, r)
			}
			i += 6
			continue
		default:
			out = append(out, c)
		}
		i += 2
	}
	return out
}

// escaped returns what the \u escape that s begins with stands for, and
// whether it takes the one behind it too, as the other half of a pair. It is -1
// for what the scanner does not accept.
func escaped(s []byte) (r rune, pair bool) {
	r, ok := hex4(s, 2)
	if !ok {
		return -1, false
	}
	if utf16.IsSurrogate(r) && len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		if lo, ok := hex4(s, 8); ok {
			if both := utf16.DecodeRune(r, lo); both != utf8.RuneError {
				return both, true
			}
		}
	}
	return r, false
}
