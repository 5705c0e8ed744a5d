package wasmhost

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/wasmrouter/router/router"
)

// configEnvelope turns a filter's configuration table into the message that
// router_init gets: the values flattened into headers, the table as JSON body.
func configEnvelope(config map[string]any) (*router.Envelope, error) {
	body := []byte("{}")
	if len(config) > 0 {
		var err error
		if body, err = json.Marshal(config); err != nil {
			return nil, fmt.Errorf("config: %w", err)
		}
	}
	headers := make(map[string]any, len(config))
	for k, v := range config {
		if err := flatten(headers, k, reflect.ValueOf(v), 0); err != nil {
			return nil, err
		}
	}
	env := router.NewEnvelope(headers, body)
	return &env, nil
}

// flatten writes v under key; tables and arrays under key.NAME and key.INDEX.
func flatten(to map[string]any, key string, v reflect.Value, depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("config.%s: nested deeper than %d levels", key, maxNesting)
	}
	for v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if !v.IsValid() {
		to[key] = nil
		return nil
	}
	switch x := v.Interface().(type) {
	case time.Time:
		to[key] = x.Format(time.RFC3339Nano)
		return nil
	case fmt.Stringer: // dates and times without a zone
		to[key] = x.String()
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		to[key] = v.String()
	case reflect.Bool:
		to[key] = v.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		to[key] = v.Int()
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		to[key] = int64(v.Uint())
	case reflect.Float32, reflect.Float64:
		to[key] = v.Float()
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if err := flatten(to, key+"."+strconv.Itoa(i), v.Index(i), depth+1); err != nil {
				return err
			}
		}
	case reflect.Map:
		if v.Type().Key().Kind() != reflect.String {
			return fmt.Errorf("config.%s: the keys of a table must be strings", key)
		}
		for it := v.MapRange(); it.Next(); {
			if err := flatten(to, key+"."+it.Key().String(), it.Value(), depth+1); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("config.%s: a value of type %s cannot be handed to a filter", key, v.Type())
	}
	return nil
}
