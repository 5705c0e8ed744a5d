package conformance

import (
	"bytes"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed vectors/*.txtar
var vectorFiles embed.FS

// Vector is one file of golden vectors: steps for one instance of the
// conformance filter.
type Vector struct {
	Name     string // of the file, without extension
	Proves   string
	Optional bool // the filter may leave the command out
	Config   map[string]any
	Steps    []Step
}

// Step is one message and what the filter must answer.
type Step struct {
	Stage   Stage
	Message Message
	Want    []string // in the language of SPEC.md
}

// Vectors returns the golden vectors of SPEC.md by name. Their configurations
// are of the types that [Check] takes.
func Vectors() ([]Vector, error) {
	files, err := fs.Glob(vectorFiles, "vectors/*.txtar")
	if err != nil {
		return nil, err
	}
	var vectors []Vector
	for _, file := range files {
		b, err := vectorFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		v, err := ParseVector(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		v.Name = strings.TrimSuffix(path.Base(file), ".txtar")
		vectors = append(vectors, v)
	}
	return vectors, nil
}

// ParseVector reads a file of golden vectors.
func ParseVector(b []byte) (Vector, error) {
	var v Vector
	comment, sections := sections(string(b))
	v.Proves, v.Optional = strings.CutSuffix(strings.Join(strings.Fields(comment), " "), " (optional)")
	v.Proves = strings.TrimSuffix(v.Proves, ".")
	step := Step{Stage: Decide}
	for _, s := range sections {
		var err error
		text := strings.TrimSuffix(s.text, "\n")
		switch s.name {
		case "config":
			var config any
			if config, err = decodeJSON(s.text); err == nil {
				v.Config, _ = config.(map[string]any)
			}
		case "message":
			err = step.parse(s.text)
		case "body":
			step.Message.Body = []byte(text)
		case "body.go":
			var body string
			body, err = strconv.Unquote(text)
			step.Message.Body = []byte(body)
		case "want":
			step.Want = strings.Split(text, "\n")
			v.Steps = append(v.Steps, step)
			step = Step{Stage: Decide}
		default:
			err = errors.New("there is no such section")
		}
		if err != nil {
			return v, fmt.Errorf("section %s after %d steps: %w", s.name, len(v.Steps), err)
		}
	}
	if len(v.Steps) == 0 {
		return v, errors.New("there is no want section")
	}
	return v, nil
}

// section is one section of a txtar file.
type section struct{ name, text string }

func sections(s string) (comment string, out []section) {
	for line := range strings.Lines(s) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "-- ")
		name, marked := strings.CutSuffix(name, " --")
		switch {
		case ok && marked:
			out = append(out, section{name: strings.TrimSpace(name)})
		case len(out) == 0:
			comment += line
		default:
			out[len(out)-1].text += line
		}
	}
	return comment, out
}

func decodeJSON(s string) (any, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return plainJSON(v), err
}

// plainJSON turns numbers into int64 or float64.
func plainJSON(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64() // infinite if it is too large
		return f
	case []any:
		for i := range v {
			v[i] = plainJSON(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plainJSON(v[k])
		}
	}
	return v
}

// parse reads a message section.
func (s *Step) parse(text string) error {
	var in struct {
		Headers      map[string]json.RawMessage `json:"headers"`
		Properties   map[string]string          `json:"properties"`
		Redelivered  bool                       `json:"redelivered"`
		Priority     uint8                      `json:"priority"`
		DeliveryMode uint8                      `json:"delivery_mode"`
		Timestamp    int64                      `json:"timestamp"`
		Received     time.Time                  `json:"received"`
		Stage        string                     `json:"stage"`
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return err
	}
	m := Message{Redelivered: in.Redelivered, Priority: in.Priority, DeliveryMode: in.DeliveryMode, Timestamp: in.Timestamp * 1e9}
	if !in.Received.IsZero() {
		m.Received = in.Received.UnixNano()
	}
	for _, name := range slices.Sorted(maps.Keys(in.Headers)) {
		v, err := headerValue(in.Headers[name])
		if err != nil {
			return fmt.Errorf("header %s: %w", name, err)
		}
		m.Headers = append(m.Headers, Header{name, v})
	}
	for name, text := range in.Properties {
		slot := slices.Index(slotNames[:], name)
		if slot < 0 {
			return fmt.Errorf("there is no property %q", name)
		}
		m.Props[slot] = text
	}
	m.Body, s.Message = s.Message.Body, m
	if in.Stage != "" {
		i := slices.Index(stageNames[:], in.Stage)
		if i < 0 {
			return fmt.Errorf("there is no stage %q", in.Stage)
		}
		s.Stage = Stage(i)
	}
	return nil
}

func headerValue(raw json.RawMessage) (Value, error) {
	v, err := decodeJSON(string(raw))
	if err != nil {
		return Value{}, err
	}
	switch v := v.(type) {
	case nil:
		return Value{}, nil
	case string:
		return TextValue(v), nil
	case bool:
		return BoolValue(v), nil
	case int64:
		if bytes.ContainsAny(raw, ".eE") {
			return FloatValue(float64(v)), nil
		}
		return IntValue(v), nil
	case float64:
		return FloatValue(v), nil
	case map[string]any:
		switch s, _ := v["bytes"].(string); {
		case len(v) != 1:
		case v["time"] != nil:
			if n, ok := v["time"].(int64); ok {
				return Value{Type: Time, Data: u64(uint64(n))}, nil
			}
		case v["nested"] != nil:
			if s, ok := v["nested"].(string); ok {
				flags := uint8(0)
				if strings.HasPrefix(s, "[") {
					flags = Array
				}
				return Value{Type: Nested, Flags: flags, Data: []byte(s)}, nil
			}
		case v["bytes"] != nil:
			b, err := hex.DecodeString(s)
			return Value{Type: Bytes, Data: b}, err
		}
	}
	return Value{}, fmt.Errorf("%s is no header's value", raw)
}
