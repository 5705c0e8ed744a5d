package osloroute

import (
	"strings"
	"testing"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

func TestAProxysCallIsItsCallers(t *testing.T) {
	const limit = 1 << 10
	sealed := func(method, id, queue string, compressed bool) *router.Envelope {
		request := oslo.Request{Method: method, MsgID: id, ReplyQueue: queue, UniqueID: "u", Args: oslo.Raw("{}")}
		env := router.NewEnvelope(map[string]any{"h": "x"}, oslo.Seal(request.Encode()))
		if compressed {
			env.Body = oslo.Compress(env.Body)
			env.SetHeader(oslo.HeaderCompression, oslo.CompressionGzip)
		}
		return &env
	}
	own := idOf(caller{"1", "reply_a"})
	for _, compressed := range []bool{false, true} {
		received, sent := sealed("m", "1", "reply_a", compressed), sealed("changed", own, "reply_router", compressed)
		got, ok := AsCaller(received, sent, limit)
		if !ok || string(got.Body) != string(sealed("changed", "1", "reply_a", compressed).Body) || got.Headers()["h"] != "x" {
			t.Errorf("compressed %v: %v, %q", compressed, ok, got.Body)
		}
		if _, ok := AsCaller(received, sent, 10); ok && compressed {
			t.Error("it was decompressed beyond the limit")
		}
		if _, ok := AsCaller(received, sealed(strings.Repeat("m", limit), own, "reply_router", compressed), limit); ok && compressed {
			t.Error("what was sent was decompressed beyond the limit")
		}
		if _, ok := AsCaller(received, sealed("m", "1", "reply_a", compressed), limit); ok {
			t.Error("what a route in mode forward sends is taken for a proxy's")
		}
	}
	plain := router.NewEnvelope(nil, []byte("text"))
	for _, pair := range [][2]*router.Envelope{{&plain, &plain}, {sealed("m", "1", "reply_a", false), &plain}, {&plain, sealed("m", own, "q", false)}} {
		if got, ok := AsCaller(pair[0], pair[1], limit); ok {
			t.Errorf("%q was taken for a call", got.Body)
		}
	}
}
