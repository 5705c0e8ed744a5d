package wasmhost

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wasmrouter/router/filters/conformance"
	"github.com/wasmrouter/router/router"
)

// kitProps are the properties of an envelope by the slots of frames, but for
// the filter's name and the target.
func kitProps(e *router.Envelope) map[int]*string {
	return map[int]*string{
		conformance.Exchange: &e.Origin.Exchange, conformance.RoutingKey: &e.Origin.RoutingKey,
		conformance.ContentType: &e.ContentType, conformance.ContentEncoding: &e.ContentEncoding,
		conformance.CorrelationID: &e.CorrelationID, conformance.ReplyTo: &e.ReplyTo,
		conformance.MessageID: &e.MessageID, conformance.AMQPType: &e.Type, conformance.AppID: &e.AppID,
		conformance.UserID: &e.UserID, conformance.Source: &e.Origin.Queue, conformance.Expiration: &e.Expiration,
	}
}

// envelopeOf turns a message of the conformance kit into one of the router's.
func envelopeOf(m *conformance.Message) router.Envelope {
	headers := make(map[string]any, len(m.Headers))
	for _, h := range m.Headers {
		headers[h.Name] = kitValue(h.Value)
	}
	env := router.NewEnvelope(headers, m.Body)
	for slot, field := range kitProps(&env) {
		*field = m.Props[slot]
	}
	env.Priority, env.DeliveryMode, env.Origin.Redelivered = m.Priority, m.DeliveryMode, m.Redelivered
	if m.Timestamp != 0 {
		env.Timestamp = time.Unix(0, m.Timestamp)
	}
	if m.Received != 0 {
		env.Origin.Received = time.Unix(0, m.Received)
	}
	return env
}

func kitValue(v conformance.Value) any {
	number := func() uint64 { return binary.LittleEndian.Uint64(v.Data) }
	switch v.Type {
	case conformance.UTF8:
		if d, ok := kitDecimal(string(v.Data)); ok && v.Flags&conformance.Decimal != 0 {
			return d
		}
		return string(v.Data)
	case conformance.Bytes:
		return slices.Clone(v.Data)
	case conformance.I64:
		return int64(number())
	case conformance.F64:
		return math.Float64frombits(number())
	case conformance.Bool:
		return v.Data[0] != 0
	case conformance.Time:
		return time.Unix(int64(number()), 0)
	case conformance.Nested:
		var nested any
		d := json.NewDecoder(bytes.NewReader(v.Data))
		d.UseNumber()
		if d.Decode(&nested) == nil {
			return kitNested(nested)
		}
	}
	return nil
}

// kitNested gives JSON numbers AMQP types.
func kitNested(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64() // infinite when it is too large, which is what is wanted
		return f
	case []any:
		for i := range v {
			v[i] = kitNested(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = kitNested(v[k])
		}
	}
	return v
}

func kitDecimal(s string) (router.Decimal, bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole+fraction, 10, 32)
	return router.Decimal{Value: int32(n), Scale: uint8(len(fraction))}, err == nil
}

// outcomeOf describes what became of the message m.
func outcomeOf(m *conformance.Message, env *router.Envelope, d *router.Decision) conformance.Outcome {
	out := conformance.Outcome{
		Message: messageOf(m, env), Reason: d.Reason, Delay: d.Delay.Milliseconds(), Stop: d.Stop,
		Targets: targetsOf(d.Targets),
	}
	if d.Action != router.Undecided {
		out.Action = d.Action.String()
	}
	for i := range d.Emitted {
		e := &d.Emitted[i]
		out.Emitted = append(out.Emitted, conformance.Emission{Message: messageOf(m, &e.Envelope), Targets: targetsOf(e.Targets)})
	}
	return out
}

func messageOf(was *conformance.Message, env *router.Envelope) conformance.Message {
	m := conformance.Message{
		Props: was.Props, Body: env.Body, Received: was.Received, Timestamp: unixNano(env.Timestamp),
		Priority: env.Priority, DeliveryMode: env.DeliveryMode, Redelivered: env.Origin.Redelivered,
	}
	for slot, field := range kitProps(env) {
		m.Props[slot] = *field
	}
	var f frame
	for _, name := range slices.Sorted(maps.Keys(env.Headers())) {
		value, _ := env.Header(name)
		var w frameWriter
		typ, flags, err := f.value(&w, value)
		if err != nil {
			continue // no filter can set such a value
		}
		w = frameWriter{buf: make([]byte, w.off)}
		_, _, _ = f.value(&w, value) // it was measured without error
		m.Headers = append(m.Headers, conformance.Header{
			Name: name, Value: conformance.Value{Type: conformance.Type(typ), Flags: flags, Data: w.buf},
		})
	}
	return m
}

// targetsOf writes targets as section 3.1 of the ABI does.
func targetsOf(targets []router.Target) []conformance.TargetNames {
	var all []conformance.TargetNames
	for _, t := range targets {
		var names conformance.TargetNames
		optional := t.Exchange
		switch t.Kind {
		case router.TargetQueue:
			names = conformance.TargetNames{"queue", t.Queue}
		case router.TargetExchange:
			names, optional = conformance.TargetNames{"exchange", t.Exchange, t.Topic}, ""
		case router.TargetTopic:
			names = conformance.TargetNames{"topic", t.Topic}
		case router.TargetFanout:
			names = conformance.TargetNames{"fanout", t.Topic}
		case router.TargetServer:
			names = conformance.TargetNames{"server", t.Topic, t.Server}
		case router.TargetNotify:
			names = conformance.TargetNames{"notify", t.Topic, t.Priority}
		}
		if optional != "" {
			names = append(names, optional)
		}
		all = append(all, names)
	}
	return all
}
