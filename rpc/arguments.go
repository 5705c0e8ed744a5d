package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/wasmrouter/router/oslo"
)

// readArguments makes the arguments of a Go method out of a request. Its errors
// are what to answer.
type readArguments func(method string, in *Incoming) ([]reflect.Value, error)

var (
	rawType    = reflect.TypeFor[oslo.Raw]()
	objectType = reflect.TypeFor[oslo.Object]()
	mapType    = reflect.TypeFor[map[string]any]()
	numberType = reflect.TypeFor[json.Number]()
)

func noArguments(method string, in *Incoming) ([]reflect.Value, error) {
	args, err := parseArguments(method, in)
	if err != nil {
		return nil, err
	}
	for name := range args.All() {
		return nil, unexpectedArgument(method, name)
	}
	return nil, nil
}

// argumentsReader returns what reads arguments into a t.
func argumentsReader(t reflect.Type) (readArguments, error) {
	switch t {
	case incomingType:
		return func(_ string, in *Incoming) ([]reflect.Value, error) {
			return []reflect.Value{reflect.ValueOf(in)}, nil
		}, nil
	case objectType:
		return func(method string, in *Incoming) ([]reflect.Value, error) {
			args, err := parseArguments(method, in)
			return []reflect.Value{reflect.ValueOf(args)}, err
		}, nil
	case mapType:
		return func(method string, in *Incoming) ([]reflect.Value, error) {
			args, err := parseArguments(method, in)
			return []reflect.Value{reflect.ValueOf(args.Value())}, err
		}, nil
	}
	target := t
	if t.Kind() == reflect.Pointer {
		target = t.Elem()
	}
	if target.Kind() != reflect.Struct {
		return nil, fmt.Errorf("arguments are a struct, map[string]any, oslo.Object or *rpc.Incoming, not %s", t)
	}
	fields, err := argumentFields(target)
	if err != nil {
		return nil, err
	}
	return func(method string, in *Incoming) ([]reflect.Value, error) {
		args, err := parseArguments(method, in)
		if err != nil {
			return nil, err
		}
		into := reflect.New(target)
		if err := fields.fill(method, &args, into.Elem()); err != nil {
			return nil, err
		}
		if t.Kind() != reflect.Pointer {
			into = into.Elem()
		}
		return []reflect.Value{into}, nil
	}, nil
}

func parseArguments(method string, in *Incoming) (oslo.Object, error) {
	if len(in.Payload) == 0 {
		return oslo.Object{}, nil
	}
	args, err := oslo.ParseObject(in.Payload)
	if err != nil {
		return args, BadArguments(method + "() takes named arguments, and the request has none that can be read")
	}
	return args, nil
}

// argument is one named argument and the field it goes to.
type argument struct {
	name     string
	index    []int
	optional bool
}

type argumentList []argument

// argumentFields returns the arguments that are the fields of t, in their
// order.
func argumentFields(t reflect.Type) (argumentList, error) {
	var list argumentList
	known := map[string]bool{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			continue // its fields come on their own
		case f.Anonymous && name == "":
			return nil, fmt.Errorf("field %s of %s: embed a struct itself, or give it a json tag", f.Name, t)
		case !f.IsExported() || name == "-":
			continue
		case withinNamed(t, f.Index):
			continue
		}
		if name == "" {
			name = f.Name
		}
		if known[name] {
			return nil, fmt.Errorf("%s has two fields for the argument %s", t, name)
		}
		known[name] = true
		list = append(list, argument{
			name: name, index: f.Index,
			optional: strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero"),
		})
	}
	return list, nil
}

// withinNamed reports whether the field belongs to an embedded one that is an
// argument itself.
func withinNamed(t reflect.Type, index []int) bool {
	for n := 1; n < len(index); n++ {
		if t.FieldByIndex(index[:n]).Tag.Get("json") != "" {
			return true
		}
	}
	return false
}

func (list argumentList) find(name string) *argument {
	for i := range list {
		if list[i].name == name {
			return &list[i]
		}
	}
	return nil
}

func (list argumentList) fill(method string, args *oslo.Object, into reflect.Value) error {
	for name := range args.All() {
		if list.find(name) == nil {
			return unexpectedArgument(method, name)
		}
	}
	var missing []string
	for _, a := range list {
		raw, ok := args.Get(a.name)
		switch {
		case !ok && !a.optional:
			missing = append(missing, "'"+a.name+"'")
		case ok:
			if err := setArgument(into.FieldByIndex(a.index), raw); err != nil {
				return BadArguments(fmt.Sprintf("%s() argument '%s' %s", method, a.name, unfit(err)))
			}
		}
	}
	if missing != nil {
		return missingArguments(method, missing)
	}
	return nil
}

// setArgument reads raw into field. What the json package would change or
// refuse, although a Python peer may send it, is read here.
func setArgument(field reflect.Value, raw oslo.Raw) error {
	switch {
	case field.Type() == rawType:
		field.SetBytes(raw.Clone())
		return nil
	case field.Kind() == reflect.Interface && field.NumMethod() == 0:
		v, err := raw.Value()
		if v != nil {
			field.Set(reflect.ValueOf(v))
		}
		return err
	case field.Kind() == reflect.String && field.Type() != numberType && !raw.IsNull() && !unmarshals(field):
		text, ok := raw.Text()
		if !ok {
			return errNoString
		}
		field.SetString(text)
		return nil
	case (field.Kind() == reflect.Float64 || field.Kind() == reflect.Float32) && !unmarshals(field):
		v, err := raw.Value()
		if f, ok := v.(float64); ok && err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
			field.SetFloat(f)
			return nil
		}
	}
	return raw.Unmarshal(field.Addr().Interface())
}

var errNoString = errors.New("must be a string")

// unmarshals reports whether the field's type reads its own JSON or text.
func unmarshals(field reflect.Value) bool {
	switch field.Addr().Interface().(type) {
	case json.Unmarshaler, interface{ UnmarshalText([]byte) error }:
		return true
	}
	return false
}

// unfit says what is wrong with an argument, in words that name no Go type.
func unfit(err error) string {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		value, _, _ := strings.Cut(wrong.Value, " ") // without the number itself
		if wrong.Field == "" {
			return "must not be this " + value
		}
		return "must not have this " + value + " in " + wrong.Field
	}
	if errors.Is(err, errNoString) {
		return err.Error()
	}
	return "cannot be read"
}

func unexpectedArgument(method, name string) error {
	return BadArguments(fmt.Sprintf("%s() got an unexpected keyword argument '%s'", method, name))
}

// missingArguments says it as Python does.
func missingArguments(method string, quoted []string) error {
	what, list := "argument", quoted[0]
	if n := len(quoted); n > 1 {
		what = "arguments"
		comma := ""
		if n > 2 {
			comma = ","
		}
		list = strings.Join(quoted[:n-1], ", ") + comma + " and " + quoted[n-1]
	}
	return BadArguments(fmt.Sprintf("%s() missing %d required positional %s: %s", method, len(quoted), what, list))
}
