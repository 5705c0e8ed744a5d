package app_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/oslo/osloroute"
	"github.com/wasmrouter/router/rpc"
	"github.com/wasmrouter/router/telemetry"
)

const proxied = "mode = \"proxy\"\n"

// calls returns the counts of the calls that a route has made.
func (in *instance) calls(route string) telemetry.ProxyStat {
	in.t.Helper()
	for _, r := range in.Snapshot().Proxies {
		if r.Route == route {
			return r
		}
	}
	in.t.Fatalf("route %s makes no calls", route)
	return telemetry.ProxyStat{}
}

// hasty is the start of a configuration whose router gives up soon.
func hasty(at *testbroker.Broker) string {
	return strings.Replace(head(at.URL()), "[process]\n", "[process]\ndrain_timeout = \"3s\"\n", 1)
}

// waits waits until so many calls of the route in the middle are pending.
func (in *instance) waits(n int) {
	in.t.Helper()
	await(in.t, fmt.Sprint(n, " pending calls"), func() (bool, string) {
		got := in.calls("middle").Pending
		return got == n, fmt.Sprint(got)
	})
}

func TestProxiedCalls(t *testing.T) { testbroker.Both(t, testProxiedCalls) }

func testProxiedCalls(t *testing.T, at *testbroker.Broker) {
	c, p := dial(t, at), join(t, at)
	q := c.queues("in", "out")
	in := start(t, head(at.URL())+middle(q[0], q[1], proxied+"parallel = 4"))
	var replyTo sync.Map
	p.serve(q[1], func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
		replyTo.Store(in.Ticket.ReplyTo, true)
		return echo(ctx, in)
	})
	client := p.client()
	var calls sync.WaitGroup
	for i := range 64 {
		calls.Go(func() {
			args := fmt.Sprintf(`{"n": %d, "f": 1.0, "nan": NaN, "s": "\udc80"}`, i)
			got, err := client.Call(t.Context(), to(q[0]), rpc.Request{Method: "echo", Payload: []byte(args)})
			if err != nil || string(got.Payload) != args {
				t.Errorf("call %d: %s, %v", i, got.Payload, err)
			}
		})
	}
	calls.Wait()
	_, err := client.Call(t.Context(), to(q[0]), rpc.Request{Method: "fail"})
	if remote, ok := errors.AsType[*rpc.RemoteError](err); !ok || remote.Class != "Refused" || len(remote.Traceback) != 1 {
		t.Errorf("a failure came as %v", err)
	}
	n := 0
	replyTo.Range(func(any, any) bool { n++; return true })
	if st := in.calls("middle"); n != 1 || st.Pending != 0 || st.Results["answered"] != 65 {
		t.Errorf("%d reply queues, %+v", n, st)
	}
}

func TestKeepAlivesPassAProxy(t *testing.T) { testbroker.Both(t, testKeepAlivesPassAProxy) }

func testKeepAlivesPassAProxy(t *testing.T, at *testbroker.Broker) {
	c, p := dial(t, at), join(t, at)
	q := c.queues("in", "out")
	in := start(t, head(at.URL())+middle(q[0], q[1], proxied))
	p.serve(q[1], func(ctx context.Context, r *rpc.Incoming) (rpc.Reply, error) {
		await(t, "two keep-alives", func() (bool, string) {
			n := in.calls("middle").KeepAlives
			return n >= 2, fmt.Sprint(n)
		})
		return rpc.Reply{Payload: []byte("1")}, nil
	})
	if got, err := p.client().Call(t.Context(), to(q[0]), rpc.Request{Method: "slow", Monitor: 2 * time.Second}); err != nil || string(got.Payload) != "1" {
		t.Errorf("%s, %v", got.Payload, err)
	}
}

func TestAProxyEndsCallsThatNobodyAnswers(t *testing.T) {
	testbroker.Both(t, testAProxyEndsCallsThatNobodyAnswers)
}

func testAProxyEndsCallsThatNobodyAnswers(t *testing.T, at *testbroker.Broker) {
	c, p := dial(t, at), join(t, at)
	q := c.queues("in", "out")
	in := start(t, hasty(at)+middle(q[0], q[1], proxied+"proxy_timeout = \"1s\"\nproxy_calls = 2"))
	client := p.client()
	failed := func(err error) string {
		remote, ok := errors.AsType[*rpc.RemoteError](err)
		if !ok {
			return fmt.Sprint(err)
		}
		return remote.Module + "." + remote.Class
	}
	// A request without an expiration: nobody knows how long its caller waits.
	back := "reply_" + q[0]
	if _, err := c.ch.QueueDeclare(back, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.ch.QueueDelete(back, false, false, false) })
	request := oslo.Request{Method: "m", MsgID: "id1", ReplyQueue: back, UniqueID: "u"}
	c.publish(q[0], string(oslo.Seal(request.Encode())))
	message, _, err := oslo.Open([]byte(c.arrives(back)))
	if err != nil {
		t.Fatal(err)
	}
	reply, err := oslo.ParseReply(&message)
	if err != nil || reply.MsgID != "id1" || reply.Failure == nil || reply.Failure.Class != "MessagingTimeout" || reply.Failure.Module != "oslo_messaging.exceptions" {
		t.Errorf("%s, %v", message.Raw(), err)
	}
	// The call that was made is answered now, which is too late.
	made, _, err := oslo.Open([]byte(c.arrives(q[1])))
	if err != nil {
		t.Fatal(err)
	}
	late := oslo.Reply{MsgID: made.Text("_msg_id"), UniqueID: "x", Ending: true}
	c.publish(made.Text("_reply_q"), string(oslo.Seal(late.Encode())))
	await(t, "the late reply", func() (bool, string) {
		st := in.calls("middle")
		return st.Late == 1, fmt.Sprintf("%+v", st)
	})
	if late.MsgID == "id1" || made.Text("_reply_q") == back {
		t.Errorf("the call was not made in the router's name: %s", made.Raw())
	}
	// As many calls as may wait, and one more.
	ctx, cancel := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	for range 2 {
		calls.Go(func() {
			if _, err := client.Call(ctx, to(q[0]), rpc.Request{Method: "m"}); !errors.Is(err, context.Canceled) {
				t.Errorf("a call that was given up: %v", err)
			}
		})
	}
	in.waits(2)
	if _, err := client.Call(t.Context(), to(q[0]), rpc.Request{Method: "m"}); failed(err) != "wasmrouter.Busy" {
		t.Errorf("a call too many: %v", err)
	}
	cancel()
	calls.Wait()
}

func TestWhatAProxyCannotSendIsAnswered(t *testing.T) {
	testbroker.Both(t, testWhatAProxyCannotSendIsAnswered)
}

func testWhatAProxyCannotSendIsAnswered(t *testing.T, at *testbroker.Broker) {
	c, p := dial(t, at), join(t, at)
	q := c.queues("in")
	in := start(t, head(at.URL())+middle(q[0], q[0]+".missing", proxied))
	_, err := p.client().Call(t.Context(), to(q[0]), rpc.Request{Method: "m"})
	if remote, ok := errors.AsType[*rpc.RemoteError](err); !ok || remote.Class != osloroute.ClassUnroutable {
		t.Errorf("%v", err)
	}
	if st := in.calls("middle"); st.Pending != 0 {
		t.Errorf("%+v", st)
	}
}

// TestRepliesPassTheirFilters has a filter take the tracebacks out, and reject.
func TestRepliesPassTheirFilters(t *testing.T) { testbroker.Both(t, testRepliesPassTheirFilters) }

func testRepliesPassTheirFilters(t *testing.T, at *testbroker.Broker) {
	c, p := dial(t, at), join(t, at)
	q := c.queues("in", "out")
	filters := `[filters.discreet]
path = "stock:context-packer"
[filters.discreet.config]
trace = { mode = "off" }
redact = { fields = ["failure.tb", "result.password"] }
`
	start(t, head(at.URL())+filters+middle(q[0], q[1], proxied+`reply_filters = ["discreet"]`))
	p.serve(q[1], echo)
	client := p.client()
	_, err := client.Call(t.Context(), to(q[0]), rpc.Request{Method: "fail"})
	remote, ok := errors.AsType[*rpc.RemoteError](err)
	if !ok || remote.Class != "Refused" || remote.Message != "no" || len(remote.Traceback) != 0 {
		t.Errorf("%+v", err)
	}
	got, err := client.Call(t.Context(), to(q[0]), rpc.Request{Method: "echo", Payload: []byte(`{"user": "u", "password": "p", "f": 1.0}`)})
	if want := `{"user": "u", "f": 1.0}`; err != nil || string(got.Payload) != want {
		t.Errorf("%s, %v, want %s", got.Payload, err, want)
	}
}

// TestCallsOutliveAReload changes the route while a call waits.
func TestCallsOutliveAReload(t *testing.T) { testbroker.Both(t, testCallsOutliveAReload) }

func testCallsOutliveAReload(t *testing.T, at *testbroker.Broker) {
	c, p := dial(t, at), join(t, at)
	q := c.queues("in", "out")
	top := head(at.URL())
	in := start(t, top+middle(q[0], q[1], proxied))
	answer := make(chan struct{})
	p.serve(q[1], func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
		if in.Method == "wait" {
			<-answer
		}
		return echo(ctx, in)
	})
	client := p.client()
	result := make(chan error, 1)
	go func() {
		_, err := client.Call(t.Context(), to(q[0]), rpc.Request{Method: "wait"})
		result <- err
	}()
	in.waits(1)
	in.mustReload(top + middle(q[0], q[1], proxied+"prefetch = 10"))
	if st := in.calls("middle"); st.Pending != 1 {
		t.Errorf("after the reload: %+v", st)
	}
	close(answer)
	if err := <-result; err != nil {
		t.Error(err)
	}
	in.mustReload(top + middle(q[0], q[1], ""))
	if _, err := client.Call(t.Context(), to(q[0]), rpc.Request{Method: "echo"}); err != nil {
		t.Error(err)
	}
}

// TestAStoppingProxyWaitsForReplies has one call answered after the stop began,
// and one never.
func TestAStoppingProxyWaitsForReplies(t *testing.T) {
	testbroker.Both(t, testAStoppingProxyWaitsForReplies)
}

func testAStoppingProxyWaitsForReplies(t *testing.T, at *testbroker.Broker) {
	c, p := dial(t, at), join(t, at)
	q := c.queues("in", "out")
	in := start(t, hasty(at)+middle(q[0], q[1], proxied))
	var called atomic.Int32
	answer := make(chan struct{})
	end := make(chan struct{})
	p.serve(q[1], func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
		called.Add(1)
		select {
		case <-answer:
			if in.Method == "wait" {
				return echo(ctx, in)
			}
			<-end
		case <-end:
		}
		return rpc.Reply{}, nil
	})
	client := p.client()
	result := make(chan error, 2)
	for _, method := range []string{"wait", "never"} {
		go func() {
			_, err := client.Call(t.Context(), to(q[0]), rpc.Request{Method: method})
			result <- err
		}()
	}
	in.waits(2)
	await(t, "both calls at the server", func() (bool, string) { return called.Load() == 2, fmt.Sprint(called.Load()) })
	stopped := make(chan struct{})
	go func() { in.stop(); close(stopped) }()
	await(t, "the stop", func() (bool, string) { ready, why := in.Ready(); return !ready, fmt.Sprint(why) })
	close(answer)
	if err := <-result; err != nil {
		t.Errorf("the call that was answered: %v", err)
	}
	if remote, ok := errors.AsType[*rpc.RemoteError](<-result); !ok || remote.Class != osloroute.ClassStopped {
		t.Errorf("the call that was not: %+v", remote)
	}
	<-stopped
	close(end)
}

// TestProxiedCallsSurviveLostConnections cuts everybody off while the server has
// the calls: the requests are acknowledged, the replies not sent yet.
func TestProxiedCallsSurviveLostConnections(t *testing.T) {
	testbroker.Both(t, testProxiedCallsSurviveLostConnections)
}

func testProxiedCallsSurviveLostConnections(t *testing.T, at *testbroker.Broker) {
	c, p := dial(t, at), join(t, at)
	q := c.queues("in", "out")
	named := strings.Replace(head(at.URL()), "[broker]\n", fmt.Sprintf("[broker]\nconnection_name = %q\n", t.Name()), 1)
	in := start(t, named+middle(q[0], q[1], proxied+"parallel = 4"))
	const n = 16
	started, goOn := make(chan struct{}, 2*n), make(chan struct{})
	p.serve(q[1], func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
		started <- struct{}{}
		<-goOn
		return echo(ctx, in)
	})
	client := p.client()
	results := make(chan error, n)
	for i := range n {
		go func() {
			args := fmt.Sprintf(`{"n": %d}`, i)
			got, err := client.Call(t.Context(), to(q[0]), rpc.Request{Method: "echo", Payload: []byte(args)})
			if err == nil && string(got.Payload) != args {
				err = fmt.Errorf("%s was answered with %s", args, got.Payload)
			}
			results <- err
		}()
	}
	for range n {
		<-started
	}
	if _, err := at.CloseConnections(t.Context(), t.Name(), "test"); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	for range n {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	await(t, "no pending calls", func() (bool, string) {
		st := in.calls("middle")
		return st.Pending == 0, fmt.Sprintf("%+v", st)
	})
}

// TestACallIsAnsweredByTheNextRouter has the first one end before it could send:
// what it did not acknowledge is the next one's.
func TestACallIsAnsweredByTheNextRouter(t *testing.T) {
	testbroker.Both(t, testACallIsAnsweredByTheNextRouter)
}

func testACallIsAnsweredByTheNextRouter(t *testing.T, at *testbroker.Broker) {
	c, p := dial(t, at), join(t, at)
	q := c.queues("in")
	out := rabbitnode.Queue(t, "full")
	full := fmt.Sprintf("[queues.%q]\narguments = { x-max-length = 0, x-overflow = \"reject-publish\" }\n", out)
	hold := "[routes.middle.retry]\nmax_attempts = 1000\nbackoff = \"1m\"\nmax_backoff = \"1h\"\n"
	top := strings.Replace(head(at.URL()), "[process]\n", "[process]\ndrain_timeout = \"100ms\"\n", 1)
	first := start(t, top+full+middle(q[0], out, hold))
	client := p.client()
	result := make(chan error, 1)
	go func() {
		_, err := client.Call(t.Context(), to(q[0]), rpc.Request{Method: "m"})
		result <- err
	}()
	await(t, "the call to be held", func() (bool, string) {
		n := first.Snapshot().Routes[0].Held
		return n == 1, fmt.Sprint(n)
	})
	first.stop()
	other := c.queues("out")[0]
	start(t, top+middle(q[0], other, proxied))
	p.serve(other, echo)
	if err := <-result; err != nil {
		t.Error(err)
	}
}
