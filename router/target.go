package router

import (
	"errors"
	"fmt"
	"strings"
)

// TargetKind is how a target's names become an exchange and a routing key.
type TargetKind uint8

// The kinds of target. The zero kind is none of them.
const (
	TargetExchange TargetKind = iota + 1 // Exchange and Topic as they are
	TargetTopic                          // a topic of a topic exchange
	TargetServer                         // one server of a topic
	TargetFanout                         // every server of a topic
	TargetQueue                          // a queue, through the default exchange
	TargetNotify                         // topic.priority; the queue is declared, so that nothing is lost before the first listener
)

// DefaultExchange is the exchange of topic, server and notify targets that name
// none; it is oslo.messaging's control_exchange default.
const DefaultExchange = "openstack"

// Target is where a message goes.
type Target struct {
	Kind     TargetKind
	Exchange string // of TargetExchange, TargetTopic, TargetServer, TargetNotify
	Topic    string // routing key of TargetExchange; topic of the others
	Server   string // of TargetServer
	Queue    string // of TargetQueue
	Priority string // of TargetNotify, lower case
}

// Address returns the exchange and routing key to publish to.
func (t Target) Address() (exchange, key string) {
	switch t.Kind {
	case TargetExchange:
		return t.Exchange, t.Topic
	case TargetTopic:
		return t.control(), t.Topic
	case TargetServer:
		return t.control(), t.Topic + "." + t.Server
	case TargetFanout:
		return t.Topic + "_fanout", ""
	case TargetQueue:
		return "", t.Queue
	case TargetNotify:
		return t.control(), t.Topic + "." + t.Priority
	}
	return "", ""
}

func (t Target) control() string {
	if t.Exchange == "" {
		return DefaultExchange
	}
	return t.Exchange
}

// String returns the form that [ParseTarget] reads.
func (t Target) String() string {
	at := ""
	if t.Exchange != "" || strings.Contains(t.Topic+t.Server+t.Priority, "/") {
		at = t.Exchange + "/" // without it the topic's slash would end an exchange
	}
	switch t.Kind {
	case TargetExchange:
		return "exchange:" + t.Exchange + "/" + t.Topic
	case TargetTopic:
		return "topic:" + at + t.Topic
	case TargetServer:
		return "server:" + at + t.Topic + "." + t.Server
	case TargetFanout:
		return "fanout:" + t.Topic
	case TargetQueue:
		return "queue:" + t.Queue
	case TargetNotify:
		return "notify:" + at + t.Topic + "." + t.Priority
	}
	return "none"
}

// ErrTarget is wrapped by every error of [ParseTarget].
var ErrTarget = errors.New("invalid target")

// ParseTarget reads a target as written in router.toml and on the command line:
//
//	queue:NAME
//	exchange:NAME/ROUTING-KEY       (NAME may be empty, the key may hold slashes)
//	topic:[EXCHANGE/]TOPIC          (/TOPIC for a topic that holds slashes)
//	server:[EXCHANGE/]TOPIC.SERVER  (split at the first dot)
//	fanout:TOPIC
//	notify:[EXCHANGE/]TOPIC.PRIORITY (split at the last dot)
func ParseTarget(s string) (Target, error) {
	kind, rest, ok := strings.Cut(s, ":")
	if !ok {
		return Target{}, fmt.Errorf("%w %q: write it as queue:NAME, exchange:NAME/KEY, topic:TOPIC, server:TOPIC.SERVER, fanout:TOPIC or notify:TOPIC.PRIORITY", ErrTarget, s)
	}
	var t Target
	switch kind {
	case "queue":
		t = Target{Kind: TargetQueue, Queue: rest}
	case "exchange":
		name, key, ok := strings.Cut(rest, "/")
		if !ok {
			return Target{}, fmt.Errorf("%w %q: write it as exchange:NAME/ROUTING-KEY", ErrTarget, s)
		}
		t = Target{Kind: TargetExchange, Exchange: name, Topic: key}
	case "fanout":
		t = Target{Kind: TargetFanout, Topic: rest}
	case "topic":
		t = Target{Kind: TargetTopic}
		t.Exchange, t.Topic = cutExchange(rest)
	case "server":
		t = Target{Kind: TargetServer}
		t.Exchange, rest = cutExchange(rest)
		t.Topic, t.Server, ok = strings.Cut(rest, ".")
		if !ok || t.Server == "" {
			return Target{}, fmt.Errorf("%w %q: write it as server:TOPIC.SERVER", ErrTarget, s)
		}
	case "notify":
		t = Target{Kind: TargetNotify}
		t.Exchange, rest = cutExchange(rest)
		i := strings.LastIndexByte(rest, '.')
		if i < 0 {
			return Target{}, fmt.Errorf("%w %q: write it as notify:TOPIC.PRIORITY, for example notify:notifications.info", ErrTarget, s)
		}
		t.Topic, t.Priority = rest[:i], rest[i+1:]
	default:
		return Target{}, fmt.Errorf("%w %q: unknown kind %q; the kinds are queue, exchange, topic, server, fanout and notify", ErrTarget, s, kind)
	}
	return t, t.Validate()
}

func cutExchange(s string) (exchange, rest string) {
	if exchange, rest, ok := strings.Cut(s, "/"); ok {
		return exchange, rest
	}
	return "", s
}

// Validate reports whether the target can be published to: its kind is known,
// the names its kind needs are there, and each part fits an AMQP short string
// (at most 255 bytes, no control characters). The text form must lead back to
// the same place: so no exchange holds a slash, no priority a dot, and no topic
// of a server begins with a dot.
func (t Target) Validate() error {
	need := func(name, value string) error {
		if value == "" {
			return fmt.Errorf("%w %q: the %s is empty", ErrTarget, t.String(), name)
		}
		return nil
	}
	var err error
	switch t.Kind {
	case TargetExchange:
	case TargetTopic, TargetFanout:
		err = need("topic", t.Topic)
	case TargetServer:
		err = errors.Join(need("topic", t.Topic), need("server", t.Server))
		if strings.HasPrefix(t.Topic, ".") {
			err = fmt.Errorf("%w %q: the topic begins with a dot", ErrTarget, t.String())
		}
	case TargetQueue:
		err = need("queue", t.Queue)
	case TargetNotify:
		err = errors.Join(need("topic", t.Topic), need("priority", t.Priority))
		if strings.Contains(t.Priority, ".") {
			err = fmt.Errorf("%w %q: the priority holds a dot", ErrTarget, t.String())
		}
	default:
		return fmt.Errorf("%w: no kind", ErrTarget)
	}
	if err != nil {
		return err
	}
	exchange, key := t.Address()
	if strings.Contains(t.Exchange, "/") {
		return fmt.Errorf("%w %q: the exchange's name holds a slash", ErrTarget, t.String())
	}
	for _, s := range [...]string{exchange, key} {
		if len(s) > 255 {
			return fmt.Errorf("%w %.40q…: a name is %d bytes long; AMQP allows 255", ErrTarget, t.String(), len(s))
		}
		for i := range len(s) {
			if s[i] < 0x20 || s[i] == 0x7f {
				return fmt.Errorf("%w %q: a name holds a control character", ErrTarget, t.String())
			}
		}
	}
	return nil
}
