package matrix

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// Callers have died before their replies: their reply queues are gone. The calls of
// others go through the same route meanwhile, and none of the replies that nobody
// takes is tried again, waits, or holds one of theirs up. rpc's
// TestDeadCallersDelayNobodyOverRabbitMQ and e2e/oslo's TestDeadClientsDelayNobody
// are the same for servers.
func TestF31DeadCallers(t *testing.T) {
	t.Parallel()
	const dead, living = 256, 32
	for name, tc := range map[string]struct {
		mode   string
		method string
		metric string
		labels []string
	}{
		"replies":  {`mode = "proxy"`, "echo", "router_messages_settled_total", []string{`route="trial:replies"`, `verdict="drop"`}},
		"failures": {`mode = "forward"`, "nowhere", "router_error_replies_total", []string{`route="trial"`, `result="unroutable"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := rabbitnode.Shared(t)
			result := harness.NewResult(t, harness.Seed(t))
			in, back := rabbitnode.Queue(t, "in"), rabbitnode.Queue(t, "back")
			harness.Dial(t, n).Declare(in, back)
			b := connect(t, n, "")
			serve(t, b, back, echo)
			client := caller(t, b)
			p := harness.Start(t, harness.ConfigFile(t, n.URL(), fmt.Sprintf(`
[filters.by_method]
path = "stock:content-router"
config = { field = "body:method", routes = { echo = "queue:%[2]s", nowhere = "queue:%[2]s.nowhere" } }
[routes.trial]
listen = %[1]q
format = "oslo"
filters = ["by_method"]
allow = ["queue:%[2]s*"]
order = "none"
%[3]s
`, in, back, tc.mode)))

			target := router.Target{Kind: router.TargetQueue, Queue: in}
			call := func(i int) time.Duration {
				begin := time.Now()
				args := fmt.Sprintf(`{"i": %d}`, i)
				got, err := client.Call(t.Context(), target, rpc.Request{Method: tc.method, Payload: []byte(args)})
				if tc.method == "echo" {
					if err != nil || string(got.Payload) != args {
						t.Errorf("call %d: %s, %v", i, got.Payload, err)
					}
				} else if remote, ok := errors.AsType[*rpc.RemoteError](err); !ok || remote.Class != "Unroutable" {
					t.Errorf("call %d: %v, want the router's failure", i, err)
				}
				return time.Since(begin)
			}
			alone := call(-1)
			var longest time.Duration
			for i := range dead {
				id := fmt.Sprintf("%032x", i)
				env, err := rpc.Oslo{}.EncodeRequest(rpc.Request{Method: tc.method}, rpc.Ticket{ID: id, UniqueID: id, ReplyTo: "reply_" + in + id})
				if err != nil {
					t.Fatal(err)
				}
				if err := client.Send(t.Context(), target, &env); err != nil {
					t.Fatal(err)
				}
				if i%(dead/living) == 0 {
					longest = max(longest, call(i))
				}
			}
			result.Faults["caller dead"] = dead
			result.Note("a living caller's call", "%s alone, at most %s between the dead ones'", alone, longest)
			harness.Await(t, "the dead callers' replies to be given up", func() (bool, string) {
				got := p.Metric(tc.metric, tc.labels...)
				return got == dead, fmt.Sprint(got)
			})
			for _, c := range []check{
				{"router_retries_total", nil, 0},
				{"router_held_messages", nil, 0},
				{"router_redelivered_total", nil, 0},
				{"router_amqp_reconnects_total", nil, 0},
			} {
				if got := p.Metric(c.name); got != c.want {
					t.Errorf("%s is %v, want %v", c.name, got, c.want)
				}
			}
			p.Terminate()
		})
	}
}

// connect returns a connection of the test's own under a name.
func connect(t *testing.T, n *rabbitnode.Node, name string) *amqp.Broker {
	t.Helper()
	b, err := amqp.New(amqp.Config{URLs: []string{n.URL()}, ConnectionName: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b
}

// caller returns a client that waits for its replies as long as the test does.
func caller(t *testing.T, b *amqp.Broker) *rpc.Client {
	t.Helper()
	client, err := rpc.NewClient(rpc.ClientConfig{
		Sender: b.Sender("client"), Listener: b, Declare: b.Declare, Format: rpc.Oslo{}, Timeout: harness.Patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		client.Close(ctx)
	})
	return client
}

// echo answers a call with its arguments.
func echo(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
	return rpc.Reply{Payload: in.Payload}, nil
}

// serve answers calls to a queue until the test ends.
func serve(t *testing.T, b *amqp.Broker, queue string, handler rpc.Handler) {
	t.Helper()
	s, err := rpc.NewServer(rpc.ServerConfig{Sender: b.Sender("server"), Listener: b, Format: rpc.Oslo{}, DrainTimeout: harness.Patience})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- s.Serve(ctx, []router.Source{{Queue: queue}}, handler)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		closing, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		s.Close(closing)
	})
}
