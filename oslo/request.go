package oslo

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	keyMsgID      = "_msg_id"
	keyReplyQueue = "_reply_q"
	keyTimeout    = "_timeout"
	keyUniqueID   = "_unique_id"
)

// ContextPrefix begins the name of each member of a message that is an entry of
// its context.
const ContextPrefix = "_context_"

// Request asks a server to run a method. With a message id and reply queue it
// is a call, without them a cast.
type Request struct {
	Method    string
	Args      Raw     // an object of named arguments; nil is an empty one
	Namespace *string // nil is the null namespace, which "" is not
	Version   string  // "" is [DefaultVersion] and is not written

	MsgID      string // of a call: names it in the reply
	ReplyQueue string // of a call: where the reply goes
	UniqueID   string // by which receivers know a duplicate
	Timeout    Raw    // of a call: seconds between keep-alives at most, or null

	Context Object // without the prefix that its names have on the wire
}

// IsCall reports whether the sender waits for a reply.
func (r *Request) IsCall() bool { return r.MsgID != "" && r.ReplyQueue != "" }

// Encode returns the message, not yet in an envelope.
func (r *Request) Encode() Raw {
	w := objectWriter{dst: append(make([]byte, 0, 256+len(r.Args)), '{')}
	w.text("method", r.Method)
	if len(r.Args) == 0 {
		w.raw("args", Raw("{}"))
	} else {
		w.raw("args", r.Args)
	}
	if r.Namespace != nil {
		w.text("namespace", *r.Namespace)
	}
	if r.Version != "" {
		w.text("version", r.Version)
	}
	if r.IsCall() {
		w.text(keyMsgID, r.MsgID)
		w.text(keyReplyQueue, r.ReplyQueue)
		w.raw(keyTimeout, r.Timeout)
	}
	w.text(keyUniqueID, r.UniqueID)
	w.prefixed(ContextPrefix, &r.Context)
	return Raw(append(w.dst, '}'))
}

// ParseRequest reads a request as leniently as a server must that wants to
// answer what is wrong with it: members of the wrong type are taken as absent,
// save the arguments, which [Request.Arguments] checks, and a version, whose
// text is kept and compatible with nothing.
func ParseRequest(message *Object) Request {
	r := Request{
		Method:     message.Text("method"),
		MsgID:      message.Text(keyMsgID),
		ReplyQueue: message.Text(keyReplyQueue),
		UniqueID:   message.Text(keyUniqueID),
		Context:    message.cutPrefixed(ContextPrefix),
	}
	r.Args, _ = message.Get("args")
	r.Timeout, _ = message.Get(keyTimeout)
	if raw, ok := message.Get("namespace"); ok {
		if text, ok := raw.Text(); ok {
			r.Namespace = &text
		}
	}
	if raw, ok := message.Get("version"); ok {
		if text, ok := raw.Text(); ok {
			r.Version = text
		} else {
			r.Version = string(raw)
		}
	}
	return r
}

// Arguments returns the named arguments. The error wraps [ErrMessage] if they
// are no object.
func (r *Request) Arguments() (Object, error) {
	if r.Args == nil {
		return Object{}, nil
	}
	o, err := ParseObject(r.Args)
	if err != nil {
		return Object{}, fmt.Errorf("arguments of %.64q: %w", r.Method, err)
	}
	return o, nil
}

// Bounds of what a peer can ask for, so that no arithmetic on it overflows and
// nobody is kept busy with keep-alives.
const (
	minKeepAlive = 100 * time.Millisecond
	maxKeepAlive = 24 * time.Hour
)

// KeepAlive returns how often the server must tell the caller that it is still
// at work: every int(timeout)/2 seconds. It is 0, never, without a timeout, and
// with one that is not above zero or that Python's int() would not take.
//
// Python's own servers send none to a caller that gave less than two seconds,
// and let it give up; here it hears twice in that time, at most ten times a
// second.
func (r *Request) KeepAlive() time.Duration {
	text, isText := r.Timeout.Text()
	if !isText {
		text = string(r.Timeout)
	} else if _, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err != nil {
		return 0
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(seconds > 0) || math.IsInf(seconds, 0) {
		return 0
	}
	if seconds > 2*maxKeepAlive.Seconds() {
		return maxKeepAlive
	}
	if seconds >= 2 {
		seconds = math.Trunc(seconds)
	}
	return max(time.Duration(seconds*float64(time.Second))/2, minKeepAlive)
}

// Seconds returns a duration as a number of seconds for [Request.Timeout]: an
// integer when it is one, else a float. Zero is null.
func Seconds(d time.Duration) Raw {
	switch {
	case d == 0:
		return Null
	case d%time.Second == 0:
		return Raw(strconv.FormatInt(int64(d/time.Second), 10))
	default:
		return Raw(appendFloat(nil, d.Seconds(), 64))
	}
}
