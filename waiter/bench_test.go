package waiter_test

import (
	"fmt"
	"hash/maphash"
	"testing"

	"github.com/wasmrouter/router/waiter"
)

// BenchmarkDeliver delivers to one after the other of so many waiting calls;
// registering them anew is not timed. With one call the figure is that of
// stopping the timer.
func BenchmarkDeliver(b *testing.B) {
	for _, n := range []int{1, 1000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			table := waiter.New[*int]()
			ids := make([]string, n)
			for i := range ids {
				ids[i] = fmt.Sprintf("%032x", i)
			}
			fill := func() {
				for _, id := range ids {
					if _, err := table.Register(id); err != nil {
						b.Fatal(err)
					}
				}
			}
			fill()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i == n {
					b.StopTimer()
					fill()
					b.StartTimer()
					i = 0
				}
				if !table.Deliver(ids[i], nil) {
					b.Fatal("nothing waits")
				}
				i++
			}
		})
	}
}

// BenchmarkCall is the whole life of a call: register, deliver, wait.
func BenchmarkCall(b *testing.B) {
	table := waiter.New[*int]()
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		c := mustRegister(b, table, "0123456789abcdef0123456789abcdef")
		table.Deliver("0123456789abcdef0123456789abcdef", nil)
		if _, err := c.Wait(ctx, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParallel has the processors work on different ids.
func BenchmarkParallel(b *testing.B) {
	table := waiter.New[*int]()
	ids := make([]string, 4096)
	for i := range ids {
		ids[i] = fmt.Sprintf("%032x", i)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		i := 0
		for pb.Next() {
			i++
			id := ids[i%len(ids)]
			if c, err := table.Register(id); err == nil {
				table.Deliver(id, nil)
				c.Close()
			}
		}
	})
}

// BenchmarkMap is the floor for BenchmarkDeliver: looking up and deleting one
// after the other of a million entries of a plain map, without locks.
func BenchmarkMap(b *testing.B) {
	const n = 1_000_000
	seed := maphash.MakeSeed()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%032x", i)
	}
	calls := make(map[uint64]*[64]byte)
	fill := func() {
		for _, id := range ids {
			calls[maphash.String(seed, id)] = new([64]byte)
		}
	}
	fill()
	i := 0
	for b.Loop() {
		if i == n {
			b.StopTimer()
			fill()
			b.StartTimer()
			i = 0
		}
		h := maphash.String(seed, ids[i])
		calls[h][0] = 1
		delete(calls, h)
		i++
	}
}
