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

// Open returns the message that a body holds. Enveloped tells whether it was
// in an envelope; a body without one is the message itself. The message shares
// memory with body where it can.
//
// Errors wrap [ErrSyntax] or [ErrMessage]; a body that is not UTF-8, and an
// envelope of any other version than 2.0, are among them, as they are to
// Python.
func Open(body []byte) (message Object, enveloped bool, err error) {
	if !utf8.Valid(body) {
		return Object{}, false, fmt.Errorf("%w: the body is not UTF-8", ErrSyntax)
	}
	outer, err := ParseObject(body)
	if err != nil {
		return Object{}, false, err
	}
	version, hasVersion := outer.Get(keyVersion)
	inner, hasMessage := outer.Get(keyMessage)
	if !hasVersion || !hasMessage {
		return outer, false, nil
	}
	text, ok := version.Text()
	if !ok || !Compatible(envelopeVersion, text) {
		return Object{}, true, fmt.Errorf("%w: envelope version %.20s, only %s is understood", ErrMessage, version, envelopeVersion)
	}
	if len(inner) == 0 || inner[0] != '"' {
		return Object{}, true, fmt.Errorf("%w: the envelope holds %s where a string should be", ErrMessage, inner.kind())
	}
	message, err = ParseObject(unquote(inner))
	if err != nil {
		return Object{}, true, fmt.Errorf("in the envelope: %w", err)
	}
	return message, true, nil
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
