package rpc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/wasmrouter/router/oslo"
)

// Exposure chooses among the methods of a Go value; see [MethodsOf]. The zero
// value takes all that are suitable.
type Exposure struct {
	// Only holds the Go names of the methods to take, and no others. One that
	// is missing or not suitable is an error. Nil is every suitable method
	// that the value's own type has; those that it has from an embedded field
	// have to be named.
	Only []string
	// Names gives methods, by their Go names, another name than the one that
	// [MethodName] makes.
	Names map[string]string
}

var (
	contextType  = reflect.TypeFor[context.Context]()
	errorType    = reflect.TypeFor[error]()
	incomingType = reflect.TypeFor[*Incoming]()
	replyType    = reflect.TypeFor[Reply]()
)

// MethodsOf returns handlers for exported methods of v, which are called on v,
// concurrently: they go into an [Endpoint]. Suitable is a method of the form
//
//	func(ctx context.Context, args T) (R, error)
//
// where args, R or both may be absent, so that ordinary methods such as String
// or Close() error are never exposed by chance. T is a struct or a pointer to
// one, whose fields are the arguments by the names in their json tags; or
// map[string]any, [oslo.Object], or *[Incoming] for the request as it is. R is
// what [oslo.Marshal] takes, or [Reply]. Ctx is the handler's; it gives the
// request to [IncomingFrom].
//
// An argument is required unless its json tag says omitempty or omitzero. A
// request with a missing, unknown or unfit argument is answered with the
// TypeError that a Python server answers with; see [BadArguments].
//
// The error names what Only or Names say in vain, a method of Only that is not
// suitable, and two methods of one name.
func MethodsOf(v any, e Exposure) (map[string]Handler, error) {
	if v == nil {
		return nil, errors.New("rpc: methods of nil")
	}
	value := reflect.ValueOf(v)
	names := e.Only
	if names == nil {
		for m := range value.Type().Methods() {
			if !embedded(value.Type(), m.Name) {
				names = append(names, m.Name)
			}
		}
	}
	methods := map[string]Handler{}
	taken := map[string]bool{}
	for _, name := range names {
		m := value.MethodByName(name)
		if !m.IsValid() {
			return nil, fmt.Errorf("rpc: %T has no exported method %s", v, name)
		}
		wire, named := e.Names[name]
		if !named {
			wire = MethodName(name)
		}
		handler, err := methodHandler(wire, m)
		switch {
		case err != nil && e.Only == nil && !named:
			continue
		case err != nil:
			return nil, fmt.Errorf("rpc: method %s of %T: %w", name, v, err)
		case wire == "" || wire[0] == '_':
			return nil, fmt.Errorf("rpc: method %s of %T: the name %q is one that no client may call", name, v, wire)
		case methods[wire] != nil:
			return nil, fmt.Errorf("rpc: method %s of %T: another one is called %s too; Names can change that", name, v, wire)
		}
		methods[wire], taken[name] = handler, true
	}
	for _, name := range slices.Sorted(maps.Keys(e.Names)) {
		if !taken[name] {
			return nil, fmt.Errorf("rpc: Names has %s, which is no method of %T that is exposed", name, v)
		}
	}
	return methods, nil
}

// embedded reports whether an embedded field of t has a method of that name.
func embedded(t reflect.Type, name string) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return false
	}
	for field := range t.Fields() {
		if !field.Anonymous {
			continue
		}
		if _, ok := field.Type.MethodByName(name); ok {
			return true
		}
		if field.Type.Kind() != reflect.Interface {
			if _, ok := reflect.PointerTo(field.Type).MethodByName(name); ok {
				return true
			}
		}
	}
	return false
}

// MethodName returns the name that a method of that Go name has for clients:
// words in lower case, joined by underscores. A word begins at an upper-case
// letter that follows something else, and at one that a lower-case letter
// follows: GetServerByID is get_server_by_id, HTTPPort is http_port.
func MethodName(goName string) string {
	var b strings.Builder
	letters := []rune(goName)
	for i, r := range letters {
		if unicode.IsUpper(r) && i > 0 && letters[i-1] != '_' {
			begins := !unicode.IsUpper(letters[i-1])
			ends := i+1 < len(letters) && unicode.IsLower(letters[i+1])
			if begins || ends {
				b.WriteByte('_')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// methodHandler returns a handler that calls m.
func methodHandler(name string, m reflect.Value) (Handler, error) {
	t := m.Type()
	if t.IsVariadic() || t.NumIn() < 1 || t.NumIn() > 2 || t.In(0) != contextType ||
		t.NumOut() < 1 || t.NumOut() > 2 || t.Out(t.NumOut()-1) != errorType {
		return nil, fmt.Errorf("func(context.Context[, arguments]) ([result,] error) is what can be exposed, not %s", t)
	}
	read := noArguments
	if t.NumIn() == 2 {
		var err error
		if read, err = argumentsReader(t.In(1)); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, in *Incoming) (Reply, error) {
		args, err := read(name, in)
		if err != nil {
			return Reply{}, err
		}
		out := m.Call(append([]reflect.Value{reflect.ValueOf(ctx)}, args...))
		if err, _ := out[len(out)-1].Interface().(error); err != nil {
			return Reply{}, err
		}
		if len(out) == 1 {
			return Reply{}, nil
		}
		return methodReply(out[0])
	}, nil
}

func methodReply(result reflect.Value) (Reply, error) {
	if result.Type() == replyType {
		return result.Interface().(Reply), nil
	}
	reply, err := Result(result.Interface())
	if err != nil {
		return Reply{}, fmt.Errorf("%w: the result: %w", ErrFormat, err)
	}
	reply.ContentType = oslo.ContentType
	return reply, nil
}
