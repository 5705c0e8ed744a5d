package wasmasm

import (
	"fmt"
	"strconv"
	"strings"
)

// plain are the opcodes without operands.
var plain = map[string][]byte{
	"unreachable": {0x00}, "nop": {0x01}, "else": {0x05}, "throw_ref": {0x0a}, "end": {0x0b}, "return": {0x0f},
	"drop": {0x1a}, "select": {0x1b}, "ref.is_null": {0xd1}, "memory.size": {0x3f, 0}, "memory.grow": {0x40, 0},
	"memory.copy": {0xfc, 10, 0, 0}, "memory.fill": {0xfc, 11, 0},
	"i32.eqz": {0x45}, "i32.eq": {0x46}, "i32.ne": {0x47}, "i32.lt_s": {0x48}, "i32.lt_u": {0x49}, "i32.gt_s": {0x4a},
	"i64.eqz": {0x50}, "i64.eq": {0x51}, "i64.lt_s": {0x53},
	"i32.add": {0x6a}, "i32.sub": {0x6b}, "i32.mul": {0x6c}, "i32.div_s": {0x6d}, "i32.div_u": {0x6e}, "i32.and": {0x71},
	"i64.add": {0x7c}, "i64.sub": {0x7d}, "i64.mul": {0x7e}, "i64.shl": {0x86}, "i64.or": {0x84},
	"i32.wrap_i64": {0xa7}, "i64.extend_i32_s": {0xac}, "i64.extend_i32_u": {0xad},
}

// numbered are the opcodes with one index that is a number.
var numbered = map[string]byte{"br": 0x0c, "br_if": 0x0d, "local.get": 0x20, "local.set": 0x21, "local.tee": 0x22}

// named are the opcodes with one index that may be a name.
var named = map[string]struct {
	opcode byte
	kind   string
}{
	"call": {0x10, "func"}, "return_call": {0x12, "func"}, "ref.func": {0xd2, "func"},
	"throw": {0x08, "tag"}, "global.get": {0x23, "global"}, "global.set": {0x24, "global"},
}

// accesses are the loads and stores, whose operand is an offset.
var accesses = map[string]byte{
	"i32.load": 0x28, "i64.load": 0x29, "i32.load8_u": 0x2d, "i32.store": 0x36, "i64.store": 0x37, "i32.store8": 0x3a,
}

var blocks = map[string]byte{"block": 0x02, "loop": 0x03, "if": 0x04, "try_table": 0x1f}

// instruction encodes one instruction.
func (a *assembler) instruction(word, rest string) ([]byte, error) {
	fields := strings.Fields(rest)
	number := func(i int) (int, error) {
		if i >= len(fields) {
			return 0, fmt.Errorf("operand missing")
		}
		return strconv.Atoi(fields[i])
	}
	if code, ok := plain[word]; ok {
		return code, nil
	}
	if op, ok := numbered[word]; ok {
		i, err := number(0)
		return append([]byte{op}, u32(i)...), err
	}
	if op, ok := named[word]; ok {
		i, err := a.index(op.kind, rest)
		return append([]byte{op.opcode}, u32(i)...), err
	}
	if op, ok := accesses[word]; ok {
		offset := 0
		var err error
		if rest != "" {
			offset, err = number(0)
		}
		return append([]byte{op, 0}, u32(offset)...), err
	}
	if op, ok := blocks[word]; ok {
		return a.block(op, rest)
	}
	switch word {
	case "i32.const", "i64.const":
		v, err := strconv.ParseInt(rest, 0, 64)
		op := byte(0x41)
		if word == "i64.const" {
			op = 0x42
		}
		return append([]byte{op}, s64(v)...), err
	case "f32.const":
		return []byte{0x43, 0, 0, 0, 0}, nil
	case "f64.const":
		return []byte{0x44, 0, 0, 0, 0, 0, 0, 0, 0}, nil
	case "v128.const":
		return append([]byte{0xfd, 0x0c}, make([]byte, 16)...), nil
	case "ref.null":
		return []byte{0xd0, valueTypes[rest]}, nil
	case "br_table":
		out := append([]byte{0x0e}, u32(len(fields)-1)...)
		for i := range fields {
			n, err := number(i)
			if err != nil {
				return nil, err
			}
			out = append(out, u32(n)...)
		}
		return out, nil
	case "call_indirect", "return_call_indirect":
		op := byte(0x11)
		if word != "call_indirect" {
			op = 0x13
		}
		t, err := a.typeOf(rest)
		return append(append([]byte{op}, u32(t)...), 0), err
	case "bytes": // in hexadecimal
		var out []byte
		for _, f := range fields {
			b, err := strconv.ParseUint(f, 16, 8)
			if err != nil {
				return nil, err
			}
			out = append(out, byte(b))
		}
		return out, nil
	}
	return nil, fmt.Errorf("no such instruction")
}

// block encodes the type of a block and the clauses of a try_table.
func (a *assembler) block(op byte, rest string) ([]byte, error) {
	parts := strings.Split(rest, "|")
	out := []byte{op}
	switch typ := strings.TrimSpace(parts[0]); {
	case typ == "":
		out = append(out, 0x40)
	case valueTypes[typ] != 0:
		out = append(out, valueTypes[typ])
	default:
		t, err := a.typeOf(typ)
		if err != nil {
			return nil, err
		}
		out = append(out, s64(int64(t))...)
	}
	if op != blocks["try_table"] {
		return out, nil
	}
	out = append(out, u32(len(parts)-1)...)
	kinds := map[string]byte{"catch": 0, "catch_ref": 1, "catch_all": 2, "catch_all_ref": 3}
	for _, clause := range parts[1:] {
		fields := strings.Fields(clause)
		kind, ok := kinds[fields[0]]
		if !ok || len(fields) != 3-int(kind)/2 {
			return nil, fmt.Errorf("clause %q", clause)
		}
		out = append(out, kind)
		if kind < 2 {
			tag, err := a.index("tag", fields[1])
			if err != nil {
				return nil, err
			}
			out = append(out, u32(tag)...)
		}
		label, err := strconv.Atoi(fields[len(fields)-1])
		if err != nil {
			return nil, err
		}
		out = append(out, u32(label)...)
	}
	return out, nil
}
