package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/invopop/jsonschema"

	"github.com/wasmrouter/router/config"
)

// interpolated is the name of the definition of a string with ${env:...} or
// ${file:...} in it, which may stand for a word, a number or a boolean.
const interpolated = "Interpolated"

const (
	interpolation   = `\$\{(env|file):`
	durationPattern = `^[+]?([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))*$|^[+]?0$`
	sizePattern     = `^[0-9]+ ?(B|kB|KB|MB|GB|KiB|MiB|GiB)$`
)

// schema makes the JSON Schema from the structs, their comments and rules.
func schema(comments map[string]string, tables []table) ([]byte, error) {
	r := jsonschema.Reflector{
		FieldNameTag:               "toml",
		RequiredFromJSONSchemaTags: true,
		ExpandedStruct:             true,
		Anonymous:                  true,
		Mapper:                     leaf,
		LookupComment: func(t reflect.Type, field string) string {
			if field == "" {
				return comments[t.Name()]
			}
			return comments[t.Name()+"."+field]
		},
	}
	s := r.Reflect(&config.Config{})
	s.Title = "router.toml"
	s.Description = "Configuration of the message router."
	for _, t := range tables {
		def := s
		if t.Name != "" {
			def = s.Definitions[t.Type.Name()]
		}
		if def == nil {
			return nil, fmt.Errorf("no definition of %s", t.Type)
		}
		for _, k := range t.Keys {
			p, ok := def.Properties.Get(k.Name)
			if !ok {
				return nil, fmt.Errorf("no property %s of %s", k.Name, t.Type)
			}
			refine(p, k)
			if k.Rule.Required && !slices.Contains(def.Required, k.Name) {
				def.Required = append(def.Required, k.Name)
			}
		}
	}
	s.Definitions[interpolated] = &jsonschema.Schema{
		Type: "string", Pattern: interpolation,
		Description: "Text with ${env:NAME}, ${env:NAME:-DEFAULT} or ${file:PATH} in it.",
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// leaf is the schema of the types that are written as strings or free tables.
func leaf(t reflect.Type) *jsonschema.Schema {
	switch t {
	case durationType:
		return &jsonschema.Schema{Type: "string", Pattern: durationPattern + "|" + interpolation, Examples: []any{"200ms", "30s", "1m30s"}}
	case sizeType:
		return &jsonschema.Schema{Type: "string", Pattern: sizePattern + "|" + interpolation, Examples: []any{"64KiB", "4MiB"}}
	case secretType:
		return &jsonschema.Schema{Type: "string", Examples: []any{"${env:NAME}", "${file:PATH}"}}
	case urlType:
		return &jsonschema.Schema{Type: "string", Pattern: "^(amqps?|embedded)://|" + interpolation, Examples: []any{"amqp://127.0.0.1:5672/"}}
	case tableType:
		return &jsonschema.Schema{Type: "object"}
	}
	return nil
}

// refine adds what the rule and the default say to a property.
func refine(p *jsonschema.Schema, k key) {
	p.Default = k.Default
	inner := p
	if p.Items != nil {
		inner = p.Items
	}
	kind := k.Type.Kind()
	switch {
	case len(k.Rule.One) > 0:
		words := &jsonschema.Schema{Type: "string"}
		for _, word := range k.Rule.One {
			words.Enum = append(words.Enum, word)
		}
		orInterpolated(inner, words)
	case kind == reflect.Bool:
		orInterpolated(p, &jsonschema.Schema{Type: "boolean"})
	case (kind == reflect.Int || kind == reflect.Int64) && k.Type != durationType && k.Type != sizeType:
		orInterpolated(p, &jsonschema.Schema{Type: "integer", Minimum: json.Number(k.Rule.Min), Maximum: json.Number(k.Rule.Max)})
	case kind == reflect.String:
		if n, err := strconv.ParseUint(k.Rule.Max, 10, 64); err == nil {
			// The rule counts bytes before interpolation is known; characters
			// are never more.
			p.MaxLength = &n
		}
		if k.Rule.Required {
			one := uint64(1)
			p.MinLength = &one
		}
	}
}

func orInterpolated(p, plain *jsonschema.Schema) {
	p.Type, p.Enum = "", nil
	p.AnyOf = []*jsonschema.Schema{plain, {Ref: "#/$defs/" + interpolated}}
}
