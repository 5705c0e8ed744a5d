package oslo

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Marshal writes a Go value as Python writes JSON: ASCII only, a space after
// comma and colon, a float always with a point or exponent, NaN and the
// infinities as bare words. Map keys are sorted.
//
// It takes nil, bool, all integers and floats, strings, [json.Number] (as it is
// written), [Raw], [Object], [time.Time] (as oslo writes a datetime, in UTC),
// slices, arrays, maps, pointers, structs with json tags (name, omitempty and
// "-"), what implements [json.Marshaler] or [encoding.TextMarshaler], and errors
// as their text. []byte is text, as Python bytes are, and must be UTF-8; other
// strings may hold any bytes. Keys of maps that are no strings become their JSON
// text, as Python's do: 1 is "1" and nil "null". Anything else, and nesting
// deeper than [MaxDepth], is an error.
func Marshal(v any) (Raw, error) {
	dst, err := appendValue(make([]byte, 0, 64), v, 0)
	if err != nil {
		return nil, err
	}
	return Raw(dst), nil
}

// MarshalObject writes each value of m, as [Marshal] does, and returns them as
// the members of an object, sorted by name.
func MarshalObject(m map[string]any) (Object, error) {
	if len(m) == 0 {
		return Object{}, nil
	}
	o := Object{members: make([]member, 0, len(m))}
	for key := range m {
		o.members = append(o.members, member{key: key})
	}
	slices.SortFunc(o.members, func(a, b member) int { return strings.Compare(a.key, b.key) })
	dst := make([]byte, 0, 48*len(m)) // of all of them; what it outgrows stays with the first ones
	for i := range o.members {
		start := len(dst)
		var err error
		if dst, err = appendValue(dst, m[o.members[i].key], 0); err != nil {
			return Object{}, fmt.Errorf("%q: %w", o.members[i].key, err)
		}
		o.members[i].value = Raw(dst[start:len(dst):len(dst)])
	}
	return o, nil
}

// String returns text as a JSON string.
func String(text string) Raw { return Raw(appendQuoted(nil, text)) }

func appendValue(dst []byte, v any, depth int) ([]byte, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("marshal: values nest deeper than %d", MaxDepth)
	}
	switch v := v.(type) {
	case nil:
		return append(dst, Null...), nil
	case Raw:
		return appendChecked(dst, v)
	case json.RawMessage:
		return appendChecked(dst, Raw(v))
	case Object:
		return v.append(dst), nil
	case *Object:
		return v.append(dst), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case string:
		return appendQuoted(dst, v), nil
	case []byte:
		return appendBytes(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case float64:
		return appendFloat(dst, v, 64), nil
	case json.Number:
		if end, err := scanNumber([]byte(v), 0); err != nil || end != len(v) {
			return nil, fmt.Errorf("marshal: %q is no number", string(v))
		}
		return append(dst, v...), nil
	case time.Time:
		return appendQuoted(dst, v.UTC().Format("2006-01-02T15:04:05.000000")), nil
	case []any:
		return appendList(dst, len(v), depth, func(i int) any { return v[i] })
	case map[string]any:
		return appendMap(dst, v, depth)
	case json.Marshaler:
		text, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("marshal %T: %w", v, err)
		}
		return appendValue(dst, Raw(text).value(), depth)
	case encoding.TextMarshaler:
		text, err := v.MarshalText()
		if err != nil {
			return nil, fmt.Errorf("marshal %T: %w", v, err)
		}
		return appendQuoted(dst, text), nil
	case error:
		return appendQuoted(dst, v.Error()), nil
	}
	return appendReflected(dst, reflect.ValueOf(v), depth)
}

func appendChecked(dst []byte, r Raw) ([]byte, error) {
	if len(r) == 0 {
		return append(dst, Null...), nil
	}
	raw, err := ParseRaw(r)
	if err != nil {
		return nil, fmt.Errorf("marshal: %w", err)
	}
	return append(dst, raw...), nil
}

func appendReflected(dst []byte, v reflect.Value, depth int) ([]byte, error) {
	switch v.Kind() {
	case reflect.Bool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(dst, v.Uint(), 10), nil
	case reflect.Float32:
		return appendFloat(dst, v.Float(), 32), nil
	case reflect.Float64:
		return appendFloat(dst, v.Float(), 64), nil
	case reflect.String:
		return appendQuoted(dst, v.String()), nil
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return append(dst, Null...), nil
		}
		return appendValue(dst, v.Elem().Interface(), depth+1)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return appendBytes(dst, v.Bytes())
		}
		return appendList(dst, v.Len(), depth, func(i int) any { return v.Index(i).Interface() })
	case reflect.Array:
		return appendList(dst, v.Len(), depth, func(i int) any { return v.Index(i).Interface() })
	case reflect.Map:
		m := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			key, err := keyText(it.Key())
			if err != nil {
				return nil, err
			}
			m[key] = it.Value().Interface()
		}
		return appendMap(dst, m, depth)
	case reflect.Struct:
		return appendStruct(dst, v, depth)
	}
	return nil, fmt.Errorf("marshal: a %s has no JSON form", v.Type())
}

func appendBytes(dst, text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("marshal: bytes that are not UTF-8 have no JSON form")
	}
	return appendQuoted(dst, text), nil
}

// keyText returns a map's key as Python writes it: numbers, truth values and
// nil as their JSON text.
func keyText(key reflect.Value) (string, error) {
	if key.Kind() == reflect.String {
		return key.String(), nil
	}
	text, err := Marshal(key.Interface())
	if err != nil {
		return "", err
	}
	if plain, ok := text.Text(); ok {
		return plain, nil
	}
	if text[0] == '{' || text[0] == '[' {
		return "", fmt.Errorf("marshal: a %s cannot be a name", key.Type())
	}
	return string(text), nil
}

func appendList(dst []byte, n, depth int, at func(int) any) (_ []byte, err error) {
	dst = append(dst, '[')
	for i := range n {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		if dst, err = appendValue(dst, at(i), depth+1); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func appendMap(dst []byte, m map[string]any, depth int) (_ []byte, err error) {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	w := objectWriter{dst: append(dst, '{')}
	for _, key := range keys {
		w.key(key)
		if w.dst, err = appendValue(w.dst, m[key], depth+1); err != nil {
			return nil, err
		}
	}
	return append(w.dst, '}'), nil
}

func appendStruct(dst []byte, v reflect.Value, depth int) (_ []byte, err error) {
	w := objectWriter{dst: append(dst, '{')}
	for _, field := range reflect.VisibleFields(v.Type()) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" || !field.IsExported() || flattened(field) || withinNamed(v.Type(), field) {
			continue
		}
		value, err := v.FieldByIndexErr(field.Index)
		if err != nil || strings.Contains(options, "omitempty") && value.IsZero() {
			continue
		}
		if name == "" {
			name = field.Name
		}
		w.key(name)
		if w.dst, err = appendValue(w.dst, value.Interface(), depth+1); err != nil {
			return nil, err
		}
	}
	return append(w.dst, '}'), nil
}

// flattened reports whether the field is an embedded struct whose fields count
// as its owner's.
func flattened(f reflect.StructField) bool {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return f.Anonymous && name == "" && t.Kind() == reflect.Struct
}

// withinNamed reports whether the field is promoted out of an embedded struct
// that is written under a name of its own.
func withinNamed(t reflect.Type, f reflect.StructField) bool {
	for n := 1; n < len(f.Index); n++ {
		if !flattened(t.FieldByIndex(f.Index[:n])) {
			return true
		}
	}
	return false
}

// appendFloat writes the shortest digits that read back as f, in Python's form:
// an exponent from 1e16 up and below 1e-4.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.AppendFloat(dst, f, 'e', -1, bits)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, bits)
	if !slices.Contains(dst[start:], '.') {
		dst = append(dst, ".0"...)
	}
	return dst
}
