package e2e

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestFidelity passes a message with every field type and every property
// through two filters that change neither: it must arrive equal in value and
// type.
func TestFidelity(t *testing.T) {
	n := rabbitnode.Shared(t)
	in, out := rabbitnode.Queue(t, "in"), rabbitnode.Queue(t, "out")
	c := harness.Dial(t, n)
	c.Declare(in, out)
	at := time.Date(2024, 2, 29, 12, 34, 56, 0, time.UTC)
	every := func(nested any) amqp091.Table {
		return amqp091.Table{
			"void": nil, "true": true, "false": false,
			"int8": int8(math.MinInt8), "uint8": uint8(math.MaxUint8),
			"int16": int16(math.MinInt16), "uint16": uint16(math.MaxUint16),
			"int32": int32(math.MinInt32), "uint32": uint32(math.MaxUint32),
			"int64": int64(math.MinInt64), "one": int64(1),
			"float32": float32(math.Pi), "float64": math.Pi,
			"decimal": amqp091.Decimal{Scale: 2, Value: -12345},
			"text":    "grüße\x00\n", "empty": "", "bytes": []byte{0, 255, 128}, "no bytes": []byte{},
			"time": at, "nested": nested, "tenant": "acme",
		}
	}
	headers := every(amqp091.Table{
		"again": every(int8(1)),
		"list":  []any{int8(1), "two", nil, amqp091.Table{"three": float32(3)}, []any{[]byte("four")}},
		"none":  []any(nil), // how the library reads an empty array
		"bare":  amqp091.Table{},
	})
	sent := amqp091.Publishing{
		Headers: headers, ContentType: "application/json", ContentEncoding: "identity",
		DeliveryMode: amqp091.Persistent, Priority: 7, CorrelationId: "correlation", ReplyTo: "reply",
		Expiration: "600000", MessageId: "id", Timestamp: at, Type: "type", UserId: "guest", AppId: "app",
		Body: []byte("{\"tenant\" : \"acme\",\n\t\"order\":{\"kind\":\"order\"},\"u\":\"\\u00fc\"}  "),
	}
	bare := amqp091.Publishing{Body: []byte(`{"tenant":"acme","order":{"kind":"order"}}`), Headers: amqp091.Table{"tenant": "acme"}}
	c.Publish(in, sent, bare)

	p := harness.Start(t, harness.ConfigFile(t, n.URL(), harness.Chain("fidelity", in, out)))
	harness.AwaitEmpty(t, n, in)
	p.Terminate()

	var got []amqp091.Publishing
	c.Drain(out, func(d amqp091.Delivery) {
		got = append(got, amqp091.Publishing{
			Headers: d.Headers, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding,
			DeliveryMode: d.DeliveryMode, Priority: d.Priority, CorrelationId: d.CorrelationId, ReplyTo: d.ReplyTo,
			Expiration: d.Expiration, MessageId: d.MessageId, Timestamp: d.Timestamp, Type: d.Type, UserId: d.UserId, AppId: d.AppId,
			Body: d.Body,
		})
	})
	if diff := cmp.Diff([]amqp091.Publishing{sent, bare}, got, cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("arrived changed (-sent +got):\n%s", diff)
	}
}
