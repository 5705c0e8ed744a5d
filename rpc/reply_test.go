package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// tries counts what is published to a queue.
func tries(b *broker) func(queue string) int {
	var mu sync.Mutex
	counts := map[string]int{}
	b.answer = func(target router.Target, _ *router.Envelope) error {
		mu.Lock()
		defer mu.Unlock()
		counts[target.Queue]++
		return nil
	}
	return func(queue string) int {
		mu.Lock()
		defer mu.Unlock()
		return counts[queue]
	}
}

func TestOneReplyAtATimeAsksForAMissingQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		published := tries(b)
		s, _ := serve(t, b, echo)
		for i := range 100 {
			b.put("shop", request(fmt.Sprint(i), "dead"))
		}
		time.Sleep(40 * time.Second)
		synctest.Wait()
		// They may all have been on their way when the first was returned; one
		// of them is then tried again every two seconds.
		before := published("dead")
		if before > 100+25 {
			t.Errorf("%d tries", before)
		}
		if st := s.Stat(); st.Retrying != 100 || st.Missing != 1 {
			t.Errorf("%+v", st)
		}
		for i := range 100 {
			b.put("shop", request(fmt.Sprint("later", i), "dead"))
		}
		synctest.Wait()
		if n := published("dead"); n != before {
			t.Errorf("%d more were tried at once", n-before)
		}
		b.change(func() { b.queues["dead"] = nil })
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if st := s.Stat(); len(b.queues["dead"]) != 200 || st.Replies != 200 || st.Retrying+st.Missing != 0 {
			t.Errorf("%d replies came through, %+v", len(b.queues["dead"]), st)
		}
	})
}

func TestRepliesForAMissingQueueAreGivenUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		s, _ := serve(t, b, echo)
		for range 3 {
			for i := range 10 {
				env := request(fmt.Sprint(s.Stat().Received, "-", i), "dead")
				env.Expiration = "50000"
				b.put("shop", env)
			}
			time.Sleep(20 * time.Second)
		}
		synctest.Wait() // 60 s: the first thirty seconds' callers are gone
		if st := s.Stat(); st.GaveUp != 10 || st.Retrying != 20 || st.Missing != 1 {
			t.Errorf("after a minute: %+v", st)
		}
		time.Sleep(35 * time.Second)
		synctest.Wait()
		if st := s.Stat(); st.GaveUp != 30 || st.Retrying+st.Missing != 0 {
			t.Errorf("in the end: %+v", st)
		}
		// Its callers were gone before it was known that it does not come back.
		b.change(func() { b.queues["dead"] = nil })
		b.put("shop", request("new", "dead"))
		synctest.Wait()
		if st := s.Stat(); st.Replies != 1 || st.ToGone != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAParkedReplyIsNotKeptLongerThanItsCallerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		s, _ := serve(t, b, echo)
		b.put("shop", request("patient", "dead"))
		time.Sleep(time.Second)
		env := request("impatient", "dead")
		env.Expiration = "5000"
		b.put("shop", env)
		time.Sleep(7 * time.Second)
		synctest.Wait()
		if st := s.Stat(); st.GaveUp != 1 || st.Retrying != 1 || st.Missing != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestWhatWaitsForMissingQueuesIsBounded(t *testing.T) {
	const perQueue, all = 257, 4096
	for name, x := range map[string]struct {
		queues, each, size int
		waits              int
	}{
		"messages of a queue": {queues: 1, each: 1000, size: 10, waits: perQueue},
		"bytes of a queue":    {queues: 1, each: 20, size: 1 << 20, waits: 5}, // one, and 4 MiB
		"messages":            {queues: 30, each: 300, size: 10, waits: all},
		"bytes":               {queues: 30, each: 4, size: 1 << 20, waits: 64},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker("shop", "alive")
				s, stop := serve(t, b, func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
					if in.Ticket.ReplyTo == "alive" {
						return rpc.Result("alive")
					}
					return rpc.Reply{Payload: oslo.String(strings.Repeat("x", x.size-256))}, nil
				})
				for i := range x.each {
					for q := range x.queues {
						b.put("shop", request(fmt.Sprint(q, "-", i), fmt.Sprint("dead", q)))
					}
				}
				b.put("shop", request("alive", "alive"))
				synctest.Wait()
				st := s.Stat()
				if st.Retrying != x.waits || st.GaveUp != uint64(x.queues*x.each-x.waits) || len(b.queues["alive"]) != 1 {
					t.Errorf("%d should wait: %+v, %d replies to who lives", x.waits, st, len(b.queues["alive"]))
				}
				b.change(func() { b.queues["dead0"] = nil })
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if now := s.Stat(); st.Retrying-now.Retrying != len(b.queues["dead0"]) || len(b.queues["dead0"]) == 0 {
					t.Errorf("%d came through, %+v", len(b.queues["dead0"]), now)
				}
				start := time.Now()
				if err := stop(); err != nil || time.Since(start) != 0 {
					t.Errorf("stopped after %v: %v", time.Since(start), err)
				}
				if st := s.Stat(); st.Retrying+st.Missing != 0 || st.Replies+st.GaveUp != st.Received {
					t.Errorf("at the end: %+v", st)
				}
			})
		})
	}
}

func TestDeadCallersDelayNobodyWithLateAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop", "alive")
		s, _ := serve(t, b, echo, func(c *rpc.ServerConfig) { c.Workers, c.Ack = 4, rpc.AckLate })
		for i := range 64 {
			b.put("shop", request(fmt.Sprint("dead", i), fmt.Sprint("dead-", i)))
		}
		b.put("shop", request("alive", "alive"))
		synctest.Wait()
		if acked, _, unacked := b.count(); acked != 65 || unacked != 0 || len(b.queues["alive"]) != 1 || s.Stat().Retrying != 64 {
			t.Errorf("%d acknowledged, %d in hand, %d replies, %+v", acked, unacked, len(b.queues["alive"]), s.Stat())
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if acked, requeued, _ := b.count(); acked != 65 || requeued != 0 || s.Stat().GaveUp != 64 {
			t.Errorf("%d acknowledged, %d given back, %+v", acked, requeued, s.Stat())
		}
	})
}

func TestLateAcknowledgementWaitsForTheConfirm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop", "replies")
		var answered int
		b.answer = func(target router.Target, _ *router.Envelope) error {
			if target.Queue != "replies" {
				return nil
			}
			if answered++; answered < 3 {
				return router.ErrNacked
			}
			return nil
		}
		serve(t, b, echo, func(c *rpc.ServerConfig) { c.Ack = rpc.AckLate })
		b.put("shop", request("1", "replies"))
		synctest.Wait()
		if acked, _, _ := b.count(); acked != 0 {
			t.Error("acknowledged although the reply was refused")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if acked, _, _ := b.count(); acked != 1 || len(b.queues["replies"]) != 1 {
			t.Errorf("%d acknowledged, %d replies", acked, len(b.queues["replies"]))
		}
	})
}

func TestAnAnswerThatCannotBeSentBecomesAFailure(t *testing.T) {
	long := strings.Repeat("x", 8192)
	for name, x := range map[string]struct {
		reply rpc.Reply
		err   error
		want  rpc.RemoteError
	}{
		"no JSON": {
			reply: rpc.Reply{Payload: []byte("{")},
			want:  rpc.RemoteError{Class: "ServerError", Module: "wasmrouter.rpc", Message: "format oslo: the result must be JSON: not JSON at byte 1: no name where one should be"},
		},
		"too large": {
			reply: rpc.Reply{Payload: oslo.String(long)},
			want:  rpc.RemoteError{Class: "ServerError", Module: "wasmrouter.rpc", Message: "the reply: too large: 8395 bytes, the limit is 4096"},
		},
		"a failure too large": {
			err:  &rpc.RemoteError{Class: "C", Module: "m", Message: long, Traceback: []string{long}},
			want: rpc.RemoteError{Class: "C", Module: "m", Message: long[:256]},
		},
		"a class too large": {
			err:  &rpc.RemoteError{Class: long, Message: "why"},
			want: rpc.RemoteError{Class: "ServerError", Module: "wasmrouter.rpc", Message: "the reply: too large: 8541 bytes, the limit is 4096"},
		},
		"arguments that are no list": {
			err:  &rpc.RemoteError{Class: "C", Module: "m", Message: "why", Args: oslo.Raw(`{}`)},
			want: rpc.RemoteError{Class: "C", Module: "m", Message: "why"},
		},
		"named arguments that are no object": {
			err:  &rpc.RemoteError{Class: "C", Module: "m", Message: "why", Kwargs: oslo.Raw(`{"a": }`)},
			want: rpc.RemoteError{Class: "C", Module: "m", Message: "why"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker("shop")
				s, _ := serve(t, b, func(context.Context, *rpc.Incoming) (rpc.Reply, error) { return x.reply, x.err },
					func(c *rpc.ServerConfig) { c.MaxReply = 4096 })
				_, err := newClient(t, b).Call(t.Context(), shop, rpc.Request{Method: "m"})
				got, ok := errors.AsType[*rpc.RemoteError](err)
				if !ok {
					t.Fatal(err)
				}
				got.Args, got.Kwargs = nil, nil
				if diff := cmp.Diff(x.want, *got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				synctest.Wait() // the caller has the answer before it is counted
				if st := s.Stat(); st.Unfit != 1 || st.Failed != 1 || st.Replies != 1 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestAnAnswerThatTheBrokerRefusesBecomesAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		refuse := 1
		b.answer = func(target router.Target, _ *router.Envelope) error {
			if strings.HasPrefix(target.Queue, "reply") && refuse > 0 {
				refuse--
				return fmt.Errorf("%w: message size is larger than the limit", router.ErrUnsendable)
			}
			return nil
		}
		s, _ := serve(t, b, echo)
		c := newClient(t, b)
		_, err := c.Call(t.Context(), shop, rpc.Request{Method: "m"})
		got, ok := errors.AsType[*rpc.RemoteError](err)
		if !ok || got.Message != "the reply: cannot be sent: message size is larger than the limit" {
			t.Errorf("%v", err)
		}
		synctest.Wait() // the caller has the answer before it is counted
		if st := s.Stat(); st.Unfit != 1 || st.Failed != 1 || st.Replies != 1 || st.GaveUp != 0 {
			t.Errorf("%+v", st)
		}
		refuse = 2 // the failure too
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Call(ctx, shop, rpc.Request{Method: "m"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if st := s.Stat(); st.Unfit != 2 || st.GaveUp != 1 || refuse != 0 {
			t.Errorf("%d, %+v", refuse, st)
		}
	})
}
