package config

import (
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// Redacted returns the configuration as it is in force, defaults included, as
// plain tables by TOML key, with every secret replaced by "***": passwords and
// tokens, the passwords in addresses, whatever text was interpolated, and in
// tables of free shape the keys whose names tell of a secret.
func (c *Config) Redacted() map[string]any {
	r := redactor{}
	if c.doc != nil {
		r.hidden = c.doc.hidden
	}
	return r.value(nil, reflect.ValueOf(*c)).(map[string]any)
}

var shadowType = reflect.TypeFor[Shadow]()

// Dump writes Redacted as TOML.
func (c *Config) Dump(w io.Writer) error {
	e := toml.NewEncoder(w)
	e.Indent = ""
	if err := e.Encode(c.Redacted()); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return nil
}

// MarshalJSON returns Redacted as JSON.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.Redacted()) }

// Format prints Redacted as TOML for every verb.
func (c Config) Format(f fmt.State, _ rune) { _ = c.Dump(f) }

// LogValue returns the file's name.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.File()) }

// literalSecrets returns the keys that hold a secret written in the file.
func (c *Config) literalSecrets() (keys [][]string) {
	add := func(set bool, path ...string) {
		if set && !c.doc.hidden[join(path)] {
			keys = append(keys, path)
		}
	}
	add(c.Broker.URL.hasPassword(), "broker", "url")
	for i, u := range c.Broker.URLs {
		add(u.hasPassword(), "broker", "urls", strconv.Itoa(i))
	}
	add(!c.Broker.Password.IsZero(), "broker", "password")
	add(!c.Admin.Token.IsZero(), "admin", "token")
	return keys
}

func (u URL) hasPassword() bool {
	s := u.String()
	return s == hidden || strings.Contains(s, ":"+hidden+"@")
}

var secretName = regexp.MustCompile(`(?i)pass|secret|token|credential|api.?key|private|auth`)

type redactor struct{ hidden map[string]bool }

func (r redactor) value(path []string, v reflect.Value) any {
	if r.hidden[join(path)] && v.Kind() != reflect.Bool && !v.CanInt() {
		return hidden
	}
	if t, ok := v.Interface().(encoding.TextMarshaler); ok && v.Kind() != reflect.Map {
		text, _ := t.MarshalText()
		return string(text)
	}
	switch v.Kind() {
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			field := v.Type().Field(i)
			key, words := field.Tag.Get("toml"), RuleOf(field).One
			if key == "" {
				continue
			}
			if len(words) > 0 && field.Type.Kind() == reflect.String {
				if word := v.Field(i).String(); word != "" {
					out[key] = word // one of a few known words is no secret
				}
				continue
			}
			if field.Type == shadowType && v.Field(i).FieldByName("Path").String() == "" {
				continue // the only table that may be absent, and lacks a key then
			}
			if item := r.value(below(path, key), v.Field(i)); item != nil {
				out[key] = item
			}
		}
		return out
	case reflect.Map:
		if v.Len() == 0 {
			return nil
		}
		out := map[string]any{}
		for _, key := range v.MapKeys() {
			at := below(path, key.String())
			item := v.MapIndex(key)
			if v.Type() == tableType {
				out[key.String()] = r.free(at, item.Interface())
			} else {
				out[key.String()] = r.value(at, item)
			}
		}
		return out
	case reflect.Slice:
		if v.Len() == 0 {
			return nil
		}
		out := make([]any, v.Len())
		for i := range out {
			out[i] = r.value(below(path, strconv.Itoa(i)), v.Index(i))
		}
		return out
	}
	return v.Interface()
}

// free redacts a value of a table of free shape.
func (r redactor) free(path []string, value any) any {
	if r.hidden[join(path)] || slices.ContainsFunc(path[len(path)-1:], secretName.MatchString) {
		return hidden
	}
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = r.free(below(path, key), item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = r.free(below(path, strconv.Itoa(i)), item)
		}
		return out
	}
	return value
}
