package rpc

import (
	"fmt"

	"github.com/wasmrouter/router/router"
)

// Format turns what is meant into messages and back. Its parts are pure and
// safe for concurrent use. Errors of every part wrap [ErrFormat].
type Format interface {
	RequestFormat
	AnswerFormat
	NotificationFormat
	// Text returns what the message says, for people to read: the message out
	// of its envelope, decompressed.
	Text(env *router.Envelope) ([]byte, error)
}

// RequestFormat is the part of a format for requests.
type RequestFormat interface {
	// EncodeRequest writes a request; a ticket without an id is that of a cast.
	EncodeRequest(req Request, ticket Ticket) (router.Envelope, error)
	// DecodeRequest reads a request. If the error holds a *RemoteError the
	// ticket is good, and the error is what to answer.
	DecodeRequest(env *router.Envelope) (Request, Ticket, error)
}

// AnswerFormat is the part of a format for answers to calls.
type AnswerFormat interface {
	// EncodeAnswer writes an answer to the call with the ticket.
	EncodeAnswer(answer Answer, ticket Ticket) (router.Envelope, error)
	// DecodeAnswer reads an answer and the id of its call.
	DecodeAnswer(env *router.Envelope) (id string, answer Answer, err error)
}

// NotificationFormat is the part of a format for notifications.
type NotificationFormat interface {
	EncodeNotification(n Notification) (router.Envelope, error)
	DecodeNotification(env *router.Envelope) (Notification, error)
}

// ParseFormat returns the format of that name: plain or oslo.
func ParseFormat(name string) (Format, error) {
	switch name {
	case "plain":
		return Plain{}, nil
	case "oslo":
		return Oslo{}, nil
	}
	return nil, fmt.Errorf("%w %q is unknown; the formats are plain and oslo", ErrFormat, name)
}
