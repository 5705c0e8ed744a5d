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
	inner      oslo.Object
	enveloped  bool
	compressed bool
	odd        bool // some of the context is not shown

	body    []byte
	context map[string]any
	given   router.Properties
}

// open reads env and leaves in it what filters see. A body may have at most
// limit bytes, also after decompression. After an error env is as it was.
func (m *message) open(env *router.Envelope, limit int) error {
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
	if m.inner, m.enveloped, err = oslo.Open(m.text); err != nil {
		return err
	}
	hidden := 0
	for key, value := range m.inner.All() {
		if visible(key) {
			continue
		}
		hidden++
		if name, ok := strings.CutPrefix(key, contextPrefix); ok {
			m.addContext(name, value)
		}
	}
	failure, unwrapped := failureObject(&m.inner)
	m.body = m.inner.Raw()
	if hidden > 0 || unwrapped {
		shown := m.inner.Select(visible)
		if unwrapped {
			shown.Set(keyFailure, failure)
		}
		m.body = shown.Raw()
	}
	m.given = env.Properties
	m.given.MessageID = m.inner.Text(keyUniqueID)
	m.given.CorrelationID = m.inner.Text(keyMsgID)
	m.given.ReplyTo = m.inner.Text(keyReplyQueue)
	m.given.Type = m.kind()
	m.show(env)
	return nil
}

// show leaves in env what filters see.
func (m *message) show(env *router.Envelope) {
	shown := router.NewEnvelope(m.context, m.body)
	shown.Origin, shown.Properties = env.Origin, m.given
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
		m.context = make(map[string]any, 8)
	}
	m.context[name] = header
}

func (m *message) kind() string {
	switch oslo.KindOf(&m.inner) {
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
	inner, changed, err := m.edited(env)
	if err != nil {
		return err
	}
	if nth > 0 && env.MessageID == m.given.MessageID {
		inner.Set(keyUniqueID, oslo.String(m.derivedID(nth)))
		changed = true
	}
	if edit != nil && edit(&inner) {
		changed = true
	}
	out := m.wire.Clone()
	properties := env.Properties
	properties.MessageID, properties.CorrelationID = out.MessageID, out.CorrelationID
	properties.ReplyTo, properties.Type = out.ReplyTo, out.Type
	out.Properties = properties
	if changed {
		m.write(&out, inner.Raw())
	}
	*env = out
	return nil
}

// edited returns the message with the changes that filters made to env, and
// whether there are any.
func (m *message) edited(env *router.Envelope) (inner oslo.Object, changed bool, err error) {
	inner = m.inner.Clone()
	if !sameBytes(env.Body, m.body) {
		body, err := oslo.ParseObject(env.Body)
		if err != nil {
			return inner, false, fmt.Errorf("the body that filters left is no JSON object: %w", err)
		}
		inner = body.Select(visible)
		if failure, ok := inner.Get(keyFailure); ok && failure[0] == '{' && m.given.Type == TypeReply {
			inner.Set(keyFailure, oslo.String(string(failure)))
		}
		for key, value := range m.inner.All() {
			if !visible(key) {
				inner.Set(key, value)
			}
		}
		changed = true
	}
	if !sameMap(env.Headers(), m.context) {
		did, err := m.editContext(&inner, env.Headers())
		if err != nil {
			return inner, false, err
		}
		changed = changed || did
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
	return inner, changed, nil
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

// write puts a changed message into out, in the envelope and compression in
// which it came. What came as bzip2 leaves as zlib, which every receiver
// understands too.
func (m *message) write(out *router.Envelope, inner oslo.Raw) {
	out.Body = inner
	if m.enveloped {
		outer, _ := oslo.ParseObject(m.text) // as [oslo.Open] did
		outer.Set("oslo.message", oslo.String(string(inner)))
		out.Body = outer.Raw()
	}
	if m.compressed {
		out.Body = oslo.Compress(out.Body)
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
