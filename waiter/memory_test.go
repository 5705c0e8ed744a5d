package waiter_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/wasmrouter/router/waiter"
)

// perEntry returns what n waiting calls with ids of 32 bytes cost, in bytes
// each, the ids included, with the table that holds them.
func perEntry(tb testing.TB, n int) (float64, *waiter.Table[*int]) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	table := waiter.New[*int]()
	for i := range n {
		mustRegister(tb, table, fmt.Sprintf("%032x", i))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	return float64(after.HeapAlloc-before.HeapAlloc) / float64(n), table
}

func TestAMillionWaitingCallsAreCheap(t *testing.T) {
	const n, limit = 1_000_000, 300
	got, table := perEntry(t, n)
	t.Logf("%.0f B per waiting call", got)
	if got > limit {
		t.Errorf("a waiting call takes %.0f B, want at most %d", got, limit)
	}
	if table.Len() != n {
		t.Fatalf("len %d", table.Len())
	}

	// Memory comes back when the answers have come.
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range n {
		if !table.Deliver(fmt.Sprintf("%032x", i), nil) {
			t.Fatalf("call %d is not waiting", i)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if freed := float64(before.HeapAlloc) - float64(after.HeapAlloc); freed < 0.9*got*n {
		t.Errorf("%.0f of %.0f MB came back", freed/1e6, got*n/1e6)
	}
	runtime.KeepAlive(table)
}
