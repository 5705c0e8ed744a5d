package pool_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/pool"
)

// thing is what the tests lend.
type thing struct {
	n      int
	closed atomic.Int32
	lent   atomic.Int32
}

// maker makes things and remembers them.
type maker struct {
	mu   sync.Mutex
	made []*thing
	fail error
}

func (m *maker) new(context.Context) (*thing, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return nil, m.fail
	}
	t := &thing{n: len(m.made)}
	m.made = append(m.made, t)
	return t, nil
}

func (m *maker) config(limit int) pool.Config[*thing] {
	return pool.Config[*thing]{New: m.new, Close: func(t *thing) { t.closed.Add(1) }, Max: limit}
}

// open returns the numbers of the things that were not closed.
func (m *maker) open() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []int
	for _, t := range m.made {
		if t.closed.Load() == 0 {
			out = append(out, t.n)
		}
	}
	return out
}

func mustNew[T any](t testing.TB, cfg pool.Config[T]) *pool.Pool[T] {
	t.Helper()
	p, err := pool.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustAcquire[T any](t testing.TB, p *pool.Pool[T]) *pool.Lease[T] {
	t.Helper()
	l, err := p.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustClose[T any](t testing.TB, p *pool.Pool[T]) {
	t.Helper()
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestNewNamesTheFieldAtFault(t *testing.T) {
	ok := (&maker{}).config(1)
	for want, change := range map[string]func(*pool.Config[*thing]){
		"New":     func(c *pool.Config[*thing]) { c.New = nil },
		"Max":     func(c *pool.Config[*thing]) { c.Max = 0 },
		"MinIdle": func(c *pool.Config[*thing]) { c.MinIdle = 2 },
		"IdleTTL": func(c *pool.Config[*thing]) { c.IdleTTL = -1 },
	} {
		cfg := ok
		change(&cfg)
		if p, err := pool.New(cfg); p != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v", want, p, err)
		}
	}
}

func TestTheItemReturnedLastIsLentFirst(t *testing.T) {
	m := &maker{}
	p := mustNew(t, m.config(3))
	a, b := mustAcquire(t, p), mustAcquire(t, p)
	a.Release()
	b.Release()
	if got := mustAcquire(t, p).Item().n; got != 1 {
		t.Errorf("lent item %d, want 1", got)
	}
	want := pool.Stat{Max: 3, Idle: 1, Lent: 1, Acquires: 3, Made: 2}
	if diff := cmp.Diff(want, p.Stat()); diff != "" {
		t.Error(diff)
	}
}

func TestALeaseEndsOnce(t *testing.T) {
	for _, end := range []string{"release", "discard"} {
		m := &maker{}
		p := mustNew(t, m.config(2))
		l := mustAcquire(t, p)
		if l.Err() != nil || l.Item() == nil {
			t.Fatalf("%s: a new lease is ended", end)
		}
		if end == "release" {
			l.Release()
		} else {
			l.Discard()
		}
		l.Release()
		l.Discard()
		if l.Item() != nil || !errors.Is(l.Err(), pool.ErrReturned) {
			t.Errorf("%s: an ended lease gives %v, %v", end, l.Item(), l.Err())
		}
		s := p.Stat()
		if s.Lent != 0 || s.LateUses == 0 {
			t.Errorf("%s: %+v", end, s)
		}
		if want := 1 - s.Idle; int(m.made[0].closed.Load()) != want {
			t.Errorf("%s: closed %d times, want %d", end, m.made[0].closed.Load(), want)
		}
		mustClose(t, p)
	}
}

func TestAFailedNewGivesTheSlotBackAndServesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &maker{}
		broken := errors.New("no route to host")
		gate := make(chan struct{})
		first := true
		cfg := m.config(1)
		cfg.New = func(ctx context.Context) (*thing, error) {
			if first {
				first = false
				<-gate
				return nil, broken
			}
			return m.new(ctx)
		}
		p := mustNew(t, cfg)
		var got error
		go func() { _, got = p.Acquire(t.Context()) }()
		synctest.Wait()
		var second *pool.Lease[*thing]
		go func() { second, _ = p.Acquire(t.Context()) }()
		synctest.Wait()
		if s := p.Stat(); s.Making != 1 || s.Waiting != 1 {
			t.Errorf("before: %+v", s)
		}
		close(gate)
		synctest.Wait()
		if !errors.Is(got, broken) {
			t.Errorf("got %v", got)
		}
		if second == nil {
			t.Fatal("the second borrower was not served")
		}
		if s := p.Stat(); s.MakeFailures != 1 || s.Making != 0 || s.Lent != 1 {
			t.Errorf("after: %+v", s)
		}
	})
}

func TestAPanicInNewGivesTheSlotBack(t *testing.T) {
	m := &maker{}
	cfg := m.config(1)
	boom := true
	cfg.New = func(ctx context.Context) (*thing, error) {
		if boom {
			panic("boom")
		}
		return m.new(ctx)
	}
	p := mustNew(t, cfg)
	func() {
		defer func() { _ = recover() }()
		_, _ = p.Acquire(t.Context())
	}()
	boom = false
	mustAcquire(t, p).Release()
	mustClose(t, p)
}

func TestAPanicInResetClosesTheItem(t *testing.T) {
	m := &maker{}
	cfg := m.config(1)
	cfg.Reset = func(*thing) error { panic("boom") }
	p := mustNew(t, cfg)
	l := mustAcquire(t, p)
	func() {
		defer func() { _ = recover() }()
		l.Release()
	}()
	if got := m.open(); len(got) != 0 {
		t.Errorf("open: %v", got)
	}
	mustAcquire(t, p).Discard()
	mustClose(t, p)
}

func TestNewRunsOutsideTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &maker{}
		gate := make(chan struct{})
		cfg := m.config(2)
		n := 0
		cfg.New = func(ctx context.Context) (*thing, error) {
			if n++; n == 2 {
				<-gate
			}
			return m.new(ctx)
		}
		p := mustNew(t, cfg)
		a := mustAcquire(t, p)
		go func() { mustAcquire(t, p).Release() }()
		synctest.Wait()
		a.Release() // these would hang if New held the lock
		mustAcquire(t, p).Release()
		close(gate)
		synctest.Wait()
		mustClose(t, p)
	})
}

func TestAFailedResetClosesTheItem(t *testing.T) {
	m := &maker{}
	cfg := m.config(1)
	cfg.Reset = func(*thing) error { return errors.New("half a message is in it") }
	p := mustNew(t, cfg)
	mustAcquire(t, p).Release()
	want := pool.Stat{Max: 1, Acquires: 1, Made: 1, Discards: 1, ResetFailures: 1}
	if diff := cmp.Diff(want, p.Stat()); diff != "" {
		t.Error(diff)
	}
	if got := m.open(); len(got) != 0 {
		t.Errorf("open: %v", got)
	}
}

func TestBorrowersAreServedInTheOrderTheyAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &maker{}
		p := mustNew(t, m.config(1))
		l := mustAcquire(t, p)
		const n = 20
		var mu sync.Mutex
		var order []int
		canceled, cancel := context.WithCancel(t.Context())
		for i := range n {
			ctx := t.Context()
			if i%5 == 2 {
				ctx = canceled
			}
			go func() {
				l, err := p.Acquire(ctx)
				if err != nil {
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(time.Second)
				if i%2 == 0 {
					l.Discard() // a slot is passed on in order as well
				} else {
					l.Release()
				}
			}()
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		time.Sleep(time.Second)
		l.Release()
		time.Sleep(time.Hour)
		synctest.Wait()
		var want []int
		for i := range n {
			if i%5 != 2 {
				want = append(want, i)
			}
		}
		if diff := cmp.Diff(want, order); diff != "" {
			t.Error(diff)
		}
		s := p.Stat()
		// 4 left at once; 16 waited 1 s, 2 s, … 16 s.
		if s.Waits != n || s.Canceled != 4 || s.WaitTime != 136*time.Second || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAcquireEndsWithItsCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, (&maker{}).config(1))
		l := mustAcquire(t, p)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if _, err := p.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		l.Release()
		if _, err := p.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an ended ctx gets %v", err)
		}
		mustAcquire(t, p).Release()
	})
}

func TestIdleItemsExpireDownToMinIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &maker{}
		cfg := m.config(5)
		cfg.MinIdle, cfg.IdleTTL = 2, time.Minute
		p := mustNew(t, cfg)
		var leases []*pool.Lease[*thing]
		for range 5 {
			leases = append(leases, mustAcquire(t, p))
		}
		for _, l := range leases {
			l.Release()
			time.Sleep(10 * time.Second)
		}
		// Idle for 50, 40, 30, 20, 10 s. Nothing runs by itself.
		time.Sleep(20 * time.Second)
		if got := m.open(); len(got) != 5 {
			t.Fatalf("open: %v", got)
		}
		// 70, 60, 50, …: two have reached the limit.
		l := mustAcquire(t, p)
		if diff := cmp.Diff([]int{2, 3, 4}, m.open()); diff != "" || l.Item().n != 4 {
			t.Errorf("on Acquire: %s lent %d", diff, l.Item().n)
		}
		time.Sleep(time.Hour)
		// 2 and 3 are far over it, 4 is fresh: 2 goes, two stay.
		l.Release()
		if diff := cmp.Diff([]int{3, 4}, m.open()); diff != "" {
			t.Errorf("on Release: %s", diff)
		}
		time.Sleep(time.Hour)
		mustAcquire(t, p).Release()
		if diff := cmp.Diff([]int{3, 4}, m.open()); diff != "" {
			t.Errorf("MinIdle: %s", diff)
		}
		if s := p.Stat(); s.Expired != 3 || s.Idle != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestInvalidateEndsWhatWasMadeBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &maker{}
		gate := make(chan struct{}, 1)
		cfg := m.config(3)
		resets := 0
		cfg.Reset = func(*thing) error { resets++; return nil }
		cfg.New = func(ctx context.Context) (*thing, error) {
			it, err := m.new(ctx)
			if it.n == 2 {
				<-gate
			}
			return it, err
		}
		p := mustNew(t, cfg)
		idle, lent := mustAcquire(t, p), mustAcquire(t, p)
		var making *pool.Lease[*thing]
		go func() { making = mustAcquire(t, p) }()
		synctest.Wait()
		idle.Release()
		p.Invalidate()
		if diff := cmp.Diff([]int{1, 2}, m.open()); diff != "" {
			t.Errorf("idle: %s", diff)
		}
		lent.Release()
		if diff := cmp.Diff([]int{2}, m.open()); diff != "" {
			t.Errorf("lent: %s", diff)
		}
		gate <- struct{}{}
		synctest.Wait()
		if diff := cmp.Diff([]int{3}, m.open()); diff != "" || making.Item().n != 3 {
			t.Errorf("being made: %s", diff)
		}
		making.Release()
		if resets != 2 {
			t.Errorf("%d resets, want one for each item that was not stale", resets)
		}
		if diff := cmp.Diff(pool.Stat{Max: 3, Idle: 1, Acquires: 3, Made: 4, Invalidated: 3}, p.Stat()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestCloseWaitsForLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &maker{}
		p := mustNew(t, m.config(2))
		a, b := mustAcquire(t, p), mustAcquire(t, p)
		var queued error
		go func() { _, queued = p.Acquire(t.Context()) }()
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 lent") {
			t.Errorf("Close with leases out: %v", err)
		}
		synctest.Wait()
		if !errors.Is(queued, pool.ErrClosed) {
			t.Errorf("queued: %v", queued)
		}
		if _, err := p.Acquire(t.Context()); !errors.Is(err, pool.ErrClosed) {
			t.Errorf("Acquire after Close: %v", err)
		}
		a.Release()
		if diff := cmp.Diff([]int{1}, m.open()); diff != "" {
			t.Error(diff)
		}
		var again error
		go func() { again = p.Close(t.Context()) }()
		synctest.Wait()
		b.Discard()
		synctest.Wait()
		if got := m.open(); again != nil || len(got) != 0 {
			t.Errorf("second Close: %v, open %v", again, got)
		}
	})
}

func TestCloseEndsARunningNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, pool.Config[int]{
			Max: 1,
			New: func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() },
		})
		var got error
		go func() { _, got = p.Acquire(t.Context()) }()
		synctest.Wait()
		mustClose(t, p)
		synctest.Wait()
		if !errors.Is(got, pool.ErrClosed) {
			t.Errorf("got %v", got)
		}
		mustClose(t, p)
	})
}

func TestAnItemMadeWhileThePoolClosesIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &maker{}
		cfg := m.config(1)
		cfg.New = func(ctx context.Context) (*thing, error) { time.Sleep(time.Second); return m.new(ctx) }
		p := mustNew(t, cfg)
		var got error
		go func() { _, got = p.Acquire(t.Context()) }()
		synctest.Wait()
		mustClose(t, p)
		synctest.Wait()
		if !errors.Is(got, pool.ErrClosed) || len(m.open()) != 0 {
			t.Errorf("got %v, open %v", got, m.open())
		}
	})
}

func TestCloseIsBoundedWhenAnItemHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		cfg := (&maker{}).config(1)
		cfg.Close = func(*thing) { <-gate }
		p := mustNew(t, cfg)
		mustAcquire(t, p).Release()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 being closed") {
			t.Errorf("got %v", err)
		}
		close(gate)
		mustClose(t, p)
	})
}

// A waiter that is granted something in the moment in which its ctx ends must
// not lose the slot.
func TestAGrantThatMeetsTheEndOfCtxLosesNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &maker{}
		p := mustNew(t, m.config(1))
		for i := range 200 {
			l := mustAcquire(t, p)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				if l, err := p.Acquire(ctx); err == nil {
					l.Release()
				}
			}()
			synctest.Wait()
			go cancel()
			if i%2 == 0 {
				l.Discard()
			} else {
				l.Release()
			}
			synctest.Wait()
			if s := p.Stat(); s.Lent+s.Making+s.Waiting != 0 {
				t.Fatalf("round %d: %+v", i, s)
			}
		}
	})
}

func TestCloseClosesIdleItems(t *testing.T) {
	m := &maker{}
	p := mustNew(t, m.config(2))
	leases := []*pool.Lease[*thing]{mustAcquire(t, p), mustAcquire(t, p)}
	for _, l := range slices.Backward(leases) {
		l.Release()
	}
	mustClose(t, p)
	if diff := cmp.Diff(pool.Stat{Max: 2, Acquires: 2, Made: 2, Invalidated: 2}, p.Stat()); diff != "" {
		t.Error(diff)
	}
	if got := m.open(); len(got) != 0 {
		t.Errorf("open: %v", got)
	}
}
