package pool_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Many borrowers, failures, impatience and lost connections at once: no item
// is lent twice, used after its end, or left open, and Max holds.
func TestStress(t *testing.T) {
	const limit, borrowers, rounds = 4, 16, 500
	m := &maker{}
	var inUse atomic.Int32
	var flaky atomic.Uint32
	cfg := m.config(limit)
	cfg.MinIdle, cfg.IdleTTL = 1, time.Microsecond
	cfg.New = func(ctx context.Context) (*thing, error) {
		if flaky.Add(1)%7 == 0 {
			return nil, errors.New("flaky")
		}
		return m.new(ctx)
	}
	cfg.Reset = func(it *thing) error {
		if flaky.Add(1)%11 == 0 {
			return errors.New("flaky")
		}
		return nil
	}
	p := mustNew(t, cfg)

	var wg sync.WaitGroup
	for i := range borrowers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			for range rounds {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(2000))*time.Microsecond)
				l, err := p.Acquire(ctx)
				cancel()
				if err != nil {
					continue
				}
				it := l.Item()
				if it.lent.Add(1) != 1 {
					t.Error("an item is lent twice")
				}
				if n := inUse.Add(1); n > limit {
					t.Errorf("%d items in use", n)
				}
				if it.closed.Load() != 0 {
					t.Error("a closed item was lent")
				}
				inUse.Add(-1)
				it.lent.Add(-1)
				switch rng.IntN(8) {
				case 0:
					l.Discard()
				case 1:
					p.Invalidate()
					l.Release()
				case 2:
					var both sync.WaitGroup
					both.Go(l.Release)
					both.Go(l.Discard)
					both.Go(func() { _ = l.Item() })
					both.Wait()
				default:
					l.Release()
				}
				if s := p.Stat(); s.Idle+s.Lent+s.Making > limit {
					t.Errorf("%+v", s)
				}
			}
		})
	}
	wg.Wait()
	mustClose(t, p)
	for _, it := range m.made {
		if n := it.closed.Load(); n != 1 {
			t.Fatalf("item %d was closed %d times", it.n, n)
		}
	}
	s := p.Stat()
	if s.Idle+s.Lent+s.Making+s.Closing+s.Waiting != 0 || s.Made != uint64(len(m.made)) ||
		s.Made != s.Expired+s.Discards+s.Invalidated {
		t.Errorf("%+v", s)
	}
}
