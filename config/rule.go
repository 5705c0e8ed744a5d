package config

import (
	"reflect"
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
