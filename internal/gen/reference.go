package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"reflect"
	"strings"
)

//go:embed reference.md
var introduction string

// reference makes docs/CONFIG.md.
func reference(tables []table) []byte {
	var b bytes.Buffer
	b.WriteString(introduction)
	for _, t := range tables {
		if t.Name == "" {
			continue
		}
		header := "[" + t.Name + "]"
		if list, ok := strings.CutSuffix(t.Name, "[]"); ok {
			header = "[[" + list + "]]"
		}
		fmt.Fprintf(&b, "\n## `%s`\n\n%s\n\n", header, t.Doc)
		b.WriteString("| key | type | default | meaning |\n| --- | --- | --- | --- |\n")
		for _, k := range t.Keys {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Name, describe(k), initialText(k), cell(k.Doc))
		}
	}
	return b.Bytes()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func initialText(k key) string {
	switch v := k.Default.(type) {
	case nil:
		if k.Rule.Required {
			return "required"
		}
		return "-"
	case string:
		return fmt.Sprintf("`%q`", v)
	default:
		return fmt.Sprintf("`%v`", v)
	}
}

// describe says what a value looks like, with its bounds.
func describe(k key) string {
	if len(k.Rule.One) > 0 {
		words := "`" + strings.Join(k.Rule.One, "`, `") + "`"
		if k.Type.Kind() == reflect.Slice {
			return "array of " + words
		}
		return words
	}
	name, bytes := typeName(k.Type), ""
	if k.Type.Kind() == reflect.String {
		bytes = " bytes"
	}
	switch low, high := k.Rule.Min, k.Rule.Max; {
	case low != "" && high != "":
		name += ", " + low + " to " + high
	case low != "":
		name += ", at least " + low
	case high != "":
		name += ", at most " + high + bytes
	}
	return name
}

func typeName(t reflect.Type) string {
	switch {
	case t == durationType:
		return "duration"
	case t == sizeType:
		return "size"
	case t == secretType:
		return "secret"
	case t == urlType:
		return "address"
	case t == tableType:
		return "table"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct && t.Elem() != urlType:
		return "array of tables"
	case t.Kind() == reflect.Slice:
		return "array of " + typeName(t.Elem())
	case t.Kind() == reflect.Bool:
		return "boolean"
	case t.Kind() == reflect.String:
		return "string"
	}
	return "integer"
}
