package main

import (
	"encoding"
	"fmt"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/wasmrouter/router/config"
)

// table is one table of router.toml.
type table struct {
	Name string // as in its header, with NAME for what the user names
	Doc  string
	Type reflect.Type
	Keys []key
}

// key is one key of a table that is no table with keys of its own.
type key struct {
	Name    string
	Type    reflect.Type
	Rule    config.Rule
	Default any // nil when there is none, or it depends on other keys
	Doc     string
}

// comments returns the doc comments of package config by type and field.
func comments(root string) (map[string]string, error) {
	r := jsonschema.Reflector{}
	base := "github.com/wasmrouter/router"
	// The extractor joins base and path, so that the path must be relative.
	path := filepath.Join(root, "config")
	if err := r.AddGoComments(base, path, jsonschema.WithFullComment()); err != nil {
		return nil, fmt.Errorf("reading the comments of package config: %w", err)
	}
	out := map[string]string{}
	for name, text := range r.CommentMap {
		name = name[strings.LastIndexByte(name, '/')+1:]
		out[strings.TrimPrefix(name, "config.")] = strings.Join(strings.Fields(text), " ")
	}
	return out, nil
}

var (
	secretType   = reflect.TypeFor[config.Secret]()
	urlType      = reflect.TypeFor[config.URL]()
	tableType    = reflect.TypeFor[config.Table]()
	durationType = reflect.TypeFor[config.Duration]()
	sizeType     = reflect.TypeFor[config.Size]()
)

// model lists every table with its keys, in the order of the struct fields.
func model(comments map[string]string) []table {
	preset := config.Default()
	m := modeller{comments: comments, presets: map[reflect.Type]reflect.Value{}}
	for _, v := range reflect.ValueOf(preset).Fields() {
		m.presets[v.Type()] = v
	}
	m.table("", "", reflect.ValueOf(preset.Config))
	return m.tables
}

type modeller struct {
	comments map[string]string
	presets  map[reflect.Type]reflect.Value
	tables   []table
}

func (m *modeller) table(name, doc string, preset reflect.Value) {
	t := table{Name: name, Doc: doc, Type: preset.Type()}
	at := len(m.tables)
	m.tables = append(m.tables, t)
	for field, value := range preset.Fields() {
		keyName := field.Tag.Get("toml")
		if keyName == "" {
			continue
		}
		inner := keyName
		if name != "" {
			inner = name + "." + keyName
		}
		doc := m.comments[t.Type.Name()+"."+field.Name]
		switch {
		case field.Type.Kind() == reflect.Struct && field.Type != secretType && field.Type != urlType:
			m.table(inner, doc, value)
		case field.Type.Kind() == reflect.Map && field.Type != tableType:
			m.table(inner+".NAME", doc, m.presets[field.Type.Elem()])
		case field.Type.Kind() == reflect.Slice && field.Type.Elem().Kind() == reflect.Struct && field.Type.Elem() != urlType:
			t.Keys = append(t.Keys, key{Name: keyName, Type: field.Type, Doc: doc})
			m.table(inner+"[]", doc, reflect.Zero(field.Type.Elem()))
		default:
			rule := config.RuleOf(field)
			t.Keys = append(t.Keys, key{Name: keyName, Type: field.Type, Rule: rule, Default: initial(value, rule), Doc: doc})
		}
	}
	m.tables[at] = t
}

// initial is a key's default as it would be in JSON, or nil.
func initial(v reflect.Value, rule config.Rule) any {
	switch {
	case rule.Required, v.Kind() == reflect.Slice, v.Kind() == reflect.Map:
		return nil
	case v.Kind() == reflect.Int || v.Kind() == reflect.Int64 && v.Type() != durationType && v.Type() != sizeType:
		if least, err := strconv.ParseInt(rule.Min, 10, 64); err == nil && v.Int() < least {
			return nil
		}
		return v.Int()
	}
	if text, ok := v.Interface().(encoding.TextMarshaler); ok {
		s, _ := text.MarshalText()
		if len(s) == 0 {
			return nil
		}
		return string(s)
	}
	if v.Kind() == reflect.String && v.Len() == 0 {
		return nil
	}
	return v.Interface()
}
