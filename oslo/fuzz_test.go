package oslo_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/wasmrouter/router/oslo"
)

func FuzzOpen(f *testing.F) {
	for _, c := range captures(f) {
		f.Add(c.plain(f))
	}
	f.Add([]byte(`{"method":"m","args":{"x":[NaN,1e9,"\ud800"]},"_timeout":"2","_context_a":1}`))
	f.Add([]byte(`{"event_type":"e","payload":{"a":{"b":null}},"a":1,"a":2}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		message, _, err := oslo.Open(body)
		if err != nil {
			return
		}
		// What can be read can be written, and reads as the same.
		again, enveloped, err := oslo.Open(oslo.Seal(message.Raw()))
		if err != nil || !enveloped || !bytes.Equal(again.Raw(), message.Raw()) {
			t.Fatalf("%v: %s became %s", err, message.Raw(), again.Raw())
		}
		r := oslo.ParseRequest(&message)
		r.KeepAlive()
		same(t, r.Encode(), func(o *oslo.Object) oslo.Raw { r := oslo.ParseRequest(o); return r.Encode() })
		if r, err := oslo.ParseReply(&message); err == nil {
			same(t, r.Encode(), func(o *oslo.Object) oslo.Raw { r, _ := oslo.ParseReply(o); return r.Encode() })
		}
		if n, err := oslo.ParseNotification(&message); err == nil {
			same(t, n.Encode(), func(o *oslo.Object) oslo.Raw { n, _ := oslo.ParseNotification(o); return n.Encode() })
		}
	})
}

// same checks that a written message reads and writes as itself.
func same(t *testing.T, text oslo.Raw, again func(*oslo.Object) oslo.Raw) {
	t.Helper()
	o, err := oslo.ParseObject(text)
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if got := again(&o); !bytes.Equal(got, text) {
		t.Fatalf("\nwrote %s\n then %s", text, got)
	}
}

func FuzzRaw(f *testing.F) {
	for _, text := range []string{`[1, 1.0, -0, 1e400, NaN, "\udc80\ud83d\ude00"]`, `{"a": {"b": []}, "a": null}`, `"\u0000é"`, `[}`, `01`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		raw, err := oslo.ParseRaw(text)
		if json.Valid(text) && err != nil && !bytes.Contains(text, bytes.Repeat([]byte("["), 40)) && !bytes.Contains(text, []byte(":{")) {
			t.Fatalf("valid JSON refused: %v", err)
		}
		if err != nil {
			return
		}
		v, err := raw.Value()
		if err != nil {
			t.Fatal(err)
		}
		written, err := oslo.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		v, err = written.Value()
		if err != nil {
			t.Fatalf("%v: %s", err, written)
		}
		if again, err := oslo.Marshal(v); err != nil || !bytes.Equal(again, written) {
			t.Fatalf("%v: %s became %s", err, written, again)
		}
	})
}

func FuzzDecompress(f *testing.F) {
	f.Add(true, oslo.Compress([]byte(`{"method": "m"}`)))
	f.Add(false, []byte("BZh91AY"))
	f.Fuzz(func(t *testing.T, zlib bool, body []byte) {
		compression := "application/x-bz2"
		if zlib {
			compression = oslo.CompressionGzip
		}
		const limit = 1 << 12
		if out, err := oslo.Decompress(compression, body, limit); err == nil && len(out) > limit {
			t.Fatalf("%d bytes", len(out))
		}
		// Whatever was compressed comes back, within the limit and not beyond.
		packed := oslo.Compress(body)
		if out, err := oslo.Decompress(oslo.CompressionGzip, packed, len(body)); err != nil || !bytes.Equal(out, body) {
			t.Errorf("%x came back as %x: %v", body, out, err)
		}
		if _, err := oslo.Decompress(oslo.CompressionGzip, packed, len(body)-1); len(body) > 0 && !errors.Is(err, oslo.ErrTooLarge) {
			t.Errorf("%d bytes beyond the limit: %v", len(body), err)
		}
	})
}
