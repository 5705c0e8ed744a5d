// Package wasmasm assembles WebAssembly modules for tests. It exists for what the
// assemblers of current distributions do not know yet, exceptions above all, and
// for types that a test needs to be wrong.
//
// A module is one field or instruction a line, with comments after ";;":
//
//	import env add (i32 i32) -> (i32)  ;; a function
//	memory 1                           ;; exported as memory, minimum and perhaps maximum
//	tag err (i32)
//	global g mut i64 = 5               ;; or without mut; exported as g
//	table 2 f g                        ;; of functions, its size and first elements
//	func f (i32) -> (i32)              ;; exported as f
//	  local i64 exnref
//	  block i32
//	    try_table | catch err 0 | catch_all 1
//	      local.get 0
//	      throw err
//	    end
//	    i32.const 7
//	  end
//	end
//	start f
//
// Functions, tags and globals are referred to by name or number, locals and labels
// by number. Blocks have no type, one value type, or a type (i32) -> (i32 i64).
package wasmasm

import (
	"fmt"
	"strconv"
	"strings"
)

// Module assembles a module. The error names the line.
func Module(text string) ([]byte, error) {
	a := &assembler{names: map[string]map[string]int{"func": {}, "tag": {}, "global": {}}, types: map[string]int{}}
	lines := strings.Split(text, "\n")
	for pass := range 2 { // names first
		a.pass, a.imports = pass, 0
		for i, line := range lines {
			line, _, _ = strings.Cut(line, ";;")
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			if err := a.line(line); err != nil {
				return nil, fmt.Errorf("line %d: %s: %w", i+1, line, err)
			}
		}
		if a.depth != 0 {
			return nil, fmt.Errorf("%d blocks without end", a.depth)
		}
	}
	return a.module(), nil
}

type assembler struct {
	pass    int
	names   map[string]map[string]int
	imports int

	types    map[string]int // encoded type to index
	typeList [][]byte
	sections [14][][]byte // entries, by id

	depth  int // of blocks, the function included
	locals []byte
	groups int
	code   []byte
}

// Section ids.
const (
	typeSection     = 1
	importSection   = 2
	functionSection = 3
	tableSection    = 4
	memorySection   = 5
	globalSection   = 6
	exportSection   = 7
	startSection    = 8
	elementSection  = 9
	codeSection     = 10
	tagSection      = 13

	functionKind = 0 // of an import or export
	memoryKind   = 2
	globalKind   = 3
)

var valueTypes = map[string]byte{
	"i32": 0x7f, "i64": 0x7e, "f32": 0x7d, "f64": 0x7c, "v128": 0x7b,
	"funcref": 0x70, "externref": 0x6f, "exnref": 0x69,
}

func (a *assembler) add(section int, parts ...[]byte) {
	var entry []byte
	for _, p := range parts {
		entry = append(entry, p...)
	}
	a.sections[section] = append(a.sections[section], entry)
}

// define gives the next number of its kind to a name, in the first pass.
func (a *assembler) define(kind, name string) {
	if a.pass == 0 {
		a.names[kind][name] = len(a.names[kind])
	}
}

func (a *assembler) line(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	if a.depth > 0 {
		return a.body(word, rest)
	}
	name, rest2, _ := strings.Cut(rest, " ")
	switch word {
	case "import", "func", "tag", "global":
		if word == "import" {
			field, typ, _ := strings.Cut(strings.TrimSpace(rest2), " ")
			a.define("func", field)
			if a.pass == 0 {
				return nil
			}
			t, err := a.typeOf(typ)
			a.add(importSection, text(name), text(field), []byte{functionKind}, u32(t))
			return err
		}
		a.define(word, name)
		return a.definition(word, name, strings.TrimSpace(rest2))
	case "memory", "table", "start":
		if a.pass == 0 {
			return nil
		}
		return a.single(word, strings.Fields(rest))
	}
	return fmt.Errorf("no such field")
}

// definition handles the fields that have a name.
func (a *assembler) definition(word, name, rest string) error {
	if word == "func" {
		a.depth, a.locals, a.code, a.groups = 1, nil, nil, 0
	}
	if a.pass == 0 {
		return nil
	}
	switch word {
	case "global":
		typ, value, _ := strings.Cut(rest, "=")
		mutable := byte(0)
		if t, ok := strings.CutPrefix(typ, "mut "); ok {
			typ, mutable = t, 1
		}
		typ = strings.TrimSpace(typ)
		init, err := a.instruction(typ+".const", strings.TrimSpace(value))
		a.add(globalSection, []byte{valueTypes[typ], mutable}, init, []byte{0x0b})
		a.add(exportSection, text(name), []byte{globalKind}, u32(a.names[word][name]))
		return err
	case "tag":
		t, err := a.typeOf(rest)
		a.add(tagSection, []byte{0}, u32(t))
		return err
	}
	t, err := a.typeOf(rest)
	a.add(functionSection, u32(t))
	a.add(exportSection, text(name), []byte{functionKind}, u32(a.names["func"][name]))
	return err
}

// single handles the fields without a name.
func (a *assembler) single(word string, fields []string) error {
	switch {
	case len(fields) == 0:
	case word == "start":
		f, err := a.index("func", fields[0])
		a.sections[startSection] = [][]byte{u32(f)}
		return err
	case word == "memory":
		low, err := strconv.Atoi(fields[0])
		limits := append([]byte{0}, u32(low)...)
		if len(fields) > 1 && err == nil {
			var high int
			high, err = strconv.Atoi(fields[1])
			limits = append(append([]byte{1}, u32(low)...), u32(high)...)
		}
		a.add(memorySection, limits)
		a.add(exportSection, text("memory"), []byte{memoryKind, 0})
		return err
	default:
		low, err := strconv.Atoi(fields[0])
		a.add(tableSection, []byte{valueTypes["funcref"], 0}, u32(low))
		segment := append([]byte{0, 0x41, 0, 0x0b}, u32(len(fields)-1)...)
		for _, f := range fields[1:] {
			i, err := a.index("func", f)
			if err != nil {
				return err
			}
			segment = append(segment, u32(i)...)
		}
		a.add(elementSection, segment)
		return err
	}
	return fmt.Errorf("operand missing")
}

// body handles one line within a function.
func (a *assembler) body(word, rest string) error {
	switch word {
	case "local":
		for t := range strings.FieldsSeq(rest) {
			if valueTypes[t] == 0 {
				return fmt.Errorf("no type %q", t)
			}
			a.locals = append(a.locals, 1, valueTypes[t])
			a.groups++
		}
		return nil
	case "block", "loop", "if", "try_table":
		a.depth++
	case "end":
		a.depth--
	}
	if a.pass == 0 {
		return nil
	}
	code, err := a.instruction(word, rest)
	if a.code = append(a.code, code...); a.depth == 0 {
		body := append(append(u32(a.groups), a.locals...), a.code...)
		a.add(codeSection, u32(len(body)), body)
	}
	return err
}

// typeOf returns the index of a type (i32) -> (i64); both parts may be missing.
func (a *assembler) typeOf(s string) (int, error) {
	params, results, _ := strings.Cut(s, "->")
	encoded := []byte{0x60}
	for _, list := range []string{params, results} {
		fields := strings.Fields(strings.Trim(strings.TrimSpace(list), "()"))
		encoded = append(encoded, u32(len(fields))...)
		for _, f := range fields {
			if valueTypes[f] == 0 {
				return 0, fmt.Errorf("no type %q", f)
			}
			encoded = append(encoded, valueTypes[f])
		}
	}
	if i, ok := a.types[string(encoded)]; ok {
		return i, nil
	}
	a.types[string(encoded)] = len(a.typeList)
	a.typeList = append(a.typeList, encoded)
	return len(a.typeList) - 1, nil
}

func (a *assembler) index(kind, name string) (int, error) {
	if i, ok := a.names[kind][name]; ok {
		return i, nil
	}
	i, err := strconv.Atoi(name)
	if err != nil {
		return 0, fmt.Errorf("no %s %q", kind, name)
	}
	return i, nil
}

func (a *assembler) module() []byte {
	a.sections[typeSection] = a.typeList
	out := []byte("\x00asm\x01\x00\x00\x00")
	for _, id := range []int{
		typeSection, importSection, functionSection, tableSection, memorySection, tagSection,
		globalSection, exportSection, startSection, elementSection, codeSection,
	} {
		entries := a.sections[id]
		if len(entries) == 0 {
			continue
		}
		var payload []byte
		if id != startSection {
			payload = u32(len(entries))
		}
		for _, e := range entries {
			payload = append(payload, e...)
		}
		out = append(append(append(out, byte(id)), u32(len(payload))...), payload...)
	}
	return out
}

func u32(v int) []byte {
	var b []byte
	for n := uint32(v); ; {
		c := byte(n & 0x7f)
		if n >>= 7; n == 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func s64(v int64) []byte {
	var b []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func text(s string) []byte { return append(u32(len(s)), s...) }
