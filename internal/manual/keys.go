package manual

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// schema is what is read of a JSON Schema of router.toml.
type schema struct {
	Ref         string            `json:"$ref"`
	Description string            `json:"description"`
	Default     any               `json:"default"`
	Properties  map[string]schema `json:"properties"`
	Items       *schema           `json:"items"`
	Additional  json.RawMessage   `json:"additionalProperties"` // a schema, or false
	Enum        []any             `json:"enum"`
	AnyOf       []schema          `json:"anyOf"`
	Defs        map[string]schema `json:"$defs"`
}

// Keys returns one part for each table of the configuration whose JSON Schema is
// given, with its keys.
func Keys(text []byte) ([]Part, error) {
	var root schema
	if err := json.Unmarshal(text, &root); err != nil {
		return nil, fmt.Errorf("the schema: %w", err)
	}
	var parts []Part
	for _, name := range slices.Sorted(maps.Keys(root.Properties)) {
		parts = append(parts, root.tables(name, "", root.Properties[name])...)
	}
	return parts, nil
}

// tables returns the table at path, and those in it.
func (root schema) tables(path, brackets string, s schema) []Part {
	doc := s.Description
	var each schema
	if json.Unmarshal(s.Additional, &each) == nil && each.Ref != "" {
		path, s = path+".NAME", each
	}
	if s.Items != nil {
		brackets, s = "[", *s.Items
	}
	s = root.resolve(s)
	part := Part{Title: brackets + "[" + path + "]" + strings.ReplaceAll(brackets, "[", "]"), Text: doc}
	var below []Part
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		key := s.Properties[name]
		if root.isTable(key) {
			below = append(below, root.tables(path+"."+name, "", key)...)
			continue
		}
		part.Entries = append(part.Entries, Entry{Term: name, Text: key.meaning()})
	}
	return append([]Part{part}, below...)
}

// isTable reports whether a key has keys of its own.
func (root schema) isTable(s schema) bool {
	if s.Items != nil {
		s = *s.Items
	}
	return len(root.resolve(s).Properties) > 0
}

func (root schema) resolve(s schema) schema {
	if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
		return root.Defs[name]
	}
	return s
}

// meaning is what a key is for, with its values and its default.
func (root schema) meaning() string {
	parts := []string{root.Description}
	for _, one := range append(root.AnyOf, root) {
		if len(one.Enum) == 0 {
			continue
		}
		values := make([]string, len(one.Enum))
		for i, v := range one.Enum {
			values[i] = fmt.Sprint(v)
		}
		parts = append(parts, "One of "+strings.Join(values, ", ")+".")
	}
	if root.Default != nil && root.Default != "" {
		value, err := json.Marshal(root.Default)
		if err != nil { // it came from JSON
			panic(err)
		}
		parts = append(parts, "Default: "+string(value)+".")
	}
	return strings.Join(parts, " ")
}
