package conformance_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/wasmrouter/router/filters/conformance"
)

// A filter in Rust stands any frame: what lies outside of it is not there, and
// what is no frame is said to be none. The other SDKs take the host at its word.
func TestRustStandsMalformedFrames(t *testing.T) {
	ctx := t.Context()
	program, err := engine.Load(ctx, built(t, conformanceFilters["rust"]), conformance.Options{Name: "rust", Metrics: true, KV: true})
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	in, err := program.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	call := func(m *conformance.Message, export string, args ...uint32) uint64 {
		t.Helper()
		result, err := in.Call(ctx, m, export, args...)
		if err != nil {
			t.Fatalf("%s: %v", export, err)
		}
		return result
	}
	at := uint32(call(nil, "router_buffer", 1<<16))

	random := rand.New(rand.NewPCG(3, 4))
	commands := []string{"frame", "prop", "header", "each", "json", "ref", "slice", "upper", "error"}
	var malformed, answered int
	for range 30_000 {
		m := &conformance.Message{Body: []byte(`{"a":[1,"two",{"b":null}]}`)}
		for name, value := range map[string]string{
			"do": commands[random.IntN(len(commands))], "name": "path", "path": "a.2.b", "\xff": "",
		} {
			m.Headers = append(m.Headers, conformance.Header{Name: name, Value: conformance.TextValue(value)})
		}
		m.Headers = append(m.Headers, conformance.Header{Name: "slot", Value: conformance.IntValue(random.Int64N(40))})
		frame := conformance.Frame(m, conformance.Decide, conformance.Everything, conformance.Layout{})
		for range 1 + random.IntN(3) {
			n := uint32(len(frame))
			v := []uint32{0, 1, n, n - 1, n + 1, n / 2, 1 << 31, ^uint32(0), ^uint32(7), ^n, random.Uint32N(2 * n), random.Uint32()}[random.IntN(12)]
			binary.LittleEndian.PutUint32(frame[4*random.IntN(len(frame)/4):], v)
		}
		n := random.IntN(4) * random.IntN(4) * len(frame) / 9 // all of it as a rule
		if n == 0 {
			n = len(frame)
		}
		copy(in.Memory()[at:], frame[:n])
		result := call(m, "router_decide", at, uint32(n))
		switch {
		case int64(result) == -2:
			malformed++
		case int64(result) < 0:
			t.Fatalf("result %d", int64(result))
		case result > 0:
			answered++
			delta := in.Memory()[uint32(result>>32):][:uint32(result)]
			if _, err := conformance.DecodeDelta(delta, conformance.Decide, in.Memory()); err != nil {
				t.Fatalf("%v of the frame %x", err, frame[:n])
			}
		}
	}
	if malformed < 1000 || answered < 1000 {
		t.Errorf("%d frames were malformed and %d answered: too few of one kind to say much", malformed, answered)
	}
}
