package rpc

import (
	"fmt"
	"time"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

// Request asks a server to do something, with a call, or just tells it to,
// with a cast or fanout.
type Request struct {
	// Method is what to do. In the format plain it is the AMQP property type,
	// and may be empty.
	Method string
	// Payload is, in the format oslo, the text of a JSON object of named
	// arguments, nil for none; see [Args]. In the format plain it is the body.
	Payload []byte
	// Context travels beside the payload: in the format oslo as JSON values of
	// any kind, in the format plain as headers.
	Context map[string]any

	// Namespace and Version choose among a server's endpoints; nil is the null
	// namespace, and "" is version 1.0. Only for the format oslo.
	Namespace *string
	Version   string
	// Monitor makes the server tell that it is still at work; a call fails
	// with ErrSilent when it hears nothing for so long. 0 is no monitor; from
	// 2 s up it is of use. Only for the format oslo.
	Monitor time.Duration

	// ContentType is the body's, only for the format plain.
	ContentType string
}

// Args returns named arguments as a [Request.Payload] for the format oslo.
// Values are what [oslo.Marshal] takes.
func Args(args map[string]any) ([]byte, error) {
	if args == nil {
		return []byte("{}"), nil
	}
	return oslo.Marshal(args)
}

// Ticket joins a request and its replies.
type Ticket struct {
	ID        string        // of the call; empty for a cast
	ReplyTo   string        // queue for the replies; empty for a cast
	UniqueID  string        // of the message, by which duplicates are known
	KeepAlive time.Duration // how often the caller wants to hear from the server; 0 is never
}

// Wanted reports whether somebody waits for a reply.
func (t Ticket) Wanted() bool { return t.ID != "" && t.ReplyTo != "" }

// Reply is what a server answers.
type Reply struct {
	// Payload is the text of a JSON value in the format oslo, where nil is
	// null, and the body in the format plain.
	Payload []byte
	// Context are headers, only in the format plain.
	Context map[string]any
	// ContentType is the body's, only in the format plain.
	ContentType string
}

// Result returns a reply with the value as JSON, as [oslo.Marshal] writes it.
func Result(v any) (Reply, error) {
	raw, err := oslo.Marshal(v)
	return Reply{Payload: raw}, err
}

// Value returns the JSON payload as Go values, as [oslo.Raw.Value] does.
func (r Reply) Value() (any, error) {
	if r.Payload == nil {
		return nil, nil
	}
	return oslo.Raw(r.Payload).Value()
}

// Answer is one message in answer to a call: a reply, a failure, or only the
// news that the server is still at work.
type Answer struct {
	Reply     Reply
	Failure   *RemoteError
	KeepAlive bool
}

// Notification tells whoever listens that something has happened.
type Notification struct {
	MessageID   string // the default is a new one
	PublisherID string
	EventType   string
	Priority    string // lower case; a target or method that names one counts when sent
	Payload     []byte // JSON of any kind in the format oslo; the body in the format plain
	Timestamp   time.Time
	Context     map[string]any
	ContentType string // only in the format plain

	UniqueID string        // set on what is received
	Origin   router.Origin // set on what is received
}

// RemoteError is the failure that a server answered with. A server's handler
// may return one to choose what its caller sees.
type RemoteError struct {
	Class     string // of the exception
	Module    string // of the class
	Message   string
	Traceback []string // lines of the remote traceback, as the server chose to tell them
	Args      oslo.Raw // JSON list of the exception's arguments; nil is just the message
	Kwargs    oslo.Raw // JSON object of its named arguments; nil is none
}

// Error returns the class and message; the traceback is left out.
func (e *RemoteError) Error() string {
	switch {
	case e.Class == "":
		return "remote error: " + e.Message
	case e.Message == "":
		return "remote error: " + e.Class
	}
	return "remote error: " + e.Class + ": " + e.Message
}

// Is matches a target that is a *RemoteError whose set fields among Class,
// Module and Message are this one's, so that
// errors.Is(err, &RemoteError{Class: "NoSuchMethod"}) works.
func (e *RemoteError) Is(target error) bool {
	t, ok := target.(*RemoteError)
	return ok && (t.Class != "" || t.Module != "" || t.Message != "") &&
		(t.Class == "" || t.Class == e.Class) &&
		(t.Module == "" || t.Module == e.Module) &&
		(t.Message == "" || t.Message == e.Message)
}

func remoteError(f oslo.Failure) *RemoteError {
	return &RemoteError{Class: f.Class, Module: f.Module, Message: f.Message, Traceback: f.Traceback, Args: f.Args, Kwargs: f.Kwargs}
}

// check reports why the failure cannot be written.
func (e *RemoteError) check() error {
	if e.Args != nil {
		if _, err := e.Args.Elements(); err != nil {
			return fmt.Errorf("the failure's Args: %w", err)
		}
	}
	if e.Kwargs != nil {
		if _, err := oslo.ParseObject(e.Kwargs); err != nil {
			return fmt.Errorf("the failure's Kwargs: %w", err)
		}
	}
	return nil
}

func (e *RemoteError) failure() *oslo.Failure {
	return &oslo.Failure{Class: e.Class, Module: e.Module, Message: e.Message, Traceback: e.Traceback, Args: e.Args, Kwargs: e.Kwargs}
}
