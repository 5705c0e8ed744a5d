package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

func TestWhatNobodyWaitsForIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		var tries atomic.Int64
		b.answer = func(router.Target, *router.Envelope) error {
			tries.Add(1)
			return router.ErrNacked
		}
		c := newClient(t, b)
		for _, operation := range []func(context.Context) error{
			func(ctx context.Context) error { return c.Cast(ctx, shop, rpc.Request{Method: "m"}) },
			func(ctx context.Context) error {
				_, err := c.Call(ctx, shop, rpc.Request{Method: "m"})
				return err
			},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if err := operation(ctx); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			before := tries.Load()
			time.Sleep(time.Minute)
			synctest.Wait()
			if more := tries.Load() - before; more != 0 || before == 0 {
				t.Errorf("%d tries, then %d more", before, more)
			}
		}
		if st := c.Stat(); st.Retrying != 0 || st.Waiting != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestACallThatIsNotSentLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		serve(t, b, echo)
		c := newClient(t, b)
		if _, err := c.Call(t.Context(), shop, rpc.Request{Method: "m"}); err != nil {
			t.Fatal(err)
		}
		b.change(func() { b.stall = make(chan struct{}) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Call(ctx, shop, rpc.Request{Method: "m"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if st := c.Stat(); st.Waiting != 0 {
			t.Errorf("%+v", st)
		}
		b.change(func() {
			close(b.stall)
			b.stall = nil
		})
	})
}

func TestStoppingDoesNotWaitForVanishedQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		s, stop := serve(t, b, echo)
		b.put("shop", request("1", "dead"))
		synctest.Wait()
		if n := s.Stat().Retrying; n != 1 {
			t.Fatalf("%d replies wait", n)
		}
		start := time.Now()
		if err := stop(); err != nil || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if st := s.Stat(); st.GaveUp != 1 || st.Retrying != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestStoppingWaitsForALostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop", "replies")
		tries := 0
		b.answer = func(target router.Target, _ *router.Envelope) error {
			if tries++; tries == 1 {
				return router.ErrUnconfirmed
			}
			return nil
		}
		s, stop := serve(t, b, echo)
		b.put("shop", request("1", "replies"))
		synctest.Wait()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if st := s.Stat(); st.Replies != 1 || len(b.queues["replies"]) != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAFanoutExchangeThatVanishedIsDeclaredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop", "shop_fanout_1")
		none := 0
		c := newClient(t, b, func(c *rpc.ClientConfig) { c.Retry = &none })
		vanished := 0
		b.answer = func(router.Target, *router.Envelope) error {
			if vanished > 0 {
				vanished--
				return errors.Join(router.ErrUnroutable, router.ErrNoExchange)
			}
			return nil
		}
		declared := func() int {
			return b.declarations(func(t rpc.Topology) bool {
				return len(t.Exchanges) == 1 && cmp.Equal(t.Exchanges[0], rpc.Exchange{Name: "shop_fanout", Type: "fanout", AutoDelete: true, Shared: true})
			})
		}
		cast := func() error {
			start := time.Now()
			err := c.Fanout(t.Context(), "shop", rpc.Request{Method: "m"})
			if time.Since(start) != 0 {
				t.Errorf("it took %v", time.Since(start))
			}
			return err
		}
		for range 3 {
			if err := cast(); err != nil {
				t.Error(err)
			}
		}
		if n := declared(); n != 1 {
			t.Errorf("declared %d times for 3 casts", n)
		}
		vanished = 1
		if err := cast(); err != nil || declared() != 2 {
			t.Errorf("the cast after it vanished: %v; declared %d times", err, declared())
		}
		vanished = 2
		if err := cast(); !errors.Is(err, rpc.ErrNoListener) {
			t.Errorf("it cannot be declared: %v", err)
		}
	})
}

// TestRetryIsTheSameBeforeAndAfterTheFirstConnection: -1 and nil try until the
// time is up, 0 tries once, N tries N times more, whatever the operation and
// whatever went before.
func TestRetryIsTheSameBeforeAndAfterTheFirstConnection(t *testing.T) {
	numbers := map[string]*int{"nil": nil, "-1": new(int), "0": new(int), "1": new(int), "3": new(int)}
	*numbers["-1"], *numbers["1"], *numbers["3"] = -1, 1, 3
	for name, retry := range numbers {
		for _, connected := range []bool{false, true} {
			for _, operation := range []string{"call", "cast", "fanout", "notify"} {
				t.Run(fmt.Sprintf("%s %s connected=%v", operation, name, connected), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { tryRetry(t, operation, retry, connected) })
				})
			}
		}
	}
}

func tryRetry(t *testing.T, operation string, retry *int, connected bool) {
	b := newBroker("shop", "shop_fanout_1")
	serve(t, b, echo)
	var down atomic.Bool
	var tries atomic.Int64
	c := newClient(t, b, func(c *rpc.ClientConfig) {
		c.Retry, c.Timeout = retry, 10*time.Second
		c.Connect = func(context.Context) error {
			tries.Add(1)
			if down.Load() {
				return errors.New("connection refused")
			}
			return nil
		}
	})
	run := func() (err error) {
		switch operation {
		case "call":
			_, err = c.Call(t.Context(), shop, rpc.Request{Method: "m"})
		case "cast":
			err = c.Cast(t.Context(), shop, rpc.Request{Method: "m"})
		case "fanout":
			err = c.Fanout(t.Context(), "shop", rpc.Request{Method: "m"})
		case "notify":
			err = c.Notify(t.Context(), router.Target{Kind: router.TargetNotify, Topic: "n", Priority: "info"}, rpc.Notification{EventType: "e", PublisherID: "p"})
		}
		return err
	}
	if connected {
		if err := run(); err != nil {
			t.Fatal(err)
		}
	}
	down.Store(true)
	tries.Store(0)
	start := time.Now()
	err := run()
	if !errors.Is(err, router.ErrDisconnected) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%v", err)
	}
	if retry != nil && *retry >= 0 {
		if errors.Is(err, context.DeadlineExceeded) || tries.Load() != int64(*retry+1) {
			t.Errorf("%d tries, %v", tries.Load(), err)
		}
	} else if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second || tries.Load() < 5 {
		t.Errorf("%d tries in %v, %v", tries.Load(), time.Since(start), err)
	}
	if retry == nil || *retry != 0 {
		time.AfterFunc(50*time.Millisecond, func() { down.Store(false) })
		if err := run(); err != nil {
			t.Errorf("the broker came back: %v", err)
		}
	}
	if st := c.Stat(); st.Retrying != 0 || st.Waiting != 0 {
		t.Errorf("%+v", st)
	}
}

func TestKeepAlivesStopWhenTheyCannotArrive(t *testing.T) {
	for name, x := range map[string]struct {
		answer error
		want   uint64
	}{
		"the caller is gone":          {router.ErrUnroutable, 1},
		"the broker does not confirm": {errHeld, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker("shop")
				b.answer = func(target router.Target, _ *router.Envelope) error {
					if target.Queue == "replies" {
						return x.answer
					}
					return nil
				}
				s, _ := serve(t, b, func(context.Context, *rpc.Incoming) (rpc.Reply, error) {
					time.Sleep(30 * time.Second)
					return rpc.Reply{}, nil
				})
				b.put("shop", request("1", "replies", func(r *oslo.Request) { r.Timeout = oslo.Raw("4") }))
				time.Sleep(20 * time.Second)
				synctest.Wait()
				if n := s.Stat().KeepAlives; n != x.want {
					t.Errorf("%d keep-alives", n)
				}
			})
		})
	}
}
