package osloroute_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/oslo/osloroute"
	"github.com/wasmrouter/router/router"
)

// desk is a proxy in memory: the two formats and the table between them.
type desk struct {
	*testing.T
	out      *outbox
	calls    *osloroute.Calls
	requests router.Format
	replies  router.Format
}

func newDesk(t *testing.T, change ...func(*osloroute.Config)) *desk {
	t.Helper()
	d := &desk{T: t, out: new(outbox)}
	d.calls = osloroute.NewCalls(osloroute.CallsConfig{Route: "r", Queue: "reply_own", Post: osloroute.NewPost(d.out)})
	cfg := osloroute.Config{
		Route: "r", MaxBody: 1 << 20, Calls: d.calls, Timeout: 10 * time.Second, MaxCalls: 3,
		Permits: func(queue string) bool { return queue != "orders" },
	}
	post := osloroute.NewPost(d.out)
	cfg.Post = post
	for _, c := range change {
		c(&cfg)
	}
	r, err := osloroute.NewRequests(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if d.requests, err = r.Format(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d.replies, err = osloroute.NewReplies(d.calls, 1<<20, cfg.Bare).Format(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.requests.Close()
		d.replies.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		d.calls.Close(ctx)
		post.Close(ctx)
	})
	return d
}

// request passes a call through and returns the ids that it left with.
func (d *desk) request(id, queue, expiration string) (newID, newQueue string, decision router.Decision) {
	d.Helper()
	env := request(fmt.Sprintf(`{"method": "m", "args": {"n": 1.0}, "_msg_id": %q, "_reply_q": %q, "_timeout": null, "_unique_id": "u"}`, id, queue))
	env.Expiration, env.Origin.Received = expiration, time.Now()
	if err := d.requests.Run(d.Context(), router.Decode, &env, &router.Decision{}); err != nil {
		d.Fatal(err)
	}
	if err := d.requests.Run(d.Context(), router.Encode, &env, &decision); err != nil {
		d.Fatal(err)
	}
	if decision.Action == router.Drop {
		return "", "", decision
	}
	message, _, err := oslo.Open(env.Body)
	if err != nil {
		d.Fatal(err)
	}
	if message.Text("_unique_id") != "u" {
		d.Errorf("another unique id: %s", message.Raw())
	}
	return message.Text("_msg_id"), message.Text("_reply_q"), decision
}

// reply passes a reply through, as often as it is delivered, and returns where
// to it goes and under which id.
func (d *desk) reply(id string, ending, again bool) (target, to string) {
	d.Helper()
	r := oslo.Reply{MsgID: id, UniqueID: "r", Result: oslo.Raw("1.0"), Ending: ending}
	if !ending {
		r.Result = nil
	}
	env := sealed(&r)
	env.Origin.Redelivered = again
	var decision router.Decision
	if err := d.replies.Run(d.Context(), router.Decode, &env, &decision); err != nil {
		d.Fatal(err)
	}
	if decision.Action == router.Drop {
		return "", ""
	}
	if err := d.replies.Run(d.Context(), router.Decide, &env, &decision); err != nil {
		d.Fatal(err)
	}
	if decision.Action != router.Forward || len(decision.Targets) != 1 {
		d.Fatalf("%+v", decision)
	}
	if err := d.replies.Run(d.Context(), router.Encode, &env, &router.Decision{Targets: decision.Targets}); err != nil {
		d.Fatal(err)
	}
	message, _, err := oslo.Open(env.Body)
	if err != nil {
		d.Fatal(err)
	}
	return decision.Targets[0].String(), message.Text("_msg_id")
}

func sealed(r *oslo.Reply) router.Envelope {
	env := router.NewEnvelope(nil, oslo.Seal(r.Encode()))
	env.ContentType = oslo.ContentType
	return env
}

func TestAProxyIsTheCaller(t *testing.T) {
	for _, bare := range []bool{false, true} {
		t.Run(fmt.Sprint(bare), func(t *testing.T) { proxied(t, newDesk(t, func(c *osloroute.Config) { c.Bare = bare })) })
	}
}

func proxied(t *testing.T, d *desk) {
	id, queue, _ := d.request("m1", "reply_1", "60000")
	if id == "m1" || len(id) != 32 || queue != "reply_own" {
		t.Fatalf("the call has id %q and reply queue %q", id, queue)
	}
	if again, _, _ := d.request("m1", "reply_1", "60000"); again != id {
		t.Errorf("the same request has another id the second time: %s, %s", id, again)
	}
	if other, _, _ := d.request("m1", "reply_2", "60000"); other == id {
		t.Error("two callers share an id")
	}
	for range 2 {
		if target, to := d.reply(id, false, false); target != "queue:reply_1" || to != "m1" {
			t.Errorf("a keep-alive goes to %s as %s", target, to)
		}
	}
	if target, to := d.reply(id, true, false); target != "queue:reply_1" || to != "m1" {
		t.Errorf("the reply goes to %s as %s", target, to)
	}
	if target, _ := d.reply(id, true, false); target != "" {
		t.Errorf("a second reply goes to %s", target)
	}
	if target, _ := d.reply(id, true, true); target != "queue:reply_1" {
		t.Errorf("a reply that is delivered again goes to %q", target)
	}
	for _, id := range []string{"", "m1", "0123456789abcdef0123456789abcdef", "zz23456789abcdef0123456789abcdef"} {
		if target, _ := d.reply(id, true, true); target != "" {
			t.Errorf("a reply to %q goes to %s", id, target)
		}
	}
	st := d.calls.Stat()
	if st.Pending != 1 || st.Relayed != 1 || st.KeepAlives != 2 || st.Late != 5 {
		t.Errorf("%+v", st)
	}
}

func TestWhatAProxyLeavesAlone(t *testing.T) {
	d := newDesk(t)
	for name, env := range captures(t) {
		if out := through(t, d.requests, env, nil); name[:2] == "03" || name[:2] == "15" || name[:2] == "16" {
			same(t, env, out)
		}
	}
	env := request(call)
	env.Body = oslo.Seal(oslo.Raw(`{"method": "m", "_msg_id": "m", "_reply_q": "orders"}`))
	if _, err := pass(d.requests, env, 0, nil); err == nil {
		t.Error("a call may have its reply sent to any queue")
	}
	// A filter that makes a cast of a call.
	before := d.calls.Stat().Pending
	through(t, d.requests, request(call), func(e *router.Envelope) { e.ReplyTo, e.CorrelationID = "", "" })
	if got := d.calls.Stat().Pending; got != before {
		t.Errorf("%d calls are pending, want %d", got, before)
	}
}

func TestThereAreOnlySoManyCalls(t *testing.T) {
	d := newDesk(t)
	for i := range 3 {
		if _, _, decision := d.request(fmt.Sprint(i), "reply_1", ""); decision.Action != router.Undecided {
			t.Errorf("call %d: %+v", i, decision)
		}
	}
	_, _, decision := d.request("one more", "reply_1", "")
	if decision.Action != router.Drop {
		t.Fatalf("a call too many: %+v", decision)
	}
	env := request(`{"method": "m", "_msg_id": "one more", "_reply_q": "reply_1"}`)
	d.requests.Lost(&env, router.Loss{Reason: router.ReasonDropped, Filter: osloroute.Name, Stage: "encode", Text: decision.Reason})
	d.told("one more", "Busy")
	if st := d.calls.Stat(); st.Busy != 1 || st.Pending != 3 {
		t.Errorf("%+v", st)
	}
}

// told waits until a failure has been sent to the caller of a call.
func (d *desk) told(id, class string) {
	d.Helper()
	for range 1000 {
		for _, p := range d.out.replies() {
			if p.Reply.MsgID != id {
				continue
			}
			if p.Target != "queue:reply_1" || p.Reply.Failure == nil || p.Reply.Failure.Class != class {
				d.Errorf("told %+v, want %s", p, class)
			}
			return
		}
		time.Sleep(time.Millisecond) // mostly virtual time
	}
	d.Errorf("the caller of %s was not told", id)
}

func (d *desk) untold() {
	d.Helper()
	if sent := d.out.replies(); len(sent) > 0 {
		d.Errorf("told %+v", sent)
	}
}

func TestCallsEndWhenTheirTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		own, _, _ := d.request("own", "reply_1", "5000")
		id, _, _ := d.request("none", "reply_1", "")
		soon, _, _ := d.request("soon", "reply_1", "1000")
		d.reply(soon, true, false)
		time.Sleep(4 * time.Second)
		d.untold()
		d.reply(own, false, false)
		d.reply(id, false, false) // its time begins again, that of the other does not
		time.Sleep(2 * time.Second)
		d.told("own", osloroute.ClassTimeout)
		time.Sleep(7 * time.Second)
		if st := d.calls.Stat(); st.Pending != 1 || st.Timeouts != 1 {
			t.Errorf("%+v", st)
		}
		time.Sleep(2 * time.Second)
		d.told("none", osloroute.ClassTimeout)
		if st := d.calls.Stat(); st.Pending != 0 || st.Timeouts != 2 || st.Failures.Sent != 2 {
			t.Errorf("%+v", st)
		}
		if len(d.out.replies()) != 2 {
			t.Errorf("told %+v", d.out.replies())
		}
	})
}

func TestCallersAreNotToldIfTheyShallNotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, func(c *osloroute.Config) { c.Post = nil })
		d.request("m", "reply_1", "1000")
		env := request(call)
		d.requests.Lost(&env, router.Loss{Reason: router.ReasonRejected})
		time.Sleep(time.Minute)
		d.untold()
		if st := d.calls.Stat(); st.Timeouts != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestALostRequestIsNoCall(t *testing.T) {
	d := newDesk(t)
	d.request("m", "reply_1", "")
	env := request(`{"method": "m", "_msg_id": "m", "_reply_q": "reply_1"}`)
	d.requests.Lost(&env, router.Loss{Reason: router.ReasonUnroutable})
	d.told("m", "Unroutable")
	if st := d.calls.Stat(); st.Pending != 0 {
		t.Errorf("%+v", st)
	}
}

func TestALostReplyFailsItsCall(t *testing.T) {
	d := newDesk(t)
	id, _, _ := d.request("m", "reply_1", "")
	rejected := router.Loss{Reason: router.ReasonRejected, Filter: "policy", Text: "no"}
	alive := sealed(&oslo.Reply{MsgID: id, UniqueID: "r"})
	d.replies.Lost(&alive, rejected)
	unknown := sealed(&oslo.Reply{MsgID: "x", UniqueID: "r", Ending: true})
	d.replies.Lost(&unknown, rejected)
	damaged := router.NewEnvelope(nil, []byte("damaged"))
	d.replies.Lost(&damaged, rejected)
	if st := d.calls.Stat(); st.Pending != 1 {
		t.Errorf("%+v", st)
	}
	d.untold()
	last := sealed(&oslo.Reply{MsgID: id, UniqueID: "r", Ending: true})
	d.replies.Lost(&last, rejected)
	d.told("m", "Rejected")
}

func TestRepliesGoToTheirCallersAlone(t *testing.T) {
	d := newDesk(t)
	id, _, _ := d.request("m", "reply_1", "")
	env := sealed(&oslo.Reply{MsgID: id, UniqueID: "r", Ending: true})
	if err := d.replies.Run(t.Context(), router.Decode, &env, &router.Decision{}); err != nil {
		t.Fatal(err)
	}
	to := []router.Target{{Kind: router.TargetQueue, Queue: "reply_1"}}
	for _, decision := range []router.Decision{
		{Targets: []router.Target{{Kind: router.TargetQueue, Queue: "orders"}}}, {Targets: to, Emission: 1}, {},
	} {
		own := env.Clone()
		err := d.replies.Run(t.Context(), router.Encode, &own, &decision)
		if fe, ok := errors.AsType[*router.FilterError](err); !ok || fe.Class != "invalid" {
			t.Errorf("%+v: %v", decision, err)
		}
	}
}

func TestFiltersSeeTheFailureItself(t *testing.T) {
	d := newDesk(t)
	id, _, _ := d.request("m", "reply_1", "")
	failure := oslo.Failure{Class: "ValueError", Module: "builtins", Message: "no", Traceback: []string{"secret\n"}}
	env := sealed(&oslo.Reply{MsgID: id, UniqueID: "r", Failure: &failure, Ending: true})
	if err := d.replies.Run(t.Context(), router.Decode, &env, &router.Decision{}); err != nil {
		t.Fatal(err)
	}
	want := `{"result": null, "failure": ` + string(failure.Encode()) + `, "ending": true}`
	if string(env.Body) != want || env.CorrelationID != "m" {
		t.Errorf("filters see %s of %s\nwant %s", env.Body, env.CorrelationID, want)
	}
	failure.Traceback = nil
	env.Body = []byte(`{"result": null, "failure": ` + string(failure.Encode()) + `, "ending": true}`)
	if err := d.replies.Run(t.Context(), router.Encode, &env, &router.Decision{Targets: []router.Target{{Kind: router.TargetQueue, Queue: "reply_1"}}}); err != nil {
		t.Fatal(err)
	}
	wanted := oslo.Reply{MsgID: "m", UniqueID: "r", Failure: &failure, Ending: true}
	if got := innerOf(t, &env); got != string(wanted.Encode()) {
		t.Errorf("sent   %s\nwanted %s", got, wanted.Encode())
	}
}

func TestDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		id, _, _ := d.request("m", "reply_1", "")
		drained := make(chan struct{})
		go func() {
			d.calls.Drain(t.Context())
			close(drained)
		}()
		synctest.Wait()
		d.reply(id, true, false)
		synctest.Wait()
		select {
		case <-drained:
			t.Error("drained while a lane may still add calls")
		default:
		}
		d.requests.Close()
		<-drained
		d.untold()
		r, err := osloroute.NewRequests(osloroute.Config{Route: "r", MaxBody: 1, Permits: anywhere, Calls: d.calls, Timeout: 1, MaxCalls: 1})
		if err != nil {
			t.Fatal(err)
		}
		d.requests, _ = r.Format(t.Context()) // which the cleanup closes
	})
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.request("m", "reply_1", "")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		d.calls.Drain(ctx)
		d.told("m", "Stopped")
		if st := d.calls.Stat(); st.Pending != 0 || st.Stopped != 1 {
			t.Errorf("%+v", st)
		}
	})
}
