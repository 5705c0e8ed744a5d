package workbench

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wasmrouter/router/router"
)

// Message is one message to try a filter with, as written in JSON. `router
// listen --output json` writes such messages.
type Message struct {
	// Headers holds JSON values; {"bytes": "<hex>"} and {"time": "<RFC 3339>"}
	// stand for what JSON cannot say.
	Headers     map[string]any `json:"headers"`
	Properties  map[string]any `json:"properties"`
	Exchange    string         `json:"exchange"`
	RoutingKey  string         `json:"routing_key"`
	Queue       string         `json:"queue"`
	Redelivered bool           `json:"redelivered"`
	Received    *time.Time     `json:"received"` // RFC 3339; nil is not known
	Target      string         `json:"target"`   // in pack and encode: where this copy goes

	// Body is a string, or any other JSON value for its text; or else
	// BodyBase64 is given.
	Body       json.RawMessage `json:"body"`
	BodyBase64 string          `json:"body_base64"`

	body []byte // as bytes
}

// ParseMessage reads one message written as JSON.
func ParseMessage(data []byte) (Message, error) {
	var m Message
	if err := decodeJSON(data, &m); err != nil {
		return m, err
	}
	switch {
	case len(m.Body) > 0 && m.BodyBase64 != "":
		return m, errors.New("it has body and body_base64; keep one of the two")
	case m.BodyBase64 != "":
		b, err := base64.StdEncoding.DecodeString(m.BodyBase64)
		if err != nil {
			return m, fmt.Errorf("body_base64: %w", err)
		}
		m.body = b
	case len(m.Body) > 0 && m.Body[0] == '"':
		var text string
		if err := json.Unmarshal(m.Body, &text); err != nil {
			return m, fmt.Errorf("body: %w", err)
		}
		m.body = []byte(text)
	default:
		m.body = m.Body
	}
	if _, err := m.Envelope(); err != nil {
		return m, err
	}
	_, err := m.targets()
	return m, err
}

// decodeJSON reads exactly one JSON value, with numbers as they are written and
// no fields that v does not have.
func decodeJSON(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("the JSON ends too early")
		}
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return mistyped(wrong)
		}
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// mistyped says what should be what, in the words of JSON.
func mistyped(e *json.UnmarshalTypeError) error {
	field, want := e.Field, "a string"
	if field == "" {
		field = "it"
	}
	switch e.Type.Kind() {
	case reflect.Map, reflect.Struct:
		want = "an object"
	case reflect.Bool:
		want = "true or false"
	}
	return fmt.Errorf("%s is not %s: a JSON %s stands there", field, want, e.Value)
}

// Envelope returns the message as the router has it.
func (m *Message) Envelope() (router.Envelope, error) {
	headers, _ := amqpValue(m.Headers).(map[string]any)
	env := router.NewEnvelope(headers, m.body)
	env.Origin = router.Origin{Queue: m.Queue, Exchange: m.Exchange, RoutingKey: m.RoutingKey, Redelivered: m.Redelivered}
	if m.Received != nil {
		env.Origin.Received = *m.Received
	}
	for name, v := range m.Properties {
		text := fmt.Sprint(v)
		if _, isMap := v.(map[string]any); isMap {
			return env, fmt.Errorf("the property %s is a table; write a string or a number", name)
		}
		i := slices.IndexFunc(properties, func(p property) bool { return p.name == name })
		if i < 0 {
			return env, fmt.Errorf("there is no property %q", name)
		}
		if err := properties[i].set(&env.Properties, text); err != nil {
			return env, fmt.Errorf("the property %s is %q: %w", name, text, err)
		}
	}
	return env, nil
}

// targets is the target that pack and encode see, or none.
func (m *Message) targets() ([]router.Target, error) {
	if m.Target == "" {
		return nil, nil
	}
	t, err := router.ParseTarget(m.Target)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	return []router.Target{t}, nil
}

// amqpValue turns a JSON value into the value that headers and TOML tables have.
func amqpValue(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, err := v.Float64()
		if err != nil {
			return math.Inf(1) // JSON has no larger numbers
		}
		return f
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = amqpValue(v[i])
		}
		return out
	case map[string]any:
		if s, ok := v["bytes"].(string); ok && len(v) == 1 {
			if b, err := hex.DecodeString(s); err == nil {
				return b
			}
		}
		if s, ok := v["time"].(string); ok && len(v) == 1 {
			if t, err := time.Parse(time.RFC3339, s); err == nil {
				return t.UTC()
			}
		}
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = amqpValue(v[k])
		}
		return out
	}
	return v
}

// property is one AMQP property as text, empty when the message has none.
type property struct {
	name string
	get  func(*router.Properties) string
	set  func(*router.Properties, string) error
}

// Properties returns those that a message has, by name, as text.
func Properties(p *router.Properties) map[string]string {
	all := map[string]string{}
	for _, one := range properties {
		if text := one.get(p); text != "" {
			all[one.name] = text
		}
	}
	return all
}

// properties are all of them, sorted by name.
var properties = []property{
	text("app_id", func(p *router.Properties) *string { return &p.AppID }),
	text("content_encoding", func(p *router.Properties) *string { return &p.ContentEncoding }),
	text("content_type", func(p *router.Properties) *string { return &p.ContentType }),
	text("correlation_id", func(p *router.Properties) *string { return &p.CorrelationID }),
	small("delivery_mode", 2, func(p *router.Properties) *uint8 { return &p.DeliveryMode }),
	text("expiration", func(p *router.Properties) *string { return &p.Expiration }),
	text("message_id", func(p *router.Properties) *string { return &p.MessageID }),
	small("priority", 255, func(p *router.Properties) *uint8 { return &p.Priority }),
	text("reply_to", func(p *router.Properties) *string { return &p.ReplyTo }),
	{
		"timestamp",
		func(p *router.Properties) string {
			if p.Timestamp.IsZero() {
				return ""
			}
			return p.Timestamp.UTC().Format(time.RFC3339)
		},
		func(p *router.Properties, s string) (err error) {
			p.Timestamp, err = time.Parse(time.RFC3339, s)
			return err
		},
	},
	text("type", func(p *router.Properties) *string { return &p.Type }),
	text("user_id", func(p *router.Properties) *string { return &p.UserID }),
}

func text(name string, at func(*router.Properties) *string) property {
	return property{
		name,
		func(p *router.Properties) string { return *at(p) },
		func(p *router.Properties, s string) error {
			if len(s) > 255 {
				return errors.New("AMQP allows 255 bytes")
			}
			*at(p) = s
			return nil
		},
	}
}

func small(name string, most uint64, at func(*router.Properties) *uint8) property {
	return property{
		name,
		func(p *router.Properties) string {
			if *at(p) == 0 {
				return ""
			}
			return strconv.Itoa(int(*at(p)))
		},
		func(p *router.Properties, s string) error {
			n, err := strconv.ParseUint(s, 10, 8)
			if err != nil || n > most {
				return fmt.Errorf("it is a number from 0 to %d", most)
			}
			*at(p) = uint8(n)
			return nil
		},
	}
}
