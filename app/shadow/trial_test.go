package shadow

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/telemetry"
)

func TestAShadowIsComparedAndHasNoEffect(t *testing.T) {
	r := newRig(t, decider(sets("by", "old", "a")), decider(sets("by", "new", "b")), Rule{})
	const n = 20
	for range n {
		env, d, err := r.pass()
		if by, _ := env.Header("by"); err != nil || by != "old" || len(d.Targets) != 1 || d.Targets[0].Queue != "a" {
			t.Fatalf("message %d: by %v, %+v, %v", r.n, by, d, err)
		}
	}
	s := r.settle(n)
	if want := (Counts{Compared: n, Differences: n, Calls: n}); s.Trial != want || s.Total != want || s.State != Shadow {
		t.Errorf("%+v", s)
	}
	if diff := cmp.Diff(map[string]uint64{"header by": n, "targets": n}, s.Kinds); diff != "" {
		t.Error(diff)
	}
	ignore := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".At" }, cmp.Ignore())
	private := cmp.FilterPath(func(p cmp.Path) bool { return strings.HasSuffix(p.Last().String(), "Size") }, cmp.Ignore())
	want := Difference{Queue: "in", MessageID: "m20", Stage: "decide", Body: "body", Parts: []Part{
		{What: "targets", Old: "queue:a", New: "queue:b"}, {What: "header by", Old: `"old"`, New: `"new"`},
	}}
	if diff := cmp.Diff(want, r.trial.Differences(true)[0], ignore, private); diff != "" {
		t.Error(diff)
	}
	want.Body, want.Parts[1].Old, want.Parts[1].New = "", "text of 3 bytes", "text of 3 bytes"
	if diff := cmp.Diff(want, r.trial.Differences(false)[0], ignore, private); diff != "" {
		t.Error(diff)
	}
}

// What a shadow is given is what the old version was given, not what that made.
func TestAShadowGetsWhatTheOldVersionGot(t *testing.T) {
	do := func(_ router.Stage, env *router.Envelope, d *router.Decision) error {
		if _, again := env.Header("seen"); again || string(env.Body) != "body" || d.Action != router.Undecided || len(d.Targets) != 0 {
			return errors.New("it was changed before")
		}
		env.SetHeader("seen", true)
		env.Body = []byte("other")
		return sets("by", "x", "q")(router.Decide, env, d)
	}
	r := newRig(t, decider(do), decider(do), Rule{})
	for range 10 {
		r.passAs("by", "x")
	}
	if s := r.settle(10); s.Trial.Differences != 0 || s.Trial.Failures != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAGoodVersionIsPromotedByTheRule(t *testing.T) {
	r := newRig(t, decider(sets("by", "x", "q")), decider(sets("by", "x", "q")), Rule{PromoteAfter: 10})
	for range 9 {
		r.pass()
	}
	if s := r.settle(9); s.State != Shadow {
		t.Errorf("after 9: %+v", s)
	}
	r.pass()
	r.in(Promoted)
	before := r.old.calls.Load()
	for range 5 {
		r.passAs("by", "x")
	}
	if s := r.trial.Stat(); s.Trial.Served != 5 || r.old.calls.Load() != before {
		t.Errorf("%+v; the old version was called %d times after the promotion", s, r.old.calls.Load()-before)
	}
}

// The instance that had the copies goes on with the messages: no message waits for
// another to start.
func TestAPromotedVersionHasStarted(t *testing.T) {
	r := newRig(t, decider(sets("by", "x", "q")), decider(sets("by", "x", "q")), Rule{})
	r.pass()
	r.settle(1)
	if _, err := r.trial.Promote(); err != nil {
		t.Fatal(err)
	}
	r.pass()
	if made, calls := r.new.made.Load(), r.new.calls.Load(); made != 1 || calls != 2 {
		t.Errorf("%d instances of the new version had %d messages", made, calls)
	}
}

func TestABadVersionIsRolledBackByTheRule(t *testing.T) {
	r := newRig(t, decider(sets("by", "old", "q")), decider(sets("by", "new", "q")), Rule{PromoteAfter: 10, MaxDifferences: 2})
	for range 20 {
		r.passAs("by", "old")
	}
	s := r.in(RolledBack)
	if s.Trial.Differences != 3 || s.Reason != "3 of 3 messages came out differently; at most 2 may" {
		t.Errorf("%+v", s)
	}
	r.passAs("by", "old")
	if n := r.new.calls.Load(); n != 3 {
		t.Errorf("the new version was called %d times", n)
	}
}

func TestDifferencesWithinTheBoundDoNotStopAPromotion(t *testing.T) {
	fresh := decider(nil)
	fresh.do = func(s router.Stage, env *router.Envelope, d *router.Decision) error {
		if env.MessageID == "m3" {
			env.SetHeader("more", int64(1))
		}
		return sets("by", "x", "q")(s, env, d)
	}
	r := newRig(t, decider(sets("by", "x", "q")), fresh, Rule{PromoteAfter: 10, MaxDifferences: 1})
	for range 10 {
		r.pass()
	}
	if s := r.in(Promoted); s.Trial.Differences != 1 {
		t.Errorf("%+v", s)
	}
}

// With a share the new version decides some of the messages before it decides all,
// and comparing goes on with the others.
func TestAShareOfTheMessagesComesFirst(t *testing.T) {
	r := newRig(t, decider(sets("by", "x", "q")), decider(sets("by", "x", "q")), Rule{PromoteAfter: 200, Share: 30})
	for r.trial.State() == Shadow {
		r.pass()
	}
	start := r.n // the last of which may have been the first of the new version
	for r.trial.State() == Canary {
		r.passAs("by", "x")
	}
	s := r.in(Promoted)
	if s.Trial.Served != 200 || r.n-start < 500 || r.n-start > 900 {
		t.Errorf("it took %d messages to decide %d of them: %+v", r.n-start, s.Trial.Served, s)
	}
}

func TestAMessageThatIsTriedAgainHasTheSameVersion(t *testing.T) {
	r := newRig(t, decider(sets("by", "old", "q")), decider(sets("by", "new", "q")), Rule{Share: 50})
	if _, err := r.trial.Promote(); err != nil {
		t.Fatal(err)
	}
	by := map[any]int{}
	first := map[int]any{}
	for round := range 3 {
		for n := range 100 {
			env, d := message(n, ""), router.Decision{}
			if err := r.lane.Run(t.Context(), router.Decide, &env, &d); err != nil {
				t.Fatal(err)
			}
			got, _ := env.Header("by")
			by[got]++
			if round == 0 {
				first[n] = got
			} else if got != first[n] {
				t.Errorf("message %d was decided by the %v version, then by the %v one", n, first[n], got)
			}
		}
	}
	if by["old"] < 90 || by["new"] < 90 {
		t.Errorf("%v", by)
	}
}

func TestAVersionThatFailsIsRolledBackAtOnce(t *testing.T) {
	for _, class := range []string{"trap", "deadline", "memory", "exit", "invalid", "host"} {
		for _, state := range []State{Shadow, Canary, Promoted} {
			rule := Rule{}
			if state == Canary {
				rule.Share = 99
			}
			r := newRig(t, decider(sets("by", "old", "q")), decider(fails(class)), rule)
			if state != Shadow {
				if got, err := r.trial.Promote(); err != nil || got != state {
					t.Fatalf("promoted to %v: %v", got, err)
				}
			}
			for r.trial.State() != RolledBack && r.n < 10_000 {
				r.passAs("by", "old")
			}
			r.passAs("by", "old")
			s := r.trial.Stat()
			if n := r.new.calls.Load(); n != 1 || s.Trial.Differences != 1 || s.Trial.Failures != 1 {
				t.Errorf("%s as %s: called %d times: %+v", class, state, n, s)
			}
			if !strings.Contains(s.Reason, class) {
				t.Errorf("%s as %s: reason %q", class, state, s.Reason)
			}
			if _, err := r.trial.Rollback(); !errors.Is(err, ErrStep) || !strings.Contains(err.Error(), class) {
				t.Errorf("rolled back again: %v", err)
			}
		}
	}
}

// A message on which both fail alike is to blame itself.
func TestAMessageOnWhichBothFailRollsNothingBack(t *testing.T) {
	for _, state := range []State{Shadow, Promoted} {
		r := newRig(t, decider(fails("trap")), decider(fails("trap")), Rule{PromoteAfter: 1000})
		if state == Promoted {
			if _, err := r.trial.Promote(); err != nil {
				t.Fatal(err)
			}
		}
		for range 5 {
			if _, _, err := r.pass(); classOf(err) != "trap" {
				t.Fatal(err)
			}
		}
		if state == Shadow {
			r.settle(5)
		}
		if s := r.trial.Stat(); s.State != state || s.Trial.Differences != 0 || s.Trial.Compared+s.Trial.Served != 5 {
			t.Errorf("%+v", s)
		}
	}
}

// What a filter says against a message is a difference, and no failure of its own:
// the old version has its say.
func TestTheOldVersionTakesWhatTheNewOneRefuses(t *testing.T) {
	r := newRig(t, decider(sets("by", "old", "q")), decider(fails("error")), Rule{PromoteAfter: 1000, MaxDifferences: 4})
	if _, err := r.trial.Promote(); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if s := r.trial.State(); s != Promoted {
			t.Errorf("after %d: %v", i, s)
		}
		r.passAs("by", "old")
	}
	if s := r.in(RolledBack); s.Trial.Differences != 5 || s.Trial.Served != 5 {
		t.Errorf("%+v", s)
	}
}

// staged is a version with three stages that tells if it did not have all of them.
func staged(name string, breaksIn router.Stage) *version {
	v := &version{stages: router.StageSet(0).With(router.Decode).With(router.Decide).With(router.Encode)}
	v.do = func(stage router.Stage, env *router.Envelope, d *router.Decision) error {
		if stage == breaksIn {
			return &router.FilterError{Filter: "f", Stage: stage, Class: "trap", Err: errors.New("on purpose")}
		}
		by, _ := env.Header("by")
		if stage != router.Decode && by != name {
			return &router.FilterError{Filter: "f", Stage: stage, Class: "trap", Err: errors.New("another version began")}
		}
		env.SetHeader("by", name)
		return nil
	}
	return v
}

const never = router.Stage(router.NumStages)

var allThree = []router.Stage{router.Decode, router.Decide, router.Encode}

// A message of which the new version has changed something is tried again as it
// came, with the old one.
func TestAFailureInALaterStageTakesTheMessageBack(t *testing.T) {
	r := newRig(t, staged("old", never), staged("new", router.Encode), Rule{})
	if _, err := r.trial.Promote(); err != nil {
		t.Fatal(err)
	}
	_, _, err := r.pass(allThree...)
	fe, ok := errors.AsType[*router.FilterError](err)
	if !ok || !fe.Retryable || fe.Class != "trap" {
		t.Fatalf("%#v", err)
	}
	if s := r.trial.State(); s != RolledBack {
		t.Error(s)
	}
	r.n-- // the same message again
	r.passAs("by", "old", allThree...)
}

func TestAMessageWithSeveralStagesIsComparedOnce(t *testing.T) {
	fresh := staged("old", never)
	fresh.stages = fresh.stages.With(router.Pack)
	r := newRig(t, staged("old", never), fresh, Rule{})
	for range 7 {
		r.passAs("by", "old", router.Decode, router.Decide, router.Pack, router.Encode)
	}
	if s := r.settle(7); s.Trial.Compared != 7 || s.Trial.Differences != 0 || s.Trial.Calls != 28 {
		t.Errorf("%+v", s)
	}
	if r.old.calls.Load() != 21 {
		t.Errorf("the old version was called for a stage that it does not have")
	}
}

// Messages that came at the same moment are several.
func TestMessagesOfOneMomentAreToldApart(t *testing.T) {
	r := newRig(t, staged("old", never), staged("old", never), Rule{})
	for n := range 5 {
		env, d := message(0, ""), router.Decision{}
		for _, s := range allThree[:2+n%2] { // some end before the last stage
			if err := r.lane.Run(t.Context(), s, &env, &d); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s := r.settle(4); s.Trial.Differences != 0 {
		t.Errorf("%+v", s)
	}
}

// No message has both versions, however often they change.
func TestLanesChangeBetweenMessages(t *testing.T) {
	r := newRig(t, staged("old", never), staged("new", never), Rule{Share: 40})
	stop := make(chan struct{})
	var changing, lanes sync.WaitGroup
	changing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := r.trial.Promote(); err != nil {
				_, _ = r.trial.Rollback()
			}
		}
	})
	for range 4 {
		l := r.open()
		lanes.Go(func() {
			defer l.Close()
			for n := range 3000 {
				env, d := message(n, ""), router.Decision{}
				for _, s := range allThree {
					if err := l.Run(t.Context(), s, &env, &d); err != nil {
						t.Errorf("message %d, %s: %v", n, s, err)
						return
					}
				}
			}
		})
	}
	lanes.Wait()
	close(stop)
	changing.Wait()
}

// A shadow that never answers, or does not start, delays nobody.
func TestAShadowThatHangsDelaysNoMessage(t *testing.T) {
	gate := make(chan struct{})
	fresh := decider(func(router.Stage, *router.Envelope, *router.Decision) error { <-gate; return nil })
	r := newRig(t, decider(sets("by", "old", "q")), fresh, Rule{})
	t.Cleanup(func() { close(gate) }) // before the rig's
	const n = 5 * maxQueue
	for range n {
		r.passAs("by", "old")
	}
	s := r.trial.Stat()
	if s.Trial.Shed < n-maxQueue-1 || s.Trial.Compared != 0 {
		t.Errorf("%+v", s)
	}
}

func TestMessagesThatWaitAreBoundedInBytes(t *testing.T) {
	gate := make(chan struct{})
	r := newRig(t, decider(nil), decider(func(router.Stage, *router.Envelope, *router.Decision) error { <-gate; return nil }), Rule{})
	t.Cleanup(func() { close(gate) })
	body := strings.Repeat("x", maxBytes/8)
	for n := range 20 {
		env, d := message(n, body), router.Decision{}
		if err := r.lane.Run(t.Context(), router.Decide, &env, &d); err != nil {
			t.Fatal(err)
		}
	}
	if held := r.trial.bytes.Load(); held > maxBytes+2*int64(len(body)) || r.trial.Stat().Trial.Shed < 14 {
		t.Errorf("%d bytes are held: %+v", held, r.trial.Stat())
	}
}

func TestAVersionThatCannotStartIsRolledBack(t *testing.T) {
	for _, promote := range []bool{false, true} {
		fresh := decider(nil)
		fresh.broken = errors.New("no start")
		r := newRig(t, decider(sets("by", "old", "q")), fresh, Rule{})
		if promote {
			if _, err := r.trial.Promote(); err != nil {
				t.Fatal(err)
			}
		}
		r.passAs("by", "old")
		if s := r.in(RolledBack); s.Reason != "it cannot be started: no start" {
			t.Errorf("%+v", s)
		}
	}
}

func TestAVersionThatRestsIsNotWaitedFor(t *testing.T) {
	rests := func(router.Stage, *router.Envelope, *router.Decision) error {
		return &router.RestError{Filter: "f", After: time.Hour, Err: errors.New("tired")}
	}
	r := newRig(t, decider(sets("by", "old", "q")), decider(rests), Rule{})
	r.passAs("by", "old")
	await(t, "the message to be shed", func() (bool, string) { return r.trial.Stat().Trial.Shed == 1, "" })
	if _, err := r.trial.Promote(); err != nil {
		t.Fatal(err)
	}
	r.passAs("by", "old")
}

// An old version that rests has its message later, with the shadow behind it.
func TestAnOldVersionThatRestsIsComparedLater(t *testing.T) {
	tired := true
	old := decider(nil)
	old.do = func(s router.Stage, env *router.Envelope, d *router.Decision) error {
		if tired {
			return &router.RestError{Filter: "f", After: time.Hour, Err: errors.New("tired")}
		}
		return sets("by", "x", "q")(s, env, d)
	}
	r := newRig(t, old, decider(sets("by", "x", "q")), Rule{})
	if _, _, err := r.pass(); !resting(err) {
		t.Fatal(err)
	}
	tired = false
	r.n--
	r.passAs("by", "x")
	if s := r.settle(1); s.Trial.Differences != 0 || s.Trial.Calls != 1 {
		t.Errorf("%+v", s)
	}
}

func TestSlowVersionsAreRolledBack(t *testing.T) {
	r := newRig(t, decider(nil), decider(nil), Rule{MaxLatency: time.Millisecond})
	for i := range judgedFrom {
		r.trial.timed(time.Duration(1+i/(judgedFrom-1)) * time.Millisecond) // the last one is slow
		r.trial.judge()
	}
	if s := r.trial.Stat(); s.State != Shadow || s.Trial.Slow != 1 {
		t.Errorf("%+v", s)
	}
	r.trial.timed(time.Second)
	r.trial.judge()
	if s := r.trial.Stat(); s.State != RolledBack || s.Reason != "2 of 101 calls took longer than 1ms; at most 1 in 100 may" {
		t.Errorf("%+v", s)
	}
}

func TestPromotionGoesStepByStep(t *testing.T) {
	var log bytes.Buffer
	old, fresh := decider(sets("by", "old", "q")), decider(sets("by", "new", "q"))
	trial := New(Config{Name: "f", Old: old, New: fresh, Rule: Rule{Share: 10}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	defer trial.Close()
	var got []string
	for range 2 {
		for {
			s, err := trial.Promote()
			if errors.Is(err, ErrStep) {
				break
			}
			got = append(got, s.String())
		}
		s, err := trial.Rollback()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s.String())
	}
	want := []string{"canary", "promoted", "rolled-back", "shadow", "canary", "promoted", "rolled-back"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, line := range []string{"decides a share of the messages", "write it into the configuration", "was rolled back", "tried as a shadow"} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log is without %q:\n%s", line, log.String())
		}
	}
}

func TestATrialThatBeginsAgainCountsAnew(t *testing.T) {
	r := newRig(t, decider(sets("by", "old", "q")), decider(sets("by", "new", "q")), Rule{})
	r.pass()
	r.settle(1)
	if _, err := r.trial.Rollback(); err != nil {
		t.Fatal(err)
	}
	if s := r.trial.Stat(); s.Trial.Compared != 1 || len(r.trial.Differences(true)) != 1 {
		t.Errorf("what led to the roll back is gone: %+v", s)
	}
	if _, err := r.trial.Promote(); err != nil {
		t.Fatal(err)
	}
	if s := r.trial.Stat(); s.State != Shadow || s.Trial != (Counts{}) || s.Total.Compared != 1 || len(r.trial.Differences(true)) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestDifferencesAreToldOnceInAWhileWithoutContent(t *testing.T) {
	var log bytes.Buffer
	old, fresh := decider(sets("by", "s3cret", "q")), decider(sets("by", "s3cret2", "q"))
	trial := New(Config{Name: "f", Old: old, New: fresh, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	l, err := trial.Instance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		env, d := message(n, "s3cret body"), router.Decision{}
		if err := l.Run(t.Context(), router.Decide, &env, &d); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "10 differences", func() (bool, string) { return trial.Stat().Trial.Differences == 10, "" })
	l.Close()
	trial.Close()
	if n := strings.Count(log.String(), "treats a message differently"); n != 1 || strings.Contains(log.String(), "s3cret") || !strings.Contains(log.String(), "header by") {
		t.Errorf("%d warnings:\n%s", n, log.String())
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	var k kept
	for n := range 3 * maxKinds {
		k.add(Difference{MessageID: string(rune('a' + n)), Parts: []Part{{What: "header " + string(rune('a'+n))}}})
	}
	if len(k.list) != maxKept || k.list[maxKept-1].MessageID != string(rune('a'+3*maxKinds-1)) {
		t.Errorf("%d are kept", len(k.list))
	}
	if len(k.kinds) != maxKinds+1 || k.kinds[others] != 2*maxKinds {
		t.Errorf("%d kinds, %d others", len(k.kinds), k.kinds[others])
	}
}

func TestMetricsKnowEveryState(t *testing.T) {
	var names []string
	for s := RolledBack; s <= Promoted; s++ {
		names = append(names, s.String())
	}
	if diff := cmp.Diff(telemetry.ShadowStates, names); diff != "" {
		t.Error(diff)
	}
}

// The last stages are passed once for each target, and each time counts.
func TestEveryTargetOfAMessageIsCompared(t *testing.T) {
	packer := func(queue string) *version {
		v := staged("x", never)
		do := v.do
		v.do = func(stage router.Stage, env *router.Envelope, d *router.Decision) error {
			if stage == router.Encode && d.Targets[0].Queue == queue {
				env.SetHeader("odd", true)
			}
			return do(stage, env, d)
		}
		return v
	}
	r := newRig(t, packer("none"), packer("b"), Rule{PromoteAfter: 100, MaxDifferences: 1})
	for n := range 2 {
		env, d := message(n, ""), router.Decision{}
		for _, s := range allThree[:2] {
			if err := r.lane.Run(t.Context(), s, &env, &d); err != nil {
				t.Fatal(err)
			}
		}
		for _, queue := range []string{"a", "b", "b"} {
			own, d := env.Clone(), router.Decision{Targets: []router.Target{{Kind: router.TargetQueue, Queue: queue}}}
			if err := r.lane.Run(t.Context(), router.Encode, &own, &d); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := r.in(RolledBack)
	if s.Trial.Compared != 2 || s.Trial.Differences != 2 || s.Kinds["header odd"] < 3 {
		t.Errorf("%+v", s)
	}
}

// A message of which some calls are left out is not compared, and counted once.
func TestAMessageThatIsCutIsCountedOnce(t *testing.T) {
	gate := make(chan struct{})
	stages := router.StageSet(0).With(router.Decode).With(router.Pack).With(router.Encode)
	last := make(chan struct{}, 2)
	fresh := &version{stages: stages, do: func(stage router.Stage, _ *router.Envelope, _ *router.Decision) error {
		<-gate
		if stage == router.Encode {
			last <- struct{}{}
		}
		return nil
	}}
	r := newRig(t, &version{stages: stages}, fresh, Rule{})
	many := []router.Stage{router.Decode}
	for range maxQueue + 2 {
		many = append(many, router.Pack)
	}
	r.pass(append(many, router.Encode)...)
	close(gate)
	await(t, "room", func() (bool, string) { return r.trial.bytes.Load() == 0, fmt.Sprintf("%+v", r.trial.Stat()) })
	r.pass(router.Decode, router.Encode)
	<-last // which the message before did not come to
	l := r.lane.(*lane)
	l.mu.Lock() // the call is over
	defer l.mu.Unlock()
	if s := r.trial.Stat(); s.Trial.Shed != 1 || s.Trial.Compared != 1 {
		t.Errorf("%+v", s)
	}
}
