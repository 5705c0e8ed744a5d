package osloroute_test

import (
	"testing"

	"github.com/wasmrouter/router/oslo/osloroute"
	"github.com/wasmrouter/router/router"
)

// BenchmarkRequests passes a call of 25 context entries through the format, with
// and without a filter that changes one of them.
func BenchmarkRequests(b *testing.B) {
	inner := `{"method": "build", "args": {"id": 7}, "_msg_id": "6563ccee3030418ea4411a593ec4129b", "_reply_q": "reply_3fe271b4a9bc4ca3a8815a5bb59c2d3b", "_timeout": null, "_unique_id": "9f73afb5b242417296c1ff95a377202a"`
	for i := range 25 {
		inner += `, "_context_some_key_` + string(rune('a'+i)) + `": "a value of some length"`
	}
	env := request(inner + "}")
	for name, filter := range map[string]func(*router.Envelope){
		"bare":      nil,
		"untouched": nil,
		"changed":   func(e *router.Envelope) { e.SetHeader("some_key_c", "another value") },
	} {
		b.Run(name, func(b *testing.B) {
			r, err := osloroute.NewRequests(osloroute.Config{Route: "r", MaxBody: 1 << 20, Permits: anywhere, Bare: name == "bare"})
			if err != nil {
				b.Fatal(err)
			}
			f, err := r.Format(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(env.Body)))
			for b.Loop() {
				if _, err := pass(f, env, 0, filter); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
