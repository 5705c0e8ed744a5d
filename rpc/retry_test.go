package rpc_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

func TestAFanoutExchangeIsDeclaredEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop", "shop_fanout_1")
		c := newClient(t, b)
		for range 2 {
			if err := c.Fanout(t.Context(), "shop", rpc.Request{Method: "m"}); err != nil {
				t.Error(err)
			}
			if err := c.Cast(t.Context(), shop, rpc.Request{Method: "m"}); err != nil {
				t.Error(err)
			}
		}
		declared := func(x rpc.Exchange) int {
			return b.declarations(func(t rpc.Topology) bool { return len(t.Exchanges) == 1 && t.Exchanges[0] == x })
		}
		// It goes away with its last listener; the topic exchange stays.
		if n := declared(rpc.Exchange{Name: "shop_fanout", Type: "fanout", AutoDelete: true}); n != 2 {
			t.Errorf("the fanout exchange was declared %d times", n)
		}
		if n := declared(rpc.Exchange{Name: "openstack", Type: "topic"}); n != 1 {
			t.Errorf("the topic exchange was declared %d times", n)
		}
	})
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
