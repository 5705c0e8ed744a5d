package oslo_test

import (
	"testing"

	"github.com/wasmrouter/router/oslo"
)

func BenchmarkOpenRequest(b *testing.B) {
	body := []byte(captures(b)[0].Body)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		message, _, err := oslo.Open(body)
		if err != nil {
			b.Fatal(err)
		}
		if r := oslo.ParseRequest(&message); !r.IsCall() {
			b.Fatal("no call")
		}
	}
}

func BenchmarkSealReply(b *testing.B) {
	r := oslo.Reply{MsgID: oslo.NewID(), UniqueID: oslo.NewID(), Ending: true, Result: oslo.Raw(`{"status": "ACTIVE", "progress": 100, "fault": null}`)}
	b.ReportAllocs()
	for b.Loop() {
		if body := oslo.Seal(r.Encode()); len(body) == 0 {
			b.Fatal("no body")
		}
	}
}

func BenchmarkSealRequest(b *testing.B) {
	context := map[string]any{"user_id": oslo.NewID(), "project_id": oslo.NewID(), "is_admin": false, "roles": []any{"member", "reader"}, "domain_id": nil}
	args := map[string]any{"value": "a text of some length, such as services send"}
	b.ReportAllocs()
	for b.Loop() {
		r := oslo.Request{Method: "echo", MsgID: oslo.NewID(), ReplyQueue: "reply_1", UniqueID: oslo.NewID()}
		var err error
		if r.Args, err = oslo.Marshal(args); err != nil {
			b.Fatal(err)
		}
		if r.Context, err = oslo.MarshalObject(context); err != nil {
			b.Fatal(err)
		}
		if body := oslo.Seal(r.Encode()); len(body) == 0 {
			b.Fatal("no body")
		}
	}
}

func BenchmarkContextValue(b *testing.B) {
	message, _, err := oslo.Open([]byte(captures(b)[0].Body))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r := oslo.ParseRequest(&message)
		if len(r.Context.Value()) != 3 {
			b.Fatal("no context")
		}
	}
}
