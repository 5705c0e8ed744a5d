package shadow

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wasmrouter/router/internal/testkit"
	"github.com/wasmrouter/router/router"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// await polls until done says yes; its text says in what state it is.
func await(t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	testkit.Await(t, time.Minute, what, done)
}

// hook is what a fake version does in a stage.
type hook func(stage router.Stage, env *router.Envelope, d *router.Decision) error

// version is a fake filter.
type version struct {
	stages router.StageSet
	do     hook
	broken error // of Instance
	made   atomic.Int64
	open   atomic.Int64
	calls  atomic.Int64
}

func decider(do hook) *version {
	return &version{stages: router.StageSet(0).With(router.Decide), do: do}
}

func (v *version) Name() string            { return "f" }
func (v *version) Stages() router.StageSet { return v.stages }

func (v *version) Instance(context.Context) (router.Filter, error) {
	if v.broken != nil {
		return nil, v.broken
	}
	v.made.Add(1)
	v.open.Add(1)
	return &instance{version: v}, nil
}

type instance struct {
	version *version
	busy    atomic.Bool
	closed  bool
}

func (i *instance) Run(_ context.Context, stage router.Stage, env *router.Envelope, d *router.Decision) error {
	if i.busy.Swap(true) || i.closed {
		panic("an instance is used twice at a time, or after its end")
	}
	defer i.busy.Store(false)
	i.version.calls.Add(1)
	if i.version.do == nil {
		return nil
	}
	return i.version.do(stage, env, d)
}

func (i *instance) Close() {
	if i.closed || i.busy.Load() {
		panic("closed twice, or in use")
	}
	i.closed = true
	i.version.open.Add(-1)
}

// sets is a version that writes a header and chooses a target.
func sets(header, value, queue string) hook {
	return func(_ router.Stage, env *router.Envelope, d *router.Decision) error {
		env.SetHeader(header, value)
		d.Action = router.Forward
		d.Targets = append(d.Targets[:0], router.Target{Kind: router.TargetQueue, Queue: queue})
		return nil
	}
}

func fails(class string) hook {
	return func(stage router.Stage, _ *router.Envelope, _ *router.Decision) error {
		return &router.FilterError{Filter: "f", Stage: stage, Class: class, Err: errors.New("on purpose")}
	}
}

// rig is a trial with one lane.
type rig struct {
	t        *testing.T
	old, new *version
	trial    *Trial
	lane     router.Filter
	n        int
}

func newRig(t *testing.T, old, fresh *version, rule Rule) *rig {
	t.Helper()
	r := &rig{t: t, old: old, new: fresh, trial: New(Config{Name: "f", Old: old, New: fresh, Rule: rule})}
	r.lane = r.open()
	t.Cleanup(func() {
		r.lane.Close()
		r.trial.Close()
		if o, n := old.open.Load(), fresh.open.Load(); o != 0 || n != 0 {
			t.Errorf("%d instances of the old version and %d of the new one are left", o, n)
		}
	})
	return r
}

func (r *rig) open() router.Filter {
	r.t.Helper()
	l, err := r.trial.Instance(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

// message returns the nth message.
func message(n int, body string) router.Envelope {
	env := router.NewEnvelope(map[string]any{"n": int64(n)}, []byte(body))
	env.Origin.Queue, env.MessageID = "in", fmt.Sprint("m", n)
	env.Origin.Received = time.Unix(1000, int64(n))
	return env
}

// pass takes one more message through the stages.
func (r *rig) pass(stages ...router.Stage) (router.Envelope, router.Decision, error) {
	r.t.Helper()
	if len(stages) == 0 {
		stages = []router.Stage{router.Decide}
	}
	r.n++
	env, d := message(r.n, "body"), router.Decision{}
	for _, s := range stages {
		if err := r.lane.Run(r.t.Context(), s, &env, &d); err != nil {
			return env, d, err
		}
	}
	return env, d, nil
}

// passAs fails unless the message gets the header.
func (r *rig) passAs(header, value string, stages ...router.Stage) {
	r.t.Helper()
	env, _, err := r.pass(stages...)
	if got, _ := env.Header(header); err != nil || got != value {
		r.t.Errorf("message %d: header %s is %v, want %s; error %v", r.n, header, got, value, err)
	}
}

// settle waits until the trial has nothing to compare any more.
func (r *rig) settle(compared uint64) Stat {
	r.t.Helper()
	await(r.t, fmt.Sprintf("%d messages to be compared", compared), func() (bool, string) {
		s := r.trial.Stat()
		return s.Trial.Compared >= compared, fmt.Sprintf("%+v", s)
	})
	return r.trial.Stat()
}

func (r *rig) in(state State) Stat {
	r.t.Helper()
	await(r.t, "state "+state.String(), func() (bool, string) {
		s := r.trial.Stat()
		return s.State == state, fmt.Sprintf("%+v", s)
	})
	return r.trial.Stat()
}
