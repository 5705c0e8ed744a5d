package rpc_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

func TestPlainUsesThePropertiesThatOthersUse(t *testing.T) {
	env, err := (rpc.Plain{}).EncodeRequest(
		rpc.Request{Method: "m", Payload: []byte("body"), ContentType: "text/plain", Context: map[string]any{"a": 1, "b": "x"}},
		rpc.Ticket{ID: "id", ReplyTo: "q", UniqueID: "u"})
	want := router.Properties{ContentType: "text/plain", DeliveryMode: 2, CorrelationID: "id", ReplyTo: "q", MessageID: "u", Type: "m"}
	if diff := cmp.Diff(want, env.Properties); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff(map[string]any{"a": int64(1), "b": "x"}, env.Headers()); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	for unique, id := range map[bool]string{false: "", true: "u"} {
		_, ticket, err := (rpc.Plain{UniqueIDs: unique}).DecodeRequest(&env)
		if diff := cmp.Diff(rpc.Ticket{ID: "id", ReplyTo: "q", UniqueID: id}, ticket); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	env.CorrelationID = ""
	if _, ticket, _ := (rpc.Plain{}).DecodeRequest(&env); ticket.ID != "u" || !ticket.Wanted() {
		t.Errorf("without a correlation id: %+v", ticket)
	}
	if _, _, err := (rpc.Plain{}).DecodeAnswer(&env); !errors.Is(err, rpc.ErrFormat) {
		t.Errorf("an answer to nothing: %v", err)
	}
	if _, err := (rpc.Plain{}).EncodeAnswer(rpc.Answer{KeepAlive: true}, rpc.Ticket{}); !errors.Is(err, rpc.ErrFormat) {
		t.Errorf("a keep-alive: %v", err)
	}
}

func TestOsloBodiesAreBounded(t *testing.T) {
	big := `{"method": "m", "args": {"x": "` + "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" + `"}}`
	env := router.NewEnvelope(map[string]any{oslo.HeaderCompression: oslo.CompressionGzip}, oslo.Compress([]byte(big)))
	if _, _, err := (rpc.Oslo{MaxBody: len(big)}).DecodeRequest(&env); err != nil {
		t.Error(err)
	}
	if _, _, err := (rpc.Oslo{MaxBody: len(big) - 1}).DecodeRequest(&env); !errors.Is(err, oslo.ErrTooLarge) || !errors.Is(err, rpc.ErrFormat) {
		t.Error(err)
	}
	if text, err := (rpc.Oslo{}).Text(&env); err != nil || string(text) != big {
		t.Errorf("%s, %v", text, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("application/json", "", "", []byte(`{"method": "m", "args": {}, "_msg_id": "i", "_reply_q": "q", "_context_a": [1.0]}`))
	f.Add("application/json", "", "i", []byte(`{"result": 1, "failure": "{\"class\": \"E\"}", "ending": true, "_msg_id": "i"}`))
	f.Add("", "application/x-gzip", "", oslo.Compress([]byte(`{"event_type": "e", "payload": NaN}`)))
	f.Fuzz(func(t *testing.T, contentType, compression, id string, body []byte) {
		for _, format := range []rpc.Format{rpc.Oslo{MaxBody: 1 << 16}, rpc.Plain{}} {
			env := router.NewEnvelope(map[string]any{oslo.HeaderCompression: compression}, body)
			env.ContentType, env.CorrelationID = contentType, id
			if req, ticket, err := format.DecodeRequest(&env); err == nil {
				if _, err := format.EncodeRequest(req, ticket); err != nil {
					t.Errorf("a request that was read cannot be written: %v", err)
				}
			}
			if id, answer, err := format.DecodeAnswer(&env); err == nil {
				again, err := format.EncodeAnswer(answer, rpc.Ticket{ID: id})
				if err != nil {
					t.Fatalf("an answer that was read cannot be written: %v", err)
				}
				if got, _, err := format.DecodeAnswer(&again); err != nil || got != id {
					t.Errorf("answer %q became %q: %v", id, got, err)
				}
			}
			if n, err := format.DecodeNotification(&env); err == nil && n.EventType != "" && n.PublisherID != "" {
				if _, err := format.EncodeNotification(n); err != nil {
					t.Errorf("a notification that was read cannot be written: %v", err)
				}
			}
		}
	})
}
