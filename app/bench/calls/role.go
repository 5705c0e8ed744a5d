package calls

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/wasmrouter/router/amqp/bareloop"
	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/rpc"
	"github.com/wasmrouter/router/transport"
)

// verb is the first argument of a process that is a peer: then come its role,
// URL, exchange, topic, value and context.
const verb = "bench-calls-peer"

// Main makes the process a peer of the benchmark and ends it, if it was started
// as one, and returns otherwise. Call it at the start of main, and of TestMain.
func Main() {
	if len(os.Args) != 8 || os.Args[1] != verb {
		return
	}
	if err := play(context.Background(), os.Args[2:], os.Stdin, os.Stdout); err != nil {
		line, _ := json.Marshal(said{Error: err.Error()}) // strings always have a form
		_, _ = fmt.Fprintln(os.Stdout, string(line))      // nobody is left to be told
		os.Exit(1)
	}
	os.Exit(0)
}

// stage is what a role needs.
type stage struct {
	url, exchange, topic string
	value                string
	context              map[string]any
	seen                 atomic.Int64
}

// actor is one end of the calls, or between them. Only a client has call and
// cast.
type actor struct {
	call, cast func(ctx context.Context) error
	close      func(ctx context.Context) error
}

func play(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	s := &stage{url: args[1], exchange: args[2], topic: args[3], value: args[4]}
	if err := json.Unmarshal([]byte(args[5]), &s.context); err != nil {
		return err
	}
	open := map[string]func(context.Context, *stage) (actor, error){
		"client": openClient, "server": openServer, "bare-client": openBareClient, "bare-server": openBareServer,
		"router": openRouter,
	}[args[0]]
	if open == nil {
		return fmt.Errorf("no role %q", args[0])
	}
	a, err := open(ctx, s)
	if err != nil {
		return err
	}
	say := json.NewEncoder(out)
	if err := say.Encode(said{Ready: true}); err != nil {
		return err
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return err
		}
		var reply said
		switch c.Do {
		case "cpu":
			reply.CPUMicros = cpuMicros()
		case "seen":
			reply.Seen = int(s.seen.Load())
		case "echo":
			reply = run(ctx, a.call, c)
		default:
			reply = run(ctx, a.cast, c)
		}
		if err := say.Encode(reply); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return a.close(ctx)
}

// run does op n times by so many callers at once.
func run(ctx context.Context, op func(context.Context) error, c command) said {
	took := make([]int64, c.N)
	var failed atomic.Int64
	var why atomic.Pointer[string]
	var callers sync.WaitGroup
	cpu, start := cpuMicros(), time.Now()
	for i := range c.Callers {
		callers.Go(func() {
			for n := i; n < c.N; n += c.Callers {
				start := time.Now()
				if err := op(ctx); err != nil {
					failed.Add(1)
					text := err.Error()
					why.CompareAndSwap(nil, &text)
				}
				took[n] = time.Since(start).Nanoseconds()
			}
		})
	}
	callers.Wait()
	s := said{Nanoseconds: time.Since(start).Nanoseconds(), CPUMicros: cpuMicros() - cpu, Took: took, Failed: int(failed.Load())}
	if text := why.Load(); text != nil {
		s.Why = *text
	}
	return s
}

// cpuMicros returns the processor time of this process, user and system, in µs.
func cpuMicros() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return (u.Utime.Nano() + u.Stime.Nano()) / 1000
}

func openClient(_ context.Context, s *stage) (actor, error) {
	t, err := transport.Open(s.url, transport.Options{Exchange: s.exchange})
	if err != nil {
		return actor{}, err
	}
	remote := t.Remote(rpc.Target{Topic: s.topic})
	remote.Context = s.context
	args := map[string]any{"value": s.value}
	return actor{
		call: func(ctx context.Context) error {
			var value string
			if err := remote.Call(ctx, "echo", args, &value); err != nil {
				return err
			}
			if value != s.value {
				return errors.New("another value came back")
			}
			return nil
		},
		cast:  func(ctx context.Context) error { return remote.Cast(ctx, "tag", args) },
		close: t.Close,
	}, nil
}

func openServer(ctx context.Context, s *stage) (actor, error) {
	t, err := transport.Open(s.url, transport.Options{Exchange: s.exchange})
	if err != nil {
		return actor{}, err
	}
	server, err := t.Server(rpc.Target{Topic: s.topic, Server: "bench"}, rpc.ServerConfig{})
	if err != nil {
		return actor{}, err
	}
	handler := rpc.Dispatch(rpc.Endpoint{Methods: map[string]rpc.Handler{
		"echo": func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
			args, err := oslo.ParseObject(in.Payload)
			if err != nil {
				return rpc.Reply{}, err
			}
			value, _ := args.Get("value")
			return rpc.Reply{Payload: value}, nil
		},
		"tag": func(context.Context, *rpc.Incoming) (rpc.Reply, error) {
			s.seen.Add(1)
			return rpc.Reply{}, nil
		},
	}})
	var served sync.WaitGroup
	served.Go(func() { err = server.Serve(ctx, handler) })
	if err := listening(ctx, s, t); err != nil {
		return actor{}, err
	}
	return actor{close: func(ctx context.Context) error {
		closed := t.Close(ctx)
		served.Wait()
		return errors.Join(err, closed)
	}}, nil
}

// listening returns when the server answers: it is asked until it does.
func listening(ctx context.Context, s *stage, t *transport.Transport) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	remote := t.Remote(rpc.Target{Topic: s.topic, Server: "bench"})
	for {
		err := remote.Call(ctx, "echo", map[string]any{"value": ""}, nil)
		if err == nil || ctx.Err() != nil || !errors.Is(err, rpc.ErrNoListener) {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// body is as long as the request that the others send.
func (s *stage) body() ([]byte, error) {
	r := oslo.Request{Method: "echo", MsgID: oslo.NewID(), ReplyQueue: oslo.NewReplyQueue(), UniqueID: oslo.NewID()}
	var err error
	if r.Args, err = oslo.Marshal(map[string]any{"value": s.value}); err != nil {
		return nil, err
	}
	for key, value := range s.context {
		raw, err := oslo.Marshal(value)
		if err != nil {
			return nil, err
		}
		r.Context.Set(key, raw)
	}
	return oslo.Seal(r.Encode()), nil
}

func openBareClient(ctx context.Context, s *stage) (actor, error) {
	body, err := s.body()
	if err != nil {
		return actor{}, err
	}
	c, err := bareloop.NewCaller(ctx, s.url, s.exchange, s.topic)
	if err != nil {
		return actor{}, err
	}
	return actor{
		call: func(ctx context.Context) error {
			reply, err := c.Call(ctx, body)
			if err == nil && len(reply) != len(body) {
				err = errors.New("another body came back")
			}
			return err
		},
		cast:  func(ctx context.Context) error { return c.Cast(ctx, body) },
		close: func(context.Context) error { c.Close(); return nil },
	}, nil
}

func openBareServer(ctx context.Context, s *stage) (actor, error) {
	ctx, cancel := context.WithCancel(ctx)
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { // ends with ctx; waited for in close
		ended <- bareloop.Answer(ctx, s.url, s.exchange, s.topic, func() { close(ready) }, func() { s.seen.Add(1) })
	}()
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		return actor{}, err
	}
	return actor{close: func(context.Context) error {
		cancel()
		return <-ended
	}}, nil
}
