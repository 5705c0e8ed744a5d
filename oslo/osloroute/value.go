package osloroute

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/wasmrouter/router/oslo"
)

// maxNesting bounds how deeply a value that filters see may nest: frames hold
// no more than 64 levels.
const maxNesting = 32

// showable reports whether a member of the context can be a header's name.
func showable(name string) bool {
	if name == "" || len(name) > 255 {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// headerOf returns a value as a header has it, and whether it can be one.
func headerOf(r oslo.Raw) (any, bool) {
	if text, ok := r.Text(); ok {
		return text, true
	}
	v, err := r.Value()
	if err != nil {
		return nil, false
	}
	return amqpValue(v, 0)
}

func amqpValue(v any, depth int) (any, bool) {
	if depth > maxNesting {
		return nil, false
	}
	switch v := v.(type) {
	case json.Number:
		return number(string(v)), true
	case []any:
		for i := range v {
			var ok bool
			if v[i], ok = amqpValue(v[i], depth+1); !ok {
				return nil, false
			}
		}
	case map[string]any:
		for name, value := range v {
			var ok bool
			if v[name], ok = amqpValue(value, depth+1); !ok {
				return nil, false
			}
		}
	}
	return v, true
}

// number returns a JSON number as the AMQP type that holds it, or as it is
// written.
func number(digits string) any {
	if strings.ContainsAny(digits, ".eE") {
		if f, err := strconv.ParseFloat(digits, 64); err == nil {
			return f
		}
		return digits
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
		return n
	}
	return digits
}

// unchanged reports whether a header is the one that filters were given. A list
// or table counts as the same only if it is the very one: filters replace them
// or leave them alone.
func unchanged(now, given any) bool {
	switch now := now.(type) {
	case float64:
		f, ok := given.(float64)
		return ok && math.Float64bits(f) == math.Float64bits(now)
	case []any:
		list, ok := given.([]any)
		return ok && len(list) == len(now) && (len(now) == 0 || &list[0] == &now[0])
	case map[string]any:
		table, ok := given.(map[string]any)
		return ok && sameMap(now, table)
	case []byte:
		return false // no JSON comes to one
	}
	switch given.(type) {
	case []any, map[string]any:
		return false
	}
	return now == given
}
