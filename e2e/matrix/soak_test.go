package matrix

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/wasmrouter/router/e2e/harness"
)

// soakRate is how many messages a second the soak moves: a fraction of what one router
// can, so that it catches up after each fault.
const soakRate = 2000

// soakLoad returns how many messages the soak moves: ROUTER_E2E_SOAK is their number or
// a duration.
func soakLoad(t *testing.T) int {
	t.Helper()
	text := os.Getenv("ROUTER_E2E_SOAK")
	if text == "" {
		text = "30s"
	}
	if n, err := strconv.Atoi(text); err == nil && n > soakRate {
		return n
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 10*time.Second {
		t.Fatalf("ROUTER_E2E_SOAK=%q: it is a number of messages above %d, or a duration of at least 10s", text, soakRate)
	}
	return int(d.Seconds() * soakRate)
}

// TestF25Soak has a random fault at least every 10 s for as long as a load comes. The
// router is killed first and stopped last, so that it lives all through what lies
// between, where it must not grow.
func TestF25Soak(t *testing.T) {
	t.Parallel()
	n := ownNode(t)
	relay := harness.NewRelay(t, n.Addr())
	load := harness.Load{Seed: harness.Seed(t), Count: soakLoad(t), Keys: keys, Pad: 64}
	tr := harness.NewFedTrial(t, n, load, crashSafe, soakRate)
	tr.Broker = fmt.Sprintf("connection_name = %q\n", t.Name())
	s := &soak{Trial: tr, relay: relay}
	// A target's process may be gone for longer than the usual five attempts take.
	tr.Begin(relay.URL(), append(slices.Clone(byKey), "[routes.trial.retry]", "max_attempts = 200", `max_backoff = "1s"`)...)

	s.strike(fault{"router killed", func() error {
		at := time.Now()
		tr.Router.Kill()
		tr.Restart(at)
		return nil
	}})
	faults, begin, struck := s.faults(), time.Now(), 1
	samples := []harness.Resources{tr.Router.Resources()}
	for {
		for range 2 + tr.Rand.IntN(6) {
			time.Sleep(500 * time.Millisecond) // the schedule: a fault after 1 to 4 s
			samples = append(samples, tr.Router.Resources())
		}
		sent, more := tr.Fed()
		left, err := n.QueueLen(t.Context(), tr.In)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d of %d sent, %d left in the source, %d faults; %s", time.Since(begin).Round(time.Second), sent, load.Count, left, struck, show(samples[len(samples)-1]))
		tr.Hold(left > 10*soakRate)
		if !more && left < soakRate { // no fault would meet anything
			break
		}
		s.strike(faults[tr.Rand.IntN(len(faults))])
		struck++
		tr.Recovered()
	}
	harness.AwaitEmpty(t, n, tr.In)
	samples = append(samples, tr.Router.Resources())
	judgeGrowth(tr, samples)
	tr.End()
}

// soak is a trial whose faults come by chance.
type soak struct {
	*harness.Trial
	relay *harness.Relay
}

type fault struct {
	name   string
	strike func() error // returns when the fault has ended
}

func (s *soak) strike(f fault) {
	s.T.Helper()
	s.Struck(f.name)
	if err := f.strike(); err != nil {
		s.T.Fatalf("%s: %v", f.name, err)
	}
}

// faults are those that the router outlives and that leave the order as it is. A target
// that refuses messages does not (row 15).
func (s *soak) faults() []fault {
	ctx, n, relay := s.T.Context(), s.Node, s.relay
	lasting := func(d time.Duration, begin, end func() error) func() error {
		return func() error {
			if err := begin(); err != nil {
				return err
			}
			time.Sleep(d) // the fault itself
			return end()
		}
	}
	never := func(f func()) func() error { return func() error { f(); return nil } }
	closing := func(what string) func() error {
		return func() error { _, err := n.CloseConnections(ctx, s.T.Name()+what, "fault"); return err }
	}
	evaluating := func(expression string) func() error {
		return func() error { _, err := n.Eval(ctx, expression); return err }
	}
	return []fault{
		{"router paused", lasting(time.Second, never(func() { s.Router.Signal(syscall.SIGSTOP) }), never(func() { s.Router.Signal(syscall.SIGCONT) }))},
		{"configuration reloaded", never(func() { s.Router.Signal(syscall.SIGHUP) })},
		{"connections closed", closing("/")},
		{"sender closed", closing("/send")},
		{"consumer closed", closing("/listen")},
		{"broker stopped and started", func() error {
			if err := n.StopApp(ctx); err != nil {
				return err
			}
			return n.StartApp(ctx)
		}},
		{"broker killed", func() error { return n.Restart(ctx) }},
		{"target without its leader", func() error {
			process := fmt.Sprintf("{'%%2F_%s', node()}", s.Out)
			return lasting(200*time.Millisecond, func() error {
				_, err := n.Eval(ctx, fmt.Sprintf("ok = ra:stop_server(quorum_queues, %s)", process))
				relay.Reset(harness.Sending)
				relay.Reset(harness.Listening)
				return err
			}, evaluating(fmt.Sprintf("ok = ra:restart_server(quorum_queues, %s)", process)))()
		}},
		{"broker paused", lasting(2*time.Second, n.Pause, n.Continue)},
		{"memory alarm", lasting(time.Second,
			evaluating("vm_memory_monitor:set_vm_memory_high_watermark(0.0000001)"),
			evaluating(`vm_memory_monitor:set_vm_memory_high_watermark({absolute, "2GB"})`))},
		{"sending swallowed, then reset", lasting(500*time.Millisecond,
			never(func() { relay.Swallow(harness.Sending) }), never(func() { relay.Reset(harness.Sending) }))},
		{"listening swallowed, then reset", lasting(500*time.Millisecond,
			never(func() { relay.Swallow(harness.Listening) }), never(func() { relay.Reset(harness.Listening) }))},
		{"sending reset", never(func() { relay.Reset(harness.Sending) })},
		{"listening reset", never(func() { relay.Reset(harness.Listening) })},
		{"sending down", lasting(time.Second,
			never(func() { relay.Up(harness.Sending, false) }), never(func() { relay.Up(harness.Sending, true) }))},
		{"a fifth of the packets lost", lasting(time.Second,
			never(func() { relay.Lose(harness.Sending, 20) }), never(func() { relay.Lose(harness.Sending, 0) }))},
	}
}

// judgeGrowth holds the last quarter of the samples against the second: in the first
// the router may still reach its size. The medians pass over what a fault holds for a
// moment.
func judgeGrowth(tr *harness.Trial, samples []harness.Resources) {
	tr.T.Helper()
	n := len(samples)
	tr.Note("held first", "%s", show(samples[0]))
	tr.Note("held half-way", "%s", show(samples[n/2]))
	tr.Note("held last", "%s", show(samples[n-1]))
	if n < 8 {
		tr.T.Errorf("only %d samples of what the router holds: the run proves nothing of growth", n)
		return
	}
	for _, c := range []struct {
		what  string
		of    func(harness.Resources) int
		slack int
	}{
		{"bytes of memory", func(r harness.Resources) int { return r.Memory }, 32 << 20},
		{"descriptors", func(r harness.Resources) int { return r.Files }, 8},
		{"goroutines", func(r harness.Resources) int { return r.Goroutines }, 16},
	} {
		early, late := median(samples[n/4:n/2], c.of), median(samples[n-n/4:], c.of)
		if late > early+early/10+c.slack {
			tr.T.Errorf("%s grow: %d in the second quarter, %d in the last", c.what, early, late)
		}
	}
}

func median(samples []harness.Resources, of func(harness.Resources) int) int {
	var list []int
	for _, r := range samples {
		list = append(list, of(r))
	}
	slices.Sort(list)
	return list[len(list)/2]
}

func show(r harness.Resources) string {
	return fmt.Sprintf("%.1f MiB, %d descriptors, %d goroutines", float64(r.Memory)/(1<<20), r.Files, r.Goroutines)
}
