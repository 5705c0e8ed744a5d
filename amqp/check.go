package amqp

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/wasmrouter/router/router"
)

// Limits of a message. The library's own reader closes the connection on a
// table beyond the first two, again at each redelivery.
const (
	maxDepth   = 32
	maxEntries = 8192
	maxString  = 255

	defaultFrameMax = 128 << 10

	replyPseudoQueue = "amq.rabbitmq.reply-to"
)

func unsendable(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{router.ErrUnsendable}, args...)...)
}

// Sendable reports why a broker with RabbitMQ's default frame size would not take
// a message, in an error that wraps [router.ErrUnsendable], or nil.
func Sendable(target router.Target, env *router.Envelope, allowCC bool) error {
	exchange, key := target.Address()
	return check(target, exchange, key, env, defaultFrameMax, allowCC)
}

// check reports why the broker would close the channel or the connection on
// this message, taking everything else in flight with it.
func check(target router.Target, exchange, key string, env *router.Envelope, frameMax int, allowCC bool) error {
	if err := target.Validate(); err != nil {
		return unsendable("%w", err)
	}
	if len(exchange) > maxString || len(key) > maxString {
		return unsendable("the exchange or routing key is longer than 255 bytes")
	}
	size := 2 + 2 + 8 + 2 // class, weight, body size, flags
	for _, p := range [...]struct {
		name  string
		value *string
	}{
		{"content_type", &env.ContentType},
		{"content_encoding", &env.ContentEncoding},
		{"correlation_id", &env.CorrelationID},
		{"reply_to", &env.ReplyTo},
		{"expiration", &env.Expiration},
		{"message_id", &env.MessageID},
		{"type", &env.Type},
		{"user_id", &env.UserID},
		{"app_id", &env.AppID},
	} {
		if len(*p.value) > maxString {
			return unsendable("property %s is %d bytes long; AMQP allows 255", p.name, len(*p.value))
		}
		if *p.value != "" {
			size += 1 + len(*p.value)
		}
	}
	if env.DeliveryMode > 0 {
		size++
	}
	if env.Priority > 0 {
		size++
	}
	if !env.Timestamp.IsZero() {
		size += 8
	}
	if env.DeliveryMode > 2 {
		return unsendable("delivery mode %d; it is 1 (transient) or 2 (persistent)", env.DeliveryMode)
	}
	if env.Expiration != "" && !decimal(env.Expiration) {
		return unsendable("expiration %.40q; it is a number of milliseconds below 2^32, in decimal", env.Expiration)
	}
	if env.ReplyTo == replyPseudoQueue {
		return unsendable("reply_to %s names the pseudo-queue of another connection's consumer; only its owner can publish with it", replyPseudoQueue)
	}
	if headers := env.Headers(); len(headers) > 0 {
		for _, name := range [...]string{"CC", "BCC"} {
			v, ok := headers[name]
			if !ok {
				continue
			}
			if !allowCC {
				return unsendable("header %s chooses further routing keys, which is not allowed here", name)
			}
			if !stringList(v) {
				return unsendable("header %s is not a list of strings", name)
			}
		}
		n, err := tableSize(headers, 0)
		if err != nil {
			return err
		}
		size += n
	}
	if frameMax > 0 && size > frameMax-8 {
		return unsendable("properties and headers are %d bytes long; the broker takes %d", size, frameMax-8)
	}
	return nil
}

func decimal(s string) bool {
	var n uint64
	if len(s) > 10 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		n = n*10 + uint64(s[i]-'0')
	}
	return n < 1<<32
}

func stringList(v any) bool {
	list, ok := v.([]any)
	if !ok {
		return false
	}
	for _, v := range list {
		if _, ok := v.(string); !ok {
			return false
		}
	}
	return true
}

// tableSize returns the encoded size of a table, or why it cannot be sent.
func tableSize(m map[string]any, depth int) (int, error) {
	if depth > maxDepth {
		return 0, unsendable("headers nest deeper than %d", maxDepth)
	}
	if len(m) > maxEntries {
		return 0, unsendable("a header table has %d entries; at most %d can be received again", len(m), maxEntries)
	}
	size := 4
	for k, v := range m {
		if len(k) > maxString {
			return 0, unsendable("a header name is %d bytes long; AMQP allows 255", len(k))
		}
		n, err := valueSize(v, depth)
		if err != nil {
			return 0, err
		}
		size += 1 + len(k) + n
	}
	return size, nil
}

func valueSize(v any, depth int) (int, error) {
	switch v := v.(type) {
	case nil:
		return 1, nil
	case bool, int8, uint8:
		return 2, nil
	case int16, uint16:
		return 3, nil
	case int32, uint32:
		return 5, nil
	case int64, time.Time:
		return 9, nil
	case float32:
		return 5, finite(float64(v))
	case float64:
		return 9, finite(v)
	case router.Decimal:
		return 6, nil
	case string:
		return 5 + len(v), nil
	case []byte:
		return 5 + len(v), nil
	case map[string]any:
		n, err := tableSize(v, depth+1)
		return 1 + n, err
	case []any:
		if depth+1 > maxDepth {
			return 0, unsendable("headers nest deeper than %d", maxDepth)
		}
		if len(v) > maxEntries {
			return 0, unsendable("a header list has %d entries; at most %d can be received again", len(v), maxEntries)
		}
		size := 5
		for _, e := range v {
			n, err := valueSize(e, depth+1)
			if err != nil {
				return 0, err
			}
			size += n
		}
		return size, nil
	}
	return 0, unsendable("a header holds a %T, which is no AMQP type", v)
}

// finite refuses what RabbitMQ cannot represent: it closes the connection on
// it, with an internal error.
func finite(f float64) error {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return unsendable("a header holds the number %v, which RabbitMQ does not take", f)
	}
	return nil
}

// mandatory reports whether the broker is to return the message if no queue
// takes it. RabbitMQ returns replies to direct reply-to consumers although it
// has delivered them.
func mandatory(exchange, key string) bool {
	return exchange != "" || !strings.HasPrefix(key, replyPseudoQueue+".")
}
