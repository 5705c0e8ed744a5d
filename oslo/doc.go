// Package oslo reads and writes the messages that oslo.messaging's RabbitMQ
// driver exchanges: requests, replies, failures, keep-alives and
// notifications, in its envelope 2.0 and in the flat form before it.
//
// Everything here is a pure function of its arguments. JSON is kept as text
// wherever it is only passed on: the language of the other side tells 1 from
// 1.0, has integers without limit, the bare words NaN and Infinity, and
// strings with lone surrogates, and none of these may change on the way. A
// [Raw] is one such text, an [Object] a list of named ones.
//
// Go strings hold a lone surrogate as its three-byte generalised UTF-8 form;
// it is written back as the escape it came from.
package oslo

import (
	"errors"
	"fmt"
)

// Properties of every message, as AMQP basic properties.
const (
	ContentType     = "application/json"
	ContentEncoding = "utf-8"
	DeliveryMode    = 2 // persistent, also in transient queues
)

// MaxDepth is how deeply arrays and objects may nest in a message. Python's
// own reader gives up a little below a thousand.
const MaxDepth = 512

var (
	// ErrSyntax is wrapped by every error about text that is not the JSON
	// that a Python peer would read.
	ErrSyntax = errors.New("not JSON")
	// ErrMessage is wrapped by errors about JSON that is no oslo message, for
	// example an envelope of another version.
	ErrMessage = errors.New("not an oslo message")
	// ErrContent is wrapped by errors about the content type or compression
	// of a message.
	ErrContent = errors.New("content not understood")
	// ErrTooLarge is wrapped by errors about a body that grows beyond its
	// limit when decompressed.
	ErrTooLarge = errors.New("too large")
)

func syntaxError(at int, what string) error {
	return fmt.Errorf("%w at byte %d: %s", ErrSyntax, at, what)
}
