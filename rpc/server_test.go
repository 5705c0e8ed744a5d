package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// request returns an oslo request as a foreign client would send it; without
// a reply queue it is a cast.
func request(id, replyTo string, extra ...func(*oslo.Request)) router.Envelope {
	r := oslo.Request{Method: "m", MsgID: id, ReplyQueue: replyTo, UniqueID: "unique-" + id}
	for _, f := range extra {
		f(&r)
	}
	env := router.NewEnvelope(nil, oslo.Seal(r.Encode()))
	env.ContentType = oslo.ContentType
	return env
}

func TestAckEarlyIsBeforeTheHandlerAndAckLateAfterTheReply(t *testing.T) {
	for name, ack := range map[string]rpc.Ack{"early": rpc.AckEarly, "late": rpc.AckLate} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker("shop", "replies")
				var during []int
				note := func() {
					acked, _, _ := b.count()
					during = append(during, acked)
				}
				b.answer = func(target router.Target, _ *router.Envelope) error {
					if target.Queue == "replies" {
						note()
					}
					return nil
				}
				serve(t, b, func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
					note()
					return echo(ctx, in)
				}, func(c *rpc.ServerConfig) { c.Ack = ack })
				b.put("shop", request("1", "replies"))
				synctest.Wait()
				note()
				want := map[rpc.Ack][]int{rpc.AckEarly: {1, 1, 1}, rpc.AckLate: {0, 0, 1}}[ack]
				if diff := cmp.Diff(want, during); diff != "" {
					t.Errorf("acknowledged during handler, reply and at the end (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestWorkersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		var running, most atomic.Int64
		s, _ := serve(t, b, func(context.Context, *rpc.Incoming) (rpc.Reply, error) {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Second)
			running.Add(-1)
			return rpc.Reply{}, nil
		}, func(c *rpc.ServerConfig) { c.Workers = 3 })
		for i := range 30 {
			b.put("shop", request("", "", func(r *oslo.Request) { r.UniqueID = fmt.Sprint(i) }))
		}
		synctest.Wait()
		if acked, _, unacked := b.count(); acked != 3 || unacked != 1 || s.Stat().Running != 3 {
			t.Errorf("%d acknowledged, %d in hand, %d running", acked, unacked, s.Stat().Running)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if acked, _, _ := b.count(); acked != 30 || most.Load() != 3 {
			t.Errorf("%d acknowledged, at most %d at once", acked, most.Load())
		}
	})
}

func TestStoppingFinishesWhatRunsAndLeavesTheRest(t *testing.T) {
	for name, ack := range map[string]rpc.Ack{"early": rpc.AckEarly, "late": rpc.AckLate} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker("shop", "replies")
				_, stop := serve(t, b, func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
					select {
					case <-time.After(3 * time.Second):
					case <-ctx.Done():
						return rpc.Reply{}, ctx.Err()
					}
					return echo(ctx, in)
				}, func(c *rpc.ServerConfig) { c.Ack, c.Workers = ack, 1 })
				b.put("shop", request("1", "replies"))
				b.put("shop", request("2", "replies"))
				synctest.Wait()
				start := time.Now()
				if err := stop(); err != nil || time.Since(start) != 3*time.Second {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				if acked, _, unacked := b.count(); acked != 1 || unacked != 0 || len(b.queues["shop"]) != 1 || len(b.queues["replies"]) != 1 {
					t.Errorf("%d acknowledged, %d in hand, %d left, %d replies", acked, unacked, len(b.queues["shop"]), len(b.queues["replies"]))
				}
			})
		})
	}
}

func TestHandlersThatOutlastTheDrainAreCancelled(t *testing.T) {
	for name, ack := range map[string]rpc.Ack{"early": rpc.AckEarly, "late": rpc.AckLate} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker("shop", "replies")
				s, stop := serve(t, b, func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
					<-ctx.Done()
					return rpc.Reply{}, ctx.Err()
				}, func(c *rpc.ServerConfig) { c.Ack, c.DrainTimeout = ack, 2*time.Second })
				b.put("shop", request("1", "replies"))
				synctest.Wait()
				start := time.Now()
				if err := stop(); err != nil || time.Since(start) != 2*time.Second {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				_, requeued, _ := b.count()
				if ack == rpc.AckLate && (requeued != 1 || len(b.queues["replies"]) != 0 || s.Stat().Again != 1) {
					t.Errorf("%d given back, %d replies", requeued, len(b.queues["replies"]))
				}
			})
		})
	}
}

func TestAHandlerThatIgnoresItsEndIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		release := make(chan struct{})
		_, stop := serve(t, b, func(context.Context, *rpc.Incoming) (rpc.Reply, error) {
			<-release
			return rpc.Reply{}, nil
		}, func(c *rpc.ServerConfig) { c.DrainTimeout = time.Second })
		b.put("shop", request("", ""))
		synctest.Wait()
		if err := stop(); !errors.Is(err, rpc.ErrStuck) {
			t.Error(err)
		}
		close(release)
	})
}

func TestDeadCallersDelayNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop", "alive")
		s, _ := serve(t, b, echo, func(c *rpc.ServerConfig) { c.Workers = 4 })
		start := time.Now()
		for i := range 64 {
			b.put("shop", request(fmt.Sprint("dead", i), fmt.Sprint("dead-", i)))
		}
		b.put("shop", request("alive", "alive"))
		synctest.Wait()
		if n := len(b.queues["alive"]); n != 1 || time.Since(start) != 0 {
			t.Errorf("%d replies after %v", n, time.Since(start))
		}
		if n := s.Stat().Retrying; n != 64 {
			t.Errorf("%d replies wait", n)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		b.change(func() { b.queues["dead-7"] = nil }) // this one comes back
		time.Sleep(31 * time.Second)
		synctest.Wait()
		st := s.Stat()
		if st.GaveUp != 63 || st.Replies != 2 || st.Retrying != 0 || len(b.queues["dead-7"]) != 1 {
			t.Errorf("%+v", st)
		}
		if st.Retried > 64*40 {
			t.Errorf("%d tries for 64 replies in a minute", st.Retried)
		}
		// The queue is known to be gone now, for a minute.
		b.put("shop", request("more", "dead-1"))
		synctest.Wait()
		if st := s.Stat(); st.ToGone != 1 || st.Retrying != 0 {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		b.put("shop", request("again", "dead-1"))
		synctest.Wait()
		if st := s.Stat(); st.ToGone != 1 || st.Retrying != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAReplyIsNotTriedLongerThanItsCallerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		var deadline time.Duration
		s, _ := serve(t, b, func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
			at, _ := ctx.Deadline()
			deadline = time.Until(at)
			return echo(ctx, in)
		})
		env := request("1", "dead")
		env.Expiration = "5000"
		b.put("shop", env)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if n := s.Stat().Retrying; n != 1 || deadline != 5*time.Second {
			t.Errorf("%d wait, the handler had %v", n, deadline)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if st := s.Stat(); st.Retrying != 0 || st.GaveUp != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestRepliesToDirectReplyToAreSentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		s, _ := serve(t, b, echo, func(c *rpc.ServerConfig) { c.Format = rpc.Plain{} })
		env := router.NewEnvelope(nil, []byte("x"))
		env.CorrelationID, env.ReplyTo = "1", "amq.rabbitmq.reply-to.g1h2"
		b.put("shop", env)
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := s.Stat(); st.Replies != 1 || st.Retried != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestMalformedRequestsAreAnsweredIfSomebodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop", "replies")
		s, _ := serve(t, b, echo)
		for _, body := range []string{
			`nonsense`, `[]`, `{"oslo.version": "3.0", "oslo.message": "{}"}`,
			`{"args": {}}`, `{"method": "m", "args": null}`,
			`{"method": "m", "args": null, "_msg_id": "1", "_reply_q": "replies"}`,
			`{"_msg_id": "2", "_reply_q": "replies"}`,
			`{"_msg_id": "4", "_reply_q": "replies", "method": "m", "args": {"x": 01}}`,
			`{"oslo.version": "3.0", "oslo.message": "{\"_msg_id\": \"5\", \"_reply_q\": \"replies\"}"}`,
		} {
			env := router.NewEnvelope(nil, []byte(body))
			env.ContentType = "application/json"
			b.put("shop", env)
		}
		env := request("3", "replies")
		env.ContentType = "text/plain"
		b.put("shop", env)
		synctest.Wait()
		if st := s.Stat(); st.Malformed != 5 || st.Failed != 5 {
			t.Errorf("%+v", st)
		}
		if acked, requeued, unacked := b.count(); acked != 10 || requeued+unacked != 0 {
			t.Errorf("%d acknowledged, %d in hand", acked, unacked)
		}
		got := map[string]string{}
		for _, env := range b.queues["replies"] {
			id, answer, err := (rpc.Oslo{}).DecodeAnswer(env)
			if err != nil || answer.Failure == nil {
				t.Fatalf("%+v, %v", answer, err)
			}
			got[id] = answer.Failure.Module + "." + answer.Failure.Class
		}
		want := map[string]string{
			"1": "builtins.TypeError", "2": "builtins.TypeError",
			"3": "wasmrouter.rpc.UnreadableRequest", "4": "wasmrouter.rpc.UnreadableRequest", "5": "wasmrouter.rpc.UnreadableRequest",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
	})
}

func TestWhatComesTwiceRunsOnce(t *testing.T) {
	for name, ack := range map[string]rpc.Ack{"early": rpc.AckEarly, "late": rpc.AckLate} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker("shop", "replies")
				var ran atomic.Int64
				s, _ := serve(t, b, func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
					ran.Add(1)
					time.Sleep(time.Second)
					return echo(ctx, in)
				}, func(c *rpc.ServerConfig) { c.Ack = ack })
				b.put("shop", request("1", "replies"))
				b.put("shop", request("1", "replies"))
				synctest.Wait()
				// Late: both are held until the first is done.
				if acked, _, _ := b.count(); ack == rpc.AckLate && acked != 0 {
					t.Errorf("%d acknowledged while it runs", acked)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				b.put("shop", request("1", "replies"))
				synctest.Wait()
				if acked, _, unacked := b.count(); acked != 3 || unacked != 0 || ran.Load() != 1 || s.Stat().Duplicates != 2 || len(b.queues["replies"]) != 1 {
					t.Errorf("%d acknowledged, %d in hand, ran %d times, %+v", acked, unacked, ran.Load(), s.Stat())
				}
				time.Sleep(3 * time.Minute)
				synctest.Wait()
				b.put("shop", request("1", "replies"))
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if ran.Load() != 2 {
					t.Errorf("ran %d times after the window", ran.Load())
				}
			})
		})
	}
}

func TestTheDuplicateWindowIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		s, _ := serve(t, b, echo, func(c *rpc.ServerConfig) { c.Duplicates = 3 })
		for _, id := range []string{"a", "b", "c", "a", "d", "a", "d"} { // d pushes a out
			b.put("shop", request(id, "", func(r *oslo.Request) { r.UniqueID = id }))
		}
		synctest.Wait()
		if n := s.Stat().Duplicates; n != 2 {
			t.Errorf("%d duplicates", n)
		}
	})
}

func TestAHandlerCanGiveARequestBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		var ran atomic.Int64
		s, _ := serve(t, b, func(context.Context, *rpc.Incoming) (rpc.Reply, error) {
			if ran.Add(1) < 3 {
				return rpc.Reply{}, fmt.Errorf("not now: %w", rpc.ErrAgain)
			}
			return rpc.Reply{}, errors.New("a cast's failure is dropped")
		}, func(c *rpc.ServerConfig) { c.Ack = rpc.AckLate })
		b.put("shop", request("", "", func(r *oslo.Request) { r.UniqueID = "u" }))
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if ran.Load() != 2 {
			t.Errorf("ran %d times in a second and a half", ran.Load())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if acked, requeued, unacked := b.count(); ran.Load() != 3 || acked != 1 || requeued != 2 || unacked != 0 || s.Stat().Again != 2 {
			t.Errorf("ran %d times, %d acknowledged, %d given back", ran.Load(), acked, requeued)
		}
	})
}

func TestServeReportsASourceItCannotListenTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("good")
		refused := errors.New("access refused")
		s, err := rpc.NewServer(rpc.ServerConfig{Sender: b.sender(), Format: rpc.Oslo{}, Listener: listenFunc(func(ctx context.Context, src router.Source, handle func(*router.Delivery)) error {
			if src.Queue == "bad" {
				return refused
			}
			return b.Listen(ctx, src, handle)
		})})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(t.Context())
		if err := s.Serve(t.Context(), []router.Source{{Queue: "good"}, {Queue: "bad"}}, echo); !errors.Is(err, refused) {
			t.Error(err)
		}
		if err := s.Serve(t.Context(), nil, echo); err == nil {
			t.Error("no sources")
		}
	})
}

type listenFunc func(context.Context, router.Source, func(*router.Delivery)) error

func (f listenFunc) Listen(ctx context.Context, src router.Source, handle func(*router.Delivery)) error {
	return f(ctx, src, handle)
}

func TestConfigurationsAreChecked(t *testing.T) {
	b := newBroker()
	if _, err := rpc.NewClient(rpc.ClientConfig{}); err == nil {
		t.Error("a client of nothing")
	}
	if _, err := rpc.NewClient(rpc.ClientConfig{Sender: &fakeSender{b: b}, Format: rpc.Oslo{}, Timeout: -1}); err == nil {
		t.Error("a negative timeout")
	}
	if _, err := rpc.NewServer(rpc.ServerConfig{Listener: b, Format: rpc.Oslo{}}); err == nil {
		t.Error("a server without Sender")
	}
	if _, err := rpc.NewServer(rpc.ServerConfig{Listener: b, Sender: &fakeSender{b: b}, Format: rpc.Oslo{}, Workers: -1}); err == nil {
		t.Error("a server without workers")
	}
	if _, err := rpc.NewNotificationListener(rpc.NotificationListenerConfig{Listener: b}); err == nil {
		t.Error("a listener without format")
	}
}
