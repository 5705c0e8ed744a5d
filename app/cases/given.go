package cases

import (
	"time"

	"github.com/wasmrouter/router/app/workbench"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

// envelope returns the message of a case.
func envelope(g *config.Given) (router.Envelope, error) {
	m := workbench.Message{
		Headers: g.Headers, Properties: g.Properties, Exchange: g.Exchange, RoutingKey: g.RoutingKey, Redelivered: g.Redelivered,
	}
	env, err := m.Envelope()
	env.Body = g.BodyBytes()
	if err != nil || !g.Oslo.Is() {
		return env, err
	}
	message, err := osloMessage(&g.Oslo)
	env.Body = oslo.Seal(message)
	if env.ContentType == "" {
		env.ContentType, env.ContentEncoding, env.DeliveryMode = oslo.ContentType, oslo.ContentEncoding, oslo.DeliveryMode
	}
	return env, err
}

// What messages of cases are called. Cases have no use for ids that differ.
const (
	callID   = "00000000000000000000000000000001"
	uniqueID = "00000000000000000000000000000002"
)

// osloMessage returns a message as oslo.messaging would write it.
func osloMessage(m *config.OsloMessage) (oslo.Raw, error) {
	context, err := oslo.MarshalObject(orEmpty(m.Context))
	if err != nil {
		return nil, err
	}
	if m.Method == "" {
		n := oslo.Notification{
			MessageID: callID, PublisherID: m.PublisherID, EventType: m.EventType, Priority: m.Priority,
			Timestamp: time.Unix(0, 0), UniqueID: uniqueID, Context: context,
		}
		if n.Priority == "" {
			n.Priority = "info"
		}
		n.Payload, err = oslo.Marshal(m.Payload)
		return n.Encode(), err
	}
	r := oslo.Request{Method: m.Method, Version: m.Version, UniqueID: uniqueID, Context: context}
	if m.Namespace != "" {
		r.Namespace = &m.Namespace
	}
	if m.ReplyTo != "" {
		r.MsgID, r.ReplyQueue, r.Timeout = callID, m.ReplyTo, oslo.Null
	}
	r.Args, err = oslo.Marshal(orEmpty(m.Args))
	return r.Encode(), err
}

func orEmpty(t config.Table) map[string]any {
	if t == nil {
		return map[string]any{}
	}
	return t
}
