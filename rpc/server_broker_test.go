package rpc_test

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// Where a child of this test binary serves; see hang.
const childURL, childQueue = "RPC_TEST_CHILD_URL", "RPC_TEST_CHILD_QUEUE"

// hang serves, acknowledging late, with a handler that says what it has begun
// and never returns. The process is to be killed.
func hang() {
	b, err := amqp.New(amqp.Config{URLs: []string{os.Getenv(childURL)}})
	if err != nil {
		log.Fatal(err)
	}
	s, err := rpc.NewServer(rpc.ServerConfig{Sender: b.Sender("child"), Listener: b, Format: rpc.Oslo{}, Ack: rpc.AckLate, Workers: 4})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(s.Serve(context.Background(), []router.Source{{Queue: os.Getenv(childQueue)}}, func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
		_, _ = fmt.Fprintf(os.Stdout, "begun %s\n", in.Payload)
		<-ctx.Done()
		return rpc.Reply{}, ctx.Err()
	}))
}

// server starts a server of one queue. It is stopped by the returned function,
// which returns Serve's error, or at the end of the test.
func (p ports) server(t *testing.T, queue string, cfg rpc.ServerConfig, handler rpc.Handler) (*rpc.Server, func() error) {
	t.Helper()
	cfg.Sender, cfg.Listener, cfg.Format = p.sender(), p.listener, rpc.Oslo{}
	s, err := rpc.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- s.Serve(ctx, []router.Source{{Queue: queue}}, handler) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-result
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
		closing, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		s.Close(closing)
	})
	return s, stop
}

// guarded is how long a test may wait for anything.
const guarded = time.Minute

// await waits until done, which is asked again and again.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(guarded); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come within %v", what, guarded)
		}
	}
}

// casts sends n numbered requests to the queue.
func casts(t *testing.T, p ports, queue string, n int) (args []string) {
	t.Helper()
	c := p.client(t, rpc.Oslo{}, rpc.Layout{})
	for i := range n {
		args = append(args, fmt.Sprintf(`{"n": %d}`, i))
		if err := c.Cast(t.Context(), router.Target{Kind: router.TargetQueue, Queue: queue}, rpc.Request{Method: "m", Payload: []byte(args[i])}); err != nil {
			t.Fatal(err)
		}
	}
	return args
}

func newQueue(t *testing.T, p ports) string {
	t.Helper()
	queue := rabbitnode.Queue(t)
	if err := p.declare(t.Context(), rpc.Topology{Queues: []rpc.Queue{{Name: queue, Durable: true}}}); err != nil {
		t.Fatal(err)
	}
	return queue
}

func TestAServerThatIsKilledLosesNothing(t *testing.T) {
	t.Parallel()
	testbroker.Both(t, testAServerThatIsKilledLosesNothing)
}

func testAServerThatIsKilledLosesNothing(t *testing.T, at *testbroker.Broker) {
	_, p := connect(t, at)
	queue := newQueue(t, p)
	want := casts(t, p, queue, 20)
	ctx, cancel := context.WithTimeout(t.Context(), guarded)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), childURL+"="+at.URL(), childQueue+"="+queue)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range 4 { // all of its workers are at work
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), "begun ") {
			t.Errorf("the child says %q, %v", lines.Text(), lines.Err())
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed

	var mu sync.Mutex
	var got []string
	s, _ := p.server(t, queue, rpc.ServerConfig{Ack: rpc.AckLate}, func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(in.Payload))
		return rpc.Reply{}, nil
	})
	await(t, "all requests", func() bool { return s.Stat().Received == 20 && s.Stat().Running == 0 })
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestABusyServerLeavesTheRestToOthers(t *testing.T) {
	t.Parallel()
	testbroker.Both(t, testABusyServerLeavesTheRestToOthers)
}

func testABusyServerLeavesTheRestToOthers(t *testing.T, at *testbroker.Broker) {
	const workers, sent = 4, 100
	for name, ack := range map[string]rpc.Ack{"early": rpc.AckEarly, "late": rpc.AckLate} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, p := connect(t, at)
			queue := newQueue(t, p)
			casts(t, p, queue, sent)
			release := make(chan struct{})
			busy, stop := p.server(t, queue, rpc.ServerConfig{Ack: ack, Workers: workers}, func(context.Context, *rpc.Incoming) (rpc.Reply, error) {
				<-release
				return rpc.Reply{}, nil
			})
			await(t, "work for all workers", func() bool { return busy.Stat().Running == workers })
			idle, _ := p.server(t, queue, rpc.ServerConfig{Ack: ack, Workers: workers}, func(context.Context, *rpc.Incoming) (rpc.Reply, error) {
				return rpc.Reply{}, nil
			})
			// What runs, and what at most may be prefetched besides.
			least := uint64(sent - workers - map[rpc.Ack]int{rpc.AckEarly: workers, rpc.AckLate: 0}[ack])
			await(t, "the rest, at the other server", func() bool { return idle.Stat().Received >= least })
			result := make(chan error, 1)
			go func() { result <- stop() }()
			// What it has not begun goes back at once, although its workers are busy.
			await(t, "what the busy one has not begun", func() bool { return idle.Stat().Received == sent-workers })
			close(release)
			if err := <-result; err != nil {
				t.Error(err)
			}
			await(t, "the end", func() bool {
				n, err := at.QueueLen(t.Context(), queue)
				return err == nil && n == 0
			})
			if st := busy.Stat(); idle.Stat().Received != sent-workers || st.Running != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestWhatOutlastsTheDrainIsGivenBack(t *testing.T) {
	t.Parallel()
	testbroker.Both(t, testWhatOutlastsTheDrainIsGivenBack)
}

func testWhatOutlastsTheDrainIsGivenBack(t *testing.T, at *testbroker.Broker) {
	_, p := connect(t, at)
	queue := newQueue(t, p)
	casts(t, p, queue, 10)
	s, stop := p.server(t, queue, rpc.ServerConfig{Ack: rpc.AckLate, Workers: 3, DrainTimeout: 100 * time.Millisecond}, func(ctx context.Context, _ *rpc.Incoming) (rpc.Reply, error) {
		<-ctx.Done()
		return rpc.Reply{}, fmt.Errorf("not done: %w", context.Cause(ctx))
	})
	await(t, "work", func() bool { return s.Stat().Running == 3 })
	if err := stop(); err != nil {
		t.Error(err)
	}
	if st := s.Stat(); st.Again != 3 || st.Running != 0 {
		t.Errorf("%+v", st)
	}
	await(t, "all of it in the queue", func() bool {
		n, err := at.QueueLen(t.Context(), queue)
		return err == nil && n == 10
	})
	again, _ := p.server(t, queue, rpc.ServerConfig{}, func(context.Context, *rpc.Incoming) (rpc.Reply, error) { return rpc.Reply{}, nil })
	await(t, "all of it, again", func() bool { return again.Stat().Received == 10 })
}

func TestDeadCallersDelayNobodyOverABroker(t *testing.T) {
	t.Parallel()
	testbroker.Both(t, testDeadCallersDelayNobodyOverABroker)
}

func testDeadCallersDelayNobodyOverABroker(t *testing.T, at *testbroker.Broker) {
	for name, ack := range map[string]rpc.Ack{"early": rpc.AckEarly, "late": rpc.AckLate} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, p := connect(t, at)
			queue := newQueue(t, p)
			s, _ := p.server(t, queue, rpc.ServerConfig{Ack: ack, Workers: 8}, echo)
			c := p.client(t, rpc.Oslo{}, rpc.Layout{})
			target := router.Target{Kind: router.TargetQueue, Queue: queue}
			dead := func(i int) string { return fmt.Sprintf("%s.dead.%d", queue, i) }
			for i := range 64 {
				env := request(fmt.Sprint("dead", i), dead(i))
				if err := c.Send(t.Context(), target, &env); err != nil {
					t.Fatal(err)
				}
			}
			got, err := c.Call(t.Context(), target, rpc.Request{Method: "m", Payload: []byte(`{"x": 1}`)})
			if err != nil || string(got.Payload) != `{"x": 1}` {
				t.Fatalf("%s, %v", got.Payload, err)
			}
			await(t, "64 missing queues", func() bool { return s.Stat().Missing == 64 && s.Stat().Replies == 1 })
			if st := s.Stat(); st.GaveUp != 0 || st.Running != 0 {
				t.Errorf("%+v", st)
			}
			await(t, "all requests acknowledged", func() bool { // which are sent together, a little later
				n, err := at.QueueLen(t.Context(), queue)
				return err == nil && n == 0
			})
			// One of them was only late.
			if err := p.declare(t.Context(), rpc.Topology{Queues: []rpc.Queue{{Name: dead(7)}}}); err != nil {
				t.Fatal(err)
			}
			await(t, "the reply to who came back", func() bool { return s.Stat().Replies == 2 && s.Stat().Missing == 63 })
		})
	}
}
