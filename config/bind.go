package config

import (
	"encoding"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// binder moves a parsed TOML tree into a Config and collects every problem.
type binder struct {
	doc      *document
	options  Options
	preset   Preset
	errors   Errors
	warnings []Warning
	failed   map[string]bool // keys that could not be read
	literal  bool            // ${...} is not interpolated; the file is no router.toml

	queues, exchanges, filters []string // sorted names
	searches                   int      // among them, for hints
}

func (b *binder) fail(path []string, p problem) {
	b.failed[join(path)] = true
	b.errors = append(b.errors, b.doc.error(path, p))
}

func (b *binder) warn(path []string, p problem) {
	b.warnings = append(b.warnings, Warning{*b.doc.error(path, p)})
}

// bad reports whether the key could not be read, so that what follows from that
// need not be reported too.
func (b *binder) bad(path ...string) bool { return b.failed[join(path)] }

func below(path []string, key string) []string { return append(slices.Clip(path), key) }

// structure binds a table to a struct.
func (b *binder) structure(path []string, table map[string]any, out reflect.Value) {
	fields := map[string]reflect.StructField{}
	for _, field := range reflect.VisibleFields(out.Type()) {
		if key := field.Tag.Get("toml"); key != "" {
			fields[key] = field
		}
	}
	for key, value := range table {
		at := below(path, key)
		field, ok := fields[key]
		if !ok {
			b.fail(at, problem{"unknown key", b.misplaced(key, fields)})
			continue
		}
		b.value(at, value, out.FieldByIndex(field.Index), RuleOf(field))
	}
	for key, field := range fields {
		if _, ok := table[key]; !ok && RuleOf(field).Required {
			b.fail(below(path, key), problem{"missing", "add " + key + " = ..."})
		}
	}
}

// misplaced is the hint for an unknown key: the nearest name of its table, or
// the table where it belongs.
func (b *binder) misplaced(key string, fields map[string]reflect.StructField) string {
	known := make([]string, 0, len(fields))
	for name := range fields {
		known = append(known, name)
	}
	slices.Sort(known)
	if nearest(key, known) == "" && !b.literal {
		if places := tablesWith(reflect.TypeFor[Config](), "", key); len(places) > 0 && len(places) <= 3 {
			return "it belongs in " + strings.Join(places, " or ")
		}
	}
	return didYouMean(key, known)
}

// tablesWith returns the tables below t that have the key.
func tablesWith(t reflect.Type, table, key string) (places []string) {
	for f := range t.Fields() {
		name := f.Tag.Get("toml")
		if name == key && table != "" {
			places = append(places, "["+table[1:]+"]")
		}
		switch under := f.Type; {
		case under.Kind() == reflect.Struct:
			places = append(places, tablesWith(under, table+"."+name, key)...)
		case under.Kind() == reflect.Map && under.Elem().Kind() == reflect.Struct:
			places = append(places, tablesWith(under.Elem(), table+"."+name+".NAME", key)...)
		}
	}
	return places
}

var (
	textType   = reflect.TypeFor[encoding.TextUnmarshaler]()
	secretType = reflect.TypeFor[Secret]()
	urlType    = reflect.TypeFor[URL]()
	tableType  = reflect.TypeFor[Table]()
)

// value binds one value of any kind.
func (b *binder) value(path []string, value any, out reflect.Value, rule Rule) {
	switch t := out.Type(); {
	case t == tableType:
		if table, ok := value.(map[string]any); ok {
			out.Set(reflect.ValueOf(Table(b.free(path, table).(map[string]any))))
			return
		}
		b.fail(path, wrong(value, "a table"))
		return
	case t.Kind() == reflect.Interface:
		if free := b.free(path, value); free != nil {
			out.Set(reflect.ValueOf(free))
		}
	case t == secretType, t == urlType, t.Kind() != reflect.Struct && t.Kind() != reflect.Map && t.Kind() != reflect.Slice:
		b.scalar(path, value, out, rule)
	case t.Kind() == reflect.Slice:
		b.list(path, value, out, rule)
	default:
		table, ok := value.(map[string]any)
		if !ok {
			p := wrong(value, "a table")
			p.hint = "write [" + b.doc.render(path) + "] above its keys"
			if _, array := value.([]map[string]any); array && t.Kind() == reflect.Map {
				p.hint = "write [" + b.doc.render(path) + ".NAME]"
			}
			b.fail(path, p)
			return
		}
		if t.Kind() == reflect.Struct {
			b.structure(path, table, out)
			return
		}
		b.named(path, table, out)
	}
}

// named binds a table of named tables; each starts from its defaults.
func (b *binder) named(path []string, table map[string]any, out reflect.Value) {
	out.Set(reflect.MakeMap(out.Type()))
	for name, value := range table {
		at := below(path, name)
		entry, ok := value.(map[string]any)
		if !ok {
			p := wrong(value, "a table")
			p.hint = "write [" + b.doc.render(below(path, "NAME")) + "] above the keys of one"
			b.fail(at, p)
			continue
		}
		item := reflect.New(out.Type().Elem()).Elem()
		preset := reflect.ValueOf(b.preset)
		for i := range preset.NumField() {
			if preset.Field(i).Type() == item.Type() {
				item.Set(preset.Field(i))
			}
		}
		b.structure(at, entry, item)
		out.SetMapIndex(reflect.ValueOf(name), item)
	}
}

func (b *binder) list(path []string, value any, out reflect.Value, rule Rule) {
	var items []any
	switch v := value.(type) {
	case []any:
		items = v
	case []map[string]any:
		for _, item := range v {
			items = append(items, item)
		}
	default:
		b.fail(path, wrong(value, "an array"))
		return
	}
	list := reflect.MakeSlice(out.Type(), len(items), len(items))
	for i, item := range items {
		b.value(below(path, strconv.Itoa(i)), item, list.Index(i), rule)
	}
	out.Set(list)
}

// text interpolates a string; plain tells that there was nothing to do.
func (b *binder) text(path []string, s string, secret bool) (text string, plain, ok bool) {
	if b.literal || !strings.Contains(s, "${") {
		return s, true, true
	}
	in := interpolation{Options: b.options, dir: b.doc.dir, secret: secret, warn: func(text, hint string) {
		b.warn(path, problem{text, hint})
	}}
	text, p := in.expand(s)
	if p != nil {
		b.fail(path, *p)
		return "", false, false
	}
	b.doc.hidden[join(path)] = true
	return text, false, true
}

// scalar binds a string, number, boolean, or what is written as a string.
func (b *binder) scalar(path []string, value any, out reflect.Value, rule Rule) {
	secret := out.Type() == secretType || out.Type() == urlType
	s, isText := value.(string)
	shown, plain := quote(s), true
	if isText {
		var ok bool
		written := s
		if s, plain, ok = b.text(path, s, secret); !ok {
			return
		}
		if !plain {
			// What it stands for may be a secret in the wrong place.
			shown = "what " + quote(written) + " stands for"
		}
	}
	set := func(v any) { out.Set(reflect.ValueOf(v).Convert(out.Type())) }
	switch {
	case secret || out.Kind() == reflect.String:
		if !isText {
			b.fail(path, wrong(value, "a string"))
			return
		}
		switch out.Type() {
		case secretType:
			set(Secret{s})
		case urlType:
			set(URL{s})
		default:
			set(s)
		}
	case reflect.PointerTo(out.Type()).Implements(textType):
		err := out.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s))
		kind := "duration"
		if out.Type() == reflect.TypeFor[Size]() {
			kind = "size"
		}
		if !isText {
			p := wrong(value, "a "+kind+" in quotes")
			p.hint = out.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText(nil).Error()
			b.fail(path, p)
			return
		}
		if err != nil {
			b.fail(path, problem{shown + " is not a " + kind, err.Error()})
			return
		}
	case out.CanInt():
		if n, err := strconv.ParseInt(s, 10, 64); isText && !plain && err == nil {
			value = n
		}
		n, ok := value.(int64)
		if !ok || out.OverflowInt(n) {
			b.fail(path, mistyped(value, plain, shown, "an integer"))
			return
		}
		shown = strconv.FormatInt(n, 10)
		set(n)
	case out.Kind() == reflect.Bool:
		if v, err := strconv.ParseBool(s); isText && !plain && err == nil {
			value = v
		}
		v, ok := value.(bool)
		if !ok {
			b.fail(path, mistyped(value, plain, shown, "a boolean"))
			return
		}
		set(v)
	}
	if p := rule.check(out, shown); p != nil {
		b.fail(path, *p)
	}
}

// mistyped is wrong with a hint for what only the quotes are wrong with.
func mistyped(value any, plain bool, shown, want string) problem {
	if !plain {
		return problem{shown + " is not " + want, "set it to one"}
	}
	p := wrong(value, want)
	if s, ok := value.(string); ok && regexp.MustCompile(`^([+-]?[0-9]{1,20}|true|false)$`).MatchString(s) {
		p.hint = "write " + s + " without quotes"
	}
	return p
}

var examples = map[string]string{
	"a string":   `write it in quotes: "..."`,
	"an integer": "write digits without quotes",
	"a boolean":  "write true or false without quotes",
	"an array":   "write it in brackets: [...]",
	"a table":    "write KEY = VALUE pairs in braces: {...}",
}

// wrong says that a value has the wrong type.
func wrong(value any, want string) problem {
	return problem{"is " + typeName(value) + ", not " + want, examples[want]}
}

func typeName(value any) string {
	switch value.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case bool:
		return "a boolean"
	case time.Time:
		return "a date or time"
	case map[string]any:
		return "a table"
	case []map[string]any:
		return "an array of tables"
	}
	return "an array"
}

// free interpolates the strings of a table of free shape and brings its arrays
// to one type.
func (b *binder) free(path []string, value any) any {
	switch v := value.(type) {
	case string:
		text, _, _ := b.text(path, v, true)
		return text
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = b.free(below(path, key), item)
		}
		return out
	case []map[string]any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = b.free(below(path, strconv.Itoa(i)), item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = b.free(below(path, strconv.Itoa(i)), item)
		}
		return out
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			b.fail(path, problem{"is not a finite number", "filters and brokers take finite numbers only"})
		}
	}
	return value
}
