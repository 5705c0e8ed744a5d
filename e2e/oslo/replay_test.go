package oslo_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// replay returns a message that oslo.messaging, 14.0.3 or 18.1.0, has put on
// the wire, and the routing key that it had.
func replay(t *testing.T, name string) (router.Envelope, string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../oslo/testdata/captures", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Body       string
		Encoding   string `json:"body_encoding"`
		Headers    map[string]any
		RoutingKey string `json:"routing_key"`
		Properties struct {
			ContentType     string `json:"content_type"`
			ContentEncoding string `json:"content_encoding"`
			Expiration      string
		}
	}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	body := []byte(c.Body)
	if c.Encoding == "hex" {
		if body, err = hex.DecodeString(c.Body); err != nil {
			t.Fatal(err)
		}
	}
	env := router.NewEnvelope(c.Headers, body)
	env.ContentType, env.ContentEncoding, env.DeliveryMode = c.Properties.ContentType, c.Properties.ContentEncoding, 2
	env.Expiration = c.Properties.Expiration
	return env, c.RoutingKey
}

// inner returns the inner message.
func inner(t *testing.T, env *router.Envelope) oslo.Object {
	t.Helper()
	text, err := rpc.Oslo{}.Text(env)
	if err != nil {
		t.Fatal(err)
	}
	message, err := oslo.ParseObject(text)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

func TestAGoServerAnswersWhatPythonHasSent(t *testing.T) {
	t.Parallel()
	g := connect(t)
	service := newService()
	g.serve(rpc.ServerConfig{}, "openstack", "demo", "host1", service.handler())
	g.serve(rpc.ServerConfig{}, "openstack", "demoh", "host1", service.handler())
	c := g.Client()

	for _, x := range []struct{ name, want string }{
		{"01-call-request", `"result": "h\u00e9llo", "failure": null`},
		{"04-call-server-directed-version", `Endpoint does not support RPC method add`},
		{"05-call-namespace-version", `Endpoint does not support RPC method echo`},
		{"11-call-with-monitor-timeout", `Endpoint does not support RPC method slow`},
		{"17-call-compressed-gzip", `"failure": null, "ending": true`},
		{"18-head-18.1.0-call-request", `"result": "head", "failure": null`},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			env, key := replay(t, x.name)
			request := inner(t, &env)
			queue := request.Text("_reply_q")
			if err := g.Broker().Declare(t.Context(), amqp.Topology{Queues: []amqp.Queue{{Name: queue, Arguments: map[string]any{"x-expires": int32(1800000)}}}}); err != nil {
				t.Fatal(err)
			}
			replies := g.take(queue)
			env.Expiration = "" // it would depend on the load of the machine
			if err := c.Send(t.Context(), router.Target{Kind: router.TargetExchange, Exchange: "openstack", Topic: key}, &env); err != nil {
				t.Fatal(err)
			}
			got := receive(t, replies)
			if got.ContentType != "application/json" || got.ContentEncoding != "utf-8" || got.DeliveryMode != 2 {
				t.Errorf("%+v", got.Properties)
			}
			reply := inner(t, &got)
			if text := string(reply.Raw()); !strings.Contains(text, x.want) || reply.Text("_msg_id") != request.Text("_msg_id") || len(reply.Text("_unique_id")) != 32 {
				t.Errorf("%s\ndoes not hold %s", text, x.want)
			}
			if names := reply.Value(); len(names) != 5 {
				t.Errorf("a reply has five members, this one %v", names)
			}
		})
	}
	t.Run("03-cast", func(t *testing.T) {
		env, key := replay(t, "03-cast")
		if err := c.Send(t.Context(), router.Target{Kind: router.TargetExchange, Exchange: "openstack", Topic: key}, &env); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("06-fanout-cast", func(t *testing.T) {
		env, _ := replay(t, "06-fanout-cast")
		if err := c.Send(t.Context(), router.Target{Kind: router.TargetFanout, Topic: "demo"}, &env); err != nil {
			t.Fatal(err)
		}
	})
	for range 2 {
		got := <-service.tags
		if !strings.Contains(got, `{"tag": "t1"}`) && !strings.HasSuffix(got, `{"tag": "t2"}`) {
			t.Errorf("cast: %s", got)
		}
	}
}

func TestAGoClientReadsWhatPythonHasAnswered(t *testing.T) {
	t.Parallel()
	g := connect(t)
	c := g.Client()
	queue := t.Name()
	if err := g.Broker().Declare(t.Context(), amqp.Topology{Queues: []amqp.Queue{{Name: queue}}}); err != nil {
		t.Fatal(err)
	}
	requests := g.take(queue)

	// answer sends messages of the wire to whoever made the next call, under
	// that call's id.
	answer := func(t *testing.T, names ...string) {
		request := receive(t, requests)
		call := inner(t, &request)
		for _, name := range names {
			env, _ := replay(t, name)
			reply := inner(t, &env)
			reply.Set("_msg_id", oslo.String(call.Text("_msg_id")))
			env.Body = oslo.Seal(reply.Raw())
			if err := c.Send(t.Context(), router.Target{Kind: router.TargetQueue, Queue: call.Text("_reply_q")}, &env); err != nil {
				t.Error(err)
			}
		}
	}
	for _, x := range []struct{ name, want string }{
		{"02-reply-ok", `"h\u00e9llo"`},
		{"07-reply-failure-builtin", "ValueError builtins bad value"},
		{"08-reply-failure-custom-kwargs", "InteropError interop_exc oops"},
		{"09-reply-failure-nosuchmethod", "NoSuchMethod oslo_messaging.rpc.dispatcher Endpoint does not support RPC method no_such_method"},
		{"10-reply-failure-unsupportedversion", "UnsupportedVersion oslo_messaging.rpc.dispatcher Endpoint does not support RPC version 7.0. Attempted method: echo"},
		{"12-reply-heartbeat 13-reply-after-heartbeats", `"slept 3"`},
		{"14-reply-null-result", `null`},
		{"20-rpc-ping-reply", `"pong"`},
	} {
		t.Run(x.name, func(t *testing.T) {
			result := make(chan string, 1)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			go func() {
				got, err := c.Call(ctx, router.Target{Kind: router.TargetQueue, Queue: queue}, rpc.Request{Method: "m"})
				result <- outcome(got, err)
			}()
			answer(t, strings.Fields(x.name)...)
			same(t, <-result, x.want)
		})
	}
}

// outcome writes what came of a call.
func outcome(got rpc.Reply, err error) string {
	var remote *rpc.RemoteError
	switch {
	case err == nil:
		return string(got.Payload)
	case errors.As(err, &remote):
		return remote.Class + " " + remote.Module + " " + remote.Message
	}
	return err.Error()
}
