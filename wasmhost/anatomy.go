package wasmhost

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// Anatomy is what a module is made of.
type Anatomy struct {
	Info
	CodeSize, DataSize    int // bytes
	Tables, TableElements int // elements at the start
	Globals               int
	Start                 bool     // a start function runs before _initialize
	Features              []string // proposals beyond WebAssembly 1.0 that it uses
	Producers             []string // what made it, as far as it says: "Go 1.26.1"
}

// Dissect is [Inspect] with more of what a module is made of.
func Dissect(module []byte, limits Limits) (Anatomy, error) {
	limits = limits.withDefaults()
	if err := limits.validate(); err != nil {
		return Anatomy{}, err
	}
	info, m, err := inspect(module, limits)
	if m == nil {
		return Anatomy{Info: info}, err
	}
	return Anatomy{
		Info: info, CodeSize: m.CodeSize, DataSize: m.DataSize, Tables: m.Tables, TableElements: m.TableElements,
		Globals: m.Globals, Start: m.HasStart, Features: m.Features, Producers: producers(module),
	}, err
}

// producers reads the custom section of that name, which compilers leave if they
// are let. A module whose section is damaged has no producers.
func producers(module []byte) []string {
	r := lebReader{rest: module[8:]} // past the header, which was checked
	for len(r.rest) > 0 && !r.bad {
		id := r.bytes(1)
		section := lebReader{rest: r.bytes(int(r.u32()))}
		if r.bad || id[0] != 0 || section.text() != "producers" {
			continue
		}
		var all []string
		for range min(section.u32(), 16) {
			section.text() // the field: language, processed-by or sdk
			for range min(section.u32(), 16) {
				name, version := section.text(), section.text()
				if section.bad {
					return nil
				}
				if version != "" {
					name += " " + version
				}
				if !slices.Contains(all, name) {
					all = append(all, name)
				}
			}
		}
		return all
	}
	return nil
}

// lebReader reads what may be damaged; bad tells that it was.
type lebReader struct {
	rest []byte
	bad  bool
}

func (r *lebReader) u32() uint32 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || n > 5 || v > 1<<32-1 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return uint32(v)
}

func (r *lebReader) bytes(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.bad = true
		n = 0
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	if n == 0 && r.bad {
		return []byte{0}
	}
	return b
}

func (r *lebReader) text() string {
	b := r.bytes(int(r.u32()))
	if !utf8.Valid(b) {
		r.bad = true
	}
	return cutText(string(b), 64)
}
