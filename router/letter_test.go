package router

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// anyValue makes a header value of any type that AMQP has.
func anyValue(r *rand.Rand, depth int) any {
	text := []string{"", "x", "x-router-reason", "größer"}[r.IntN(4)]
	at := time.Unix(r.Int64N(1<<33), 0)
	values := []any{
		nil, true, false, int8(-3), uint8(3), int16(-300), uint16(300), int32(-7), uint32(7), int64(1) << 40,
		float32(1.5), 2.5,
		Decimal{2, 314},
		text, []byte(text), at,
	}
	if n := r.IntN(len(values) + 2); depth > 0 && n == len(values) {
		return []any{anyValue(r, depth-1), anyValue(r, depth-1)}
	} else if depth > 0 && n == len(values)+1 {
		return map[string]any{"k": anyValue(r, depth-1), text: anyValue(r, depth-1)}
	}
	return values[r.IntN(len(values))]
}

// anyMessage makes a message as a route may receive it.
func anyMessage(r *rand.Rand) Envelope {
	headers := map[string]any{}
	for _, name := range []string{"a", "tenant", "x-death", "CC", "h-µ"} {
		if r.IntN(2) == 0 {
			headers[name] = anyValue(r, 3)
		}
	}
	e := NewEnvelope(headers, []byte{byte(r.IntN(256)), byte(r.IntN(256))})
	word := func() string { return []string{"", "a", "b"}[r.IntN(3)] }
	e.Properties = Properties{
		ContentType: word(), ContentEncoding: word(), DeliveryMode: uint8(r.IntN(3)), Priority: uint8(r.IntN(10)),
		CorrelationID: word(), ReplyTo: word(), Expiration: []string{"", "60000"}[r.IntN(2)], MessageID: word(),
		Type: word(), UserID: word(), AppID: word(),
	}
	if r.IntN(2) == 0 {
		e.Timestamp = time.Unix(r.Int64N(1<<33), 0)
	}
	e.Origin = Origin{Queue: "in", Exchange: "x", RoutingKey: "k", Received: time.Unix(1_700_000_000, 0)}
	return e
}

func testRoute() *Route { return &Route{cfg: RouteConfig{Name: "orders"}} }

func testFailure() *failure {
	return &failure{reason: "trap", filter: "f", stage: "decide", err: errors.New("out of bounds"), policy: PolicyDeadLetter}
}

// sameMessage compares all that is on the wire.
var sameMessage = cmp.Options{cmp.AllowUnexported(Envelope{}), cmpopts.IgnoreFields(Envelope{}, "Origin", "owned"), cmpopts.EquateEmpty()}

func TestALetterHoldsItsOriginalBitForBit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		want := anyMessage(r)
		sent := testRoute().writeLetter(&want, &letter{fail: testFailure(), attempts: 3, missing: []any{"queue:a"}})
		sent.Origin = Origin{Queue: "in.dead", RoutingKey: "in.dead"}
		l := ReadLetter(&sent)
		if diff := cmp.Diff(want, l.Original, sameMessage); diff != "" {
			t.Fatal(diff)
		}
		got := []any{l.Ours, l.Reason, l.Route, l.Filter, l.Stage, l.Attempts, l.Error, l.FirstSeen, l.Missing, l.Queue, l.Exchange, l.RoutingKey}
		if diff := cmp.Diff([]any{true, "trap", "orders", "f", "decide", int64(3), "out of bounds", want.Origin.Received, []string{"queue:a"}, "in", "x", "k"}, got); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestALettersIDIsOfAllItHoldsAndStays(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	ids := map[string]bool{}
	for range 500 {
		e := anyMessage(r)
		if r.IntN(2) == 0 {
			e = testRoute().writeLetter(&e, &letter{fail: testFailure()})
		}
		id := ReadLetter(&e).ID
		if len(id) != 16 {
			t.Fatalf("id %q", id)
		}
		again := e.Clone()
		again.Origin = Origin{Queue: "elsewhere", Redelivered: true, Received: time.Now()}
		again.SetHeader(HeaderDeliveryCount, int64(4))
		l := ReadLetter(&again)
		if l.ID != id || l.DeliveryCount != 4 {
			t.Fatalf("delivered again it is %s, counted %d; it was %s", l.ID, l.DeliveryCount, id)
		}
		renewed := l.Renewed(&again)
		if n := ReadLetter(&renewed); n.ID != id || n.DeliveryCount != 0 {
			t.Fatalf("renewed it is %s, counted %d; it was %s", n.ID, n.DeliveryCount, id)
		}
		if _, ok := renewed.Header("CC"); ok {
			t.Fatal("renewed it would be copied")
		}
		for name, change := range map[string]func(*Envelope){
			"body":        func(e *Envelope) { e.Body = append([]byte{0}, e.Body...) },
			"type":        func(e *Envelope) { e.Type += "x" },
			"priority":    func(e *Envelope) { e.Priority++ },
			"timestamp":   func(e *Envelope) { e.Timestamp = e.Timestamp.Add(time.Hour) },
			"header":      func(e *Envelope) { e.SetHeader("new", nil) },
			"header type": func(e *Envelope) { e.SetHeader("n", int32(1)) },
			"type of it":  func(e *Envelope) { e.SetHeader("n", int64(1)) },
			"reason":      func(e *Envelope) { e.SetHeader(HeaderReason, "other") },
		} {
			other := e.Clone()
			change(&other)
			otherID := ReadLetter(&other).ID
			if otherID == id {
				t.Fatalf("another %s, and the same id", name)
			}
			ids[otherID] = true
		}
		ids[id] = true
	}
	if len(ids) < 4000 {
		t.Errorf("%d ids of 4500 letters, of which few are alike", len(ids))
	}
}

func TestWhatTheBrokerOrOthersPutThereIsShownAsItIs(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	death := func(queue, reason string) any {
		return map[string]any{"queue": queue, "reason": reason, "count": int64(2), "exchange": "x", "routing-keys": []any{"k"}, "time": at}
	}
	e := NewEnvelope(map[string]any{"x-death": []any{death("dead", "expired"), death("in", "rejected"), 7}}, nil)
	e.Origin.Queue = "dead"
	l := ReadLetter(&e)
	want := []Death{{"dead", "expired", 2, "x", []string{"k"}, at}, {"in", "rejected", 2, "x", []string{"k"}, at}}
	if diff := cmp.Diff(want, l.Deaths); diff != "" {
		t.Error(diff)
	}
	for _, far := range []int64{-1 << 62, 253402300800, 1 << 62} { // before the year 1, and in 10000 and later
		e := NewEnvelope(map[string]any{HeaderFirstSeen: time.Unix(far, 0), "x-death": []any{map[string]any{"time": time.Unix(far, 0)}}}, nil)
		l := ReadLetter(&e)
		if !l.FirstSeen.IsZero() || !l.Deaths[0].Time.IsZero() {
			t.Errorf("%v, %v", l.FirstSeen, l.Deaths)
		}
		if text, err := json.Marshal(l.Deaths); err != nil || strings.Contains(string(text), "time") {
			t.Errorf("%s, %v; a time that is not known has no place there", text, err)
		}
	}
	if l.Ours || l.Queue != "in" || l.Exchange != "x" || l.RoutingKey != "k" {
		t.Errorf("%+v", l)
	}
	for _, odd := range []map[string]any{
		nil,
		{"x-death": "no list", HeaderReason: 7, HeaderAttempts: "many", HeaderMissing: 1, HeaderFirstSeen: "now"},
		{HeaderReason: "forged"}, // and no route
	} {
		e := NewEnvelope(odd, nil)
		if l := ReadLetter(&e); l.Ours || l.ID == "" || l.Queue != "" || len(l.Deaths) > 0 {
			t.Errorf("%v: %+v", odd, l)
		}
	}
}

// FuzzReadLetter reads letters that anybody wrote: whatever the headers hold, it is
// read alike again, can be shown, and stands in its queue as it did when it is renewed.
func FuzzReadLetter(f *testing.F) {
	f.Add(uint64(1), uint64(2), "x-router-reason", "in", true)
	f.Add(uint64(3), uint64(4), "x-death", "", false)
	f.Add(uint64(5), uint64(6), "CC", "dead", true)
	f.Fuzz(func(t *testing.T, a, b uint64, name, queue string, list bool) {
		r := rand.New(rand.NewPCG(a, b))
		headers := map[string]any{name: anyValue(r, 3)}
		for _, known := range []string{HeaderReason, HeaderRoute, HeaderAttempts, HeaderMissing, HeaderFirstSeen, HeaderExpiration, HeaderUserID, HeaderCC, HeaderDeliveryCount} {
			if r.IntN(2) == 0 {
				headers[known] = anyValue(r, 2)
			}
		}
		death := map[string]any{"queue": queue}
		for _, known := range []string{"reason", "count", "exchange", "routing-keys", "time"} {
			death[known] = anyValue(r, 2)
		}
		if list {
			headers["x-death"] = []any{anyValue(r, 2), death}
		}
		e := NewEnvelope(headers, []byte(name))
		before := e.Clone()
		l := ReadLetter(&e)
		if diff := cmp.Diff(before, e, cmp.AllowUnexported(Envelope{}), cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("reading changes it: %s", diff)
		}
		if _, err := json.Marshal(l.Deaths); err != nil {
			t.Error(err)
		}
		for name := range l.Original.Headers() {
			if len(name) >= len(HeaderPrefix) && strings.EqualFold(name[:len(HeaderPrefix)], HeaderPrefix) {
				t.Errorf("the original has %s", name)
			}
		}
		renewed := l.Renewed(&e)
		if again := ReadLetter(&renewed); again.ID != l.ID && l.Ours {
			t.Errorf("%s is %s when it is renewed", l.ID, again.ID)
		}
	})
}
