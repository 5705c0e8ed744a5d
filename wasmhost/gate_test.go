package wasmhost

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testGate is a gate with the default limits and a log to look at.
func testGate(limits Limits) (*gate, *logBuffer) {
	logs := &logBuffer{}
	return newGate("test", limits.withDefaults(), slog.New(slog.NewJSONHandler(logs, nil))), logs
}

// lose replaces an instance and loses it again; it returns how long the filter
// rests before the next.
func lose(t *testing.T, g *gate) time.Duration {
	t.Helper()
	rest, trial := g.replace(false)
	if rest != nil {
		t.Fatal(rest)
	}
	g.leave()
	g.failed(trial, "decide: trap: unreachable")
	rest, _ = g.replace(false)
	if rest == nil {
		g.leave()
		return 0
	}
	return rest.After
}

func TestRestsGrowUpToTheLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, logs := testGate(Limits{RestartBackoff: 100 * time.Millisecond, MaxBackoff: 3 * time.Second})
		var rests []time.Duration
		for range freeRestarts + 8 {
			rest := lose(t, g)
			rests = append(rests, rest)
			time.Sleep(rest)
		}
		ms := func(n time.Duration) time.Duration { return n * time.Millisecond }
		want := append(make([]time.Duration, freeRestarts), ms(100), ms(200), ms(400), ms(800), ms(1600), ms(3000), ms(3000), ms(3000))
		if diff := cmp.Diff(want, rests); diff != "" {
			t.Error(diff)
		}
		s := g.stat()
		if s == nil || s.InARow != freeRestarts+8 || s.Rest != ms(3000) || s.Next != 0 || s.Cause != "decide: trap: unreachable" {
			t.Errorf("%+v", s)
		}
		if lines := logs.lines(t); len(lines) != 1 || lines[0]["level"] != "WARN" || lines[0]["cause"] != "decide: trap: unreachable" || lines[0]["rest"] != "100ms" {
			t.Errorf("%v", lines)
		}
	})
}

// One lane tries a filter again; the others hear of it.
func TestOneTrialAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, logs := testGate(Limits{})
		for range freeRestarts {
			lose(t, g)
		}
		rest := lose(t, g)
		time.Sleep(rest)
		first, trial := g.replace(false)
		if first != nil || !trial {
			t.Fatalf("no trial after the rest: %v", first)
		}
		second, _ := g.replace(false)
		if second == nil || second.After != rest || !strings.Contains(second.Error(), "filter test rests: it keeps failing (decide: trap: unreachable; 9 in a row)") {
			t.Fatalf("a second trial, or no rest: %v", second)
		}
		if spare, _ := g.replace(true); spare == nil {
			t.Error("a filter that keeps failing gets a spare")
		}
		select {
		case <-second.Over:
			t.Error("the rest is over before the trial is")
		default:
		}
		g.worked()
		<-second.Over
		if rest, trial := g.replace(false); rest != nil || trial {
			t.Errorf("after a success: %v, trial %v", rest, trial)
		}
		if rest, _ := g.replace(true); rest != nil {
			t.Errorf("no spare after a success: %v", rest)
		}
		// One more failure is one too many again, until as many calls as there
		// were failures have worked.
		if g.stat() == nil {
			t.Error("one success and all is forgotten")
		}
		g.failed(false, "decide: trap: again")
		if rest, _ := g.replace(false); rest == nil || rest.After != 100*time.Millisecond {
			t.Errorf("after another failure: %v", rest)
		}
		for range freeRestarts + 1 {
			g.worked()
		}
		if s := g.stat(); s != nil {
			t.Errorf("%+v", s)
		}
		if lines := logs.lines(t); len(lines) != 2 || lines[1]["level"] != "INFO" || lines[1]["failures"] != 10.0 {
			t.Errorf("%v", lines)
		}
	})
}

// The lanes of a filter fail together, which counts for one.
func TestInstancesFromBeforeTheRestDoNotMakeItLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := testGate(Limits{})
		for range 100 {
			g.failed(false, "decide: trap: unreachable")
		}
		if s := g.stat(); s == nil || s.Rest != 100*time.Millisecond || s.InARow != 100 {
			t.Errorf("%+v", s)
		}
	})
}

func TestOldFailuresAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, logs := testGate(Limits{})
		for range freeRestarts {
			lose(t, g)
		}
		if rest := lose(t, g); rest == 0 {
			t.Fatal("no rest")
		}
		time.Sleep(2 * 30 * time.Second)
		if g.stat() == nil {
			t.Error("forgotten too soon")
		}
		time.Sleep(time.Nanosecond)
		if s := g.stat(); s != nil {
			t.Errorf("%+v", s)
		}
		if rest := lose(t, g); rest != 0 {
			t.Errorf("the first failure after a while costs a rest of %s", rest)
		}
		if n := len(logs.lines(t)); n != 2 {
			t.Errorf("%d lines", n)
		}
	})
}

// Many good calls for each failure make no suspicion.
func TestAFilterThatFailsNowAndThenDoesNotRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, logs := testGate(Limits{})
		for n := range 10_000 {
			g.worked()
			if n%3 == 0 {
				if rest := lose(t, g); rest != 0 {
					t.Fatalf("a rest of %s after %d calls", rest, n)
				}
			}
		}
		if len(logs.lines(t)) != 0 {
			t.Error(logs.lines(t))
		}
	})
}

// However good a filter is otherwise, what starting it anew takes is bounded.
func TestStartsHaveABoundedShareOfTheTime(t *testing.T) {
	const hour = time.Hour
	for _, took := range []time.Duration{10 * time.Microsecond, 5 * time.Millisecond, 500 * time.Millisecond, 20 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			g, logs := testGate(Limits{})
			began := time.Now()
			var spent, rested time.Duration
			starts := 0
			for time.Since(began) < hour && starts < 100_000 {
				rest, _ := g.replace(false)
				if rest != nil {
					if starts < freeRestarts {
						t.Fatalf("a rest of %s before start %d", rest.After, starts)
					}
					rested += rest.After
					time.Sleep(rest.After)
					continue
				}
				time.Sleep(took)
				g.started(took)
				g.leave()
				spent += took
				starts++
				g.failed(false, "trap")
				g.worked()
			}
			most := time.Since(began)/startShare + max(startCredit, freeRestarts*took) + took
			if spent > most || took > time.Millisecond && spent < time.Since(began)/startShare/2 {
				t.Errorf("%s was spent on starts of %s within %s; at most %s is allowed", spent, took, time.Since(began), most)
			}
			if took < time.Millisecond && rested > 0 {
				t.Errorf("%d starts of %s had to wait %s", starts, took, rested)
			}
			if len(logs.lines(t)) != 0 {
				t.Error(logs.lines(t))
			}
		})
	}
}

func TestRoomForInstances(t *testing.T) {
	g, _ := testGate(Limits{Instances: 2})
	if !g.enter() {
		t.Fatal("no room for the first")
	}
	if rest, _ := g.replace(true); rest != nil {
		t.Fatal(rest)
	}
	if g.enter() {
		t.Error("room for a third")
	}
	rest, _ := g.replace(false)
	if rest == nil || !strings.Contains(rest.Error(), "all 2 instances that limits.instances allows") {
		t.Fatal(rest)
	}
	select {
	case <-rest.Over:
		t.Error("room before one has left")
	default:
	}
	g.leave()
	<-rest.Over
	if !g.enter() {
		t.Error("no room after one has left")
	}
}

// A lane asks for an instance while the last room is the spare's, which is not
// there yet: it is woken when it is, not when the rest is over.
func TestSpareWakesWhoWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := testGate(Limits{Instances: 1})
		s := newSupply(g, func() (*guest, error) {
			time.Sleep(time.Millisecond)
			return &guest{}, nil
		})
		s.keep(&guest{})
		defer s.close()
		if !g.enter() {
			t.Fatal("no room")
		}
		if _, _, rest := s.take(); rest != nil { // the spare; the keeper finds no room
			t.Fatal(rest)
		}
		synctest.Wait()
		g.leave() // the keeper takes the room
		synctest.Wait()
		_, _, rest := s.take()
		if rest == nil {
			t.Fatal("an instance, though all are in use")
		}
		began := time.Now()
		rest.Wait(t.Context())
		if waited := time.Since(began); waited != time.Millisecond {
			t.Errorf("waited for %s", waited)
		}
		if _, _, rest := s.take(); rest != nil {
			t.Error(rest)
		}
	})
}

// A spare that was being made when the filter failed once too often is no reason
// to go on without a rest.
func TestSpareWaitsForTheEndOfTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := testGate(Limits{Instances: 4, RestartBackoff: time.Second, MaxBackoff: time.Minute})
		s := newSupply(g, func() (*guest, error) { return &guest{}, nil })
		s.keep(&guest{})
		defer s.close()
		for range g.free + 1 {
			g.failed(false, "trap")
		}
		_, _, rest := s.take()
		if rest == nil {
			t.Fatal("the spare, while the filter rests")
		}
		if !rest.Wait(t.Context()) {
			t.Fatal("the wait was ended")
		}
		if _, _, rest := s.take(); rest != nil {
			t.Errorf("after the rest: %v", rest)
		}
	})
}
