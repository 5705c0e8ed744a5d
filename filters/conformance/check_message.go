package conformance

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// sampleMessages are ordinary messages of many kinds.
func sampleMessages() []Message {
	full := Message{
		Headers: []Header{
			{"tenant", TextValue("acme")},
			{"retries", IntValue(3)},
			{"ratio", FloatValue(0.5)},
			{"dry_run", BoolValue(true)},
			{"trace", Value{Type: Bytes, Data: []byte{0, 1, 0xfe, 0xff}}},
			{"at", Value{Type: Time, Data: u64(1_700_000_000)}},
			{"nothing", Value{}},
			{"price", Value{Type: UTF8, Flags: Decimal, Data: []byte("12.50")}},
			{"tags", Value{Type: Nested, Flags: Array, Data: []byte(`["a",1]`)}},
			{"origin", Value{Type: Nested, Data: []byte(`{"host":"h1"}`)}},
		},
		Body:      []byte(`{"type":"order.created","id":7,"order":{"type":"created","items":[{"sku":"a","n":1}],"total":12.5},"note":"grün \u00e4 \"q\"","ok":true,"none":null}`),
		Timestamp: 1_700_000_000_000_000_000, Received: 1_700_000_000_123_456_789,
		Priority: 5, DeliveryMode: 2, Redelivered: true,
	}
	for i := range full.Props {
		full.Props[i] = "p-" + slotNames[i]
	}
	full.Props[ContentType], full.Props[Expiration], full.Props[TargetSlot] = "application/json", "60000", "queue:out"

	body := func(contentType, body string) Message {
		m := Message{Body: []byte(body), Received: 1_700_000_001_000_000_000}
		m.Props[ContentType], m.Props[RoutingKey], m.Props[MessageID] = contentType, "orders.new", "m-1"
		m.Headers = []Header{{"tenant", TextValue("acme")}}
		return m
	}
	oslo := body("application/json", `{"oslo.version":"2.0","oslo.message":"{\"method\":\"ping\",\"args\":{\"x\":1},\"namespace\":null,\"version\":\"1.0\",\"_unique_id\":\"0a1b\",\"_msg_id\":\"6f\",\"_reply_q\":\"reply_1\"}"}`)
	return []Message{
		full,
		body("application/json", `{}`),
		body("application/json", `{"type":"other","order":{"type":"unknown"}}`),
		body("application/json", `[1,2,{"type":"created"}]`),
		body("application/json", `"text"`),
		body("application/msgpack", "\x81\xa4type\xa7created"),
		body("text/plain", "plain text"),
		body("", ""),
		oslo,
	}
}

// oddMessage is a message that is allowed and hardly ever seen.
type oddMessage struct {
	id, proves string
	needs      *Needs // when they are not the filter's
	messages   func() []Message
	big        bool // it may be too big for the filter
}

func oddMessages() []oddMessage {
	nothing := &Needs{}
	return []oddMessage{
		{id: "message.empty", proves: "a message without anything does no harm", messages: func() []Message { return []Message{{}} }},
		{id: "message.left-out", proves: "frames without body, headers and properties do no harm", needs: nothing, messages: sampleMessages},
		{id: "message.truncated", proves: "a body cut to its beginning does no harm", needs: &Needs{Headers: true, Properties: true, Prefix: 10}, messages: sampleMessages},
		{id: "message.many-headers", proves: "1,000 headers do no harm", messages: manyHeaders},
		{id: "message.huge-header", proves: "a header of 256 KiB and a name of 65,535 bytes do no harm", messages: hugeHeader, big: true},
		{id: "message.big-body", proves: "a body of 1 MiB does no harm", messages: bigBody, big: true},
		{id: "message.strings", proves: "strings that are not UTF-8 or hold NUL do no harm", messages: oddStrings},
		{id: "message.values", proves: "extreme numbers and values do no harm", messages: oddValues},
		{id: "message.json", proves: "bodies that are almost JSON do no harm", messages: almostJSON},
		{id: "message.json-deep", proves: "JSON nested 20,000 levels does no harm", messages: deepJSON},
	}
}

// messages checks the odd ones.
func (c *checker) messages() {
	for _, odd := range oddMessages() {
		c.check(odd.id, odd.proves, func() error {
			return c.fresh(func(s *session) error { return c.odd(s, odd) })
		})
	}
}

func (c *checker) odd(s *session, odd oddMessage) error {
	mine := s.needs
	for i, m := range odd.messages() {
		for _, stage := range c.mod.stages() {
			if odd.needs != nil {
				s.needs = *odd.needs
			}
			_, err := c.say(s, stage, &m)
			if odd.big && (errors.Is(err, errFull) || errors.Is(err, errMemory)) {
				return skipf("%s: %v for a frame of that size", stage, err)
			}
			if err != nil {
				return fmt.Errorf("%s, message %d: %w; answer with an ERROR what cannot be handled", stage, i, err)
			}
			// The filter must still be there.
			s.needs = mine
			if _, err := c.say(s, stage, &c.samples[0]); err != nil {
				return fmt.Errorf("%s, an ordinary message after message %d: %w", stage, i, err)
			}
		}
	}
	return nil
}

func manyHeaders() []Message {
	m := sampleMessages()[0]
	for i := range 1000 {
		m.Headers = append(m.Headers, Header{fmt.Sprintf("h%d", i), TextValue(strings.Repeat("v", i%50))})
	}
	return []Message{m}
}

func hugeHeader() []Message {
	m := sampleMessages()[0]
	m.Headers = append(m.Headers,
		Header{"huge", TextValue(strings.Repeat("0123456789abcdef", 16<<10))},
		Header{strings.Repeat("n", 65535), TextValue("")})
	return []Message{m}
}

func bigBody() []Message {
	m := sampleMessages()[0]
	m.Body = []byte(`{"pad":"` + strings.Repeat("x", 1<<20) + `","type":"created"}`)
	return []Message{m}
}

func oddStrings() []Message {
	bad := "\xff\xfe\xc3(\xed\xa0\x80\x00\n\x7f"
	m := sampleMessages()[0]
	for i := range m.Props {
		m.Props[i] += bad
	}
	m.Headers = append(m.Headers,
		Header{"bad", TextValue(bad)}, Header{bad, TextValue(bad)}, Header{"", TextValue("no name")},
		Header{"a\x00b", TextValue("a\x00b")}, Header{"a", TextValue("")}, Header{"tenant\x00", TextValue("x")})
	m.Body = []byte(`{"type":"` + bad + `","` + bad + `":1}`)
	n := sampleMessages()[1]
	n.Body = []byte(bad)
	return []Message{m, n}
}

func oddValues() []Message {
	var messages []Message
	for _, v := range []int64{0, -1, math.MinInt64, math.MaxInt64} {
		m := sampleMessages()[0]
		m.Timestamp, m.Received, m.Priority, m.DeliveryMode = v, v, 255, 2
		m.Props[Expiration] = "99999999999999999999"
		m.Headers = []Header{
			{"tenant", IntValue(v)},
			{"at", Value{Type: Time, Data: u64(uint64(v))}},
			{"nan", FloatValue(math.NaN())},
			{"inf", FloatValue(math.Inf(-1))},
			{"small", FloatValue(math.SmallestNonzeroFloat64)},
			{"empty", TextValue("")},
			{"bytes", Value{Type: Bytes}},
			{"no", BoolValue(false)},
			{"null", Value{}},
			{"array", Value{Type: Nested, Flags: Array, Data: []byte("[]")}},
			{"table", Value{Type: Nested, Data: []byte("{}")}},
			{"decimal", Value{Type: UTF8, Flags: Decimal, Data: []byte("-0.0000000001")}},
		}
		m.Body = fmt.Appendf(nil, `{"type":%d,"id":1e400,"order":{"type":-0.0}}`, v)
		messages = append(messages, m)
	}
	return messages
}

// almostJSON is a document cut after each of its bytes, and one mistake a body.
func almostJSON() []Message {
	doc := string(sampleMessages()[0].Body)
	bodies := []string{
		"{", "[", `"`, "}", "]", ",", ":", "tru", "nul", "-", "+1", "01", "1.", ".5", "1e", "1e+", "0x10", "NaN", "'a'",
		`{"type"}`, `{"type":}`, `{"type":1,}`, `{,}`, `{"type" 1}`, `{type:1}`, `{"type":1 "id":2}`, `{1:2}`, `{"type":[}`, `{"type":{]}`, `[1,]`, `[1 2]`, `[,]`,
		`{"type":"\x"}`, `{"type":"\u12"}`, `{"type":"\u12zz"}`, `{"type":"\ud800"}`, `{"type":"\ud800\u0041"}`, `{"type":"\udc00\ud800"}`, `{"type":"\`, "{\"type\":\"a\nb\"}", "{\"type\":\"a\x00b\"}",
		`{"type":"a","type":"b"}`, `{"":1}`, `{"a.b":{"":1}}`, `{"type":"created"} trailing`, "\xef\xbb\xbf{\"type\":\"created\"}", "\x00{\"type\":1}", "// comment\n{}", `{"type":"created"/**/}`,
		strings.Repeat(" ", 4096), `{"type":` + strings.Repeat("9", 4096) + `}`, `{"type":"` + strings.Repeat(`\u0041`, 4096) + `"}`,
	}
	for i := range len(doc) {
		bodies = append(bodies, doc[:i])
	}
	return jsonMessages(bodies...)
}

func deepJSON() []Message {
	const levels = 20_000
	open, object := strings.Repeat("[", levels), strings.Repeat(`{"type":`, levels)
	return jsonMessages(open, open+strings.Repeat("]", levels), object, object+"1"+strings.Repeat("}", levels),
		`{"pad":`+open+strings.Repeat("]", levels)+`,"type":"created"}`)
}

func jsonMessages(bodies ...string) []Message {
	messages := make([]Message, len(bodies))
	for i, body := range bodies {
		messages[i] = sampleMessages()[0]
		messages[i].Body = []byte(body)
	}
	return messages
}
