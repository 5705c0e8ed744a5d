package rpc_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

type args = map[string]any

// declared is what oslo.messaging declares under some options, in the columns of
// the table of its effects: the topic exchange, topic, server and notification
// queues, the fanout exchange, the fanout queue and the reply queue.
type declared struct {
	topicExchange  rpc.Exchange
	shared         rpc.Queue
	fanoutExchange rpc.Exchange
	fanout         rpc.Queue
	reply          rpc.Queue
	consumer       args // the arguments of the consumers of classic queues
}

// plain is what it declares with its default options, but that its fanout queues
// are durable.
func plain() declared {
	return declared{
		topicExchange:  rpc.Exchange{Type: "topic", Shared: true},
		shared:         rpc.Queue{Shared: true, Arguments: args{}},
		fanoutExchange: rpc.Exchange{Type: "fanout", AutoDelete: true, Shared: true},
		fanout:         rpc.Queue{Durable: true, Arguments: args{"x-expires": int32(1800000)}},
		reply:          rpc.Queue{Shared: true, Arguments: args{"x-expires": int32(1800000)}},
	}
}

func TestEveryOptionHasItsEffectOnDeclarations(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		layout rpc.Layout
		effect func(*declared)
	}{
		"none": {rpc.Layout{}, func(*declared) {}},
		"amqp_durable_queues": {rpc.Layout{Durable: true}, func(d *declared) {
			d.topicExchange.Durable, d.shared.Durable, d.reply.Durable = true, true, true
		}},
		"amqp_auto_delete": {rpc.Layout{AutoDelete: true}, func(d *declared) {
			d.topicExchange.AutoDelete, d.shared.AutoDelete = true, true
		}},
		"rabbit_ha_queues": {rpc.Layout{HA: true}, func(d *declared) {
			d.shared.Arguments["x-ha-policy"] = "all"
			d.fanout.Arguments["x-ha-policy"] = "all"
			d.reply.Arguments["x-ha-policy"] = "all"
		}},
		"rabbit_quorum_queue": {rpc.Layout{Quorum: true}, func(d *declared) {
			d.topicExchange.Durable, d.shared.Durable, d.reply.Durable = true, true, true
			d.shared.Arguments = args{"x-queue-type": "quorum"}
		}},
		"rabbit_quorum_delivery_limit, rabbit_quorum_max_memory_length, rabbit_quorum_max_memory_bytes": {
			rpc.Layout{Quorum: true, DeliveryLimit: 5, MaxInMemoryLength: 1000, MaxInMemoryBytes: 3 << 30},
			func(d *declared) {
				d.topicExchange.Durable, d.shared.Durable, d.reply.Durable = true, true, true
				d.shared.Arguments = args{
					"x-queue-type": "quorum", "x-delivery-limit": int32(5),
					"x-max-in-memory-length": int32(1000), "x-max-in-memory-bytes": int64(3 << 30),
				}
			},
		},
		"rabbit_transient_quorum_queue": {rpc.Layout{TransientQuorum: true}, func(d *declared) {
			d.fanoutExchange.Durable = true
			d.fanout.Arguments["x-queue-type"] = "quorum"
			d.reply.Arguments["x-queue-type"], d.reply.Durable = "quorum", true
		}},
		"rabbit_stream_fanout": {rpc.Layout{TransientQuorum: true, StreamFanout: true, StreamReplay: true, CancelOnFailover: true}, func(d *declared) {
			d.fanoutExchange.Durable = true
			d.fanout = rpc.Queue{Name: "stream", Durable: true, Shared: true, Arguments: args{"x-queue-type": "stream", "x-max-age": "1800s"}}
			d.reply.Arguments["x-queue-type"], d.reply.Durable = "quorum", true
			d.consumer = args{"x-cancel-on-ha-failover": true}
		}},
		"rabbit_stream_fanout without end": {rpc.Layout{StreamFanout: true, StreamReplay: true, TransientTTL: rpc.NoTransientTTL}, func(d *declared) {
			d.fanoutExchange.Durable = true
			d.fanout = rpc.Queue{Name: "stream", Durable: true, Shared: true, Arguments: args{"x-queue-type": "stream"}}
			d.reply.Arguments = args{}
		}},
		"rabbit_transient_queues_ttl": {rpc.Layout{TransientTTL: 90 * time.Second}, func(d *declared) {
			d.fanout.Arguments["x-expires"] = int32(90000)
			d.reply.Arguments["x-expires"] = int32(90000)
		}},
		"rabbit_transient_queues_ttl of 0": {rpc.Layout{TransientTTL: rpc.NoTransientTTL}, func(d *declared) {
			d.fanout.Arguments, d.reply.Arguments = args{}, args{}
		}},
		"use_queue_manager": {rpc.Layout{Host: "h", Process: "p"}, func(d *declared) {
			d.fanout.Name, d.fanout.Shared = "stem", true
			d.reply.Name, d.reply.Shared = "stem", true
		}},
		"enable_cancel_on_failover": {rpc.Layout{CancelOnFailover: true}, func(d *declared) {
			d.consumer = args{"x-cancel-on-ha-failover": true}
		}},
		"rabbit_qos_prefetch_count": {rpc.Layout{Prefetch: 7}, func(*declared) {}},
		"Strict": {rpc.Layout{Strict: true}, func(d *declared) {
			d.topicExchange.Shared, d.fanoutExchange.Shared, d.shared.Shared, d.reply.Shared = false, false, false, false
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := tt.layout.Validate(); err != nil {
				t.Fatal(err)
			}
			want := plain()
			tt.effect(&want)
			compare(t, tt.layout, want)
		})
	}
}

// compare compares everything that a layout declares with what is wanted.
func compare(t *testing.T, l rpc.Layout, want declared) {
	consumer := func(q rpc.Queue) args {
		if q.Arguments["x-queue-type"] == "quorum" {
			return nil
		}
		return want.consumer
	}
	topic := func(queue string, keys ...string) router.Source {
		x, q := want.topicExchange, want.shared
		x.Name, q.Name = "openstack", queue
		s := router.Source{Queue: queue, Prefetch: l.Prefetch, Arguments: consumer(q)}
		s.Topology = rpc.Topology{Exchanges: []rpc.Exchange{x}, Queues: []rpc.Queue{q}}
		for _, key := range keys {
			s.Topology.Bindings = append(s.Topology.Bindings, rpc.Binding{Exchange: "openstack", Queue: queue, Key: key})
		}
		return s
	}
	own := func(got router.Source, prefix string, q rpc.Queue) router.Source {
		s := router.Source{Queue: got.Queue, Alias: strings.TrimSuffix(prefix, "_"), Prefetch: l.Prefetch, Arguments: consumer(q), Delete: true}
		switch q.Name {
		case "stem":
			s.Queue, s.Numbered, s.Delete = prefix+"h:p:", true, false
		case "stream":
			s.Queue, s.Alias, s.Arguments, s.Delete = s.Alias, "", args{"x-stream-offset": "last"}, false
		default:
			if id, ok := strings.CutPrefix(got.Queue, prefix); !ok || len(id) != 32 {
				t.Errorf("queue %q; want %s and 32 hex digits", got.Queue, prefix)
			}
		}
		q.Name = s.Queue
		s.Topology.Queues = []rpc.Queue{q}
		return s
	}
	got := l.Server("t", "s")
	fanoutExchange := want.fanoutExchange
	fanoutExchange.Name = "t_fanout"
	fanout := own(got[2], "t_fanout_", want.fanout)
	fanout.Topology.Exchanges = []rpc.Exchange{fanoutExchange}
	fanout.Topology.Bindings = []rpc.Binding{{Exchange: "t_fanout", Queue: fanout.Queue, Key: "t"}}
	same := func(what string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	same("server", []router.Source{topic("t", "t"), topic("t.s", "t.s"), fanout}, got)
	reply := l.Reply()
	same("reply", own(reply, "reply_", want.reply), reply)
	same("listener", []router.Source{topic("n.info", "n.info"), topic("n.error", "n.error")}, l.Listener("n", []string{"info", "error"}, ""))
	same("pool", []router.Source{topic("p", "n.info", "n.error")}, l.Listener("n", []string{"info", "error"}, "p"))

	exchange := rpc.Topology{Exchanges: topic("").Topology.Exchanges}
	same("call", exchange, l.Target(router.Target{Kind: router.TargetTopic, Topic: "t"}))
	same("directed", exchange, l.Target(router.Target{Kind: router.TargetServer, Topic: "t", Server: "s"}))
	same("fanout", rpc.Topology{Exchanges: []rpc.Exchange{fanoutExchange}}, l.Target(router.Target{Kind: router.TargetFanout, Topic: "t"}))
	same("notify", topic("n.info", "n.info").Topology, l.Target(router.Target{Kind: router.TargetNotify, Topic: "n", Priority: "info"}))
	same("queue", rpc.Topology{}, l.Target(router.Target{Kind: router.TargetQueue, Queue: "q"}))
}

// A RabbitMQ from 4.3 on refuses queues that are neither durable nor exclusive.
func TestADurableLayoutHasNoTransientQueues(t *testing.T) {
	t.Parallel()
	for _, l := range []rpc.Layout{
		{Durable: true},
		{Durable: true, Host: "h", Process: "p"},
		{Durable: true, TransientQuorum: true},
		{Quorum: true, TransientQuorum: true},
		{Quorum: true, StreamFanout: true, TransientTTL: rpc.NoTransientTTL},
	} {
		sources := append(l.Server("t", "s"), l.Reply())
		sources = append(sources, l.Listener("n", []string{"info"}, "")...)
		sources = append(sources, l.Listener("n", []string{"info"}, "pool")...)
		sources = append(sources, router.Source{Topology: l.Target(router.Target{Kind: router.TargetNotify, Topic: "n", Priority: "info"})})
		for _, s := range sources {
			for _, q := range s.Topology.Queues {
				if !q.Durable && !q.Exclusive {
					t.Errorf("%+v: queue %s is neither durable nor exclusive", l, q.Name)
				}
			}
		}
	}
}

func TestOptionsThatExcludeEachOtherAreNamed(t *testing.T) {
	t.Parallel()
	for want, l := range map[string]rpc.Layout{
		"rabbit_ha_queues":            {HA: true, Quorum: true},
		"HA (rabbit_ha_queues)":       {HA: true, TransientQuorum: true},
		"amqp_auto_delete":            {AutoDelete: true, Quorum: true},
		"0 or more":                   {Quorum: true, MaxInMemoryBytes: -1},
		"rabbit_stream_fanout":        {StreamReplay: true},
		"rabbit_transient_queues_ttl": {TransientTTL: time.Millisecond},
		"NoTransientTTL":              {TransientTTL: 1000 * time.Hour},
		"both Host and Process":       {Host: "h"},
		"200 bytes":                   {Host: strings.Repeat("h", 200), Process: "p"},
		"0 to 65535":                  {Prefetch: 65536},
	} {
		if err := l.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %q", l, err, want)
		}
	}
}
