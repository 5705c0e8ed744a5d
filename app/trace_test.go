package app_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/internal/otlptest"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
	"github.com/wasmrouter/router/telemetry/otlp"
	"github.com/wasmrouter/router/transport"
)

// service is a program of its own that has traces and talks plain AMQP.
func service(t *testing.T, name, collector, broker string) (*transport.Transport, *otlp.Exporter) {
	t.Helper()
	traces, err := otlp.Open(t.Context(), otlp.Config{Endpoint: collector, ServiceName: name})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := transport.Open(broker, transport.Options{Format: rpc.Plain{}, Tracer: traces, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := tr.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := traces.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return tr, traces
}

// serve answers what comes to a queue until the returned function is called.
func serve(t *testing.T, tr *transport.Transport, traces rpc.Tracer, queue string) (stop func()) {
	t.Helper()
	server, err := rpc.NewServer(rpc.ServerConfig{
		Listener: tr.Broker(), Sender: tr.Broker().Sender("serve"), Format: rpc.Plain{}, Tracer: traces,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	source := router.Source{Queue: queue, Topology: router.Topology{Queues: []router.Queue{{Name: queue, Durable: true}}}}
	if err := rpc.Ensure(ctx, tr.Broker().Declare, []router.Source{source}); err != nil {
		t.Fatal(err)
	}
	go func() {
		ended <- server.Serve(ctx, []router.Source{source}, func(context.Context, *rpc.Incoming) (rpc.Reply, error) {
			return rpc.Reply{Payload: []byte("done")}, nil
		})
	}()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		server.Close(context.Background())
	}
}

// One trace holds the producer, the router with its filter, and the consumer, each
// a program with an exporter of its own, as a collector gets it.
func TestOneTraceFromProducerToConsumer(t *testing.T) {
	testbroker.Both(t, testOneTraceFromProducerToConsumer)
}

func testOneTraceFromProducerToConsumer(t *testing.T, at *testbroker.Broker) {
	collector := otlptest.New(t)
	const in, out = "trace.in", "trace.out"
	a := start(t, head(at.URL())+
		fmt.Sprintf("[queues.%q]\n[queues.%q]\n[telemetry]\nendpoint = %q\nheaders = \"x-tenant=one%%20two\"\n", in, out, collector.URL)+withFilter(in, out))
	producer, producerTraces := service(t, "producer", collector.URL, at.URL())
	consumer, consumerTraces := service(t, "consumer", collector.URL, at.URL())
	stop := serve(t, consumer, consumerTraces, out)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	target := router.Target{Kind: router.TargetQueue, Queue: in}
	reply, err := producer.Client().Call(ctx, target, rpc.Request{Payload: []byte(`{"type":"y"}`)})
	if err != nil || string(reply.Payload) != "done" {
		t.Fatalf("reply %q, %v", reply.Payload, err)
	}
	stop()
	a.stop()
	for _, traces := range []*otlp.Exporter{producerTraces, consumerTraces} {
		if err := traces.Close(ctx); err != nil {
			t.Error(err)
		}
		if s := traces.Stat(); s.Ended == 0 || s.Sent != s.Ended || s.Failed != 0 {
			t.Errorf("%+v", s)
		}
	}

	spans := collector.Spans()
	want := `producer producer call trace.in
  router consumer process trace.in
    router internal filter f
    router producer publish trace.out
      consumer consumer process trace.out
        consumer producer publish
`
	if diff := cmp.Diff(want, otlptest.Tree(spans, func(s otlptest.Span) string { return s.Service })); diff != "" {
		t.Fatalf("the trace (-want +got):\n%s", diff)
	}
	for _, s := range spans {
		if s.TraceID != spans[0].TraceID || s.Error != "" || s.Ended < s.Began {
			t.Errorf("%+v", s)
		}
	}
	attributes := map[string]map[string]string{}
	for _, s := range spans[1:4] {
		delete(s.Attributes, "messaging.message.conversation_id")
		delete(s.Attributes, "messaging.message.id")
		attributes[s.Name] = s.Attributes
	}
	wanted := map[string]map[string]string{
		"process trace.in": {
			"messaging.system": "rabbitmq", "messaging.operation.type": "process", "messaging.operation.name": "process",
			"messaging.destination.name": "trace.in", "messaging.destination.template": "trace.in",
			"messaging.rabbitmq.destination.routing_key": "trace.in", "messaging.message.body.size": "12",
			"router.route": "r", "router.verdict": "forward", "router.attempts": "1",
		},
		"filter f": {"router.route": "r", "router.filter.name": "f", "router.filter.stage": "decide"},
		"publish trace.out": {
			"messaging.system": "rabbitmq", "messaging.operation.type": "send", "messaging.operation.name": "publish",
			"messaging.destination.name": "trace.out", "messaging.destination.template": "trace.out",
			"messaging.rabbitmq.destination.routing_key": "trace.out", "messaging.message.body.size": "12",
			"router.route": "r",
		},
	}
	if diff := cmp.Diff(wanted, attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	found := false
	for _, h := range collector.Headers() {
		found = found || h.Get("X-Tenant") == "one two"
	}
	if !found {
		t.Error("the configured header came with no request")
	}
}
