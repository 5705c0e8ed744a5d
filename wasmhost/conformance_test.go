package wasmhost

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/filters/conformance"
	"github.com/wasmrouter/router/router"
)

// FuzzDeltaAgrees decodes and applies deltas here and in the conformance kit,
// which knows nothing of this package: both must come to the same.
func FuzzDeltaAgrees(f *testing.F) {
	for name, delta := range conformance.Deltas() {
		if len(delta) > 1<<20 { // the length is looked at before a delta is decoded
			continue
		}
		f.Add(delta, uint8(router.Decide))
		if strings.Contains(name, "outside") {
			f.Add(delta, uint8(router.Pack))
		}
		for i := range min(len(delta), 40) { // and a bit changed here and there
			changed := bytes.Clone(delta)
			changed[i] ^= 1 << (i % 8)
			f.Add(changed, uint8(router.Decide))
		}
	}
	memory := bytesMemory(strings.Repeat("0123456789abcdef", 5000))
	lim := deltaLimits{output: 4 << 20, targets: 16, emit: 16}
	var x delta
	f.Fuzz(func(t *testing.T, data []byte, st uint8) {
		stage := st % uint8(router.NumStages)
		m := conformance.Message{
			Headers: []conformance.Header{{Name: "k", Value: conformance.TextValue("v")}, {Name: "n", Value: conformance.IntValue(7)}},
			Body:    []byte("body"), Priority: 1,
		}
		fail := x.decode(data, router.Stage(stage), memory, lim)
		want, err := conformance.DecodeDelta(data, conformance.Stage(stage), memory)
		if err != nil {
			// The kit wants of filters what the host does not look at.
			lenient := strings.Contains(err.Error(), "padding") || strings.Contains(err.Error(), "not UTF-8")
			if fail == nil && !lenient {
				t.Errorf("accepted, but %v", err)
			}
			return
		}
		if fail != nil {
			reported := false
			for _, o := range want {
				reported = reported || o.Code == conformance.OpError
			}
			if fail.class != ClassError || !reported {
				t.Errorf("refused: %v", fail)
			}
			return
		}
		env, d := envelopeOf(&m), router.Decision{}
		x.apply(&env, &d)
		have, should := outcomeOf(&m, &env, &d), want.Apply(&m)
		if len(should.Reason) > maxReason || !printable(should.Reason) { // it is cut and escaped
			have.Reason, should.Reason = "", ""
		}
		if diff := cmp.Diff(should.Lines(), have.Lines()); diff != "" {
			t.Errorf("-kit +host:\n%s", diff)
		}
	})
}

// What the kit hands over and gets back is the same message.
func TestKitMessages(t *testing.T) {
	m := conformance.Message{
		Headers: []conformance.Header{
			{Name: "array", Value: conformance.Value{Type: conformance.Nested, Flags: conformance.Array, Data: []byte(`[1,{"a":2.5}]`)}},
			{Name: "bool", Value: conformance.BoolValue(true)},
			{Name: "bytes", Value: conformance.Value{Type: conformance.Bytes, Data: []byte{0, 255}}},
			{Name: "decimal", Value: conformance.Value{Type: conformance.UTF8, Flags: conformance.Decimal, Data: []byte("-12.50")}},
			{Name: "float", Value: conformance.FloatValue(0.5)},
			{Name: "int", Value: conformance.IntValue(-7)},
			{Name: "null", Value: conformance.Value{Data: []byte{}}},
			{Name: "text", Value: conformance.TextValue("grün\xff")},
			{Name: "time", Value: conformance.Value{Type: conformance.Time, Data: []byte{1, 2, 3, 0, 0, 0, 0, 0}}},
		},
		Body: []byte("body"), Timestamp: int64(time.Second), Received: 5, Priority: 3, DeliveryMode: 2, Redelivered: true,
	}
	for i := range m.Props {
		m.Props[i] = strings.Repeat("p", i+1)
	}
	env := envelopeOf(&m)
	if diff := cmp.Diff(m, messageOf(&m, &env)); diff != "" {
		t.Errorf("-sent +got:\n%s", diff)
	}
}
