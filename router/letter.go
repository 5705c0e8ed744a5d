package router

import (
	"cmp"
	"time"
)

// HeaderDeliveryCount is the header with which a quorum queue says how often it has
// delivered a message before. It belongs to the delivery and not to the message.
const HeaderDeliveryCount = "x-delivery-count"

// headerAcquiredCount is what RabbitMQ 4.3 and later add to it.
const headerAcquiredCount = "x-acquired-count"

// Letter is a message of a dead-letter queue as it is read back, whoever put it there.
// Texts are as the headers have them: whoever may publish to the queue can write them.
type Letter struct {
	// ID is the same each time the letter is read, wherever in the queue it stands:
	// 16 hexadecimal digits, made of all that it holds. Letters that are alike in
	// every bit have the same one.
	ID string
	// Ours says that a route wrote it; if not, only Deaths, Queue, Exchange,
	// RoutingKey and Original may say something.
	Ours bool

	Reason, Route, Filter, Stage string
	Attempts                     int64 // 0 is not known
	Error                        string
	FirstSeen                    time.Time // zero is not known
	Missing                      []string  // targets that did not get it
	LeftOut                      string    // "details" or "headers", see HeaderLeftOut

	// Queue is where the original was consumed, and Exchange and RoutingKey what it had
	// been published to. Of a letter that the broker made, they are of the last death
	// elsewhere than in the queue it was read from. Empty is not known.
	Queue, Exchange, RoutingKey string
	Deaths                      []Death // by the broker, the last first

	// Original is the message as the route received it, but for x-router-* headers
	// and the count of deliveries. Its Origin is the letter's own. It shares body and
	// header values with the letter.
	Original Envelope

	// DeliveryCount is how often a quorum queue has had the letter back; 0 also for
	// other queues.
	DeliveryCount int64
}

// Death is one entry of x-death: what the broker says of the times that it has
// dead-lettered a message itself.
type Death struct {
	Queue       string    `json:"queue"`
	Reason      string    `json:"reason"` // rejected, expired, maxlen, delivery_limit
	Count       int64     `json:"count"`
	Exchange    string    `json:"exchange"`
	RoutingKeys []string  `json:"routing_keys"`
	Time        time.Time `json:"time,omitzero"` // zero is not known
}

// ReadLetter reads a message of a dead-letter queue. It takes e as it was received
// and does not change it.
func ReadLetter(e *Envelope) Letter {
	text := func(name string) string {
		s, _ := e.headers[name].(string)
		return s
	}
	l := Letter{
		Reason: text(HeaderReason), Route: text(HeaderRoute), Filter: text(HeaderFilter), Stage: text(HeaderStage),
		Error: text(HeaderError), LeftOut: text(HeaderLeftOut), Missing: textList(e.headers[HeaderMissing]),
		Queue: text(HeaderQueue), Exchange: text(HeaderExchange), RoutingKey: text(HeaderRoutingKey),
		Attempts: integer(e.headers[HeaderAttempts]), DeliveryCount: integer(e.headers[HeaderDeliveryCount]),
		Deaths: deaths(e.headers["x-death"]), Original: e.Clone(),
	}
	l.FirstSeen = moment(e.headers[HeaderFirstSeen])
	_, hasRoute := e.headers[HeaderRoute]
	l.Ours = l.Reason != "" && hasRoute

	o := &l.Original
	stripRouterHeaders(o)
	stripCounts(o)
	o.Expiration = cmp.Or(o.Expiration, text(HeaderExpiration))
	o.UserID = cmp.Or(o.UserID, text(HeaderUserID))
	if cc, ok := e.headers[HeaderCC]; ok {
		o.SetHeader("CC", cc)
	}
	for _, d := range l.Deaths {
		if l.Ours || d.Queue == e.Origin.Queue {
			continue
		}
		l.Queue, l.Exchange = d.Queue, d.Exchange
		if len(d.RoutingKeys) > 0 {
			l.RoutingKey = d.RoutingKeys[0]
		}
		break
	}
	l.ID = letterID(o, e.headers)
	return l
}

// Renewed returns the letter as it has to be published to stand in the queue as it
// does now, but not counted as delivered before. What the broker would act on, the
// user id of another and CC, is kept where a route keeps it. An expiration begins anew.
func (l *Letter) Renewed(received *Envelope) Envelope {
	e := received.Clone()
	stripCounts(&e)
	if cc, ok := e.Header("CC"); ok {
		e.SetHeader(HeaderCC, cc)
	}
	e.DelHeader("CC")
	e.DelHeader("BCC")
	if e.UserID != "" {
		e.SetHeader(HeaderUserID, e.UserID)
	}
	return e
}

// stripCounts removes what a quorum queue adds to a delivery.
func stripCounts(e *Envelope) {
	e.DelHeader(HeaderDeliveryCount)
	e.DelHeader(headerAcquiredCount)
}

// integer reads a number of any of the types that AMQP has for them; 0 is no number.
func integer(v any) int64 {
	switch v := v.(type) {
	case int8:
		return int64(v)
	case uint8:
		return int64(v)
	case int16:
		return int64(v)
	case uint16:
		return int64(v)
	case int32:
		return int64(v)
	case uint32:
		return int64(v)
	case int64:
		return v
	}
	return 0
}

func textList(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// moment reads a time; zero is none, or one that no calendar of four digits has. Anybody
// can write any 64 bits, and RFC 3339 and JSON have the years 1 to 9999 only.
func moment(v any) time.Time {
	t, _ := v.(time.Time)
	for _, year := range [...]int{t.Year(), t.UTC().Year()} {
		if year < 1 || year > 9999 {
			return time.Time{}
		}
	}
	return t
}

// deaths reads an x-death header as far as it is one.
func deaths(v any) []Death {
	list, _ := v.([]any)
	var out []Death
	for _, v := range list {
		t, ok := v.(map[string]any)
		if !ok {
			continue
		}
		d := Death{Count: integer(t["count"]), RoutingKeys: textList(t["routing-keys"])}
		d.Queue, _ = t["queue"].(string)
		d.Reason, _ = t["reason"].(string)
		d.Exchange, _ = t["exchange"].(string)
		d.Time = moment(t["time"])
		out = append(out, d)
	}
	return out
}
