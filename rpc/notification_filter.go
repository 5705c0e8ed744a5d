package rpc

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/wasmrouter/router/oslo"
)

// NotificationFilter chooses notifications by regular expressions, in the
// syntax of package regexp, that must match from the first character on, but
// not up to the last. All that are given must match. A member that is missing,
// or is no string, matches none. The zero value chooses every notification.
//
// A key names a member; one that begins with a slash is a JSON pointer
// (RFC 6901) to a member of a member, as /nova_object.data/host.
type NotificationFilter struct {
	PublisherID string
	EventType   string
	// Context and Payload are by key. A payload that is no JSON object matches
	// none.
	Context map[string]string
	Payload map[string]string
	// Metadata is by message_id and timestamp, the latter in UTC as
	// oslo.messaging writes it: 2006-01-02 15:04:05.000000.
	Metadata map[string]string
}

// matcher is a filter that is ready for use.
type matcher struct {
	publisher, event           *regexp.Regexp // nil matches everything
	context, payload, metadata []keyMatcher
}

type keyMatcher struct {
	key  string
	path []string // of a JSON pointer; nil is the key itself
	re   *regexp.Regexp
}

func (f *NotificationFilter) compile() (matcher, error) {
	var m matcher
	var err error
	one := func(what, expr string) *regexp.Regexp {
		if expr == "" || err != nil {
			return nil
		}
		if _, err = regexp.Compile(expr); err != nil {
			err = fmt.Errorf("filter of %s: %w", what, err)
			return nil
		}
		return regexp.MustCompile(`\A(?:` + expr + `)`)
	}
	several := func(what string, exprs map[string]string) (list []keyMatcher) {
		for _, key := range slices.Sorted(maps.Keys(exprs)) {
			k := keyMatcher{key: key, re: one(what+" "+key, exprs[key])}
			if rest, ok := strings.CutPrefix(key, "/"); ok {
				k.path = strings.Split(rest, "/")
				for i, part := range k.path {
					k.path[i] = unescapePointer.Replace(part)
				}
			}
			list = append(list, k)
		}
		return list
	}
	m.publisher, m.event = one("publisher id", f.PublisherID), one("event type", f.EventType)
	m.context, m.payload, m.metadata = several("context", f.Context), several("payload", f.Payload), several("metadata", f.Metadata)
	for _, k := range m.metadata {
		if k.key != "message_id" && k.key != "timestamp" {
			return m, fmt.Errorf("filter of metadata %s: the metadata are message_id and timestamp", k.key)
		}
	}
	return m, err
}

var unescapePointer = strings.NewReplacer("~1", "/", "~0", "~")

func (m *matcher) match(n *Notification) bool {
	if m.publisher != nil && !m.publisher.MatchString(n.PublisherID) || m.event != nil && !m.event.MatchString(n.EventType) {
		return false
	}
	for _, k := range m.metadata {
		text := n.MessageID
		if k.key == "timestamp" {
			text = timestampText(n)
		}
		if !k.match(text, text != "") {
			return false
		}
	}
	for _, k := range m.context {
		if !k.match(k.inContext(n.Context)) {
			return false
		}
	}
	if len(m.payload) == 0 {
		return true
	}
	payload, err := oslo.ParseObject(n.Payload)
	if err != nil {
		return false
	}
	for _, k := range m.payload {
		if !k.match(k.inPayload(&payload)) {
			return false
		}
	}
	return true
}

func (k *keyMatcher) match(text string, ok bool) bool {
	return ok && (k.re == nil || k.re.MatchString(text))
}

func (k *keyMatcher) inContext(context map[string]any) (string, bool) {
	if k.path == nil {
		text, ok := context[k.key].(string)
		return text, ok
	}
	var v any = context
	for _, part := range k.path {
		object, _ := v.(map[string]any)
		v = object[part]
	}
	text, ok := v.(string)
	return text, ok
}

func (k *keyMatcher) inPayload(payload *oslo.Object) (string, bool) {
	if k.path == nil {
		raw, _ := payload.Get(k.key)
		return raw.Text()
	}
	last := len(k.path) - 1
	for _, part := range k.path[:last] {
		raw, _ := payload.Get(part)
		inner, err := oslo.ParseObject(raw)
		if err != nil {
			return "", false
		}
		payload = &inner
	}
	raw, _ := payload.Get(k.path[last])
	return raw.Text()
}

func timestampText(n *Notification) string {
	switch at := n.Timestamp.UTC(); {
	case n.Timestamp.IsZero():
		return ""
	case at.Nanosecond() < 1000:
		return at.Format("2006-01-02 15:04:05")
	default:
		return at.Format("2006-01-02 15:04:05.000000")
	}
}
