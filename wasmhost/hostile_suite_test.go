package wasmhost

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
)

// neighbour is an unrelated filter that goes on getting messages, one each
// millisecond. It remembers how late they were.
type neighbour struct {
	beside func() string // what runs beside it
	done   chan struct{}
	wait   sync.WaitGroup
	waits  []lateCall
}

type lateCall struct {
	by     time.Duration
	beside string
}

// startNeighbour starts a neighbour that asks beside, at each call, what runs
// beside it.
func startNeighbour(t testing.TB, h *Host, beside func() string) *neighbour {
	t.Helper()
	f, err := h.Load(context.Background(), FilterConfig{Name: "neighbour", Module: cGuest(t, "route")})
	if err != nil {
		t.Fatal(err)
	}
	in, err := f.Instance(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	n := &neighbour{beside: beside, done: make(chan struct{})}
	n.wait.Go(func() {
		defer in.Close()
		env := kilobyte()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		var d router.Decision
		for {
			select {
			case <-n.done:
				return
			case due := <-tick.C:
				d.Reset()
				if err := in.Run(context.Background(), router.Decide, env, &d); err != nil || len(d.Targets) != 1 {
					t.Errorf("the neighbour: %v %v", d, err)
					return
				}
				n.waits = append(n.waits, lateCall{time.Since(due), beside()})
			}
		}
	})
	return n
}

func (n *neighbour) stop(t testing.TB) {
	t.Helper()
	close(n.done)
	n.wait.Wait()
	if len(n.waits) == 0 {
		return
	}
	slices.SortFunc(n.waits, func(a, b lateCall) int { return cmp.Compare(a.by, b.by) })
	at := func(percent float64) time.Duration { return n.waits[int(float64(len(n.waits)-1)*percent/100)].by }
	t.Logf("an unrelated filter: %d calls, each %v late at the median, %v at the 99th percentile, %v at the 99.9th, %v at worst",
		len(n.waits), at(50), at(99), at(99.9), at(100))
	for _, w := range slices.Backward(n.waits[max(0, len(n.waits)-8):]) {
		if w.by < 10*time.Millisecond {
			break
		}
		t.Logf("  %v late beside %s", w.by, w.beside)
	}
}

// BenchmarkNeighbour is for comparison: how late the neighbour of the hostile suite
// is beside goroutines that count, one for each processor, and that nothing but the
// machine and the Go runtime have a part in. One operation is a second of it.
func BenchmarkNeighbour(b *testing.B) {
	h := newHost(b, Config{})
	for _, loops := range []int{0, runtime.GOMAXPROCS(0)} {
		what := fmt.Sprintf("%d loops", loops)
		b.Run(what, func(b *testing.B) {
			var end atomic.Bool
			var wait sync.WaitGroup
			for range loops {
				wait.Go(func() {
					for n := 0; !end.Load(); n++ {
						busy.Store(int64(n))
					}
				})
			}
			n := startNeighbour(b, h, func() string { return what })
			for b.Loop() {
				time.Sleep(time.Second)
			}
			n.stop(b)
			end.Store(true)
			wait.Wait()
		})
	}
}

var busy atomic.Int64

// Every module of testdata/hostile is refused or stopped as it says; nothing is
// left of it, and nobody else notices.
func TestHostileSuite(t *testing.T) {
	modules := hostileModules(t)
	h := newHost(t, Config{})
	var running atomic.Pointer[string]
	nothing := "nothing"
	running.Store(&nothing)
	n := startNeighbour(t, h, func() string { return *running.Load() })
	runtime.GC()
	before, _ := rss(t)
	goroutines := runtime.NumGoroutine()
	counts := map[string]int{}
	for _, m := range modules {
		running.Store(&m.name)
		t.Run(m.name, func(t *testing.T) { counts[m.run(t, h)]++ })
	}
	n.stop(t)

	debug.FreeOSMemory()
	after, most := rss(t)
	t.Logf("%d modules: %d refused, %d stopped, %d harmless; resident memory %d MiB before, %d MiB at most, %d MiB after",
		len(modules), counts["refused"], counts["stopped"], counts["harmless"], before>>20, most>>20, after>>20)
	if len(modules) < 60 {
		t.Errorf("%d modules are too few", len(modules))
	}
	// The largest module may have 64 MiB of memory and the stack of a call.
	if allowed := int64(768 << 20); most > before+allowed {
		t.Errorf("the process took %d MiB, with %d MiB before", most>>20, before>>20)
	}
	if after > before+256<<20 {
		t.Errorf("%d MiB are left behind, there were %d MiB before", after>>20, before>>20)
	}
	if left := runtime.NumGoroutine(); left > goroutines+2 { // the spare keepers of others may still end
		t.Errorf("%d goroutines, %d before", left, goroutines)
	}
}

// run loads the module and hands it messages, and returns what became of it.
func (m *hostileModule) run(t *testing.T, h *Host) string {
	f, err := h.Load(t.Context(), FilterConfig{Name: "hostile", Module: m.module, Limits: m.limits, Grants: m.grants})
	if m.refused != "" {
		if err == nil {
			f.Close(context.Background())
			t.Fatal("it was loaded")
		}
		if !strings.Contains(err.Error(), m.refused) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: want %q in one line", err, m.refused)
		}
		return "refused"
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := f.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	in, err := f.Instance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for range m.calls {
		env := hostileMessage()
		d := router.Decision{Reason: "kept"}
		if err = in.Run(context.Background(), router.Decide, env, &d); err == nil {
			continue
		}
		if diff := gocmp.Diff(show(hostileMessage()), show(env)) + gocmp.Diff(router.Decision{Reason: "kept"}, d); diff != "" {
			t.Errorf("the failed call changed something: %s", diff)
		}
		break
	}
	if m.classes == "" {
		if err != nil {
			t.Errorf("it failed: %v", err)
		}
		return "harmless"
	}
	if err == nil {
		t.Fatal("nothing stopped it")
	}
	if got := classOf(t, err); !slices.Contains(strings.Fields(m.classes), got) {
		t.Errorf("class %s, want %s: %v", got, m.classes, err)
	}
	text := err.Error()
	if !strings.Contains(text, "hostile") || strings.ContainsAny(text, "\n\x1b") || len(text) > 1024 {
		t.Errorf("an error of %d bytes that does not name the filter, or has control characters: %q", len(text), text)
	}
	want := uint64(1)
	if m.classes == ClassError {
		want = 0
	}
	if got := discards(f); got != want {
		t.Errorf("%d instances discarded, want %d", got, want)
	}
	return "stopped"
}

func hostileMessage() *router.Envelope {
	env := message(strings.Repeat("hostile", 100))
	env.SetHeader("nested", map[string]any{"a": []any{int64(1), "two", map[string]any{"b": true}}})
	return env
}

// Damaged copies of a good module are refused, or do what they do within the
// limits: nothing ends the process.
func TestDamagedModules(t *testing.T) {
	good := cGuest(t, "host")
	h := newHost(t, Config{})
	try := func(module []byte) {
		f, err := h.Load(t.Context(), FilterConfig{Name: "damaged", Module: module, Limits: hostileLimits(), Grants: Grants{Metrics: true}})
		if err != nil {
			return
		}
		defer f.Close(context.Background())
		in, err := f.Instance(t.Context())
		if err != nil {
			return
		}
		defer in.Close()
		var d router.Decision
		for s := range router.NumStages {
			_ = in.Run(context.Background(), router.Stage(s), hostileMessage(), &d)
		}
	}
	for n := range good {
		try(good[:n])
	}
	r := rand.New(rand.NewPCG(3, 1))
	flips := 1500
	if testing.Short() {
		flips = 150
	}
	for range flips {
		module := slices.Clone(good)
		for range 1 + r.IntN(3) {
			module[8+r.IntN(len(module)-8)] = byte(r.Uint32())
		}
		try(module)
	}
}
