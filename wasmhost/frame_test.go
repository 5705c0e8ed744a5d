package wasmhost

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
)

// decodedFrame is what a filter sees, read as docs/ABI.md says and by none of
// the encoder's code.
type decodedFrame struct {
	Flags     uint32
	Stage     uint8
	Props     []string
	Headers   map[string]decodedHeader
	Body      string
	FullLen   uint64
	Timestamp int64
	Received  int64
	Priority  uint8
	Mode      uint8
}

type decodedHeader struct {
	Type, Flags uint8
	Value       string
}

func decodeFrame(b []byte) (f decodedFrame, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	le := binary.LittleEndian
	if string(b[:4]) != "RTR1" || le.Uint16(b[4:]) != 80 || le.Uint16(b[6:]) != 0 || int(le.Uint32(b[8:])) != len(b) {
		return f, errors.New("bad head")
	}
	if [5]byte(b[59:64]) != [5]byte{} || le.Uint64(b[72:]) != 0 {
		return f, errors.New("reserved bytes are not 0")
	}
	f.Flags, f.FullLen, f.Stage = le.Uint32(b[12:]), le.Uint64(b[32:]), b[58]
	f.Timestamp, f.Received = int64(le.Uint64(b[40:])), int64(le.Uint64(b[64:]))
	f.Priority, f.Mode = b[56], b[57]
	hdr, n := le.Uint32(b[16:]), le.Uint32(b[20:])
	body, bodyLen := le.Uint32(b[24:]), le.Uint32(b[28:])
	prop, nProp := le.Uint32(b[48:]), le.Uint32(b[52:])
	if hdr%4 != 0 || prop%4 != 0 || body%8 != 0 || int(body+bodyLen) != len(b) {
		return f, errors.New("bad offsets")
	}
	f.Body = string(b[body : body+bodyLen])
	for i := range nProp {
		off, l := le.Uint32(b[prop+8*i:]), le.Uint32(b[prop+8*i+4:])
		f.Props = append(f.Props, string(b[off:off+l]))
	}
	f.Headers = map[string]decodedHeader{}
	for i := range n {
		e := b[hdr+20*i:][:20]
		key := string(b[le.Uint32(e):][:le.Uint16(e[4:])])
		h := uint32(2166136261)
		for _, c := range []byte(key) {
			h ^= uint32(c)
			h *= 16777619
		}
		if h != le.Uint32(e[16:]) {
			return f, fmt.Errorf("bad hash of %q", key)
		}
		if _, twice := f.Headers[key]; twice {
			return f, fmt.Errorf("%q twice", key)
		}
		f.Headers[key] = decodedHeader{e[6], e[7], string(b[le.Uint32(e[8:]):][:le.Uint32(e[12:])])}
	}
	return f, nil
}

// everyType is a message with all properties and a header of each AMQP type.
func everyType() *router.Envelope {
	env := router.NewEnvelope(map[string]any{
		"nil": nil, "bool": true, "i8": int8(-1), "u8": uint8(255), "i16": int16(-2), "u16": uint16(65535),
		"i32": int32(-3), "u32": uint32(4294967295), "i64": int64(-4), "f32": float32(0.5), "f64": math.Inf(-1),
		"str": "text", "": "empty name", "bytes": []byte{0, 255}, "time": time.Unix(-5, 0),
		"dec": router.Decimal{Scale: 2, Value: -5}, "list": []any{int32(1), "a\"\\\x01\xff\u2028", []byte("hi")},
		"table": map[string]any{"b": nil, "a": []any{true, float32(1.5), math.NaN(), time.Unix(0, 0), router.Decimal{Scale: 1, Value: 15}}},
	}, []byte("body"))
	env.Origin = router.Origin{Queue: "q", Exchange: "x", RoutingKey: "k", Redelivered: true, Received: time.Unix(2, 3)}
	env.Properties = router.Properties{
		ContentType: "ct", ContentEncoding: "ce", DeliveryMode: 2, Priority: 9, CorrelationID: "ci", ReplyTo: "rt", Expiration: "ex",
		MessageID: "mi", Timestamp: time.Unix(1, 0), Type: "ty", UserID: "ui", AppID: "ai",
	}
	return &env
}

func TestFrame(t *testing.T) {
	f, in := load(t, FilterConfig{Name: "echo", Module: watFile(t, "frame")})
	env := everyType()
	d := router.Decision{Targets: []router.Target{queue("out")}}
	if err := in.Run(context.Background(), router.Encode, env, &d); err != nil {
		t.Fatal(err)
	}
	got, err := decodeFrame(env.Body)
	if err != nil {
		t.Fatal(err)
	}
	i := func(v int64) string { return u64(uint64(v)) }
	want := decodedFrame{
		Flags: flagRedeliv, Stage: uint8(router.Encode), Body: "body", FullLen: 4,
		Props:     []string{"x", "k", "ct", "ce", "ci", "rt", "mi", "ty", "ai", "ui", "q", "echo", "ex", "queue:out"},
		Timestamp: 1e9, Received: 2e9 + 3, Priority: 9, Mode: 2,
		Headers: map[string]decodedHeader{
			"nil": {0, 0, ""}, "bool": {5, 0, "\x01"}, "i8": {3, 0, i(-1)}, "u8": {3, 0, i(255)}, "i16": {3, 0, i(-2)}, "u16": {3, 0, i(65535)},
			"i32": {3, 0, i(-3)}, "u32": {3, 0, i(4294967295)}, "i64": {3, 0, i(-4)}, "f32": {4, 0, float(0.5)}, "f64": {4, 0, float(math.Inf(-1))},
			"str": {1, 0, "text"}, "": {1, 0, "empty name"}, "bytes": {2, 0, "\x00\xff"}, "time": {6, 0, i(-5)}, "dec": {1, headerDecimal, "-0.05"},
			"list":  {7, headerArray, "[1,\"a\\\"\\\\\\u0001\ufffd\u2028\",\"aGk=\"]"},
			"table": {7, 0, `{"a":[true,1.5,null,"1970-01-01T00:00:00Z",1.5],"b":null}`},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	// In decide there is no target yet; the time that 64 bits cannot hold saturates.
	env = everyType()
	env.Timestamp = time.Unix(1<<40, 0)
	if err := in.Run(context.Background(), router.Decide, env, &d); err != nil {
		t.Fatal(err)
	}
	if got, err = decodeFrame(env.Body); err != nil || got.Props[13] != "" || got.Timestamp != math.MaxInt64 {
		t.Errorf("%+v, %v", got, err)
	}
	if s := f.Stat(); len(s.Discarded) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestFrameIsWrittenOnlyWhereItFits(t *testing.T) {
	fr := frame{env: everyType(), needs: needsAll, filter: "f", target: "t"}
	n, err := fr.encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	for size := range n {
		buf := make([]byte, size, n+8)
		guard := buf[size : n+8]
		for i := range guard {
			guard[i] = 0xaa
		}
		if got, err := fr.encode(buf); err != nil || got <= size {
			t.Fatalf("into %d bytes: %d, %v; want %d", size, got, err, n)
		}
		for i, c := range guard {
			if c != 0xaa {
				t.Fatalf("into %d bytes: byte %d was written", size, size+i)
			}
		}
	}
}

func TestFrameLeavesOutWhatIsNotNeeded(t *testing.T) {
	for _, c := range []struct {
		needs needs
		flags uint32
		body  string
		props int
		hdrs  int
	}{
		{needsAll, 0, "body", 14, 3},
		{needs{}, flagNoBody | flagNoHeader | flagNoProps, "", 0, 0},
		{needs{headers: true}, flagNoBody | flagNoProps, "", 0, 3},
		{needs{headers: true, names: []headerName{hashed("absent"), hashed("n")}}, flagNoBody | flagNoProps | flagSelected, "", 0, 1},
		{needs{names: []headerName{hashed("n")}}, flagNoBody | flagNoHeader | flagNoProps, "", 0, 0},
		{needs{props: true, prefix: 2}, flagBodyCut | flagNoHeader, "bo", 14, 0},
		{needs{props: true, prefix: 4}, flagNoHeader, "body", 14, 0},
		{needs{prefix: math.MaxUint32}, flagNoHeader | flagNoProps, "body", 0, 0},
	} {
		fr := frame{env: small("body"), needs: c.needs}
		buf := make([]byte, 4096)
		n, err := fr.encode(buf)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeFrame(buf[:n])
		if err != nil {
			t.Fatal(err)
		}
		if got.Flags != c.flags || got.Body != c.body || len(got.Props) != c.props || len(got.Headers) != c.hdrs || got.FullLen != 4 {
			t.Errorf("%+v: %+v", c.needs, got)
		}
	}
}

func TestHeadersThatNoFrameCanHold(t *testing.T) {
	f, in := load(t, FilterConfig{Module: watFile(t, "pass")})
	deep := any("x")
	for range maxNesting + 2 {
		deep = []any{deep}
	}
	for name, headers := range map[string]map[string]any{
		"nested":   {"h": deep},
		"type":     {"h": struct{}{}},
		"in table": {"h": map[string]any{"x": struct{}{}}},
		"key":      {strings.Repeat("k", 1<<16): "x"},
	} {
		env := router.NewEnvelope(headers, nil)
		var d router.Decision
		if err := in.Run(context.Background(), router.Decide, &env, &d); err == nil || classOf(t, err) != ClassInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := f.Stat(); len(s.Discarded) != 0 {
		t.Errorf("the filter's instance was discarded for what it never saw: %+v", s)
	}
}

func TestConfigFrame(t *testing.T) {
	env, err := configEnvelope(map[string]any{
		"name": "x", "n": int64(3), "on": true, "ratio": 0.25, "when": time.Unix(0, 0).UTC(),
		"list": []any{"a", int64(2)}, "words": []string{"b"},
		"table": map[string]any{"inner": map[string]any{"k": "v"}}, "tables": []map[string]any{{"i": int64(1)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"name": "x", "n": int64(3), "on": true, "ratio": 0.25, "when": "1970-01-01T00:00:00Z", "list.0": "a", "list.1": int64(2),
		"words.0": "b", "table.inner.k": "v", "tables.0.i": int64(1),
	}
	if diff := cmp.Diff(want, env.Headers()); diff != "" {
		t.Error(diff)
	}
	var body map[string]any
	if err := json.Unmarshal(env.Body, &body); err != nil || body["table"].(map[string]any)["inner"].(map[string]any)["k"] != "v" {
		t.Errorf("%s: %v", env.Body, err)
	}
	if env, err = configEnvelope(nil); err != nil || string(env.Body) != "{}" || len(env.Headers()) != 0 {
		t.Errorf("%s, %v", env.Body, err)
	}
}

func TestDecimals(t *testing.T) {
	for want, d := range map[string]router.Decimal{
		"123.45": {Scale: 2, Value: 12345}, "0": {}, "-0.1": {Scale: 1, Value: -1}, "0.0001": {Scale: 4, Value: 1},
		"-2147483648": {Value: math.MinInt32}, "1.0": {Scale: 1, Value: 10}, "0." + strings.Repeat("0", 254) + "7": {Scale: 255, Value: 7},
	} {
		if got := string(appendDecimal(nil, d)); got != want {
			t.Errorf("%+v: %s, want %s", d, got, want)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add("key", "value", []byte("bytes"), int64(5), []byte("body"), uint16(100), true, uint32(3), "q")
	f.Add("", "", []byte{}, int64(-1), []byte{}, uint16(0), false, uint32(0), "")
	f.Fuzz(func(t *testing.T, key, text string, raw []byte, n int64, body []byte, room uint16, all bool, prefix uint32, prop string) {
		if len(key) > math.MaxUint16 {
			t.Skip("no such key crosses the wire")
		}
		env := router.NewEnvelope(map[string]any{key: text, key + "b": raw, key + "n": n, key + "t": []any{text, raw, map[string]any{key: n}}}, body)
		env.MessageID = prop
		fr := frame{env: &env, filter: text, target: prop, needs: needs{body: all, headers: true, props: true, prefix: prefix}}
		buf := make([]byte, room)
		size, err := fr.encode(buf)
		if err != nil {
			t.Fatal(err)
		}
		if size > len(buf) {
			buf = make([]byte, 2*size+1024)
			if size, err = fr.encode(buf); err != nil || size > len(buf) {
				t.Fatal(size, err)
			}
		}
		got, err := decodeFrame(buf[:size])
		if err != nil {
			t.Fatal(err)
		}
		if got.Headers[key].Value != text || got.Headers[key+"b"].Value != string(raw) || got.Headers[key+"n"].Value != u64(uint64(n)) {
			t.Errorf("headers: %+v", got.Headers)
		}
		if !json.Valid([]byte(got.Headers[key+"t"].Value)) {
			t.Errorf("not JSON: %q", got.Headers[key+"t"].Value)
		}
		if got.Props[6] != prop || got.Props[11] != text || got.Props[13] != prop {
			t.Errorf("properties: %q", got.Props)
		}
		want := string(body)
		if !all {
			want = want[:min(len(want), int(prefix))]
		}
		if got.Body != want || got.FullLen != uint64(len(body)) {
			t.Errorf("body %q of %d, want %q", got.Body, got.FullLen, want)
		}
	})
}
