package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// configMessage is the configuration as router_init gets it: the table
// flattened with dots as headers, and as JSON in the body; section 2.4.
func configMessage(filter string, config map[string]any) (*Message, error) {
	m := &Message{}
	m.Props[FilterName] = filter
	if err := m.flatten("", config); err != nil {
		return nil, err
	}
	if config == nil {
		config = map[string]any{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(config); err != nil {
		return nil, fmt.Errorf("the configuration has no JSON: %w", err)
	}
	m.Body = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	return m, nil
}

func (m *Message) flatten(name string, value any) error {
	below := func(key string) string {
		if name == "" {
			return key
		}
		return name + "." + key
	}
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if err := m.flatten(below(key), v[key]); err != nil {
				return err
			}
		}
	case []any:
		for i := range v {
			if err := m.flatten(below(strconv.Itoa(i)), v[i]); err != nil {
				return err
			}
		}
	case string:
		m.Headers = append(m.Headers, Header{name, TextValue(v)})
	case int64:
		m.Headers = append(m.Headers, Header{name, IntValue(v)})
	case float64:
		m.Headers = append(m.Headers, Header{name, FloatValue(v)})
	case bool:
		m.Headers = append(m.Headers, Header{name, BoolValue(v)})
	case time.Time:
		m.Headers = append(m.Headers, Header{name, TextValue(v.Format(time.RFC3339Nano))})
	default:
		return fmt.Errorf("the configuration's %s is a %T; a table, array, string, int64, float64, bool or time is needed", name, value)
	}
	return nil
}
