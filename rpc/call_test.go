package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

func TestACallIsAnsweredInEitherFormat(t *testing.T) {
	for name, request := range map[string]rpc.Request{
		"oslo":  {Method: "echo", Payload: []byte(`{"a": 1.0, "b": NaN, "c": "\udc80"}`), Context: map[string]any{"user": "u1", "n": json.Number("1e400")}},
		"plain": {Method: "echo", Payload: []byte("\x00any bytes"), ContentType: "application/x-any", Context: map[string]any{"n": 5}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker("shop")
				format, err := rpc.ParseFormat(name)
				if err != nil {
					t.Fatal(err)
				}
				var seen rpc.Incoming
				s, _ := serve(t, b, func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
					seen = *in
					return echo(ctx, in)
				}, func(c *rpc.ServerConfig) { c.Format = format })
				c := newClient(t, b, func(c *rpc.ClientConfig) { c.Format = format })
				got, err := c.Call(t.Context(), shop, request)
				if err != nil || string(got.Payload) != string(request.Payload) || got.ContentType != request.ContentType {
					t.Fatalf("%q, %v", got.Payload, err)
				}
				want := request.Context
				if name == "plain" {
					want = map[string]any{"n": int64(5)}
				}
				if diff := cmp.Diff(want, seen.Context); diff != "" || seen.Method != "echo" || seen.Origin.Queue != "shop" {
					t.Errorf("the server saw %+v\n%s", seen, diff)
				}
				synctest.Wait()
				if st := s.Stat(); st.Replies != 1 || st.Received != 1 {
					t.Errorf("server %+v", st)
				}
				if st := c.Stat(); st.Replies != 1 || st.Waiting != 0 || st.Calls != 1 {
					t.Errorf("client %+v", st)
				}
			})
		})
	}
}

func TestACallIsWrittenAsPythonWritesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		c := newClient(t, b)
		ns := "ns"
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := c.Call(ctx, shop, rpc.Request{
			Method: "echo", Payload: []byte(`{"value": "é"}`), Namespace: &ns, Version: "1.2", Monitor: 20 * time.Second,
			Context: map[string]any{"user_id": "u1", "is_admin": true},
		})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(time.Unix(946684800, 0)) != 10*time.Second {
			t.Errorf("%v", err)
		}
		msgs := b.messages("topic:shop")
		if len(msgs) != 1 {
			t.Fatalf("%d messages", len(msgs))
		}
		m := msgs[0]
		want := router.Properties{ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: 2, Expiration: "10000"}
		if diff := cmp.Diff(want, m.Properties); diff != "" || m.Headers() != nil {
			t.Errorf("properties (-want +got):\n%s", diff)
		}
		message, enveloped, err := oslo.Open(m.Body)
		if err != nil || !enveloped {
			t.Fatal(err)
		}
		id, unique := message.Text("_msg_id"), message.Text("_unique_id")
		if len(id) != 32 || len(unique) != 32 || id == unique {
			t.Errorf("ids %q %q", id, unique)
		}
		text := fmt.Sprintf(`{"method": "echo", "args": {"value": "é"}, "namespace": "ns", "version": "1.2", "_msg_id": %q, "_reply_q": %q, "_timeout": 20, "_unique_id": %q, "_context_is_admin": true, "_context_user_id": "u1"}`,
			id, c.ReplyQueue(), unique)
		if diff := cmp.Diff(text, string(message.Raw())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		reply := b.declarations(func(t rpc.Topology) bool {
			return len(t.Queues) == 1 && t.Queues[0].Name == c.ReplyQueue()
		})
		exchange := b.declarations(func(t rpc.Topology) bool {
			return len(t.Exchanges) == 1 && cmp.Equal(t.Exchanges[0], rpc.Exchange{Name: "openstack", Type: "topic", Shared: true})
		})
		if reply != 1 || exchange != 1 {
			t.Errorf("declared the reply queue %d times, the exchange %d times", reply, exchange)
		}
	})
}

func TestACallToNobodyFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		c := newClient(t, b)
		start := time.Now()
		_, err := c.Call(t.Context(), shop, rpc.Request{Method: "m"})
		if !errors.Is(err, rpc.ErrNoListener) || !errors.Is(err, router.ErrUnroutable) || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := c.Fanout(t.Context(), "shop", rpc.Request{Method: "m"}); !errors.Is(err, rpc.ErrNoListener) {
			t.Errorf("fanout: %v", err)
		}
		if _, err := c.Call(t.Context(), router.Target{Kind: router.TargetFanout, Topic: "shop"}, rpc.Request{Method: "m"}); !errors.Is(err, router.ErrTarget) {
			t.Errorf("a call to all: %v", err)
		}
	})
}

func TestOneDeadlineCoversConnectingPublishingAndWaiting(t *testing.T) {
	for name, prepare := range map[string]func(b *broker){
		"no connection": func(b *broker) { b.stall = make(chan struct{}) },
		"connected late, no reply": func(b *broker) {
			b.stall = make(chan struct{})
			time.AfterFunc(3*time.Second, func() { close(b.stall) })
		},
		"no confirm": func(b *broker) { b.answer = func(router.Target, *router.Envelope) error { return errHeld } },
		"refused again and again": func(b *broker) {
			b.answer = func(router.Target, *router.Envelope) error { return router.ErrNacked }
		},
		"no reply": func(b *broker) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker("shop")
				prepare(b)
				c := newClient(t, b, func(c *rpc.ClientConfig) { c.Timeout = 5 * time.Second })
				start := time.Now()
				_, err := c.Call(t.Context(), shop, rpc.Request{Method: "m"})
				took := time.Since(start)
				nacked := name == "refused again and again" && errors.Is(err, router.ErrNacked) && took <= 5*time.Second && took > 2*time.Second
				if !nacked && (!errors.Is(err, context.DeadlineExceeded) || took != 5*time.Second) {
					t.Errorf("%v after %v", err, took)
				}
				if name == "connected late, no reply" {
					if m := b.messages("topic:shop"); len(m) != 1 || m[0].Expiration != "2000" {
						t.Errorf("sent %+v", m)
					}
				}
			})
		})
	}
}

func TestRemoteErrorsAreTyped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		ns := "ns"
		s, _ := serve(t, b, rpc.Dispatch(
			rpc.Endpoint{Version: "1.3", Methods: map[string]rpc.Handler{
				"sold out": func(context.Context, *rpc.Incoming) (rpc.Reply, error) {
					return rpc.Reply{}, fmt.Errorf("wrapped: %w", &rpc.RemoteError{Class: "SoldOut", Module: "shop.errors", Message: "none left", Kwargs: oslo.Raw(`{"n": 0}`)})
				},
				"fail": func(context.Context, *rpc.Incoming) (rpc.Reply, error) {
					return rpc.Reply{}, errors.New("plain failure")
				},
				"panic": func(context.Context, *rpc.Incoming) (rpc.Reply, error) { panic("secret") },
				"bad": func(context.Context, *rpc.Incoming) (rpc.Reply, error) {
					return rpc.Reply{Payload: []byte("no JSON")}, nil
				},
			}},
			rpc.Endpoint{Namespace: &ns, Version: "2.0", Methods: map[string]rpc.Handler{"echo": echo}},
		))
		c := newClient(t, b)
		other := "other"
		for _, x := range []struct {
			req   rpc.Request
			class string
			text  string
		}{
			{rpc.Request{Method: "sold out"}, "SoldOut", "none left"},
			{rpc.Request{Method: "fail"}, "ServerError", "plain failure"},
			{rpc.Request{Method: "panic"}, "InternalError", "the server failed to answer"},
			{rpc.Request{Method: "bad"}, "ServerError", "format oslo: the result must be JSON: not JSON at byte 0: no value"},
			{rpc.Request{Method: "none"}, "NoSuchMethod", "Endpoint does not support RPC method none"},
			{rpc.Request{Method: "fail", Version: "1.4"}, "UnsupportedVersion", "Endpoint does not support RPC version 1.4. Attempted method: fail"},
			{rpc.Request{Method: "fail", Namespace: &other}, "UnsupportedVersion", "Endpoint does not support RPC version 1.0. Attempted method: fail"},
			{rpc.Request{Method: "fail", Namespace: &ns, Version: "2.0"}, "NoSuchMethod", "Endpoint does not support RPC method fail"},
		} {
			_, err := c.Call(t.Context(), shop, x.req)
			var remote *rpc.RemoteError
			if !errors.As(err, &remote) || remote.Class != x.class || remote.Message != x.text || !errors.Is(err, &rpc.RemoteError{Class: x.class}) {
				t.Errorf("%s: %v", x.req.Method, err)
			}
		}
		if got, err := c.Call(t.Context(), shop, rpc.Request{Method: "echo", Namespace: &ns, Version: "2.0", Payload: []byte(`{"x": 1}`)}); err != nil || string(got.Payload) != `{"x": 1}` {
			t.Errorf("%s, %v", got.Payload, err)
		}
		if st := s.Stat(); st.Panics != 1 || st.Failed != 8 {
			t.Errorf("%+v", st)
		}
	})
}

func TestKeepAlivesHoldAMonitoredCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		s, _ := serve(t, b, func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
			time.Sleep(9 * time.Second)
			return rpc.Result("done")
		})
		c := newClient(t, b)
		got, err := c.Call(t.Context(), shop, rpc.Request{Method: "m", Monitor: 4 * time.Second})
		if err != nil || string(got.Payload) != `"done"` {
			t.Fatalf("%s, %v", got.Payload, err)
		}
		if n := s.Stat().KeepAlives; n != 4 || c.Stat().KeepAlives != 4 {
			t.Errorf("%d keep-alives", n)
		}
		// Without a monitor there are none: the caller would not understand.
		if _, err := c.Call(t.Context(), shop, rpc.Request{Method: "m"}); err != nil || s.Stat().KeepAlives != 4 {
			t.Errorf("%v, %d keep-alives", err, s.Stat().KeepAlives)
		}
	})
}

func TestASilentServerEndsAMonitoredCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newBroker("shop"))
		start := time.Now()
		_, err := c.Call(t.Context(), shop, rpc.Request{Method: "m", Monitor: 4 * time.Second})
		if !errors.Is(err, rpc.ErrSilent) || time.Since(start) != 4*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
