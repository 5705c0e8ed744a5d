package amqp

import (
	"encoding/binary"
	"maps"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/router"
)

// seedTable makes a header table out of bytes, with every type in reach.
type seedTable struct{ data []byte }

func (s *seedTable) byte() byte {
	if len(s.data) == 0 {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return b
}

func (s *seedTable) uint64() uint64 {
	var b [8]byte
	s.data = s.data[copy(b[:], s.data):]
	return binary.LittleEndian.Uint64(b[:])
}

func (s *seedTable) string() string {
	n := min(int(s.byte()), len(s.data))
	v := string(s.data[:n])
	s.data = s.data[n:]
	return v
}

func (s *seedTable) table(depth int) map[string]any {
	m := map[string]any{}
	for n := s.byte() % 5; n > 0; n-- {
		m[s.string()] = s.value(depth)
	}
	return m
}

func (s *seedTable) value(depth int) any {
	switch s.byte() % 17 {
	case 0:
		return s.byte() > 127
	case 1:
		return int8(s.byte())
	case 2:
		return s.byte()
	case 3:
		return int16(s.uint64())
	case 4:
		return uint16(s.uint64())
	case 5:
		return int32(s.uint64())
	case 6:
		return uint32(s.uint64())
	case 7:
		return int64(s.uint64())
	case 8:
		return math.Float32frombits(uint32(s.uint64()))
	case 9:
		return math.Float64frombits(s.uint64())
	case 10:
		return s.string()
	case 11:
		return []byte(s.string())
	case 12:
		return time.Unix(int64(s.uint64()>>24), 0)
	case 13:
		return router.Decimal{Scale: s.byte(), Value: int32(s.uint64())}
	case 14:
		if depth < 5 {
			return s.table(depth + 1)
		}
	case 15:
		if depth < 5 {
			list := make([]any, s.byte()%4)
			for i := range list {
				list[i] = s.value(depth + 1)
			}
			return list
		}
	}
	return nil
}

// byBits compares floats so that NaN equals itself.
var byBits = cmp.Options{
	cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }),
	cmp.Comparer(func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }),
}

func FuzzConvert(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x04\x01a\x0d\x02\x01\x02\x03\x04\x05\x06\x07\x08\x01b\x0e\x02\x01c\x0f\x02\x0d\x01\x0c"))
	f.Add([]byte("\x03\x01x\x0e\x01\x01y\x0e\x01\x01z\x0d\x09\x08\x07\x06\x05\x04\x03\x02\x01\x00\x01w\x0f\x03\x0e\x01\x01v\x0b\x04abcd"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := (&seedTable{data}).table(0)
		before := (&seedTable{data}).table(0)
		out := amqpTable(m)
		if err := out.Validate(); err != nil {
			t.Errorf("the library refuses it: %v", err)
		}
		if diff := cmp.Diff(before, m, byBits); diff != "" {
			t.Errorf("converting changed the original (-before +after):\n%s", diff)
		}
		if !sameTable(out, m) {
			t.Errorf("a table does not match its own return: %v", m)
		}
		back := envelopeTable(amqpTable((&seedTable{data}).table(0)))
		if diff := cmp.Diff(before, back, byBits); diff != "" {
			t.Errorf("there and back (-want +got):\n%s", diff)
		}
		for k := range m {
			other := map[string]any{}
			maps.Copy(other, m)
			other[k] = "other than before"
			if sameTable(out, other) {
				t.Errorf("a table matches one with another %q", k)
			}
			delete(other, k)
			if sameTable(out, other) {
				t.Errorf("a table matches one without %q", k)
			}
		}
	})
}

func TestHeadersWithoutNestingAreNotCopied(t *testing.T) {
	m := map[string]any{"a": int32(1), "b": "x", "c": []any{"y"}}
	env := router.NewEnvelope(m, nil)
	if n := testing.AllocsPerRun(100, func() { _ = publishing(&env, "guest") }); n != 0 {
		t.Errorf("a publish allocates %v times for its headers, want none", n)
	}
	d := amqp091.Delivery{Headers: amqp091.Table{"a": int32(1), "t": amqp091.Table{"x": "y"}}, Body: []byte("x")}
	if n := testing.AllocsPerRun(100, func() { fill(&env, &d, "q", time.Time{}) }); n != 0 {
		t.Errorf("a delivery allocates %v times, want none", n)
	}
}

func TestReturnsAreToldApartByEveryField(t *testing.T) {
	env := router.NewEnvelope(map[string]any{"h": int32(1)}, []byte("body"))
	env.Properties = router.Properties{
		ContentType: "a", ContentEncoding: "b", DeliveryMode: 2, Priority: 3, CorrelationID: "c", ReplyTo: "d",
		Expiration: "4", MessageID: "e", Timestamp: time.Unix(5, 0), Type: "f", UserID: "guest", AppID: "g",
	}
	ret := func() amqp091.Return {
		return amqp091.Return{
			Exchange: "x", RoutingKey: "k", Headers: amqp091.Table{"h": int32(1)}, Body: []byte("body"),
			ContentType: "a", ContentEncoding: "b", DeliveryMode: 2, Priority: 3, CorrelationId: "c", ReplyTo: "d",
			Expiration: "4", MessageId: "e", Timestamp: time.Unix(5, 0), Type: "f", AppId: "g",
		}
	}
	if r := ret(); !sameMessage(&r, "x", "k", &env) {
		t.Error("the return of a message does not match it")
	}
	for name, change := range map[string]func(*amqp091.Return){
		"exchange":         func(r *amqp091.Return) { r.Exchange = "" },
		"routing key":      func(r *amqp091.Return) { r.RoutingKey = "" },
		"body":             func(r *amqp091.Return) { r.Body = []byte("bodY") },
		"header":           func(r *amqp091.Return) { r.Headers["h"] = int64(1) },
		"more headers":     func(r *amqp091.Return) { r.Headers["i"] = nil },
		"content type":     func(r *amqp091.Return) { r.ContentType = "" },
		"content encoding": func(r *amqp091.Return) { r.ContentEncoding = "" },
		"delivery mode":    func(r *amqp091.Return) { r.DeliveryMode = 1 },
		"priority":         func(r *amqp091.Return) { r.Priority = 0 },
		"correlation":      func(r *amqp091.Return) { r.CorrelationId = "" },
		"reply to":         func(r *amqp091.Return) { r.ReplyTo = "" },
		"expiration":       func(r *amqp091.Return) { r.Expiration = "5" },
		"message id":       func(r *amqp091.Return) { r.MessageId = "" },
		"timestamp":        func(r *amqp091.Return) { r.Timestamp = time.Time{} },
		"type":             func(r *amqp091.Return) { r.Type = "" },
		"app id":           func(r *amqp091.Return) { r.AppId = "" },
	} {
		r := ret()
		change(&r)
		if sameMessage(&r, "x", "k", &env) {
			t.Errorf("a return with another %s matches", name)
		}
	}
}
