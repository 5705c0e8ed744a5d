package amqp_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

// everyType is a header table with every AMQP field type, as the router has
// them.
func everyType() map[string]any {
	when := time.Unix(1_700_000_000, 0)
	return map[string]any{
		"void": nil, "bool": true, "false": false,
		"int8": int8(-8), "uint8": uint8(200), "int16": int16(-16000), "uint16": uint16(60000),
		"int32": int32(math.MinInt32), "uint32": uint32(math.MaxUint32), "int64": int64(math.MinInt64),
		"float32": float32(1.5), "float64": math.Pi, "max": math.MaxFloat64,
		"decimal": router.Decimal{Scale: 2, Value: -12345},
		"string":  "größer", "empty": "", "bytes": []byte{0, 1, 0xff}, "time": when,
		"list": []any{int32(1), "two", []byte("three"), nil, []any{true}, map[string]any{"d": router.Decimal{Scale: 1, Value: 5}}},
		"table": map[string]any{
			"deep": map[string]any{"deeper": []any{map[string]any{"x": int8(1), "when": when}}},
		},
		"empty table": map[string]any{},
	}
}

func everyProperty() router.Properties {
	return router.Properties{
		ContentType: "application/x", ContentEncoding: "gzip", DeliveryMode: 2, Priority: 7,
		CorrelationID: "corr", ReplyTo: "answers", Expiration: "600000", MessageID: "id-1",
		Timestamp: time.Unix(1_600_000_000, 0), Type: "kind", UserID: "guest", AppID: "app",
	}
}

// everyType091 is a message with the same headers and properties as the
// library has them.
func everyType091() amqp091.Publishing {
	when := time.Unix(1_700_000_000, 0)
	h := amqp091.Table(everyType())
	h["decimal"] = amqp091.Decimal{Scale: 2, Value: -12345}
	h["list"] = []any{int32(1), "two", []byte("three"), nil, []any{true}, amqp091.Table{"d": amqp091.Decimal{Scale: 1, Value: 5}}}
	h["table"] = amqp091.Table{"deep": amqp091.Table{"deeper": []any{amqp091.Table{"x": int8(1), "when": when}}}}
	h["empty table"] = amqp091.Table{}
	p := everyProperty()
	return amqp091.Publishing{
		Headers: h, ContentType: p.ContentType, ContentEncoding: p.ContentEncoding, DeliveryMode: p.DeliveryMode, Priority: p.Priority,
		CorrelationId: p.CorrelationID, ReplyTo: p.ReplyTo, Expiration: p.Expiration, MessageId: p.MessageID,
		Timestamp: p.Timestamp, Type: p.Type, UserId: p.UserID, AppId: p.AppID, Body: []byte("x"),
	}
}

func TestEveryPropertyAndTypeArrivesEqual(t *testing.T) {
	testbroker.Both(t, testEveryPropertyAndTypeArrivesEqual)
}

func testEveryPropertyAndTypeArrivesEqual(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	in, out := rabbitnode.Queue(t, "in"), rabbitnode.Queue(t, "out")
	ch := channel(t, at.URL())
	declareQueue(t, ch, in, nil)
	declareQueue(t, ch, out, nil)
	b := newBroker(t, at, amqp.Config{})

	sent := router.NewEnvelope(everyType(), []byte("body \x00 bytes"))
	sent.Properties = everyProperty()
	s := b.Sender("test")
	defer s.Close()
	if err := send(ctx, t, s, queue(in), sent); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(everyType(), sent.Headers()); diff != "" {
		t.Errorf("sending changed the envelope (-before +after):\n%s", diff)
	}
	before := time.Now()
	c := listen(t, b, router.Source{Queue: in})
	d := c.next(ctx, t)
	if diff := cmp.Diff(everyType(), d.Envelope.Headers()); diff != "" {
		t.Errorf("headers (-sent +received):\n%s", diff)
	}
	if diff := cmp.Diff(everyProperty(), d.Envelope.Properties); diff != "" {
		t.Errorf("properties (-sent +received):\n%s", diff)
	}
	if got := string(d.Envelope.Body); got != "body \x00 bytes" {
		t.Errorf("body = %q", got)
	}
	if d.Envelope.Origin.Received.Before(before) {
		t.Errorf("received at %v, before listening began", d.Envelope.Origin.Received)
	}
	d.Envelope.Origin.Received = time.Time{}
	if diff := cmp.Diff(router.Origin{Queue: in, RoutingKey: in}, d.Envelope.Origin); diff != "" {
		t.Errorf("origin (-want +got):\n%s", diff)
	}

	// On to a second queue, where the library alone reads it.
	if err := send(ctx, t, s, queue(out), d.Envelope); err != nil {
		t.Fatal(err)
	}
	d.Settler.Ack(d.Tag)
	got, ok, err := ch.Get(out, true)
	if err != nil || !ok {
		t.Fatalf("get: %v, %v", ok, err)
	}
	if diff := cmp.Diff(everyType091().Headers, got.Headers); diff != "" {
		t.Errorf("forwarded headers (-want +got):\n%s", diff)
	}
}

func TestAForeignUserIDIsLeftOut(t *testing.T) { testbroker.Both(t, testAForeignUserIDIsLeftOut) }

func testAForeignUserIDIsLeftOut(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	ch := channel(t, at.URL())
	declareQueue(t, ch, name, nil)
	b := newBroker(t, at, amqp.Config{})
	s := b.Sender("test")
	defer s.Close()
	env := message("x")
	env.UserID = "somebody"
	if err := send(ctx, t, s, queue(name), env); err != nil {
		t.Fatal(err)
	}
	if got, _, err := ch.Get(name, true); err != nil || got.UserId != "" {
		t.Errorf("user id = %q, %v; want none", got.UserId, err)
	}
}
