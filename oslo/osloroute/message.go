package osloroute

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

const (
	keyMsgID      = "_msg_id"
	keyReplyQueue = "_reply_q"
	keyTimeout    = "_timeout"
	keyUniqueID   = "_unique_id"
	keyFailure    = "failure"
	contextPrefix = "_context_"
)

// The property type of what filters see.
const (
	TypeCall         = "call"
	TypeCast         = "cast"
	TypeNotification = "notification"
	TypeReply        = "reply"
)

// message is one message as it came, and as filters were given it.
type message struct {
	wire       router.Envelope // as it came
	text       []byte          // its body, decompressed
	read       oslo.Body       // that
	compressed bool
	odd        bool // some of the context is not shown

	body    []byte
	context map[string]any
	given   router.Properties
}

// open reads env and leaves in it what filters see. A body may have at most
// limit bytes, also after decompression. After an error env is as it was. Bare
// leaves body and headers as they are on the wire, where no filter looks at them.
func (m *message) open(env *router.Envelope, limit int, bare bool) error {
	*m = message{wire: env.Clone()}
	if err := oslo.CheckContentType(env.ContentType); err != nil {
		return err
	}
	compression, err := compressionOf(env)
	if err != nil {
		return err
	}
	m.compressed = compression != ""
	if m.text, err = oslo.Decompress(compression, env.Body, limit); err != nil {
		return err
	}
	if m.read, err = oslo.ReadBody(m.text); err != nil {
		return err
	}
	inner := m.read.Message()
	m.given = env.Properties
	m.given.MessageID = inner.Text(keyUniqueID)
	m.given.CorrelationID = inner.Text(keyMsgID)
	m.given.ReplyTo = inner.Text(keyReplyQueue)
	m.given.Type = m.kind()
	env.Properties = m.given
	m.body, m.context = env.Body, env.Headers()
	if !bare {
		m.show(env)
	}
	return nil
}

// show leaves in env the body and the headers that filters see.
func (m *message) show(env *router.Envelope) {
	inner := m.read.Message()
	m.context = nil
	hidden := 0
	for key, value := range inner.All() {
		if visible(key) {
			continue
		}
		hidden++
		if name, ok := strings.CutPrefix(key, contextPrefix); ok {
			m.addContext(name, value)
		}
	}
	failure, unwrapped := failureObject(inner)
	m.body = inner.Raw()
	if hidden > 0 || unwrapped {
		shown := inner.Select(visible)
		if unwrapped {
			shown.Set(keyFailure, failure)
		}
		m.body = shown.Raw()
	}
	shown := router.NewEnvelope(m.context, m.body)
	shown.Origin, shown.Properties = env.Origin, env.Properties
	*env = shown.Clone() // so that its headers are replaced, not changed
}

func compressionOf(env *router.Envelope) (string, error) {
	switch v, _ := env.Header(oslo.HeaderCompression); v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	default:
		return "", fmt.Errorf("%w: the header %s holds no text", oslo.ErrContent, oslo.HeaderCompression)
	}
}

// failureObject returns the failure of a reply as the object whose text it is,
// for filters that look into it.
func failureObject(inner *oslo.Object) (oslo.Raw, bool) {
	if oslo.KindOf(inner) != oslo.KindReply {
		return nil, false
	}
	failure, _ := inner.Get(keyFailure)
	text, ok := failure.Text()
	if !ok {
		return nil, false
	}
	o, err := oslo.ParseObject([]byte(text))
	return o.Raw(), err == nil
}

// visible reports whether filters see a member in the body.
func visible(key string) bool {
	if key == "" || key[0] != '_' {
		return true
	}
	switch key {
	case keyMsgID, keyReplyQueue, keyTimeout, keyUniqueID:
		return false
	}
	return !strings.HasPrefix(key, contextPrefix)
}

func (m *message) addContext(name string, value oslo.Raw) {
	header, ok := any(nil), showable(name)
	if ok {
		header, ok = headerOf(value)
	}
	if !ok {
		m.odd = true
		return
	}
	if m.context == nil {
		m.context = make(map[string]any, m.read.Message().Len())
	}
	m.context[name] = header
}

func (m *message) kind() string {
	switch oslo.KindOf(m.read.Message()) {
	case oslo.KindRequest:
		if m.given.CorrelationID != "" && m.given.ReplyTo != "" {
			return TypeCall
		}
		return TypeCast
	case oslo.KindNotification:
		return TypeNotification
	case oslo.KindReply:
		return TypeReply
	}
	return ""
}

// seal turns env, as filters left it, into what goes on the wire. What is not
// changed stays the very text it was. Edit may change the message further; it
// is nil or returns whether it did.
func (m *message) seal(env *router.Envelope, nth int, edit func(*oslo.Object) bool) error {
	read := m.read
	inner, fresh := read.Message(), oslo.Object{}
	*inner = inner.Clone()
	changed := false
	if !sameBytes(env.Body, m.body) {
		var err error
		if fresh, err = m.rewritten(env.Body); err != nil {
			return err
		}
		inner, changed = &fresh, true
	}
	did, err := m.edit(inner, env)
	if err != nil {
		return err
	}
	changed = changed || did
	if nth > 0 && env.MessageID == m.given.MessageID {
		inner.Set(keyUniqueID, oslo.String(m.derivedID(nth)))
		changed = true
	}
	if edit != nil && edit(inner) {
		changed = true
	}
	out := m.wire.Clone()
	properties := env.Properties
	properties.MessageID, properties.CorrelationID = out.MessageID, out.CorrelationID
	properties.ReplyTo, properties.Type = out.ReplyTo, out.Type
	out.Properties = properties
	if changed {
		text := read.Bytes()
		if inner == &fresh {
			text = m.wrapped(fresh.Raw())
		}
		m.write(&out, text)
	}
	*env = out
	return nil
}

// rewritten returns the message with another body that filters made.
func (m *message) rewritten(text []byte) (oslo.Object, error) {
	body, err := oslo.ParseObject(text)
	if err != nil {
		return body, fmt.Errorf("the body that filters left is no JSON object: %w", err)
	}
	body = body.Select(visible)
	if failure, ok := body.Get(keyFailure); ok && failure[0] == '{' && m.given.Type == TypeReply {
		body.Set(keyFailure, oslo.String(string(failure)))
	}
	for key, value := range m.read.Message().All() {
		if !visible(key) {
			body.Set(key, value)
		}
	}
	return body, nil
}

// edit does to the message what filters did to the headers and ids in env, and
// returns whether that was anything.
func (m *message) edit(inner *oslo.Object, env *router.Envelope) (changed bool, err error) {
	if !sameMap(env.Headers(), m.context) {
		if changed, err = m.editContext(inner, env.Headers()); err != nil {
			return false, err
		}
	}
	for _, p := range [...]struct{ key, now, given string }{
		{keyMsgID, env.CorrelationID, m.given.CorrelationID},
		{keyReplyQueue, env.ReplyTo, m.given.ReplyTo},
		{keyUniqueID, env.MessageID, m.given.MessageID},
	} {
		switch {
		case p.now == p.given:
			continue
		case p.now == "":
			inner.Delete(p.key)
		default:
			inner.Set(p.key, oslo.String(p.now))
		}
		changed = true
	}
	return changed, nil
}

// editContext makes the message's context what filters left of it.
func (m *message) editContext(inner *oslo.Object, headers map[string]any) (changed bool, err error) {
	kept := 0
	for name := range m.context {
		if _, ok := headers[name]; ok {
			kept++
			continue
		}
		inner.Delete(contextPrefix + name)
		changed = true
	}
	if kept == 0 && m.odd {
		// Filters that take everything away mean what they cannot see as well.
		*inner = inner.Select(func(key string) bool { return !strings.HasPrefix(key, contextPrefix) })
		changed = true
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		value := headers[name]
		if given, ok := m.context[name]; ok && unchanged(value, given) {
			continue
		}
		raw, err := oslo.Marshal(value)
		if err != nil {
			return false, fmt.Errorf("the context %.64q that filters left has no JSON form: %w", name, err)
		}
		inner.Set(contextPrefix+name, raw)
		changed = true
	}
	return changed, nil
}

// wrapped returns a body that holds another message, in the envelope in which
// this one came.
func (m *message) wrapped(inner oslo.Raw) []byte {
	if !m.read.Enveloped {
		return inner
	}
	outer, _ := oslo.ParseObject(m.text) // as [oslo.ReadBody] did
	outer.Set("oslo.message", oslo.String(string(inner)))
	return outer.Raw()
}

// write puts a changed body into out, compressed if it came so. What came as
// bzip2 leaves as zlib, which every receiver understands too.
func (m *message) write(out *router.Envelope, body []byte) {
	out.Body = body
	if m.compressed {
		out.Body = oslo.Compress(body)
		out.SetHeader(oslo.HeaderCompression, oslo.CompressionGzip)
	}
}

// derivedID is the unique id of the nth message that filters made of this one:
// the same however often they are asked to, as a receiver that has seen it is
// to know it again.
func (m *message) derivedID(nth int) string {
	if m.given.MessageID == "" {
		return oslo.NewID()
	}
	return deriveID(m.given.MessageID, strconv.Itoa(nth))
}

// deriveID returns an id, 32 hexadecimal digits, that depends on the texts
// alone.
func deriveID(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

func sameBytes(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	return len(a) == 0 || &a[0] == &b[0] || bytes.Equal(a, b)
}

func sameMap(a, b map[string]any) bool {
	return len(a) == len(b) && reflect.ValueOf(a).UnsafePointer() == reflect.ValueOf(b).UnsafePointer()
}
