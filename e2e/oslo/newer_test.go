package oslo_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// The releases after 14 have the same messages, but options that make other
// queues and exchanges of them. What they declare is declared here as they do,
// and Go servers, clients and listeners join it.
func TestGoJoinsWhatNewerReleasesDeclare(t *testing.T) {
	t.Parallel()
	g := connect(t)
	quorum := map[string]any{"x-queue-type": "quorum"}
	expiring := map[string]any{"x-queue-type": "quorum", "x-expires": int32(1800000)}
	declare := func(t *testing.T, topology amqp.Topology) {
		t.Helper()
		if err := g.Broker().Declare(t.Context(), topology); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("rabbit_quorum_queue", func(t *testing.T) {
		t.Parallel()
		exchange, topic := rabbitnode.Queue(t, "x"), rabbitnode.Queue(t, "t")
		declare(t, amqp.Topology{
			Exchanges: []amqp.Exchange{{Name: exchange, Type: "topic", Durable: true}},
			Queues:    []amqp.Queue{{Name: topic, Durable: true, Arguments: quorum}, {Name: topic + ".host1", Durable: true, Arguments: quorum}},
			Bindings:  []amqp.Binding{{Exchange: exchange, Queue: topic, Key: topic}, {Exchange: exchange, Queue: topic + ".host1", Key: topic + ".host1"}},
		})
		g.serve(rpc.ServerConfig{}, exchange, topic, "host1", newService().handler())
		c := g.Client()
		for _, target := range []router.Target{topicOf(exchange, topic), serverOf(exchange, topic, "host1")} {
			got, err := c.Call(t.Context(), target, rpc.Request{Method: "echo", Payload: []byte(`{"value": 1.0}`)})
			if err != nil || string(got.Payload) != "1.0" {
				t.Errorf("%s: %s, %v", target, got.Payload, err)
			}
		}
	})
	t.Run("rabbit_transient_quorum_queue, fanout", func(t *testing.T) {
		t.Parallel()
		exchange, topic := rabbitnode.Queue(t, "x"), rabbitnode.Queue(t, "t")
		theirs := topic + "_fanout_" + oslo.NewID()
		declare(t, amqp.Topology{
			Exchanges: []amqp.Exchange{{Name: topic + "_fanout", Type: "fanout", Durable: true, AutoDelete: true}},
			Queues:    []amqp.Queue{{Name: theirs, Durable: true, Arguments: expiring}},
			Bindings:  []amqp.Binding{{Exchange: topic + "_fanout", Queue: theirs, Key: topic}},
		})
		service := newService()
		g.serve(rpc.ServerConfig{}, exchange, topic, "host1", service.handler())
		if err := g.Client().Fanout(t.Context(), topic, rpc.Request{Method: "tag"}); err != nil {
			t.Fatal(err)
		}
		if got := <-service.tags; !strings.HasPrefix(got, topic+"_fanout_") {
			t.Error(got)
		}
		env := receive(t, g.take(theirs))
		message := inner(t, &env)
		same(t, message.Text("method"), "tag")
	})
	t.Run("rabbit_stream_fanout", func(t *testing.T) {
		t.Parallel()
		topic := rabbitnode.Queue(t, "t")
		stream := topic + "_fanout"
		declare(t, amqp.Topology{
			Exchanges: []amqp.Exchange{{Name: stream, Type: "fanout", Durable: true, AutoDelete: true}},
			Queues:    []amqp.Queue{{Name: stream, Durable: true, Arguments: map[string]any{"x-queue-type": "stream", "x-max-age": "1800s"}}},
			Bindings:  []amqp.Binding{{Exchange: stream, Queue: stream, Key: topic}},
		})
		if err := g.Client().Fanout(t.Context(), topic, rpc.Request{Method: "tag"}); err != nil {
			t.Fatal(err)
		}
		await(t, "the message in the stream", func() (bool, string) {
			n, err := rabbitnode.Shared(t).QueueLen(t.Context(), stream)
			return n == 1, fmt.Sprint(n, err)
		})
	})
	for name, x := range map[string]struct {
		queue string
		args  map[string]any
	}{
		"use_queue_manager and a quorum reply queue": {"reply_host1:nova-api:1", expiring},
		"rabbit_transient_queues_ttl=0":              {"reply_" + oslo.NewID(), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exchange, topic := rabbitnode.Queue(t, "x"), rabbitnode.Queue(t, "t")
			g.serve(rpc.ServerConfig{}, exchange, topic, "host1", newService().handler())
			declare(t, amqp.Topology{Queues: []amqp.Queue{{Name: x.queue, Durable: true, Arguments: x.args}}})
			env, _ := replay(t, "18-head-18.1.0-call-request")
			request := inner(t, &env)
			request.Set("_reply_q", oslo.String(x.queue))
			env.Body, env.Expiration = oslo.Seal(request.Raw()), ""
			if err := g.Client().Send(t.Context(), topicOf(exchange, topic), &env); err != nil {
				t.Fatal(err)
			}
			got := receive(t, g.take(x.queue))
			reply := inner(t, &got)
			same(t, reply.Text("result"), "head")
		})
	}
	t.Run("a notification without its context", func(t *testing.T) {
		t.Parallel()
		topic, heard := rabbitnode.Queue(t, "t"), newHearing()
		g.hear(rpc.NotificationListenerConfig{}, "openstack", topic, heard.hear)
		env, _ := replay(t, "15-notification-v2-info")
		if err := g.Client().Send(t.Context(), notifyOf("openstack", topic, "info"), &env); err != nil {
			t.Fatal(err)
		}
		n := heard.next(t, "interop.test")
		want := time.Date(2026, 11, 22, 22, 28, 33, 706046000, time.UTC)
		if len(n.Context) != 0 || n.Priority != "info" || !n.Timestamp.Equal(want) || n.MessageID != "7836c287-0c90-4279-8e78-13a146487461" {
			t.Errorf("%+v", n)
		}
	})
	t.Run("oslo-messaging-send-notification", func(t *testing.T) {
		t.Parallel()
		topic, heard := rabbitnode.Queue(t, "t"), newHearing()
		g.hear(rpc.NotificationListenerConfig{}, "openstack", topic, heard.hear)
		env := router.NewEnvelope(nil, oslo.Seal(oslo.Raw(`{"message_id": "m1", "publisher_id": "p", "event_type": "e", "priority": "warn", "payload": "{\"a\": 1}", "timestamp": "2026-01-02 03:04:05", "_unique_id": "u1"}`)))
		env.ContentType, env.ContentEncoding = "application/json", "utf-8"
		if err := g.Client().Send(t.Context(), notifyOf("openstack", topic, "warn"), &env); err != nil {
			t.Fatal(err)
		}
		n := heard.next(t, "e")
		if diff := cmp.Diff([]string{"warn", `"{\"a\": 1}"`}, []string{n.Priority, string(n.Payload)}); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
