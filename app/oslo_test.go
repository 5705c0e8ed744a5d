package app_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/oslo/osloroute"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// party is a client and servers beside the router, on a connection of their
// own.
type party struct {
	*testing.T
	broker *amqp.Broker
}

func join(t *testing.T, at *testbroker.Broker) *party {
	t.Helper()
	b, err := amqp.New(amqp.Config{URLs: []string{at.URL()}, ConnectionName: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return &party{t, b}
}

func (p *party) client() *rpc.Client {
	p.Helper()
	c, err := rpc.NewClient(rpc.ClientConfig{
		Sender: p.broker.Sender("client"), Listener: p.broker, Declare: p.broker.Declare, Format: rpc.Oslo{}, Timeout: patience,
	})
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		c.Close(ctx)
	})
	return c
}

// serve answers calls to a queue until the returned function is called, or the
// test ends.
func (p *party) serve(queue string, handler rpc.Handler) (stop func()) {
	p.Helper()
	return p.serveSource(router.Source{Queue: queue}, handler)
}

func (p *party) serveSource(source router.Source, handler rpc.Handler) (stop func()) {
	p.Helper()
	s, err := rpc.NewServer(rpc.ServerConfig{Sender: p.broker.Sender("server"), Listener: p.broker, Format: rpc.Oslo{}, DrainTimeout: patience})
	if err != nil {
		p.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- s.Serve(ctx, []router.Source{source}, handler) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-result; err != nil {
			p.Error(err)
		}
		closing, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		s.Close(closing)
	})
	p.Cleanup(stop)
	return stop
}

func to(queue string) router.Target { return router.Target{Kind: router.TargetQueue, Queue: queue} }

// echo answers with the arguments, and fails as it is told.
func echo(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
	if in.Method == "fail" {
		return rpc.Reply{}, &rpc.RemoteError{Class: "Refused", Module: "nova", Message: "no", Traceback: []string{"line 1\n"}}
	}
	return rpc.Reply{Payload: in.Payload}, nil
}

// middle is a route of oslo messages from one queue to another.
func middle(in, out, more string) string {
	return fmt.Sprintf("[routes.middle]\nlisten = %q\nformat = \"oslo\"\nsend = [\"queue:%s\"]\norder = \"none\"\n%s\n", in, out, more)
}

func TestCallsGoThroughARoute(t *testing.T) { testbroker.Both(t, testCallsGoThroughARoute) }

func testCallsGoThroughARoute(t *testing.T, at *testbroker.Broker) {
	c, p := dial(t, at), join(t, at)
	q := c.queues("in", "out")
	start(t, head(at.URL())+middle(q[0], q[1], ""))
	p.serve(q[1], echo)
	client := p.client()
	var calls sync.WaitGroup
	for i := range 64 {
		calls.Go(func() {
			args := fmt.Sprintf(`{"n": %d, "f": 1.0, "big": 123456789012345678901234567890, "nan": NaN, "s": "\udc80"}`, i)
			got, err := client.Call(t.Context(), to(q[0]), rpc.Request{Method: "echo", Payload: []byte(args), Context: map[string]any{"user": "u"}})
			if err != nil || string(got.Payload) != args {
				t.Errorf("call %d: %s, %v", i, got.Payload, err)
			}
		})
	}
	calls.Wait()
	_, err := client.Call(t.Context(), to(q[0]), rpc.Request{Method: "fail"})
	if remote, ok := errors.AsType[*rpc.RemoteError](err); !ok || remote.Class != "Refused" || remote.Module != "nova" || len(remote.Traceback) != 1 {
		t.Errorf("a failure came as %v", err)
	}
}

func TestCallersAreToldWhyNobodyAnswers(t *testing.T) {
	testbroker.Both(t, testCallersAreToldWhyNobodyAnswers)
}

func testCallersAreToldWhyNobodyAnswers(t *testing.T, at *testbroker.Broker) {
	c, p := dial(t, at), join(t, at)
	q := c.queues("in", "out")
	policy := fmt.Sprintf(`[filters.policy]
path = "stock:oslo-router"
[filters.policy.config]
default = "pass"
[[filters.policy.config.rules]]
method = "forbidden"
action = "reject"
reason = "nobody may"
[[filters.policy.config.rules]]
method = "ignored"
action = "drop"
[[filters.policy.config.rules]]
method = "elsewhere"
send = "queue:%s.missing"
[[filters.policy.config.rules]]
method = "astray"
send = "queue:%s"
`, q[0], q[0])
	start(t, head(at.URL())+policy+middle(q[0], q[1], fmt.Sprintf("filters = [\"policy\"]\nallow = [\"queue:%s.missing\"]", q[0])))
	client := p.client()
	for method, want := range map[string][2]string{
		"forbidden": {"Rejected", "route middle: filter policy: it rejected the message: nobody may"},
		"ignored":   {"Dropped", "filter policy"},
		"elsewhere": {"Unroutable", "no queue takes the message"},
		"astray":    {"NotAllowed", ""},
	} {
		_, err := client.Call(t.Context(), to(q[0]), rpc.Request{Method: method})
		remote, ok := errors.AsType[*rpc.RemoteError](err)
		if !ok || remote.Class != want[0] || remote.Module != osloroute.Module || !strings.Contains(remote.Message, want[1]) {
			t.Errorf("%s: %v, want %s", method, err, want)
		}
	}
	if _, err := client.Call(t.Context(), to(q[0]), rpc.Request{Method: "forbidden", Version: "1.1"}); err == nil {
		t.Error("the route answers no more")
	}
}

// TestUndecodableCallsAreAnswered sends what no peer should, with a way back.
func TestUndecodableCallsAreAnswered(t *testing.T) {
	testbroker.Both(t, testUndecodableCallsAreAnswered)
}

func testUndecodableCallsAreAnswered(t *testing.T, at *testbroker.Broker) {
	c := dial(t, at)
	q := c.queues("in", "out")
	back := "reply_" + q[0]
	if _, err := c.ch.QueueDeclare(back, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.ch.QueueDelete(back, false, false, false) })
	start(t, head(at.URL())+middle(q[0], q[1], ""))
	inner := fmt.Sprintf(`{"method": "m", "args": {}, "_msg_id": "id1", "_reply_q": %q, "_unique_id": "u"`, back)
	for name, body := range map[string]string{
		"another version": strings.Replace(string(oslo.Seal(oslo.Raw(inner+"}"))), "2.0", "3.0", 1),
		"cut off":         string(oslo.Seal(oslo.Raw(inner))),
	} {
		c.publish(q[0], body)
		message, _, err := oslo.Open([]byte(c.arrives(back)))
		if err != nil {
			t.Fatal(err)
		}
		reply, err := oslo.ParseReply(&message)
		if err != nil || reply.MsgID != "id1" || reply.Failure == nil || reply.Failure.Class != "Undecodable" {
			t.Errorf("%s: %s, %v", name, message.Raw(), err)
		}
		if got := c.arrives(q[0] + ".dead"); got != body {
			t.Errorf("%s: the dead letter is %s", name, got)
		}
	}
}

// TestARouteIsAServerOfATopic has nothing declared but by the route and those
// that talk to it.
func TestARouteIsAServerOfATopic(t *testing.T) { testbroker.Both(t, testARouteIsAServerOfATopic) }

func testARouteIsAServerOfATopic(t *testing.T, at *testbroker.Broker) {
	p := join(t, at)
	name := rabbitnode.Queue(t)
	exchange, topic := name+".x", name+".topic"
	text := head(at.URL())
	for listen, out := range map[string]string{
		"topic:" + exchange + "/" + topic:            "topic:" + exchange + "/" + topic + ".real",
		"server:" + exchange + "/" + name + ".host":  "topic:" + exchange + "/" + topic + ".real",
		"fanout:" + topic:                            "fanout:" + topic + ".real",
		"notify:" + exchange + "/" + topic + ".info": "notify:" + exchange + "/" + topic + ".real.info",
	} {
		kind, _, _ := strings.Cut(listen, ":")
		text += fmt.Sprintf("[routes.%s]\nlisten = %q\nformat = \"oslo\"\nsend = [%q]\n", kind, listen, out)
	}
	layout := rpc.Layout{Exchange: exchange}
	behind := layout.Server(topic+".real", "")
	if err := rpc.Ensure(t.Context(), p.broker.Declare, behind); err != nil {
		t.Fatal(err)
	}
	start(t, text)
	got := make(chan string, 10)
	for _, source := range behind {
		p.serveSource(source, func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
			got <- in.Method
			return rpc.Reply{Payload: []byte("true")}, nil
		})
	}
	client := p.client()
	for _, target := range []router.Target{
		{Kind: router.TargetTopic, Exchange: exchange, Topic: topic},
		{Kind: router.TargetServer, Exchange: exchange, Topic: name, Server: "host"},
	} {
		if _, err := client.Call(t.Context(), target, rpc.Request{Method: target.String()}); err != nil {
			t.Errorf("%s: %v", target, err)
		}
		if method := <-got; method != target.String() {
			t.Errorf("served %s", method)
		}
	}
	if err := client.Cast(t.Context(), router.Target{Kind: router.TargetFanout, Topic: topic}, rpc.Request{Method: "all"}); err != nil {
		t.Fatal(err)
	}
	if method := <-got; method != "all" {
		t.Errorf("served %s", method)
	}
	c := dial(t, at)
	if _, err := c.ch.QueueDeclare(topic+".real.info", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	n := oslo.Notification{MessageID: "n", PublisherID: "p", EventType: "e", Priority: "info", Payload: oslo.Raw("{}")}
	c.publish(topic+".info", string(oslo.Seal(n.Encode())))
	if body := c.arrives(topic + ".real.info"); body != string(oslo.Seal(n.Encode())) {
		t.Errorf("the notification became %s", body)
	}
}
