package waiter_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/waiter"
)

func mustRegister[T any](t testing.TB, table *waiter.Table[T], id string) *waiter.Call[T] {
	t.Helper()
	c, err := table.Register(id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantStat[T any](t *testing.T, table *waiter.Table[T], want waiter.Stat) {
	t.Helper()
	if diff := cmp.Diff(want, table.Stat()); diff != "" {
		t.Errorf("stat (-want +got): %s", diff)
	}
}

func TestAnAnswerMayComeBeforeOrDuringWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := waiter.New[string]()
		a, b := mustRegister(t, table, "a"), mustRegister(t, table, "b")
		if a.ID() != "a" || table.Len() != 2 {
			t.Errorf("id %q, len %d", a.ID(), table.Len())
		}
		if !table.Deliver("a", "early") {
			t.Error("a is not waiting")
		}
		if v, err := a.Wait(t.Context(), 0); v != "early" || err != nil {
			t.Errorf("a: %q, %v", v, err)
		}
		go func() {
			time.Sleep(time.Second)
			table.Deliver("b", "later")
		}()
		if v, err := b.Wait(t.Context(), 0); v != "later" || err != nil {
			t.Errorf("b: %q, %v", v, err)
		}
		if v, err := b.Wait(t.Context(), 0); v != "later" || err != nil {
			t.Errorf("b again: %q, %v", v, err)
		}
		b.Close()
		synctest.Wait()
		wantStat(t, table, waiter.Stat{Registered: 2, Delivered: 2})
	})
}

func TestADuplicateIDIsRefusedWhileTheFirstWaits(t *testing.T) {
	table := waiter.New[int]()
	c := mustRegister(t, table, "x")
	if _, err := table.Register("x"); !errors.Is(err, waiter.ErrDuplicate) {
		t.Errorf("got %v", err)
	}
	c.Close()
	mustRegister(t, table, "x")
	c.Close() // must not end its successor
	if table.Len() != 1 {
		t.Errorf("len %d", table.Len())
	}
}

func TestAnswersToNoOneAreCountedAndDropped(t *testing.T) {
	table := waiter.New[int]()
	mustRegister(t, table, "answered")
	mustRegister(t, table, "closed").Close()
	mustRegister(t, table, "failed")
	table.Deliver("answered", 1)
	table.Fail(errors.New("gone"))
	for _, id := range []string{"answered", "answered", "closed", "failed", "stranger"} {
		if table.Deliver(id, 2) || table.Beat(id) {
			t.Errorf("%s is waiting", id)
		}
	}
	wantStat(t, table, waiter.Stat{
		Registered: 3, Delivered: 1, Abandoned: 1, Failed: 1,
		Duplicate: 2, Late: 2, Unknown: 1, LateBeats: 5,
	})
	if got := table.Stat().Unmatched(); got != 5 {
		t.Errorf("unmatched %d", got)
	}
}

func TestWaitEndsWithCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := waiter.New[int]()
		c := mustRegister(t, table, "x")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := c.Wait(ctx, 0)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		if _, err := c.Wait(t.Context(), 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("again: %v", err)
		}
		if table.Deliver("x", 1) {
			t.Error("it still waits")
		}
		wantStat(t, table, waiter.Stat{Registered: 1, Canceled: 1, Late: 1})
	})
}

func TestKeepAlivesRearmTheMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := waiter.New[int]()
		c := mustRegister(t, table, "x")
		table.Beat("x") // before Wait: counted, nothing to re-arm
		go func() {
			for range 10 {
				time.Sleep(9 * time.Second)
				table.Beat("x")
				table.Beat("other")
			}
		}()
		start := time.Now()
		_, err := c.Wait(t.Context(), 10*time.Second)
		if got := time.Since(start); !errors.Is(err, waiter.ErrSilent) || got != 100*time.Second {
			t.Errorf("got %v after %v", err, got)
		}
		synctest.Wait()
		wantStat(t, table, waiter.Stat{Registered: 1, Silent: 1, Beats: 11, LateBeats: 10})
	})
}

func TestWithoutAMonitorSilenceIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := waiter.New[int]()
		c := mustRegister(t, table, "x")
		go func() {
			time.Sleep(24 * time.Hour)
			table.Deliver("x", 7)
		}()
		if v, err := c.Wait(t.Context(), 0); v != 7 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
	})
}

func TestAnAnswerWinsOverAnEndedCtx(t *testing.T) {
	table := waiter.New[int]()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // select chooses at random
		c := mustRegister(t, table, "x")
		table.Deliver("x", 3)
		if v, err := c.Wait(ctx, 0); v != 3 || err != nil {
			t.Fatalf("got %d, %v", v, err)
		}
	}
}

func TestFailEndsAllWhoWaitNowAndNoOneElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := waiter.New[int]()
		lost := errors.New("the reply queue is lost")
		var failed atomic.Int32
		const n = 500
		for i := range n {
			c := mustRegister(t, table, strconv.Itoa(i))
			go func() {
				if _, err := c.Wait(t.Context(), time.Duration(i%2)*time.Hour); errors.Is(err, lost) {
					failed.Add(1)
				}
			}()
		}
		synctest.Wait()
		start := time.Now()
		table.Fail(lost)
		synctest.Wait()
		if failed.Load() != n || time.Since(start) != 0 {
			t.Errorf("%d of %d failed after %v", failed.Load(), n, time.Since(start))
		}
		later := mustRegister(t, table, "later")
		table.Deliver("later", 1)
		if _, err := later.Wait(t.Context(), 0); err != nil {
			t.Errorf("later: %v", err)
		}
	})
}

func TestFailWithoutAnErrorStillFails(t *testing.T) {
	table := waiter.New[int]()
	c := mustRegister(t, table, "x")
	table.Fail(nil)
	if _, err := c.Wait(t.Context(), 0); !errors.Is(err, waiter.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestCloseEndsAllAndRefusesNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := waiter.New[int]()
		c := mustRegister(t, table, "x")
		var got error
		go func() { _, got = c.Wait(t.Context(), 0) }()
		synctest.Wait()
		table.Close()
		table.Close()
		synctest.Wait()
		if !errors.Is(got, waiter.ErrClosed) {
			t.Errorf("Wait: %v", got)
		}
		if _, err := table.Register("y"); !errors.Is(err, waiter.ErrClosed) {
			t.Errorf("Register: %v", err)
		}
		wantStat(t, table, waiter.Stat{Registered: 1, Failed: 1})
	})
}

func TestClosingACallEndsItsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := waiter.New[int]()
		c := mustRegister(t, table, "x")
		var got error
		go func() { _, got = c.Wait(t.Context(), time.Hour) }()
		synctest.Wait()
		if _, err := c.Wait(t.Context(), 0); !errors.Is(err, waiter.ErrBusy) {
			t.Errorf("second Wait: %v", err)
		}
		c.Close()
		c.Close()
		synctest.Wait()
		if !errors.Is(got, waiter.ErrClosed) {
			t.Errorf("got %v", got)
		}
		wantStat(t, table, waiter.Stat{Registered: 1, Abandoned: 1})
	})
}

// Everything at once, on few ids: each call ends exactly once, and the
// counters agree.
func TestStress(t *testing.T) {
	table := waiter.New[int]()
	const callers, rounds = 8, 1000
	var got, delivered, registered atomic.Uint64
	stop := make(chan struct{})
	var others, wg sync.WaitGroup
	for k := range 2 {
		others.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				id := strconv.Itoa(i % 13)
				table.Beat(id)
				if table.Deliver(id, i) {
					delivered.Add(1)
				}
				if k == 0 && i%997 == 0 {
					table.Fail(errors.New("lost"))
					_ = table.Stat()
				}
			}
		})
	}
	for k := range callers {
		wg.Go(func() {
			for i := range rounds {
				c, err := table.Register(strconv.Itoa((i + k) % 13))
				if err != nil {
					continue
				}
				registered.Add(1)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%50)*time.Microsecond)
				if i%3 == 0 {
					wg.Go(c.Close)
				}
				if _, err := c.Wait(ctx, time.Duration(i%7)*10*time.Microsecond); err == nil {
					got.Add(1)
				}
				cancel()
				c.Close()
			}
		})
	}
	wg.Wait()
	close(stop)
	others.Wait()
	s := table.Stat()
	if s.Waiting != 0 || got.Load() != delivered.Load() || s.Delivered != delivered.Load() || s.Registered != registered.Load() ||
		s.Registered != s.Delivered+s.Failed+s.Canceled+s.Silent+s.Abandoned {
		t.Errorf("got %d, delivered %d, registered %d, %+v", got.Load(), delivered.Load(), registered.Load(), s)
	}
}
