package config

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
)

// CasesSuffix is how the name of a file with cases ends: router.test.toml has
// those of router.toml.
const CasesSuffix = ".test.toml"

// CaseFile is a file with cases for `router test`: messages, and what the routes
// of a configuration must make of them. It is made by [LoadCases] or
// [ParseCases].
type CaseFile struct {
	// The cases, in the order in which they run. None knows of another.
	Cases []Case `toml:"case" json:"case"`

	doc *document
}

// Case is one message, and what must become of it.
type Case struct {
	// What the case is called in reports.
	Name string `toml:"name" json:"name" rule:"required,max=200"`
	// Messages that pass the route first, for filters that remember. Nothing is
	// expected of them.
	Before []Given `toml:"before" json:"before"`
	// The message.
	Given Given `toml:"given" json:"given"`
	// What it passes.
	When When `toml:"when" json:"when"`
	// What must become of it. What is not written is not looked at.
	Expect Expect `toml:"expect" json:"expect"`
}

// When says what the message of a case passes.
type When struct {
	// The route; it may be left out if the configuration has one alone.
	Route string `toml:"route" json:"route"`
}

// Given is a message as it is in the queue.
type Given struct {
	// The exchange it was published to, and the routing key.
	Exchange   string `toml:"exchange" json:"exchange" rule:"max=255"`
	RoutingKey string `toml:"routing_key" json:"routing_key" rule:"max=255"`
	// Whether the broker says that it was delivered before.
	Redelivered bool `toml:"redelivered" json:"redelivered"`
	// The AMQP properties, such as content_type, message_id and reply_to.
	Properties Table `toml:"properties" json:"properties"`
	// The headers; { bytes = "HEX" } stands for bytes.
	Headers Table `toml:"headers" json:"headers"`
	// The body: text, or a table or an array for its JSON. Or else one of the
	// next two.
	Body any `toml:"body" json:"body"`
	// The body in base64.
	BodyBase64 string `toml:"body_base64" json:"body_base64"`
	// A file with the body, relative to the directory of the cases.
	BodyFile string `toml:"body_file" json:"body_file"`
	// A message of oslo.messaging instead of a body.
	Oslo OsloMessage `toml:"oslo" json:"oslo"`

	body content
}

// OsloMessage is a message of oslo.messaging: a call or cast with method, a
// notification with event_type.
type OsloMessage struct {
	// The method that is called, and its arguments.
	Method string `toml:"method" json:"method"`
	Args   Table  `toml:"args" json:"args"`
	// The version and namespace of the method; none by default.
	Version   string `toml:"version" json:"version"`
	Namespace string `toml:"namespace" json:"namespace"`
	// The queue where the caller waits; without one it is a cast.
	ReplyTo string `toml:"reply_to" json:"reply_to" rule:"max=255"`
	// What has happened, to whom, and how grave it is.
	EventType   string `toml:"event_type" json:"event_type"`
	PublisherID string `toml:"publisher_id" json:"publisher_id"`
	Priority    string `toml:"priority" json:"priority"`
	// What a notification tells.
	Payload any `toml:"payload" json:"payload"`
	// The context.
	Context Table `toml:"context" json:"context"`
}

// Is reports whether there is a message.
func (m *OsloMessage) Is() bool { return m.Method != "" || m.EventType != "" }

// Expect is what must become of a message.
type Expect struct {
	// How it ends.
	Action string `toml:"action" json:"action" rule:"one=forward|reply|drop|dead-letter|retry"`
	// Exactly the targets that it, and the messages made of it, are sent to, in
	// any order. Each is listed as often as it gets one.
	Targets []string `toml:"targets" json:"targets"`
	// How many messages are sent.
	Messages int `toml:"messages" json:"messages" rule:"min=0"`
	// Why it is a dead letter, as in the header x-router-reason.
	Reason string `toml:"reason" json:"reason"`
	// What the explanation of a dead letter, drop or retry holds.
	Error string `toml:"error" json:"error"`
	// The filter whose word it was that it goes no further, and the stage.
	Filter string `toml:"filter" json:"filter"`
	Stage  string `toml:"stage" json:"stage" rule:"one=decode|unpack|decide|pack|encode"`
	// What every message that is sent must be.
	Message
	// What one message for each of these must be.
	Sent []Sent `toml:"sent" json:"sent"`

	written map[string]bool
}

// Sent is what one of several messages must be.
type Sent struct {
	// Where it goes.
	Target string `toml:"target" json:"target" rule:"required"`
	Message
}

// Message is what a message that is sent must be.
type Message struct {
	// Headers and properties that it must have, with these values.
	Headers    Table `toml:"headers" json:"headers"`
	Properties Table `toml:"properties" json:"properties"`
	// What its context must hold: in a route with format = "oslo" that of the
	// call, otherwise the headers.
	Context Table `toml:"context" json:"context"`
	// Members that its JSON payload must have, with these values: in a route
	// with format = "oslo" the payload is the call, otherwise the body.
	Payload Table `toml:"payload" json:"payload"`
	// The whole body, as in given; a table or an array is compared as JSON.
	Body       any    `toml:"body" json:"body"`
	BodyBase64 string `toml:"body_base64" json:"body_base64"`
	BodyFile   string `toml:"body_file" json:"body_file"`
	// What it must not have: header:NAME, property:NAME, context:NAME, or
	// text:TEXT anywhere in the body.
	Absent []string `toml:"absent" json:"absent"`

	body content
}

// content is a body as it was written.
type content struct {
	data   []byte
	is     bool // one was written
	asJSON bool // as a table or an array
}

// BodyBytes returns the body; it is empty if none was written.
func (g *Given) BodyBytes() []byte { return g.body.data }

// BodyBytes returns the body that is wanted, whether one is, and whether it is
// to be compared as JSON.
func (m *Message) BodyBytes() (data []byte, wanted, asJSON bool) {
	return m.body.data, m.body.is, m.body.asJSON
}

// Has reports whether the key was written.
func (e *Expect) Has(key string) bool { return e.written[key] }

// LoadCases reads the file at path as strictly as [Load] reads a router.toml,
// but takes ${...} in strings as it stands. The error is [Errors].
func LoadCases(path string) (*CaseFile, error) {
	data, _, err := readFile(openFile(path))(MaxFileSize.Bytes())
	if err != nil {
		return nil, Errors{{File: path, Problem: "cannot read the file: " + reason(err), Hint: "docs/TESTING.md says what it holds", Err: err}}
	}
	return ParseCases(path, data, filepath.Dir(path))
}

// ParseCases reads data as LoadCases reads a file. Name stands for the file in
// errors; bodies in files are relative to dir. The error is [Errors].
func ParseCases(name string, data []byte, dir string) (*CaseFile, error) {
	doc, tree, e := parseDocument(name, data, dir)
	if e != nil {
		return nil, Errors{e}
	}
	b := newBinder(doc, Options{})
	b.literal = true
	f := &CaseFile{doc: doc}
	b.structure(nil, tree, reflect.ValueOf(f).Elem())
	f.check(b)
	if len(b.errors) > 0 {
		sortByPosition(b.errors, func(e *Error) *Error { return e })
		return nil, b.errors
	}
	return f, nil
}

// File returns the name given to LoadCases or ParseCases.
func (f *CaseFile) File() string { return f.doc.name }

// Errorf returns an error at the position of a key of the nth case, counted from
// 0, as [Config.Errorf] does.
func (f *CaseFile) Errorf(nth int, keys []string, hint, format string, args ...any) *Error {
	return f.doc.errorf(append([]string{"case", strconv.Itoa(nth)}, keys...), hint, format, args...)
}

// check judges what depends on more than one key, and reads the bodies.
func (f *CaseFile) check(b *binder) {
	if len(f.Cases) == 0 && len(b.errors) == 0 {
		b.refuse(nil, "add [[case]]", "there are no cases")
	}
	named := map[string]bool{}
	for i := range f.Cases {
		c := &f.Cases[i]
		at := func(keys ...string) []string { return append([]string{"case", strconv.Itoa(i)}, keys...) }
		if named[c.Name] && c.Name != "" {
			b.refuse(at("name"), "names tell cases apart in reports", "there is another case %s", quote(c.Name))
		}
		named[c.Name] = true
		for j := range c.Before {
			c.Before[j].check(b, at("before", strconv.Itoa(j)))
		}
		c.Given.check(b, at("given"))
		c.Expect.check(b, at)
	}
}

func (g *Given) check(b *binder, table []string) {
	g.body = b.content(table, g.Body, g.BodyBase64, g.BodyFile)
	at := below(table, "oslo")
	switch _, written := b.doc.find(at); {
	case !written:
	case g.body.is:
		b.refuse(at, "keep one of the two", "there is a body, too")
	case g.Oslo.Method != "" && g.Oslo.EventType != "":
		b.refuse(below(at, "event_type"), "keep one of the two", "there is a method, too")
	case !g.Oslo.Is():
		b.refuse(at, `add method = "..." for a call, or event_type = "..." for a notification`, "says nothing")
	}
}

func (e *Expect) check(b *binder, at func(...string) []string) {
	e.written = map[string]bool{}
	for _, key := range []string{"action", "targets", "messages", "reason", "error", "filter", "stage", "sent"} {
		_, e.written[key] = b.doc.find(at("expect", key))
	}
	if n, ok := b.doc.find(at("expect")); !ok || len(n.keys) == 0 {
		b.refuse(at("expect"), `add expect.action = "forward", or another key of expect`, "the case expects nothing")
	}
	e.Message.check(b, at)
	for i := range e.Sent {
		e.Sent[i].check(b, at, "sent", strconv.Itoa(i))
	}
}

func (m *Message) check(b *binder, at func(...string) []string, keys ...string) {
	here := at(append([]string{"expect"}, keys...)...)
	m.body = b.content(here, m.Body, m.BodyBase64, m.BodyFile)
	for i, what := range m.Absent {
		kind, name, _ := strings.Cut(what, ":")
		switch kind {
		case "header", "property", "context", "text":
			if name != "" {
				continue
			}
		}
		b.refuse(append(here, "absent", strconv.Itoa(i)), "write header:NAME, property:NAME, context:NAME or text:TEXT", "%s is nothing that can be absent", quote(what))
	}
}

// content reads a body that can be written in three ways.
func (b *binder) content(table []string, body any, text, file string) content {
	at := func(key string) []string { return below(table, key) }
	var used []string
	for _, key := range []string{"body", "body_base64", "body_file"} {
		if _, ok := b.doc.find(at(key)); ok {
			used = append(used, key)
		}
	}
	if len(used) > 1 {
		b.refuse(at(used[1]), "keep one of the two", "there is a %s, too", used[0])
	}
	if len(used) == 0 {
		return content{}
	}
	var data []byte
	var err error
	switch s, isText := body.(string); {
	case used[0] == "body_base64":
		data, err = base64.StdEncoding.DecodeString(text)
	case used[0] == "body_file":
		data, err = b.bodyFile(file)
	case isText:
		data = []byte(s)
	default:
		switch body.(type) {
		case map[string]any, []any:
		default:
			b.refuse(at("body"), `write a text in quotes, which may be JSON such as "3"`, "is %s, not a text, a table or an array", typeName(body))
			return content{}
		}
		data, err = json.Marshal(body)
		if err == nil {
			return content{data, true, true}
		}
	}
	if err != nil {
		b.refuse(at(used[0]), "write what docs/TESTING.md says", "%v", err)
	}
	return content{data, true, false}
}

// maxBodyFile is the most bytes of a file with a body: what AMQP brokers take.
const maxBodyFile = 128 * MiB

// bodyFile reads a file that lies in the directory of the cases, or below.
func (b *binder) bodyFile(path string) ([]byte, error) {
	data, _, err := readFile(openWithin(b.doc.dir, path))(maxBodyFile.Bytes())
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no %s", quote(path))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %s", quote(path), reason(err))
	}
	return data, nil
}
