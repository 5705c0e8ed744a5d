package cases

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/wasmrouter/router/router"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// parse reads a JSON text with numbers as they are written.
func parse(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON value")
	}
	return v, nil
}

// asJSON returns a table as its JSON text is read.
func asJSON(v any) (any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return parse(data)
}

// alike reports whether two values are the same, numbers by their value whatever
// their type: a file of cases has no way to write an int16.
func alike(a, b any) bool {
	switch a := a.(type) {
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, alike)
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, alike)
	case time.Time:
		b, ok := b.(time.Time)
		return ok && a.Equal(b)
	}
	x, isNumber := number(a)
	y, isToo := number(b)
	if isNumber && isToo {
		return x.Cmp(y) == 0
	}
	return reflect.DeepEqual(a, b)
}

// number returns the value of a number of any type.
func number(v any) (*big.Rat, bool) {
	switch n := v.(type) {
	case json.Number:
		if len(n) > 400 { // 1e400000000 would take all memory there is
			return nil, false
		}
		if f, err := n.Float64(); err == nil && f != 0 {
			return new(big.Rat).SetString(n.String())
		}
		f, err := strconv.ParseFloat(n.String(), 64)
		return new(big.Rat).SetFloat64(f), err == nil
	case bool, nil, string, []byte, router.Decimal:
		return nil, false
	}
	switch r := reflect.ValueOf(v); {
	case r.CanInt():
		return new(big.Rat).SetInt64(r.Int()), true
	case r.CanUint():
		return new(big.Rat).SetUint64(r.Uint()), true
	case r.CanFloat():
		rat := new(big.Rat).SetFloat64(r.Float())
		return rat, rat != nil
	}
	return nil, false
}

// shown is a value for people.
func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return strconv.Quote(v)
	case []byte:
		return fmt.Sprintf("{ bytes = %q }", hex.EncodeToString(v))
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	case map[string]any, []any:
		if text, err := json.Marshal(v); err == nil {
			return string(text)
		}
	}
	return fmt.Sprint(v)
}

func quoted(s string) string {
	if s == "" {
		return none
	}
	return strconv.Quote(s)
}

// text is a body for people.
func text(body []byte) string {
	switch {
	case len(body) == 0:
		return "empty"
	case utf8.Valid(body):
		return string(body)
	}
	return fmt.Sprintf("%d bytes, %x", len(body), body)
}
