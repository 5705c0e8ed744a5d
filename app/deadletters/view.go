package deadletters

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"time"
	"unicode/utf8"

	"github.com/wasmrouter/router/router"
)

// Summary is what a list says of a letter, as JSON. It holds neither body nor headers
// of the original.
type Summary struct {
	ID       string `json:"id"`
	Position int    `json:"position"` // from 1, at the head of the queue
	Router   bool   `json:"router"`   // whether a route wrote it; others show what the broker says

	Reason     string     `json:"reason"` // of the route, or else of the broker's last dead-lettering
	Route      string     `json:"route,omitempty"`
	Filter     string     `json:"filter,omitempty"`
	Stage      string     `json:"stage,omitempty"`
	Error      string     `json:"error,omitempty"`
	Attempts   int64      `json:"attempts,omitempty"`
	FirstSeen  *time.Time `json:"first_seen,omitempty"`
	AgeSeconds *int64     `json:"age_seconds,omitempty"` // missing if the letter does not say
	Missing    []string   `json:"missing,omitempty"`     // targets that did not get it
	LeftOut    string     `json:"left_out,omitempty"`    // what had no room: details or headers

	Queue      string         `json:"queue,omitempty"` // where it came from
	Exchange   string         `json:"exchange,omitempty"`
	RoutingKey string         `json:"routing_key,omitempty"`
	Deaths     []router.Death `json:"deaths,omitempty"` // by the broker, the last first

	MessageID   string `json:"message_id,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	Bytes       int    `json:"bytes"`                // of the body
	Deliveries  int64  `json:"deliveries,omitempty"` // so often a quorum queue has had it back
}

// Summary returns what a list says.
func (l *Letter) Summary(now time.Time) Summary {
	s := Summary{
		ID: l.ID, Position: l.Position, Router: l.Ours,
		Reason: l.Why(), Route: l.Route, Filter: l.Filter, Stage: l.Stage, Error: l.Error, Attempts: l.Attempts,
		Missing: l.Missing, LeftOut: l.LeftOut,
		Queue: l.Letter.Queue, Exchange: l.Exchange, RoutingKey: l.RoutingKey, Deaths: l.Deaths,
		MessageID: l.Original.MessageID, ContentType: l.Original.ContentType, Bytes: len(l.Original.Body),
		Deliveries: l.DeliveryCount,
	}
	if !l.FirstSeen.IsZero() {
		at := l.FirstSeen.UTC()
		s.FirstSeen = &at
	}
	if age, ok := l.Age(now); ok {
		seconds := int64(age / time.Second)
		s.AgeSeconds = &seconds
	}
	return s
}

// Detail is a letter with its original, as JSON.
type Detail struct {
	Summary
	Message Message `json:"message"` // the original
}

// Hide takes out what may be in the message: its id and content type, and what a
// filter said of it.
func (s *Summary) Hide() {
	s.MessageID, s.ContentType = "", ""
	if loss := (router.Loss{Reason: s.Reason, Filter: s.Filter}); loss.Quotes() {
		s.Error = ""
	}
}

// Hide takes out what is in the message: its body, and the values of headers and
// properties, of which the names stay.
func (d *Detail) Hide() {
	d.Summary.Hide()
	m := &d.Message
	m.Hidden, m.Body, m.BodyJSON, m.BodyHex, m.BodyBase64 = true, nil, nil, nil, nil
	for name := range m.Properties {
		m.Properties[name] = ""
	}
	for name := range m.Headers {
		m.Headers[name] = nil
	}
}

// Message is a message as JSON.
type Message struct {
	Hidden     bool              `json:"hidden,omitempty"` // values are left out
	Properties map[string]string `json:"properties"`
	Headers    map[string]any    `json:"headers"`
	Bytes      int               `json:"bytes"`

	// The body, if it was asked for, as one of these.
	Body       *string         `json:"body,omitempty"`
	BodyJSON   json.RawMessage `json:"body_json,omitempty"`
	BodyHex    *string         `json:"body_hex,omitempty"`
	BodyBase64 *string         `json:"body_base64,omitempty"`
}

// Detail returns what there is to show of a letter. Form is as for [MessageOf].
func (l *Letter) Detail(now time.Time, form string) Detail {
	return Detail{l.Summary(now), MessageOf(&l.Original, form)}
}

// Forms are how a body can be shown.
var Forms = []string{"auto", "text", "json", "hex", "base64"}

// MessageOf returns a message as JSON, with its body in a form: "" leaves it out,
// "text" is for what is text, "json" for what is JSON, and "auto" is the best of json,
// text and base64. A body that the form is not for is shown as base64.
func MessageOf(env *router.Envelope, form string) Message {
	m := Message{Properties: PropertyTexts(&env.Properties), Headers: HeaderValues(env.Headers()), Bytes: len(env.Body)}
	isText := utf8.Valid(env.Body)
	switch {
	case form == "":
	case form == "hex":
		text := hex.EncodeToString(env.Body)
		m.BodyHex = &text
	case (form == "json" || form == "auto") && json.Valid(env.Body):
		m.BodyJSON = bytes.Clone(env.Body)
	case (form == "text" || form == "auto") && isText:
		text := string(env.Body)
		m.Body = &text
	default:
		text := base64.StdEncoding.EncodeToString(env.Body)
		m.BodyBase64 = &text
	}
	return m
}

// PropertyTexts returns the properties that there are, as texts.
func PropertyTexts(p *router.Properties) map[string]string {
	m := map[string]string{
		"content_type": p.ContentType, "content_encoding": p.ContentEncoding, "correlation_id": p.CorrelationID,
		"reply_to": p.ReplyTo, "expiration": p.Expiration, "message_id": p.MessageID, "type": p.Type,
		"user_id": p.UserID, "app_id": p.AppID,
	}
	if p.DeliveryMode != 0 {
		m["delivery_mode"] = fmt.Sprint(p.DeliveryMode)
	}
	if p.Priority != 0 {
		m["priority"] = fmt.Sprint(p.Priority)
	}
	if !p.Timestamp.IsZero() {
		m["timestamp"] = p.Timestamp.UTC().Format(time.RFC3339)
	}
	maps.DeleteFunc(m, func(_, v string) bool { return v == "" })
	return m
}

// HeaderValues returns headers as values that JSON can hold: what it has no type for
// is {"bytes": hex} or {"time": RFC 3339}, which [workbench.Message] reads.
func HeaderValues(headers map[string]any) map[string]any {
	m := make(map[string]any, len(headers))
	for name, v := range headers {
		m[name] = headerValue(v)
	}
	return m
}

func headerValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return HeaderValues(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = headerValue(v[i])
		}
		return list
	case float32:
		return finite(float64(v), v)
	case float64:
		return finite(v, v)
	case router.Decimal:
		return decimalText(v)
	case []byte:
		return map[string]string{"bytes": hex.EncodeToString(v)}
	case time.Time:
		return map[string]string{"time": v.UTC().Format(time.RFC3339)}
	}
	return v
}

// finite returns v, or its name if JSON has no such number.
func finite(f float64, v any) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return fmt.Sprint(f)
	}
	return v
}

func decimalText(d router.Decimal) string { return fmt.Sprintf("%de-%d", d.Value, d.Scale) }
