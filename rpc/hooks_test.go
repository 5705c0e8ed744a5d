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

// wrapper is a Serializer that puts payloads into an object, and a ContextHook
// that signs the context with what it knows of the payload.
type wrapper struct {
	fail  atomic.Pointer[error] // of what comes in
	again atomic.Int32          // how many times what comes in is to come again
}

func (w *wrapper) Encode(_ context.Context, p *rpc.Part) error {
	if len(p.Payload) == 0 {
		return errors.New("no payload")
	}
	p.Payload = fmt.Appendf(nil, `{"kind": %d, "wrapped": %s}`, p.Kind, p.Payload)
	return nil
}

func (w *wrapper) Decode(ctx context.Context, p *rpc.Part) error {
	if _, bounded := ctx.Deadline(); !bounded {
		return errors.New("no deadline")
	}
	if err := w.fail.Load(); err != nil {
		return *err
	}
	if w.again.Add(-1) >= 0 {
		return fmt.Errorf("not now: %w", rpc.ErrAgain)
	}
	o, err := oslo.ParseObject(p.Payload)
	if err != nil {
		return err
	}
	if kind, _ := o.Get("kind"); string(kind) != fmt.Sprint(p.Kind) {
		return fmt.Errorf("kind %s", kind)
	}
	raw, _ := o.Get("wrapped")
	p.Payload = raw
	return nil
}

func (w *wrapper) Pack(_ context.Context, p *rpc.Part) error {
	p.Context = map[string]any{"signed": string(p.Payload), "user": p.Context["user"]}
	return nil
}

func (w *wrapper) Unpack(_ context.Context, p *rpc.Part) error {
	if p.Context["signed"] != string(p.Payload) {
		return errors.New("the signature is wrong")
	}
	p.Context = map[string]any{"user": p.Context["user"]}
	return nil
}

func TestHooksAreOnBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop", "notifications.info")
		w := &wrapper{}
		format := rpc.Hooked(rpc.Oslo{}, rpc.Hooks{Serializer: w, Context: w})
		serve(t, b, func(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
			if diff := cmp.Diff(map[string]any{"user": "u1"}, in.Context); diff != "" {
				t.Errorf("context (-want +got):\n%s", diff)
			}
			if in.Method == "fail" {
				return rpc.Reply{}, errors.New("as it is")
			}
			return rpc.Reply{Payload: in.Payload}, nil
		}, func(c *rpc.ServerConfig) { c.Format = format })
		c := newClient(t, b, func(c *rpc.ClientConfig) { c.Format = format })
		req := rpc.Request{Method: "m", Payload: []byte(`{"x": 1.0}`), Context: map[string]any{"user": "u1"}}
		if got, err := c.Call(t.Context(), shop, req); err != nil || string(got.Payload) != `{"x": 1.0}` {
			t.Errorf("%s, %v", got.Payload, err)
		}
		sent := string(b.messages("topic:shop")[0].Body)
		for _, part := range []string{`\"args\": {\"kind\": 0, \"wrapped\": {\"x\": 1.0}}`, `\"_context_signed\": \"{\\\"x\\\": 1.0}\"`} {
			if !strings.Contains(sent, part) {
				t.Errorf("%s is not in %s", part, sent)
			}
		}
		if reply := string(b.messages("queue:" + c.ReplyQueue())[0].Body); !strings.Contains(reply, `\"result\": {\"kind\": 1, \"wrapped\": {\"x\": 1.0}}`) {
			t.Error(reply)
		}
		req.Method = "fail"
		if _, err := c.Call(t.Context(), shop, req); !errors.Is(err, &rpc.RemoteError{Message: "as it is"}) {
			t.Error(err)
		}
		if err := c.Notify(t.Context(), router.Target{Kind: router.TargetNotify, Topic: "notifications", Priority: "info"},
			rpc.Notification{EventType: "e", PublisherID: "p", Payload: []byte(`[1.0]`), Context: req.Context}); err != nil {
			t.Fatal(err)
		}
		n, err := format.DecodeNotification(b.queues["notifications.info"][0])
		if err != nil || string(n.Payload) != `[1.0]` || n.Context["user"] != "u1" || len(n.Context) != 1 {
			t.Errorf("%s %v, %v", n.Payload, n.Context, err)
		}
	})
}

func TestAHookThatFailsTellsWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop", "replies")
		in, out := &wrapper{}, &wrapper{}
		s, _ := serve(t, b, echo, func(c *rpc.ServerConfig) {
			c.Format = rpc.Hooked(rpc.Oslo{}, rpc.Hooks{Serializer: in, Context: in})
		})
		format := rpc.Hooked(rpc.Oslo{}, rpc.Hooks{Serializer: out, Context: out})
		c := newClient(t, b, func(c *rpc.ClientConfig) { c.Format = format })
		req := rpc.Request{Method: "m", Payload: []byte(`{}`)}

		// The request cannot be read.
		plain := newClient(t, b)
		_, err := plain.Call(t.Context(), shop, req)
		if want := "the server cannot read the request: format: serializer: kind "; !errors.Is(err, &rpc.RemoteError{Class: "UnreadableRequest", Message: want}) {
			t.Error(err)
		}
		refused := error(&rpc.RemoteError{Class: "Refused", Module: "shop"})
		in.fail.Store(&refused)
		if _, err := c.Call(t.Context(), shop, req); !errors.Is(err, &rpc.RemoteError{Class: "Refused", Module: "shop"}) {
			t.Error(err)
		}
		in.fail.Store(nil)
		// The reply cannot.
		bad := errors.New("no such key")
		out.fail.Store(&bad)
		if _, err := c.Call(t.Context(), shop, req); !errors.Is(err, &rpc.RemoteError{Class: "UnreadableReply", Message: "format: serializer: no such key"}) {
			t.Error(err)
		}
		// Nobody waits for the answer.
		in.fail.Store(&bad)
		if err := c.Cast(t.Context(), shop, req); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if st := s.Stat(); st.Malformed != 1 || st.Again != 0 {
			t.Errorf("%+v", st)
		}
		in.fail.Store(nil)
		in.again.Store(3)
		if err := c.Cast(t.Context(), shop, req); err != nil {
			t.Error(err)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if st := s.Stat(); st.Malformed != 1 || st.Again != 3 || st.Casts != 1 {
			t.Errorf("%+v", st)
		}
	})
}
