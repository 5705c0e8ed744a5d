package oslo

import (
	"fmt"
	"time"
)

// Priorities are the priorities that oslo.messaging knows, as they appear in
// queue names.
var Priorities = []string{"audit", "debug", "info", "warn", "error", "critical", "sample"}

// Notification tells whoever listens that something has happened.
type Notification struct {
	MessageID   string
	PublisherID string
	EventType   string
	Priority    string // any case; written in upper case
	Payload     Raw
	Timestamp   time.Time // written in UTC, with microseconds
	UniqueID    string
	Context     Object // without the prefix that its names have on the wire
}

// Encode returns the message: in an envelope it is what the driver messagingv2
// sends, without one what the driver messaging sends.
func (n *Notification) Encode() Raw {
	w := objectWriter{dst: append(make([]byte, 0, 320+len(n.Payload)), '{')}
	w.text("message_id", n.MessageID)
	w.text("publisher_id", n.PublisherID)
	w.text("event_type", n.EventType)
	w.text("priority", ascii(n.Priority, 'a', 'z'))
	w.raw("payload", n.Payload)
	w.text("timestamp", formatTimestamp(n.Timestamp))
	w.text(keyUniqueID, n.UniqueID)
	w.prefixed(ContextPrefix, &n.Context)
	return Raw(append(w.dst, '}'))
}

// ParseNotification reads a notification; the priority comes out in lower case,
// a timestamp that is not understood as the zero time. The error wraps
// [ErrMessage] if the message has neither event type nor publisher.
func ParseNotification(message *Object) (Notification, error) {
	if KindOf(message) != KindNotification {
		return Notification{}, fmt.Errorf("%w: no notification, it has neither event_type nor publisher_id", ErrMessage)
	}
	n := Notification{
		MessageID:   message.Text("message_id"),
		PublisherID: message.Text("publisher_id"),
		EventType:   message.Text("event_type"),
		Priority:    ascii(message.Text("priority"), 'A', 'Z'),
		Timestamp:   parseTimestamp(message.Text("timestamp")),
		UniqueID:    message.Text(keyUniqueID),
		Context:     message.cutPrefixed(ContextPrefix),
	}
	n.Payload, _ = message.Get("payload")
	return n, nil
}

// ascii changes the case of the letters from first to last and leaves all
// others alone, as a change of their case need not be undone by its opposite.
func ascii(s string, first, last byte) string {
	out := []byte(s)
	for i, c := range out {
		if first <= c && c <= last {
			out[i] = c ^ 0x20
		}
	}
	return string(out)
}

const timestampLayout = "2006-01-02 15:04:05"

// formatTimestamp writes a time as str() of a Python datetime does: six digits
// of a second's fraction, or none when they would all be zero.
func formatTimestamp(t time.Time) string {
	t = t.UTC().Truncate(time.Microsecond)
	if t.Nanosecond() == 0 {
		return t.Format(timestampLayout)
	}
	return t.Format(timestampLayout + ".000000")
}

func parseTimestamp(s string) time.Time {
	for _, layout := range [...]string{timestampLayout, "2006-01-02T15:04:05", time.RFC3339, "2006-01-02 15:04:05Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
