package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
)

// example is a record with something of everything.
func example(n int) *Record {
	at := time.Date(2026, 3, 1, 10, 0, 0, 123456789, time.UTC)
	received := router.NewEnvelope(map[string]any{
		"nil": nil, "bool": true, "i8": int8(-8), "u8": uint8(200), "i16": int16(-300), "u16": uint16(60000), "i32": int32(-70000),
		"u32": uint32(4e9), "i64": int64(-1 << 60), "f32": float32(1.5), "f64": 2.25, "text": "a\xffb", "bytes": []byte{0, 1},
		"time": at.Truncate(time.Second), "decimal": router.Decimal{Scale: 2, Value: -314},
		"list": []any{int64(1), "x", []any{}}, "table": map[string]any{"deep": map[string]any{"n": int32(n)}, "empty": map[string]any{}},
	}, []byte(fmt.Sprintf(`{"n":%d}`, n)))
	received.Origin = router.Origin{Queue: "in", Exchange: "e", RoutingKey: "k", Redelivered: n%2 == 0, Received: at}
	received.Properties = router.Properties{
		ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: 2, Priority: 9, CorrelationID: "c", ReplyTo: "r",
		Expiration: "100", MessageID: fmt.Sprint(n), Timestamp: at.Truncate(time.Second), Type: "t", UserID: "u", AppID: "a",
	}
	as, changed := received.Clone(), received.Clone()
	changed.SetHeader("tenant", "acme")
	changed.Body, changed.ReplyTo = []byte("other"), ""
	as.Origin, changed.Origin = router.Origin{}, router.Origin{}
	return &Record{
		At: at, Route: "r", Received: received,
		Decision: Decision{
			Action: ActionForward, Reason: "x", Filter: "f", Stage: "decide", Error: "why", Attempts: 3,
			Sent: []Sent{
				{router.Target{Kind: router.TargetQueue, Queue: "q"}, as, n%2 == 0},
				{router.Target{Kind: router.TargetNotify, Exchange: "e", Topic: "t", Priority: "info"}, changed, false},
			},
		},
	}
}

// written is a recording with n records in a block each, and the offsets at which
// the blocks end.
func written(t *testing.T, n int) (file []byte, ends []int) {
	t.Helper()
	var b Blocks
	file = append(file, Header...)
	for i := range n {
		if _, err := b.Add(example(i)); err != nil {
			t.Fatal(err)
		}
		file = append(file, b.Take()...)
		ends = append(ends, len(file))
	}
	b.AddSummary(Summary{Seen: 9, Taken: 7, Dropped: 2, Why: "done"})
	return append(file, b.Take()...), ends
}

// read reads a recording to its end.
func read(file []byte) (all []*Record, s *Summary, err error) {
	in := NewReader(bytes.NewReader(file))
	for {
		r, err := in.Next()
		if err != nil {
			return all, in.Summary(), err
		}
		all = append(all, r)
	}
}

func compareRecords(want, got *Record) string {
	return cmp.Diff(want, got, cmp.Comparer(func(a, b router.Envelope) bool {
		return cmp.Equal(a.Headers(), b.Headers()) && bytes.Equal(a.Body, b.Body) && a.Properties == b.Properties && a.Origin == b.Origin
	}))
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	file, _ := written(t, 3)
	all, summary, err := read(file)
	if !errors.Is(err, io.EOF) || len(all) != 3 {
		t.Fatal(len(all), err)
	}
	for i, r := range all {
		if diff := compareRecords(example(i), r); diff != "" {
			t.Errorf("%d: -want +got:\n%s", i, diff)
		}
	}
	if diff := cmp.Diff(&Summary{9, 7, 2, "done"}, summary); diff != "" {
		t.Error(diff)
	}
}

func TestATornFileIsReadUpToTheTear(t *testing.T) {
	file, ends := written(t, 3)
	for cut := len(Header); cut < len(file); cut++ {
		whole, at := 0, cut == len(Header)
		for _, end := range ends {
			if cut >= end {
				whole++
			}
			at = at || cut == end
		}
		all, summary, err := read(file[:cut])
		if len(all) != whole || summary != nil || errors.Is(err, io.EOF) != at || errors.Is(err, ErrTorn) == at {
			t.Fatalf("cut at %d: %d records, %v, %v", cut, len(all), summary, err)
		}
	}
}

func TestADamagedBlockEndsTheRecording(t *testing.T) {
	file, ends := written(t, 3)
	for at := ends[0]; at < ends[1]; at++ {
		bad := bytes.Clone(file)
		bad[at] ^= 0x20
		all, _, err := read(bad)
		if len(all) != 1 || !errors.Is(err, ErrTorn) {
			t.Fatalf("byte %d: %d records, %v", at, len(all), err)
		}
	}
}

func TestWhatIsNoRecordingIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "it is no recording; router record makes them",
		"{}":                         "it is no recording; router record makes them",
		"wasmrouter recording 2\n":   "it was made by a later version of router; this one reads version 1",
		"wasmrouter recording 1234x": "it was made by a later version of router; this one reads version 1",
	} {
		if _, _, err := read([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestHeadersThatNoneMayHoldAreNotWritten(t *testing.T) {
	var b Blocks
	r := example(1)
	r.Received.SetHeader("x", struct{}{})
	if _, err := b.Add(r); err == nil || b.Len() != 0 {
		t.Error(err, b.Len())
	}
}

// counting returns how many bytes were allocated meanwhile.
func counting(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// What a file says of itself takes no memory: only what is in it does.
func TestLengthsThatAreNotThereTakeNoMemory(t *testing.T) {
	const size = 1 << 20
	head := func() *encoder {
		e := &encoder{}
		e.time(time.Time{})
		for range 4 {
			e.text("")
		}
		e.bool(false)
		e.time(time.Time{})
		e.properties(&router.Properties{})
		return e
	}
	table := head()
	table.uint(size / 2)
	nested := head()
	nested.uint(1)
	nested.text("x")
	for range maxDepth {
		nested.b = append(nested.b, 'A')
		nested.uint(size / 2)
	}
	many := head() // values that are there
	many.uint(1)
	many.text("x")
	many.b = append(many.b, 'A')
	many.uint(maxValues * 2)
	many.b = append(many.b, bytes.Repeat([]byte{'V'}, maxValues*2)...)
	sent := head()
	sent.uint(0)
	for range 6 {
		sent.text("")
	}
	sent.uint(0)
	sent.uint(maxSent + 1)
	for range maxSent + 1 {
		sent.b = append(sent.b, 5, 0, 0, 0, 0, 0, sameProperties|sameHeaders|sameBody)
	}
	for name, c := range map[string]struct {
		e    *encoder
		most uint64 // bytes
	}{"table": {table, 1 << 20}, "nested": {nested, 1 << 20}, "many": {many, 100 * maxValues}, "sent": {sent, 1 << 20}} {
		one := append(c.e.b, bytes.Repeat([]byte{0xff}, size)...)
		got := counting(func() {
			if _, err := decode(one); !errors.Is(err, errMalformed) {
				t.Errorf("%s: %v", name, err)
			}
		})
		if got > c.most {
			t.Errorf("%s: %d bytes for a record of %d", name, got, len(one))
		}
	}
}

// A file of nothing but summaries is read to its end.
func TestManySummariesTakeNoStack(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(1 << 20))
	var b Blocks
	for range 100_000 {
		b.AddSummary(Summary{})
	}
	all, summary, err := read(append([]byte(Header), b.Take()...))
	if len(all) != 0 || summary == nil || !errors.Is(err, io.EOF) {
		t.Error(len(all), summary, err)
	}
}

// Nothing is written that cannot be read again.
func TestWhatCannotBeReadIsNotWritten(t *testing.T) {
	deep := any(nil)
	for range maxDepth + 1 {
		deep = []any{deep}
	}
	for name, change := range map[string]func(*Record){
		"deep":   func(r *Record) { r.Received.SetHeader("x", deep) },
		"values": func(r *Record) { r.Received.SetHeader("x", make([]any, maxValues)) },
		"sent":   func(r *Record) { r.Decision.Sent = make([]Sent, maxSent+1) },
	} {
		var b Blocks
		r := example(1)
		change(r)
		if _, err := b.Add(r); err == nil || b.Len() != 0 {
			t.Errorf("%s: %v, %d bytes", name, err, b.Len())
		}
	}
	var b Blocks
	r := example(1)
	r.Received.SetHeader("x", deep.([]any)[0])
	if _, err := b.Add(r); err != nil {
		t.Fatal(err)
	}
	if all, _, err := read(append([]byte(Header), b.Take()...)); len(all) != 1 || !errors.Is(err, io.EOF) {
		t.Errorf("what is just not too deep: %d, %v", len(all), err)
	}
}

// FuzzFile reads files: as they are, and as the contents of a block that is whole.
func FuzzFile(f *testing.F) {
	var b Blocks
	for n := range 2 {
		if _, err := b.Add(example(n)); err != nil {
			f.Fatal(err)
		}
	}
	b.AddSummary(Summary{Seen: 2, Taken: 2, Why: "done"})
	f.Add(bytes.Clone(b.raw))
	f.Add(append([]byte(Header), b.Take()...))
	f.Add([]byte{6, kindSummary, 0, 0, 0, 1, 'x', 5, kindSummary, 0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, kindMessage})
	f.Add([]byte(Header + "\x00\x00\x00\x10\xff\xff\xff\x0f\x00\x00\x00\x00"))
	f.Add([]byte("wasmrouter recording 2\n"))
	var pack Blocks
	f.Fuzz(func(t *testing.T, data []byte) {
		pack.raw = bytes.Clone(data)
		for _, text := range [][]byte{data, append([]byte(Header), pack.Take()...)} {
			all, _, err := read(text)
			whole := bytes.HasPrefix(text, []byte(Header))
			if err == nil || whole && !errors.Is(err, io.EOF) && !errors.Is(err, ErrTorn) {
				t.Fatal(err)
			}
			if !whole && len(all) > 0 {
				t.Fatalf("%d records of no recording", len(all))
			}
		}
	})
}

func FuzzReader(f *testing.F) {
	var b Blocks
	if _, err := b.Add(example(1)); err != nil {
		f.Fatal(err)
	}
	f.Add(b.one)
	f.Add([]byte{kindSummary, 1, 2, 3, 1, 'x'})
	f.Fuzz(func(t *testing.T, one []byte) {
		in := NewReader(nil)
		r, err := in.decode(one)
		if (r == nil && in.Summary() == nil) == (err == nil) {
			t.Fatal(r, err)
		}
		if r == nil {
			return
		}
		again, err := r.append([]byte{kindMessage})
		if err != nil {
			t.Fatal(err)
		}
		back, err := in.decode(again)
		if err != nil {
			t.Fatal(err)
		}
		third, err := back.append([]byte{kindMessage})
		if err != nil || !bytes.Equal(again, third) {
			t.Errorf("%x\n%x, %v", again, third, err)
		}
	})
}
