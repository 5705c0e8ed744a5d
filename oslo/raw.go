package oslo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
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
	switch r[0] {
	case '{':
		m := map[string]any{}
		_, _ = scanObject(r, 0, 0, func(key, value []byte) error {
			m[string(unquote(key))] = Raw(value).value()
			return nil
		})
		return m
	case '[':
		list := []any{}
		_, _ = scanArray(r, 0, 0, func(value []byte) error {
			list = append(list, Raw(value).value())
			return nil
		})
		return list
	case '"':
		return string(unquote(r))
	}
	switch string(r) {
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
	return json.Number(r)
}

// Unmarshal fills what v points to by the rules of [json.Unmarshal]; numbers
// without a type of their own become [json.Number]. NaN and the infinities are
// an error there: use [Raw.Value] for them.
func (r Raw) Unmarshal(v any) error {
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
	_, err = scanArray(raw, 0, 0, func(value []byte) error {
		list = append(list, Raw(value))
		return nil
	})
	return list, err
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
