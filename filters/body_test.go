package filters_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
)

// load returns a filter and one instance of it.
func load(t testing.TB, cfg wasmhost.FilterConfig) (*wasmhost.Filter, router.Filter) {
	t.Helper()
	cfg.Limits.Time, cfg.Limits.StartTime = 10*time.Second, time.Minute
	ctx := context.Background() // it outlives the test
	f, err := host.Load(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	in, err := f.Instance(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return f, in
}

var bodyGuests = map[string]string{
	"rust":           buildRust + "sdk/rust/testdata/body.rs",
	"assemblyscript": buildAS + "body.ts",
	"wat":            buildWAT + "sdk/wat/testdata/body.wat",
}

// A body of 10 MiB fits an instance of 12 MiB only if nobody copies it.
func TestBodiesByReferenceAreNotCopied(t *testing.T) {
	for language, command := range bodyGuests {
		t.Run(language, func(t *testing.T) {
			_, in := load(t, wasmhost.FilterConfig{
				Name: "body", Module: built(t, command),
				Limits: wasmhost.Limits{Memory: 12 << 20, Output: 12 << 20},
			})
			body := bytes.Repeat([]byte("0123456789abcde\n"), 10<<16)
			env, d := router.NewEnvelope(nil, body), router.Decision{}
			if err := in.Run(t.Context(), router.Decode, &env, &d); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(env.Body, body[1:len(body)-1]) {
				t.Errorf("%d bytes came back that are not the body's inner ones", len(env.Body))
			}
		})
	}
}

// However many messages come, an instance has the memory that the largest needs.
func TestMemoryOfGuestsStaysFlat(t *testing.T) {
	for language, command := range bodyGuests {
		t.Run(language, func(t *testing.T) {
			f, in := load(t, wasmhost.FilterConfig{Name: "body", Module: built(t, command)})
			body := bytes.Repeat([]byte("xyz"), 10<<10)
			run := func(n int) {
				t.Helper()
				env, d := router.NewEnvelope(nil, body[:n]), router.Decision{}
				if err := in.Run(t.Context(), router.Encode, &env, &d); err != nil {
					t.Fatal(err)
				}
				if want := bytes.ToUpper(body[:n]); !bytes.Equal(env.Body, want) {
					t.Fatalf("%d bytes: %d other bytes came back", n, len(env.Body))
				}
			}
			many := func(n int) wasmhost.Stat {
				for i := range n {
					run(i % 1000 * i % 257)
				}
				run(len(body))
				return f.Stat()
			}
			many(1000) // the host looks at the memory now and then
			before := many(1000)
			after := many(100_000)
			if after.MemoryBytes != before.MemoryBytes || after.Restarts != before.Restarts {
				t.Errorf("memory grew from %d to %d bytes, %d and then %d instances were replaced",
					before.MemoryBytes, after.MemoryBytes, before.Restarts, after.Restarts)
			}
		})
	}
}
