package rpc_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

var shop = router.Target{Kind: router.TargetTopic, Topic: "shop"}

func newClient(t *testing.T, b *broker, change ...func(*rpc.ClientConfig)) *rpc.Client {
	t.Helper()
	cfg := rpc.ClientConfig{Sender: b.sender(), Listener: b, Declare: b.declare, Format: rpc.Oslo{}}
	for _, f := range change {
		f(&cfg)
	}
	c, err := rpc.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c.Close(ctx)
	})
	return c
}

// serve starts a server of the queue shop and stops it at the end of the test,
// or when the returned function is called.
func serve(t *testing.T, b *broker, handler rpc.Handler, change ...func(*rpc.ServerConfig)) (*rpc.Server, func() error) {
	t.Helper()
	cfg := rpc.ServerConfig{Sender: b.sender(), Listener: b, Format: rpc.Oslo{}}
	for _, f := range change {
		f(&cfg)
	}
	s, err := rpc.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- s.Serve(ctx, []router.Source{{Queue: "shop"}}, handler) }()
	stop := sync.OnceValue(func() error {
		cancel()
		err := <-result
		closing, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Close(closing)
		return err
	})
	t.Cleanup(func() { _ = stop() })
	return s, stop
}

func echo(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
	return rpc.Reply{Payload: in.Payload, ContentType: in.ContentType, Context: map[string]any{"seen": "yes"}}, nil
}

func TestWaitingCallsFailAtOnceWhenTheReplyQueueIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		c := newClient(t, b)
		results := make(chan error)
		for range 3 {
			go func() {
				_, err := c.Call(t.Context(), shop, rpc.Request{Method: "m"})
				results <- err
			}()
		}
		synctest.Wait()
		start := time.Now()
		b.drop(c.ReplyQueue())
		for range 3 {
			if err := <-results; !errors.Is(err, rpc.ErrReplyQueueLost) || !errors.Is(err, errDropped) || time.Since(start) != 0 {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		}
		b.change(func() { b.queues["shop"] = nil })
		serve(t, b, echo)
		if _, err := c.Call(t.Context(), shop, rpc.Request{Method: "m"}); err != nil {
			t.Errorf("the next call: %v", err)
		}
	})
}

// Nothing tells of the loss: the connection is well, and so is the consumer as
// far as it knows.
func TestCallsThatWaitHaveTheReplyQueueLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		c := newClient(t, b, func(c *rpc.ClientConfig) { c.Timeout = time.Hour })
		stop := make(chan struct{})
		serve(t, b, func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
			if in.Method == "late" {
				b.change(func() { b.deaf = true })
				b.drop(c.ReplyQueue())
				<-stop
			}
			return echo(ctx, in)
		})
		defer close(stop)
		begin := time.Now()
		if _, err := c.Call(t.Context(), shop, rpc.Request{Method: "late"}); !errors.Is(err, rpc.ErrReplyQueueLost) {
			t.Errorf("%v", err)
		}
		if took := time.Since(begin); took > 2*rpc.DefaultSelfCheck {
			t.Errorf("after %v", took)
		}
		if _, err := c.Call(t.Context(), shop, rpc.Request{Method: "m"}); err != nil {
			t.Errorf("the next call: %v", err)
		}
	})
}

func TestAnUnconfirmedRequestIsSentAgainWithTheSameIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop", "notifications.info")
		n := 0
		b.answer = func(target router.Target, _ *router.Envelope) error {
			if target.Kind == router.TargetQueue {
				return nil
			}
			switch n++; n {
			case 1:
				return router.ErrNacked
			case 2:
				return router.ErrUnconfirmed
			case 3:
				return errLost
			}
			return nil
		}
		var seen []string
		s, _ := serve(t, b, func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
			seen = append(seen, in.Ticket.UniqueID)
			if in.Ticket.Wanted() {
				return rpc.Result(len(seen))
			}
			return rpc.Reply{}, nil
		})
		c := newClient(t, b)
		if err := c.Cast(t.Context(), shop, rpc.Request{Method: "m"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(seen) != 1 || n != 4 || s.Stat().Duplicates != 1 || c.Stat().Retried != 3 {
			t.Errorf("run %d times, published %d, %+v, %+v", len(seen), n, s.Stat(), c.Stat())
		}
		n = 0
		if got, err := c.Call(t.Context(), shop, rpc.Request{Method: "m"}); err != nil || string(got.Payload) != "2" {
			t.Errorf("call: %s, %v", got.Payload, err)
		}
		once := newClient(t, b, func(c *rpc.ClientConfig) { c.AtMostOnce = true })
		for _, want := range []error{router.ErrNacked, router.ErrUnconfirmed} {
			n = 0
			if errors.Is(want, router.ErrUnconfirmed) {
				n = 1
			}
			if _, err := once.Call(t.Context(), shop, rpc.Request{Method: "m"}); !errors.Is(err, want) {
				t.Errorf("at most once: %v, want %v", err, want)
			}
		}
	})
}

func TestOddRepliesDisturbNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		c := newClient(t, b)
		answer := func(text string) router.Envelope {
			env := router.NewEnvelope(nil, oslo.Seal(oslo.Raw(text)))
			env.ContentType = oslo.ContentType
			return env
		}
		serve(t, b, func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
			b.put(in.Ticket.ReplyTo, answer(`{"result": 1, "failure": null, "ending": true, "_msg_id": "unknown"}`))
			b.put(in.Ticket.ReplyTo, answer(`nonsense`))
			b.put(in.Ticket.ReplyTo, router.NewEnvelope(nil, nil))
			b.put(in.Ticket.ReplyTo, answer(`{"result": "first", "failure": null, "ending": true, "_msg_id": "`+in.Ticket.ID+`"}`))
			return rpc.Result("second")
		})
		for range 2 {
			got, err := c.Call(t.Context(), shop, rpc.Request{Method: "m"})
			if err != nil || string(got.Payload) != `"first"` {
				t.Errorf("%s, %v", got.Payload, err)
			}
		}
		synctest.Wait()
		if st := c.Stat(); st.Malformed != 4 || st.LateReplies != 4 || st.Replies != 2 {
			t.Errorf("%+v", st)
		}
		if acked, _, unacked := b.count(); acked != 12 || unacked != 0 {
			t.Errorf("%d acknowledged, %d in hand", acked, unacked)
		}
	})
}

func TestCloseEndsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		b.answer = func(t router.Target, _ *router.Envelope) error {
			if t.Kind == router.TargetServer {
				return errHeld
			}
			return nil
		}
		c := newClient(t, b)
		results := make(chan error)
		go func() {
			_, err := c.Call(t.Context(), shop, rpc.Request{Method: "m"})
			results <- err
		}()
		go func() {
			results <- c.Cast(t.Context(), router.Target{Kind: router.TargetServer, Topic: "shop", Server: "a"}, rpc.Request{Method: "m"})
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c.Close(ctx)
		c.Close(ctx)
		closed, unconfirmed := 0, 0
		for range 2 {
			switch err := <-results; {
			case errors.Is(err, rpc.ErrClosed):
				closed++
			case errors.Is(err, router.ErrUnconfirmed):
				unconfirmed++
			default:
				t.Error(err)
			}
		}
		if closed != 1 || unconfirmed != 1 {
			t.Errorf("%d closed, %d unconfirmed", closed, unconfirmed)
		}
		if _, err := c.Call(t.Context(), shop, rpc.Request{Method: "m"}); !errors.Is(err, rpc.ErrClosed) {
			t.Errorf("call after Close: %v", err)
		}
		if err := c.Cast(t.Context(), shop, rpc.Request{Method: "m"}); !errors.Is(err, rpc.ErrClosed) {
			t.Errorf("cast after Close: %v", err)
		}
	})
}

func TestRequestsThatTheFormatCannotExpress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		c := newClient(t, b)
		plain := newClient(t, b, func(c *rpc.ClientConfig) { c.Format = rpc.Plain{} })
		for _, x := range []struct {
			c   *rpc.Client
			req rpc.Request
		}{
			{c, rpc.Request{}},
			{c, rpc.Request{Method: "m", Payload: []byte(`[1]`)}},
			{c, rpc.Request{Method: "m", Payload: []byte(`{`)}},
			{c, rpc.Request{Method: "m", Context: map[string]any{"x": make(chan int)}}},
			{plain, rpc.Request{Version: "1.0"}},
			{plain, rpc.Request{Monitor: time.Second}},
			{plain, rpc.Request{Context: map[string]any{"x": ^uint64(0)}}},
		} {
			if _, err := x.c.Call(t.Context(), shop, x.req); !errors.Is(err, rpc.ErrFormat) {
				t.Errorf("%+v: %v", x.req, err)
			}
		}
		if err := c.Notify(t.Context(), shop, rpc.Notification{}); !errors.Is(err, rpc.ErrFormat) {
			t.Error(err)
		}
		if err := c.Cast(t.Context(), router.Target{}, rpc.Request{Method: "m"}); !errors.Is(err, router.ErrTarget) {
			t.Error(err)
		}
		if _, err := rpc.ParseFormat("xml"); !errors.Is(err, rpc.ErrFormat) || !strings.Contains(err.Error(), "plain and oslo") {
			t.Error(err)
		}
		if n := len(b.messages("topic:shop")); n != 0 {
			t.Errorf("%d were sent", n)
		}
	})
}
