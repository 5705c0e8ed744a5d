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
