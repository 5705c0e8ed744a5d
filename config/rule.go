package config

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Rule is what the rule tag of a struct field demands of a key. The checks, the
// JSON Schema and the reference page all come from it.
type Rule struct {
	Required bool
	One      []string // the words allowed
	Min, Max string   // bounds, in the key's own notation; of a string, its length in bytes
}

// RuleOf reads the rule tag: words between commas, of required, one=A|B|C,
// min=N and max=N.
func RuleOf(field reflect.StructField) Rule {
	var r Rule
	for word := range strings.SplitSeq(field.Tag.Get("rule"), ",") {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "required":
			r.Required = true
		case "one":
			r.One = strings.Split(value, "|")
		case "min":
			r.Min = value
		case "max":
			r.Max = value
		}
	}
	return r
}

// check tests a bound value against its rule.
func (r Rule) check(v reflect.Value, shown string) *problem {
	if len(r.One) > 0 && v.Kind() == reflect.String && !slices.Contains(r.One, v.String()) {
		hint := "known: " + strings.Join(r.One, ", ")
		if near := nearest(v.String(), r.One); near != "" {
			hint = "did you mean " + quote(near) + "?"
		}
		return &problem{shown + " is not known here", hint}
	}
	if r.Required && v.Kind() == reflect.String && v.Len() == 0 {
		return &problem{"is empty", "write a value, or leave the key out if it has a default"}
	}
	if v.Kind() == reflect.String {
		if most, err := strconv.Atoi(r.Max); err == nil && v.Len() > most {
			return &problem{fmt.Sprintf("is %d bytes long", v.Len()), "the most is " + r.Max}
		}
		return nil
	}
	if !v.CanInt() {
		return nil
	}
	low, high := bound(r.Min, v.Type(), math.MinInt64), bound(r.Max, v.Type(), math.MaxInt64)
	switch {
	case v.Int() < low:
		return &problem{shown + " is too small", "the least is " + r.Min}
	case v.Int() > high:
		return &problem{shown + " is too large", "the most is " + r.Max}
	}
	return nil
}

// bound reads a bound in the notation of the key it is for.
func bound(text string, t reflect.Type, otherwise int64) int64 {
	if text == "" {
		return otherwise
	}
	v := reflect.New(t)
	if u, ok := v.Interface().(encoding.TextUnmarshaler); ok {
		if u.UnmarshalText([]byte(text)) != nil {
			return otherwise
		}
		return v.Elem().Int()
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}
