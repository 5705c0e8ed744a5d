package osloroute_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/oslo/osloroute"
	"github.com/wasmrouter/router/router"
)

// outbox is a Sender in memory. answer says what becomes of each message.
type outbox struct {
	mu     sync.Mutex
	answer func(t router.Target) error
	held   []router.Receipt // when answer is nil and hold is set
	hold   bool
	sent   []posted
	closed bool
}

type posted struct {
	Target string
	Reply  oslo.Reply
}

func (o *outbox) Send(ctx context.Context, t router.Target, e *router.Envelope, r router.Receipt) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	message, _, err := oslo.Open(e.Body)
	if err != nil || e.ContentType != oslo.ContentType || e.DeliveryMode != 2 {
		return fmt.Errorf("%+v: %w", e, err)
	}
	reply, err := oslo.ParseReply(&message)
	if err != nil {
		return err
	}
	o.mu.Lock()
	o.sent = append(o.sent, posted{t.String(), reply})
	hold, answer := o.hold, o.answer
	if hold {
		o.held = append(o.held, r)
	}
	o.mu.Unlock()
	if hold {
		return nil
	}
	if answer != nil {
		err = answer(t)
	}
	r.Settle(err)
	return nil
}

func (o *outbox) Close() {
	o.mu.Lock()
	held := o.held
	o.held, o.closed = nil, true
	o.mu.Unlock()
	for _, r := range held {
		r.Settle(router.ErrUnconfirmed)
	}
}

func (o *outbox) replies() []posted {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]posted(nil), o.sent...)
}

func TestAFilterAnswersACall(t *testing.T) {
	for name, test := range map[string]struct {
		filter func(*router.Envelope)
		want   oslo.Reply
	}{
		"a result": {func(e *router.Envelope) { e.Body = []byte(` {"x": 1.0, "n": NaN} `) }, oslo.Reply{Result: oslo.Raw(`{"x": 1.0, "n": NaN}`)}},
		"nothing":  {func(e *router.Envelope) { e.Body = nil }, oslo.Reply{Result: oslo.Null}},
		"a failure": {func(e *router.Envelope) {
			e.SetHeader(osloroute.HeaderErrorClass, "Forbidden")
			e.SetHeader(osloroute.HeaderErrorModule, "nova.exception")
			e.SetHeader(osloroute.HeaderErrorMessage, "not you")
		}, oslo.Reply{Result: oslo.Null, Failure: &oslo.Failure{Class: "Forbidden", Module: "nova.exception", Message: "not you", Args: oslo.Raw(`["not you"]`), Kwargs: oslo.Raw("{}")}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := lane(t)
			env := request(call)
			env.Expiration = "1000"
			if err := f.Run(t.Context(), router.Decode, &env, &router.Decision{}); err != nil {
				t.Fatal(err)
			}
			test.filter(&env)
			queue, err := f.Answer(&env)
			if err != nil || queue != "reply_1" {
				t.Fatalf("queue %q, %v", queue, err)
			}
			if len(env.Headers()) > 0 || env.Expiration != "" || env.ReplyTo != "" || env.CorrelationID != "" {
				t.Errorf("more than a reply is sent: %+v", env)
			}
			message, _, err := oslo.Open(env.Body)
			if err != nil {
				t.Fatal(err)
			}
			got, err := oslo.ParseReply(&message)
			if err != nil || len(got.UniqueID) != 32 {
				t.Errorf("%+v, %v", got, err)
			}
			test.want.MsgID, test.want.Ending = "m1", true
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(oslo.Reply{}, "UniqueID")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestWhatCannotBeAnswered(t *testing.T) {
	answer := func(inner, body string) (string, error) {
		f := lane(t)
		env := request(inner)
		if err := f.Run(t.Context(), router.Decode, &env, &router.Decision{}); err != nil {
			t.Fatal(err)
		}
		env.Body = []byte(body)
		return f.Answer(&env)
	}
	if queue, err := answer(`{"method": "m", "_unique_id": "u"}`, "1"); queue != "" || err != nil {
		t.Errorf("a cast is answered at %q, %v", queue, err)
	}
	if _, err := answer(call, "no JSON"); err == nil {
		t.Error("a call is answered with what is no JSON")
	}
	forbidden, err := osloroute.NewRequests(osloroute.Config{Route: "r", MaxBody: 1 << 20, Permits: func(string) bool { return false }})
	if err != nil {
		t.Fatal(err)
	}
	f, _ := forbidden.Format(t.Context())
	env := request(call)
	if err := f.Run(t.Context(), router.Decode, &env, &router.Decision{}); err != nil {
		t.Fatal(err)
	}
	if queue, err := f.Answer(&env); err == nil {
		t.Errorf("a call is answered at %q, which is not permitted", queue)
	}
}

// lossy returns a format whose failures go to out, and what ends it.
func lossy(t *testing.T, out *outbox) (router.Format, *osloroute.Post, func()) {
	t.Helper()
	post := osloroute.NewPost(out)
	r, err := osloroute.NewRequests(osloroute.Config{
		Route: "compute", MaxBody: 1 << 20, Post: post,
		Permits: func(queue string) bool { return strings.HasPrefix(queue, "reply_") },
	})
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.Format(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return f, post, func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		post.Close(ctx)
	}
}

func TestTheCallersOfLostCallsAreTold(t *testing.T) {
	for name, test := range map[string]struct {
		change   func(*router.Envelope)
		loss     router.Loss
		class    string
		contains string
	}{
		"rejected":    {loss: router.Loss{Reason: router.ReasonRejected, Filter: "policy", Stage: "decide", Text: "not\x1b you"}, class: "Rejected", contains: "route compute: filter policy: it rejected the message: not\ufffd you"},
		"dropped":     {loss: router.Loss{Reason: router.ReasonDropped, Filter: "policy"}, class: "Dropped", contains: "filter policy: it dropped"},
		"trap":        {loss: router.Loss{Reason: "filter-trap", Filter: "policy"}, class: "FilterFailed", contains: "filter policy: it failed on the message (trap)"},
		"unroutable":  {loss: router.Loss{Reason: router.ReasonUnroutable}, class: "Unroutable", contains: "route compute: no queue takes the message"},
		"undecided":   {loss: router.Loss{Reason: router.ReasonUndecided}, class: "Unroutable", contains: "nothing says"},
		"not allowed": {loss: router.Loss{Reason: router.ReasonNotAllowed}, class: "NotAllowed", contains: "a filter chose a target that is not allowed"},
		"nacked":      {loss: router.Loss{Reason: router.ReasonNacked}, class: "Undeliverable", contains: "nacked"},
		"attempts":    {loss: router.Loss{Reason: router.ReasonAttempts, Filter: "policy", Text: "later"}, class: "Undeliverable", contains: "all attempts were used up: later"},
		"too large":   {loss: router.Loss{Reason: router.ReasonTooLarge}, class: "TooLarge", contains: "too large"},
		"undecodable": {
			change: func(e *router.Envelope) {
				e.Body = []byte(strings.Replace(string(e.Body), `"oslo.version": "2.0"`, `"oslo.version": "9.0"`, 1))
			},
			loss:  router.Loss{Reason: "filter-invalid", Filter: osloroute.Name, Stage: "decode", Text: "version 9"},
			class: "Undecodable", contains: "route compute: the message is not understood: version 9",
		},
		"damaged": {
			change: func(e *router.Envelope) { e.Body = e.Body[:len(e.Body)-9] },
			loss:   router.Loss{Reason: "filter-invalid", Filter: osloroute.Name, Stage: "decode"}, class: "Undecodable",
		},
		"compressed": {
			change: func(e *router.Envelope) {
				e.Body = oslo.Compress(e.Body)
				e.SetHeader(oslo.HeaderCompression, oslo.CompressionGzip)
			},
			loss: router.Loss{Reason: router.ReasonUnroutable}, class: "Unroutable",
		},
		"long": {loss: router.Loss{Reason: router.ReasonRejected, Filter: "policy", Text: strings.Repeat("é", 1000)}, class: "Rejected"},
	} {
		t.Run(name, func(t *testing.T) {
			out := new(outbox)
			f, _, end := lossy(t, out)
			env := request(call)
			if test.change != nil {
				test.change(&env)
			}
			f.Lost(&env, test.loss)
			end()
			sent := out.replies()
			if len(sent) != 1 || sent[0].Target != "queue:reply_1" || sent[0].Reply.MsgID != "m1" || !sent[0].Reply.Ending || sent[0].Reply.Failure == nil {
				t.Fatalf("sent %+v", sent)
			}
			got := sent[0].Reply.Failure
			if got.Class != test.class || got.Module != osloroute.Module || !strings.Contains(got.Message, test.contains) || len(got.Message) > 600 || len(got.Traceback) > 0 {
				t.Errorf("the failure is %+v", got)
			}
			if !out.closed {
				t.Error("the sender is not closed")
			}
		})
	}
}

func TestNobodyElseIsTold(t *testing.T) {
	out := new(outbox)
	f, post, end := lossy(t, out)
	for _, inner := range []string{
		`{"method": "m", "_unique_id": "u"}`,
		`{"method": "m", "_msg_id": "m"}`,
		`{"method": "m", "args": {"_msg_id": "m", "_reply_q": "reply_1"}}`,
		`{"method": "m", "_msg_id": "m", "_reply_q": "orders"}`,
		`{"method": "m", "_msg_id": "m", "_reply_q": "amq.gen-1"}`,
	} {
		env := request(inner)
		f.Lost(&env, router.Loss{Reason: router.ReasonRejected})
	}
	end()
	if sent := out.replies(); len(sent) != 0 {
		t.Errorf("sent %+v", sent)
	}
	if got := post.Stat(); got != (osloroute.PostStat{Refused: 2}) {
		t.Errorf("%+v", got)
	}
}

func TestFailuresNeverBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &outbox{hold: true}
		f, post, end := lossy(t, out)
		out.mu.Lock() // the broker does not take anything
		for range 1100 {
			env := request(call)
			f.Lost(&env, router.Loss{Reason: router.ReasonRejected})
		}
		if post.Stat().Overflow == 0 {
			t.Error("more than there is room for was taken")
		}
		out.mu.Unlock()
		synctest.Wait()
		end() // although no receipt comes
		st := post.Stat()
		if st.Failed+st.Overflow != 1100 {
			t.Errorf("%+v", st)
		}
		env := request(call)
		f.Lost(&env, router.Loss{Reason: router.ReasonRejected})
		if got := post.Stat().Overflow; got != st.Overflow+1 {
			t.Error("a failure after the end is not counted")
		}
	})
}

func TestAMissingReplyQueueIsCounted(t *testing.T) {
	out := &outbox{answer: func(router.Target) error { return router.ErrUnroutable }}
	f, post, end := lossy(t, out)
	env := request(call)
	f.Lost(&env, router.Loss{Reason: router.ReasonRejected})
	end()
	if got := post.Stat(); got != (osloroute.PostStat{Unroutable: 1}) {
		t.Errorf("%+v", got)
	}
}
