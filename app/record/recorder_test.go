package record

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
)

// pass has a message go through the recorder as a route would.
func pass(r *Recorder, route string, o router.Outcome) {
	received := example(1).Received
	trace := r.Trace(route, &received)
	if trace == nil {
		return
	}
	trace.Filtered(router.Step{Decision: new(router.Decision)})
	out := received.Clone()
	trace.Sending(0, router.Target{Kind: router.TargetQueue, Queue: "q"}, &out)
	trace.Sent(0, nil)
	trace.Done(o)
}

func TestWhatHasNoRoomIsLeftOutAndCounted(t *testing.T) {
	var r Recorder
	take, err := r.Start(Options{Routes: []string{"a", "b"}, Sample: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Start(Options{Routes: []string{"c", "b"}, Sample: 1}); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	const over = 10
	for range waitingRecords + over { // nobody reads, and nothing blocks
		pass(&r, "a", router.Outcome{Verdict: "forward"})
	}
	pass(&r, "c", router.Outcome{Verdict: "forward"})
	st := r.Status()
	if len(st) != 1 || st[0].Seen != waitingRecords+over || st[0].Taken != waitingRecords || st[0].Dropped != over {
		t.Errorf("%+v", st)
	}
	if !r.Stop("b") || r.Stop("a") {
		t.Error("stopping one route stops the recording, once")
	}
	var out bytes.Buffer
	if err := take.Write(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	all, summary, err := read(out.Bytes())
	if len(all) != waitingRecords || !errors.Is(err, io.EOF) {
		t.Errorf("%d records, %v", len(all), err)
	}
	if diff := cmp.Diff(&Summary{waitingRecords + over, waitingRecords, over, "it was stopped"}, summary); diff != "" {
		t.Error(diff)
	}
	if len(r.Status()) != 0 {
		t.Errorf("%+v", r.Status())
	}
}

func TestLargeMessagesWaitInBoundedMemory(t *testing.T) {
	var r Recorder
	take, err := r.Start(Options{Routes: []string{"a"}, Sample: 1})
	if err != nil {
		t.Fatal(err)
	}
	large := example(1)
	large.Received.Body = make([]byte, waitingBytes/2)
	for range 4 {
		take.done(large)
	}
	if st := r.Status()[0]; st.Taken != 1 || st.Dropped != 3 {
		t.Errorf("%+v", st)
	}
}

func TestADecisionIsWhatTheLastTryCameTo(t *testing.T) {
	var got []Decision
	w := Watch{
		Want: func(route string, _ *router.Envelope) bool { return route == "r" },
		Done: func(r *Record) { got = append(got, r.Decision) },
	}
	received := example(1).Received
	if w.Trace("other", &received) != nil {
		t.Error("it follows what is not wanted")
	}
	queue := func(name string) router.Target { return router.Target{Kind: router.TargetQueue, Queue: name} }
	for _, o := range []router.Outcome{
		{Verdict: "forward", Attempts: 2},
		{Verdict: "drop", Attempts: 1, Loss: router.Loss{Reason: router.ReasonDropped, Filter: "f", Stage: "decide", Text: "old"}},
		{Verdict: "reject", Attempts: 5, Loss: router.Loss{Reason: router.ReasonAttempts}, Err: errors.New("later")},
		{Verdict: "reject", Loss: router.Loss{Reason: "filter-trap", Filter: "f", Stage: "pack"}, Err: errors.New("trap")},
		{Verdict: "reply", Attempts: 1},
		{Verdict: "requeue"},
		{Verdict: "stale"},
	} {
		trace := w.Trace("r", &received)
		env := received.Clone()
		trace.Sending(0, queue("before"), &env)
		trace.Sending(1, queue("before too"), &env)
		trace.Filtered(router.Step{Decision: &router.Decision{Action: router.Reply}}) // of an earlier try
		trace.Filtered(router.Step{Decision: new(router.Decision)})
		trace.Sending(1, queue("now"), &env)
		dead := received.Clone()
		dead.SetHeader(router.HeaderReason, "x")
		trace.Sending(0, queue("dead"), &dead)
		trace.Done(o)
	}
	for i := range got {
		if len(got[i].Sent) != 1 || got[i].Sent[0].Target != queue("now") || got[i].Sent[0].Reply {
			t.Errorf("%d: %+v", i, got[i].Sent)
		}
		got[i].Sent = nil
	}
	want := []Decision{
		{Action: ActionForward, Attempts: 2},
		{Action: ActionDrop, Filter: "f", Stage: "decide", Error: "old", Attempts: 1},
		{Action: ActionRetry, Reason: "attempts", Error: "later", Attempts: 5},
		{Action: ActionDeadLetter, Reason: "filter-trap", Filter: "f", Stage: "pack", Error: "trap"},
		{Action: ActionReply, Attempts: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A reply is known for one, also where it did not arrive; what filters made besides
// it is none.
func TestARecordTellsReplies(t *testing.T) {
	var got []Sent
	w := Watch{Want: func(string, *router.Envelope) bool { return true }, Done: func(r *Record) { got = r.Decision.Sent }}
	received := example(1).Received
	trace := w.Trace("r", &received)
	trace.Filtered(router.Step{Stage: router.Decide, Decision: &router.Decision{Action: router.Reply}})
	trace.Filtered(router.Step{Stage: router.Pack, Decision: new(router.Decision)})
	for nth := range 2 {
		env := received.Clone()
		trace.Sending(nth, router.Target{Kind: router.TargetQueue, Queue: "q"}, &env)
	}
	trace.Done(router.Outcome{Verdict: "reject", Loss: router.Loss{Reason: router.ReasonUnroutable}})
	if len(got) != 2 || !got[0].Reply || got[1].Reply {
		t.Errorf("%+v", got)
	}
}

// broken fails each Write after the first.
type broken struct{ n int }

func (b *broken) Write(p []byte) (int, error) {
	if b.n++; b.n > 1 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestARecordingEndsWithItsReader(t *testing.T) {
	for name, ctx := range map[string]func() context.Context{
		"gone": t.Context,
		"left": func() context.Context { ctx, cancel := context.WithCancel(t.Context()); cancel(); return ctx },
	} {
		var r Recorder
		take, err := r.Start(Options{Routes: []string{"a"}, Sample: 1})
		if err != nil {
			t.Fatal(err)
		}
		pass(&r, "a", router.Outcome{Verdict: "forward"})
		if err := take.Write(ctx(), new(broken)); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: %v", name, err)
		}
		if len(r.Status()) != 0 {
			t.Errorf("%s: it goes on: %+v", name, r.Status())
		}
	}
}
