package pool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/wasmrouter/router/pool"
)

// step is one thing done to the pool and to its model.
type step struct {
	op  string
	arg int
}

type idleItem struct {
	n     int
	since time.Time
}

// model is a pool that nobody uses concurrently, written for plainness.
type model struct {
	limit, minIdle int
	ttl            time.Duration

	idle    []idleItem
	lent    map[int]int // borrower to item
	queue   []int       // borrowers
	stale   map[int]bool
	open    map[int]bool
	items   int
	failNew bool
	closed  bool
	errs    map[int]error // borrowers that got one
}

func (m *model) expire() {
	for len(m.idle) > m.minIdle && m.ttl > 0 && time.Since(m.idle[0].since) >= m.ttl {
		delete(m.open, m.idle[0].n)
		m.idle = m.idle[1:]
	}
}

func (m *model) serve() {
	for len(m.queue) > 0 {
		b := m.queue[0]
		switch {
		case len(m.idle) > 0:
			last := len(m.idle) - 1
			m.lent[b] = m.idle[last].n
			m.idle = m.idle[:last]
		case len(m.lent) >= m.limit:
			return
		case m.failNew:
			m.errs[b] = errNew
		default:
			m.lent[b] = m.items
			m.open[m.items] = true
			m.items++
		}
		m.queue = m.queue[1:]
	}
}

func (m *model) back(b int, fit bool) {
	n := m.lent[b]
	delete(m.lent, b)
	if fit && !m.stale[n] && !m.closed {
		m.idle = append(m.idle, idleItem{n, time.Now()})
	} else {
		delete(m.open, n)
	}
	m.serve()
	m.expire()
}

func (m *model) endQueue(err error) {
	for _, b := range m.queue {
		m.errs[b] = err
	}
	m.queue = nil
}

func (m *model) dropIdle() {
	for _, it := range m.idle {
		delete(m.open, it.n)
	}
	m.idle = nil
}

var errNew = errors.New("new fails")

// run does the steps to both and returns where they differ.
func run(t *testing.T, limit, minIdle int, ttl time.Duration, steps []step) string {
	mk := &maker{}
	cfg := mk.config(limit)
	cfg.MinIdle, cfg.IdleTTL = minIdle, ttl
	resetFails := false
	cfg.Reset = func(*thing) error {
		if resetFails {
			return errors.New("reset fails")
		}
		return nil
	}
	p := mustNew(t, cfg)
	m := &model{
		limit: limit, minIdle: minIdle, ttl: ttl,
		lent: map[int]int{}, stale: map[int]bool{}, open: map[int]bool{}, errs: map[int]error{},
	}
	leases := map[int]*pool.Lease[*thing]{}
	errs := map[int]error{}
	var mu sync.Mutex // protects leases and errs, to which borrowers write
	cancels := map[int]context.CancelFunc{}
	defer func() {
		for _, c := range cancels {
			c()
		}
		synctest.Wait()
		for _, l := range leases {
			l.Release()
		}
		synctest.Wait()
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()

	borrowers := 0
	for i, s := range steps {
		switch s.op {
		case "acquire":
			b := borrowers
			borrowers++
			ctx, cancel := context.WithCancel(context.Background())
			cancels[b] = cancel
			go func() {
				l, err := p.Acquire(ctx)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					errs[b] = err
				} else {
					leases[b] = l
				}
			}()
			if m.closed {
				m.errs[b] = pool.ErrClosed
			} else {
				m.expire()
				m.queue = append(m.queue, b)
				m.serve()
			}
		case "release", "discard", "release-unfit":
			if len(m.lent) == 0 {
				continue
			}
			who := make([]int, 0, len(m.lent))
			for b := range m.lent {
				who = append(who, b)
			}
			slices.Sort(who)
			b := who[s.arg%len(who)]
			resetFails = s.op == "release-unfit"
			if s.op == "discard" {
				leases[b].Discard()
			} else {
				leases[b].Release()
			}
			resetFails = false
			m.back(b, s.op == "release")
		case "cancel":
			if len(m.queue) == 0 {
				continue
			}
			k := s.arg % len(m.queue)
			b := m.queue[k]
			cancels[b]()
			m.queue = slices.Delete(m.queue, k, k+1)
			m.errs[b] = context.Canceled
		case "invalidate":
			p.Invalidate()
			m.dropIdle()
			for _, n := range m.lent {
				m.stale[n] = true
			}
		case "fail":
			m.failNew = s.arg%2 == 0
			mk.mu.Lock()
			mk.fail = nil
			if m.failNew {
				mk.fail = errNew
			}
			mk.mu.Unlock()
		case "pass":
			time.Sleep(time.Duration(s.arg) * time.Second)
		case "close":
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = p.Close(ctx)
			m.closed = true
			m.endQueue(pool.ErrClosed)
			m.dropIdle()
		}
		synctest.Wait()

		lent := map[int]int{}
		for b, l := range leases {
			if l.Err() == nil {
				lent[b] = l.Item().n
			}
		}
		for b, want := range m.errs {
			if !errors.Is(errs[b], want) {
				return fmt.Sprintf("step %d %v: borrower %d got %v, want %v", i, s, b, errs[b], want)
			}
		}
		if len(errs) != len(m.errs) {
			return fmt.Sprintf("step %d %v: errors %v, want %v", i, s, errs, m.errs)
		}
		if diff := cmp.Diff(m.lent, lent); diff != "" {
			return fmt.Sprintf("step %d %v: lent (-model +pool): %s", i, s, diff)
		}
		open := map[int]bool{}
		for _, n := range mk.open() {
			open[n] = true
		}
		if diff := cmp.Diff(m.open, open); diff != "" {
			return fmt.Sprintf("step %d %v: open (-model +pool): %s", i, s, diff)
		}
		st := p.Stat()
		got := [...]int{st.Idle, st.Lent, st.Making, st.Closing, st.Waiting}
		want := [...]int{len(m.idle), len(m.lent), 0, 0, len(m.queue)}
		if got != want || st.LateUses != 0 {
			return fmt.Sprintf("step %d %v: idle, lent, making, closing, waiting are %v, want %v", i, s, got, want)
		}
		if out := st.Expired + st.Invalidated + st.Discards; st.Made != out+uint64(len(open)) {
			return fmt.Sprintf("step %d %v: %d made, %d closed, %d open", i, s, st.Made, out, len(open))
		}
	}
	return ""
}

// A pool and its model, given the same random steps, must agree after each on
// who holds what, who waits, who got which error, and what is open.
func TestThePoolBehavesAsItsModel(t *testing.T) {
	// Listed as often as they should come.
	ops := []string{
		"acquire", "acquire", "acquire", "acquire", "acquire", "release", "release", "release",
		"discard", "release-unfit", "cancel", "invalidate", "fail", "pass", "pass", "close",
	}
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 4).Draw(rt, "limit")
		minIdle := rapid.IntRange(0, limit).Draw(rt, "minIdle")
		ttl := time.Duration(rapid.IntRange(0, 10).Draw(rt, "ttl")) * time.Second
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{rapid.SampledFrom(ops).Draw(rt, "op"), rapid.IntRange(0, 9).Draw(rt, "arg")}
		}), 1, 60).Draw(rt, "steps")

		// A failing rapid.T panics, which must happen outside the bubble.
		var diff string
		synctest.Test(t, func(t *testing.T) { diff = run(t, limit, minIdle, ttl, steps) })
		if diff != "" {
			rt.Fatal(diff)
		}
	})
}
