package oslo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Raw is the text of one JSON value as a Python peer writes it, which may hold
// NaN, Infinity and -Infinity. It must not be changed in place. A nil Raw is
// no value at all; as a member of a message it is written as null.
type Raw []byte

// Null is the JSON null.
var Null = Raw("null")

// ParseRaw checks that text is one JSON value and returns it without the space
// around it, sharing memory with text. Errors wrap [ErrSyntax].
func ParseRaw(text []byte) (Raw, error) {
	start, end, err := scanWhole(text)
	if err != nil {
		return nil, err
	}
	return Raw(text[start:end:end]), nil
}

// IsNull reports whether r is null or no value at all.
func (r Raw) IsNull() bool { return len(r) == 0 || string(r) == "null" }

// orNull returns r, or null if it is no value at all.
func (r Raw) orNull() Raw {
	if len(r) == 0 {
		return Null
	}
	return r
}

// IsObject reports whether r, which must be JSON, is an object.
func (r Raw) IsObject() bool { return len(r) > 0 && r[0] == '{' }

// Text returns the string that r is, and whether it is one.
func (r Raw) Text() (string, bool) {
	if len(r) < 2 || r[0] != '"' {
		return "", false
	}
	if end, err := scanString(r, 0); err != nil || end != len(r) {
		return "", false
	}
	return string(unquote(r)), true
}

// Value returns r as Go values: nil, bool, [json.Number] with the digits as
// they were written, string, []any and map[string]any; NaN and the infinities
// are float64. [Marshal] turns it back into the same values. Errors wrap
// [ErrSyntax].
func (r Raw) Value() (any, error) {
	raw, err := ParseRaw(r)
	if err != nil {
		return nil, err
	}
	return raw.value(), nil
}

// value builds what the scanner has accepted.
func (r Raw) value() any {
	v, _ := build(r, 0)
	return v
}

// build returns the value that starts at i and where it ends, in one pass
// however deeply it nests. The scanner has accepted s.
func build(s []byte, i int) (any, int) {
	switch s[i] {
	case '{':
		m := map[string]any{}
		for i = skipSpace(s, i+1); s[i] != '}'; {
			end, _ := scanString(s, i)
			key := string(unquote(s[i:end]))
			i = skipSpace(s, end)
			m[key], i = build(s, skipSpace(s, i+1))
			i = nextItem(s, i)
		}
		return m, i + 1
	case '[':
		list := []any{}
		for i = skipSpace(s, i+1); s[i] != ']'; {
			var v any
			v, i = build(s, i)
			list = append(list, v)
			i = nextItem(s, i)
		}
		return list, i + 1
	}
	end, _ := scanValue(s, i, 0)
	return scalar(s[i:end]), end
}

// nextItem returns where the item after the one that ends at i starts, or the
// closing bracket.
func nextItem(s []byte, i int) int {
	if i = skipSpace(s, i); s[i] == ',' {
		i = skipSpace(s, i+1)
	}
	return i
}

func scalar(s []byte) any {
	if s[0] == '"' {
		return string(unquote(s))
	}
	switch string(s) {
	case "null":
		return nil
	case "true":
		return true
	case "false":
		return false
	case "NaN":
		return math.NaN()
	case "Infinity":
		return math.Inf(1)
	case "-Infinity":
		return math.Inf(-1)
	}
	return json.Number(s)
}

// Unmarshal fills what v points to by the rules of [json.Unmarshal]; numbers
// without a type of their own become [json.Number]. NaN and the infinities are
// an error there: use [Raw.Value] for them.
func (r Raw) Unmarshal(v any) error {
	if s, ok := v.(*string); ok && s != nil && len(r) > 0 && r[0] == '"' && utf8.Valid(r) {
		if text, ok := r.Text(); ok && utf8.ValidString(text) {
			*s = text
			return nil
		}
	}
	d := json.NewDecoder(bytes.NewReader(r))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("read %T: %w", v, err)
	}
	return nil
}

// Elements returns the elements of the array that r is. Errors wrap
// [ErrSyntax] or, if r is something else, [ErrMessage].
func (r Raw) Elements() ([]Raw, error) {
	raw, err := ParseRaw(r)
	if err != nil {
		return nil, err
	}
	if raw[0] != '[' {
		return nil, fmt.Errorf("%w: %s where a list should be", ErrMessage, raw.kind())
	}
	list := []Raw{}
	_, err = scanArray(raw, 0, 0, func(value []byte) { list = append(list, Raw(value)) })
	return list, err
}

// truthy reports whether Python takes r as true in an if.
func (r Raw) truthy() bool {
	if len(r) == 0 {
		return false
	}
	switch r[0] {
	case 'n', 'f':
		return false
	case '"':
		return len(r) > len(`""`)
	case '{', '[':
		next := r[skipSpace(r, 1)]
		return next != '}' && next != ']'
	}
	f, err := strconv.ParseFloat(string(r), 64)
	return f != 0 || err != nil // true, and numbers beyond any float
}

func (r Raw) kind() string {
	if len(r) == 0 {
		return "nothing"
	}
	switch r[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "a truth value"
	case 'n':
		return "null"
	}
	return "a number"
}

// Clone returns a copy that shares no memory with r.
func (r Raw) Clone() Raw { return slices.Clone(r) }

// MarshalJSON lets a Raw stand in values for the json package, which refuses
// NaN and the infinities.
func (r Raw) MarshalJSON() ([]byte, error) {
	if len(r) == 0 {
		return Null, nil
	}
	return r, nil
}
