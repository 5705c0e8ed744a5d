package matrix

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// callStand is a router that makes calls in its own name, and the two sides of it.
type callStand struct {
	*testing.T
	node     *rabbitnode.Node
	name     string // that all connections' names begin with
	in, back string
	broker   *amqp.Broker // of the test's own callers and servers
	client   *rpc.Client
	config   string
	router   *harness.Process
	result   *harness.Result
}

func newCallStand(t *testing.T) *callStand {
	t.Helper()
	t.Parallel()
	s := &callStand{
		T: t, node: rabbitnode.Shared(t), name: strings.ReplaceAll(t.Name(), "/", "."), in: rabbitnode.Queue(t, "in"), back: rabbitnode.Queue(t, "back"),
		result: harness.NewResult(t, harness.Seed(t)),
	}
	s.result.Mixed = true
	harness.Dial(t, s.node).Declare(s.in, s.back)
	s.broker = connect(t, s.node, s.name+".peer")
	s.client = caller(t, s.broker)
	s.config = harness.ConfigFile(t, s.node.URL(), fmt.Sprintf(`connection_name = "%s.router"
[routes.trial]
listen = %q
send = ["queue:%s"]
format = "oslo"
mode = "proxy"
order = "none"
parallel = 4
`, s.name, s.in, s.back))
	s.router = harness.Start(t, s.config)
	return s
}

// call makes call i with a client and reports whether it was answered. An answer is
// the call's own, or the test fails; without one there is an error by the deadline.
func (s *callStand) call(ctx context.Context, client *rpc.Client, i int) bool {
	args := fmt.Sprintf(`{"i":%d}`, i)
	got, err := client.Call(ctx, router.Target{Kind: router.TargetQueue, Queue: s.in}, rpc.Request{Method: "m", Payload: []byte(args)})
	if err == nil && string(got.Payload) != args {
		s.Errorf("call %d was answered with %s", i, got.Payload)
	}
	return err == nil
}

// together makes calls beside each other, each with a deadline, and returns how many
// were answered once all have ended.
func (s *callStand) together(client *rpc.Client, from, to int, deadline time.Duration) (answered int) {
	var calls sync.WaitGroup
	var good atomic.Int64
	for i := from; i < to; i++ {
		calls.Go(func() {
			ctx, cancel := context.WithTimeout(s.Context(), deadline)
			defer cancel()
			if s.call(ctx, client, i) {
				good.Add(1)
			}
		})
	}
	calls.Wait()
	return int(good.Load())
}

// pending waits until the router waits for so many replies.
func (s *callStand) pending(want int) {
	s.Helper()
	harness.Await(s.T, fmt.Sprint(want, " pending calls"), func() (bool, string) {
		got := s.router.Metric("router_proxy_pending_calls")
		return got == float64(want), fmt.Sprint(got)
	})
}

// works demands that a call of a caller that nothing has happened to is answered, and
// that no other call is left.
func (s *callStand) works(i int) {
	s.Helper()
	if s.together(s.client, i, i+1, harness.Patience) != 1 {
		s.Errorf("call %d after the fault was not answered", i)
	}
	s.pending(0)
}

// gate is a handler that answers when it is opened.
type gate struct{ open chan struct{} }

func (g gate) answer(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
	select {
	case <-g.open:
	case <-ctx.Done():
	}
	return echo(ctx, in)
}

// Calls go through a router in mode proxy while one thing or another that they need
// dies. Each ends with its own reply or with an error by its deadline, and nothing is
// left of it.
func TestF24Calls(t *testing.T) {
	t.Parallel()
	// All connections, the router's, the callers' and the server's, are closed again
	// and again. A client waits for its reply beyond that, so most calls are answered.
	t.Run("connections closed", func(t *testing.T) {
		s := newCallStand(t)
		serve(t, s.broker, s.back, echo)
		const calls, callers, closes = 1000, 8, 10
		var done, answered atomic.Int64
		var working sync.WaitGroup
		for c := range callers {
			working.Go(func() {
				for i := c; i < calls; i += callers {
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					if s.call(ctx, s.client, i) {
						answered.Add(1)
					}
					cancel()
					done.Add(1)
				}
			})
		}
		for i := range closes {
			harness.Await(t, "some calls", func() (bool, string) {
				n := done.Load()
				return int(n) > i*(calls-2*callers)/closes, fmt.Sprint(n)
			})
			if _, err := s.node.CloseConnections(t.Context(), s.name, "fault"); err != nil {
				t.Fatal(err)
			}
			s.result.Faults["connections closed"]++
		}
		working.Wait()
		s.result.Note("calls answered", "%d of %d through %d closes", answered.Load(), calls, closes)
		if answered.Load() < calls/2 {
			t.Errorf("%d of %d calls answered", answered.Load(), calls)
		}
		s.works(calls)
		s.router.Terminate()
	})

	// The router dies with calls pending: they end at their deadlines, and what comes
	// to the reply queue of the dead one disturbs its successor's calls in nothing.
	t.Run("router killed", func(t *testing.T) {
		s := newCallStand(t)
		g := gate{make(chan struct{})}
		serve(t, s.broker, s.back, g.answer)
		const calls = 50
		ended := make(chan int, 1)
		go func() { ended <- s.together(s.client, 0, calls, 3*time.Second) }()
		s.pending(calls)
		s.router.Kill()
		s.result.Faults["router killed"]++
		s.result.Note("calls answered that the killed router had made", "%d of %d", <-ended, calls)
		s.router = harness.Start(t, s.config)
		close(g.open)
		s.works(calls)
		s.router.Terminate()
	})

	// A caller dies with calls pending; another's go on.
	t.Run("caller killed", func(t *testing.T) {
		s := newCallStand(t)
		g := gate{make(chan struct{})}
		serve(t, s.broker, s.back, g.answer)
		caller := exec.CommandContext(t.Context(), harness.Binary, "call", "queue:"+s.in, "--url", s.node.URL(), "--format", "oslo", "--method", "m", "--args", `{"i":0}`, "--timeout", "1m")
		if err := caller.Start(); err != nil {
			t.Fatal(err)
		}
		s.pending(1)
		_ = caller.Process.Signal(syscall.SIGKILL)
		_ = caller.Wait()
		s.result.Faults["caller killed"]++
		close(g.open)
		s.works(1)
		s.router.Terminate()
	})

	// A server dies in the middle of a call that it has acknowledged, as oslo.messaging
	// does: the call ends at its deadline, and those to come reach another server.
	t.Run("server killed", func(t *testing.T) {
		s := newCallStand(t)
		server := exec.CommandContext(t.Context(), harness.Binary, "serve", s.back, "--url", s.node.URL(), "--format", "oslo", "--exec", "sleep 60")
		server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan int, 1)
		go func() { ended <- s.together(s.client, 0, 1, 3*time.Second) }()
		s.pending(1)
		harness.AwaitEmpty(t, s.node, s.back) // the server has taken and acknowledged it
		_ = syscall.Kill(-server.Process.Pid, syscall.SIGKILL)
		_ = server.Wait()
		s.result.Faults["server killed"]++
		if n := <-ended; n != 0 {
			t.Errorf("a call to a dead server was answered")
		}
		serve(t, s.broker, s.back, echo)
		s.works(1)
		s.router.Terminate()
	})

	// A reply comes when its caller has given up: it is dropped and counted.
	t.Run("late reply", func(t *testing.T) {
		s := newCallStand(t)
		c := harness.Dial(t, s.node)
		const calls = 20
		ended := make(chan int, 1)
		go func() { ended <- s.together(s.client, 0, calls, 6*time.Second) }()
		s.pending(calls)
		harness.Await(t, "the calls to be with the server", func() (bool, string) {
			n, err := s.node.QueueLen(t.Context(), s.back)
			return n == calls, fmt.Sprint(n, err)
		})
		late := map[string][]amqp091.Publishing{} // by reply queue
		c.Drain(s.back, func(d amqp091.Delivery) {
			made, _, err := oslo.Open(d.Body)
			if err != nil {
				t.Fatal(err)
			}
			reply := oslo.Reply{MsgID: made.Text("_msg_id"), UniqueID: d.MessageId, Ending: true}
			to := made.Text("_reply_q")
			late[to] = append(late[to], amqp091.Publishing{ContentType: "application/json", Body: oslo.Seal(reply.Encode())})
		})
		if n := <-ended; n != 0 {
			t.Errorf("%d calls were answered though nobody had", n)
		}
		s.pending(0)
		for to, replies := range late {
			s.result.Faults["late reply"] += len(replies)
			c.Publish(to, replies...)
		}
		if len(late) != 1 || s.result.Faults["late reply"] != calls {
			t.Errorf("replies to %v", s.result.Faults)
		}
		harness.Await(t, "the late replies", func() (bool, string) {
			got := s.router.Metric("router_proxy_late_replies_total")
			return got == calls, fmt.Sprint(got)
		})
		serve(t, s.broker, s.back, echo)
		s.works(calls)
		s.router.Terminate()
	})

	// The router's own reply queue is deleted while it waits.
	t.Run("reply queue gone", func(t *testing.T) {
		s := newCallStand(t)
		g := gate{make(chan struct{})}
		var replies atomic.Pointer[string]
		serve(t, s.broker, s.back, func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
			replies.Store(&in.Ticket.ReplyTo)
			return g.answer(ctx, in)
		})
		ended := make(chan int, 1)
		go func() { ended <- s.together(s.client, 0, 20, 5*time.Second) }()
		s.pending(20)
		harness.Await(t, "a request", func() (bool, string) { return replies.Load() != nil, "none yet" })
		if _, err := harness.Dial(t, s.node).Ch.QueueDelete(*replies.Load(), false, false, false); err != nil {
			t.Fatal(err)
		}
		s.result.Faults["reply queue deleted"]++
		close(g.open)
		s.result.Note("calls answered whose reply queue was deleted", "%d of 20", <-ended)
		s.works(20)
		s.router.Terminate()
	})
}
