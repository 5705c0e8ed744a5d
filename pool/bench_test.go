package pool_test

import (
	"context"
	"testing"

	"github.com/jackc/puddle/v2"

	"github.com/wasmrouter/router/pool"
)

func benchPool(b *testing.B) *pool.Pool[int] {
	p := mustNew(b, pool.Config[int]{New: func(context.Context) (int, error) { return 1, nil }, Max: 8})
	b.Cleanup(func() { _ = p.Close(context.Background()) })
	return p
}

func benchPuddle(b *testing.B) *puddle.Pool[int] {
	p, err := puddle.NewPool(&puddle.Config[int]{
		Constructor: func(context.Context) (int, error) { return 1, nil },
		Destructor:  func(int) {},
		MaxSize:     8,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Close)
	return p
}

// BenchmarkAcquire borrows and returns a warm item, alone.
func BenchmarkAcquire(b *testing.B) {
	ctx := context.Background()
	b.Run("pool", func(b *testing.B) {
		p := benchPool(b)
		b.ReportAllocs()
		for b.Loop() {
			l, err := p.Acquire(ctx)
			if err != nil {
				b.Fatal(err)
			}
			l.Release()
		}
	})
	b.Run("puddle", func(b *testing.B) {
		p := benchPuddle(b)
		b.ReportAllocs()
		for b.Loop() {
			r, err := p.Acquire(ctx)
			if err != nil {
				b.Fatal(err)
			}
			r.Release()
		}
	})
}

// BenchmarkContended has 32 borrowers for each processor and 8 items.
func BenchmarkContended(b *testing.B) {
	ctx := context.Background()
	b.Run("pool", func(b *testing.B) {
		p := benchPool(b)
		b.SetParallelism(32)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				l, err := p.Acquire(ctx)
				if err != nil {
					b.Error(err)
					return
				}
				l.Release()
			}
		})
	})
	b.Run("puddle", func(b *testing.B) {
		p := benchPuddle(b)
		b.SetParallelism(32)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				r, err := p.Acquire(ctx)
				if err != nil {
					b.Error(err)
					return
				}
				r.Release()
			}
		})
	})
}
