package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/wasmrouter/router/app/deadletters"
	"github.com/wasmrouter/router/router"
)

// printedMessage is a message as JSON.
type printedMessage struct {
	Queue       string            `json:"queue"`
	Exchange    string            `json:"exchange"`
	RoutingKey  string            `json:"routing_key"`
	Redelivered bool              `json:"redelivered"`
	Properties  map[string]string `json:"properties"`
	Headers     map[string]any    `json:"headers"`
	Message     json.RawMessage   `json:"message,omitempty"`
	Body        string            `json:"body,omitempty"`
	BodyBase64  string            `json:"body_base64,omitempty"`
}

func (p *messagePrinter) print(env *router.Envelope) {
	body, message := env.Body, json.RawMessage(nil)
	if text, err := p.format.Text(env); err == nil {
		body = text
		if p.oslo && json.Valid(text) { // which Python's NaN is not
			message = text
		}
	}
	m := printedMessage{
		Queue: env.Origin.Queue, Exchange: env.Origin.Exchange, RoutingKey: env.Origin.RoutingKey,
		Redelivered: env.Origin.Redelivered, Properties: deadletters.PropertyTexts(&env.Properties), Headers: deadletters.HeaderValues(env.Headers()),
	}
	switch {
	case message != nil:
		m.Message = message
	case utf8.Valid(body):
		m.Body = string(body)
	default:
		m.BodyBase64 = base64.StdEncoding.EncodeToString(body)
	}
	if p.json {
		enc := json.NewEncoder(p.out)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(m) // every part is a type that JSON has
		return
	}
	fmt.Fprintf(p.out, "%s (exchange %q, key %q)\n", word(m.Queue), m.Exchange, m.RoutingKey)
	for _, name := range slices.Sorted(maps.Keys(m.Properties)) {
		fmt.Fprintf(p.out, "  %s: %q\n", name, m.Properties[name])
	}
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		fmt.Fprintf(p.out, "  header %s: %s\n", word(name), safe(compact(m.Headers[name])))
	}
	if m.BodyBase64 != "" {
		fmt.Fprintf(p.out, "  %d bytes, base64: %s\n", len(body), m.BodyBase64)
		return
	}
	if p.oslo {
		for _, line := range osloLines(body) {
			fmt.Fprintf(p.out, "  %s\n", safe(line))
		}
		return
	}
	fmt.Fprintf(p.out, "  %s\n", safe(m.Body))
}

// word returns a name as it is, or quoted if that could be taken for something else.
func word(s string) string {
	if q := strconv.Quote(s); q != `"`+s+`"` {
		return q
	}
	return s
}

// safe replaces control characters, which could otherwise command the terminal.
func safe(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '�'
		}
		return r
	}, s)
}

func compact(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%q", fmt.Sprint(v))
	}
	return string(data)
}
