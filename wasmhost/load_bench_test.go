package wasmhost

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/wasmrouter/router/wasmhost/compile"
)

// The time to load a filter, up to and with its first instance: compiled in a
// process of its own, from the disk cache, and in this process.

func BenchmarkLoadC(b *testing.B)  { benchmarkLoad(b, cGuest(b, "route")) }
func BenchmarkLoadGo(b *testing.B) { benchmarkLoad(b, goGuest(b)) }

func benchmarkLoad(b *testing.B, module []byte) {
	self, err := compile.Self()
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	load := func(b *testing.B, cfg Config) {
		h, err := New(ctx, cfg)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := h.Load(ctx, FilterConfig{Name: "bench", Module: module}); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := h.Close(ctx); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			load(b, Config{Compiler: self})
		}
	})
	b.Run("warm", func(b *testing.B) {
		cfg := Config{Compiler: self, CacheDir: filepath.Join(b.TempDir(), "cache")}
		load(b, cfg)
		for b.Loop() {
			load(b, cfg)
		}
	})
	b.Run("here", func(b *testing.B) {
		for b.Loop() {
			load(b, Config{})
		}
	})
}
