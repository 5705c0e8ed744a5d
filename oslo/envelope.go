package oslo

import (
	"fmt"
	"unicode/utf8"
)

const (
	envelopeVersion = "2.0"
	keyVersion      = "oslo.version"
	keyMessage      = "oslo.message"
)

// Body is the body of a message, read but not taken apart further than its
// message's members. It remembers its text, so that it can be passed on as it
// came but for what was changed.
type Body struct {
	// Enveloped tells whether the message was in an envelope; without one the
	// body is the message itself.
	Enveloped bool

	message Object
	text    []byte
	at, end int    // where in text the message, or the string that holds it, is
	inner   []byte // what the message was read from
}

// ReadBody reads a body. The result shares memory with text, which must not be
// changed.
//
// Errors wrap [ErrSyntax] or [ErrMessage]; a body that is not UTF-8, and an
// envelope of any other version than 2.0, are among them, as they are to
// Python.
func ReadBody(text []byte) (Body, error) {
	if !utf8.Valid(text) {
		return Body{}, fmt.Errorf("%w: the body is not UTF-8", ErrSyntax)
	}
	start := skipSpace(text, 0)
	version, holder, err := scanEnvelope(text, start)
	if err != nil {
		return Body{}, err
	}
	if version == nil || holder.end == 0 {
		outer, err := ParseObject(text)
		if err != nil {
			return Body{}, err
		}
		return Body{message: outer, text: text, at: start, end: start + len(outer.source), inner: outer.source}, nil
	}
	b := Body{Enveloped: true, text: text, at: holder.value, end: holder.end}
	if number, ok := version.Text(); !ok || !Compatible(envelopeVersion, number) {
		return b, fmt.Errorf("%w: envelope version %.20s, only %s is understood", ErrMessage, version, envelopeVersion)
	}
	if text[b.at] != '"' {
		return b, fmt.Errorf("%w: the envelope holds %s where a string should be", ErrMessage, Raw(text[b.at:b.end]).kind())
	}
	b.inner = unquote(text[b.at:b.end])
	if b.message, err = ParseObject(b.inner); err != nil {
		return b, fmt.Errorf("in the envelope: %w", err)
	}
	return b, nil
}

// scanEnvelope finds the version and the place of the message in the object
// that starts there. It leaves to [ParseObject] whatever is no object.
func scanEnvelope(text []byte, start int) (version Raw, holder place, err error) {
	if start == len(text) || text[start] != '{' {
		return nil, place{}, nil
	}
	end, err := scanObject(text, start, 0, func(key, keyEnd, value, valueEnd int) {
		switch string(unquote(text[key:keyEnd])) { // of the text itself, nearly always
		case keyVersion:
			version = Raw(text[value:valueEnd])
		case keyMessage:
			holder = place{key: key, value: value, end: valueEnd}
		}
	})
	if err != nil {
		return nil, place{}, err
	}
	if i := skipSpace(text, end); i != len(text) {
		return nil, place{}, syntaxError(i, "text after the value")
	}
	return version, holder, nil
}

// Message returns the message. It may be changed in place, by its methods, but
// not replaced by another.
func (b *Body) Message() *Object { return &b.message }

// Bytes returns the body's text: the very text it was read from while its
// message has not changed, else that text with the changes in it and every other
// byte as it was, also those of an envelope around the message.
func (b *Body) Bytes() []byte {
	if !b.message.touched {
		return b.text
	}
	edits := b.message.edits()
	if !b.Enveloped {
		shift(edits, b.at)
		return splice(nil, b.text, edits)
	}
	shift(edits, skipSpace(b.inner, 0))
	escape(edits, b.text[b.at:b.end])
	shift(edits, b.at)
	return splice(nil, b.text, edits)
}

// Open reads a body whose message will only be looked at, as [ReadBody] does.
func Open(body []byte) (message Object, enveloped bool, err error) {
	b, err := ReadBody(body)
	return b.message, b.Enveloped, err
}

// Seal returns a body that holds message in an envelope 2.0.
func Seal(message Raw) []byte {
	dst := make([]byte, 0, len(message)+len(message)/4+64)
	dst = append(dst, `{"`+keyVersion+`": "`+envelopeVersion+`", "`+keyMessage+`": `...)
	dst = appendQuoted(dst, message)
	return append(dst, '}')
}

// Kind is what a message is for.
type Kind uint8

// The kinds of message.
const (
	KindUnknown Kind = iota
	KindRequest
	KindReply
	KindNotification
)

// KindOf tells requests, replies and notifications apart by the members that
// only they have.
func KindOf(message *Object) Kind {
	has := func(key string) bool { return message.find(key) >= 0 }
	switch {
	case has("method"):
		return KindRequest
	case has("event_type") || has("publisher_id"):
		return KindNotification
	case has(keyMsgID) && (has("result") || has("failure") || has("ending")):
		return KindReply
	}
	return KindUnknown
}
