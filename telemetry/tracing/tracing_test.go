package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/telemetry/tracing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	parent  = "00-" + traceID + "-b7ad6b7169203331-01"
	ignored = "00-" + traceID + "-b7ad6b7169203331-00"
)

// recording returns a Tracer and what it records.
func recording(opts ...sdktrace.TracerProviderOption) (*tracing.Tracer, *tracetest.SpanRecorder) {
	spans := tracetest.NewSpanRecorder()
	return tracing.New(sdktrace.NewTracerProvider(append(opts, sdktrace.WithSpanProcessor(spans))...), nil), spans
}

func received(headers map[string]any) *router.Envelope {
	env := router.NewEnvelope(headers, []byte("body"))
	env.Origin = router.Origin{Queue: "in", Exchange: "orders", RoutingKey: "created", Received: time.Now()}
	env.MessageID = "m1"
	return &env
}

func described(spans *tracetest.SpanRecorder) string {
	var b strings.Builder
	for _, s := range spans.Ended() {
		fmt.Fprintf(&b, "%s %s", s.SpanKind(), s.Name())
		for _, kv := range s.Attributes() {
			if strings.HasPrefix(string(kv.Key), "router.") || kv.Key == "error.type" {
				fmt.Fprintf(&b, " %s=%s", kv.Key, kv.Value.String())
			}
		}
		if s.Status().Description != "" {
			fmt.Fprintf(&b, " (%s)", s.Status().Description)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestAMessageThatFailsShowsWhere(t *testing.T) {
	tracer, spans := recording()
	trace := tracer.Trace("r", received(map[string]any{"traceparent": []byte(parent)}))
	broken := &router.FilterError{Filter: "f", Stage: router.Decide, Class: "trap", Err: errors.New("words of the message")}
	trace.Filtered(router.Step{Filter: "g", Stage: router.Unpack, Began: time.Now(), Decision: &router.Decision{Action: router.Retry}})
	env := *received(nil)
	queue := router.Target{Kind: router.TargetQueue, Queue: "out"}
	trace.Sending(0, queue, &env)
	trace.Sent(0, fmt.Errorf("queue:out: %w", router.ErrNacked))
	trace.Sending(0, queue, &env)
	trace.Sent(0, nil)
	trace.Filtered(router.Step{Filter: "f", Stage: router.Decide, Began: time.Now(), Err: broken})
	trace.Done(router.Outcome{Verdict: "reject", Attempts: 2, Loss: router.Loss{Reason: "filter-trap", Filter: "f", Stage: "decide"}, Err: broken})
	want := `internal filter g router.route=r router.filter.name=g router.filter.stage=unpack router.filter.action=retry
producer publish out router.route=r error.type=nacked (queue:out: refused by the broker)
producer publish out router.route=r
internal filter f router.route=r router.filter.name=f router.filter.stage=decide error.type=filter-trap (filter f: decide: trap)
consumer process in router.route=r router.verdict=reject router.attempts=2 router.reason=filter-trap router.filter.name=f router.filter.stage=decide error.type=filter-trap (filter-trap)
`
	if diff := cmp.Diff(want, described(spans)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, s := range spans.Ended() {
		if s.SpanContext().TraceID().String() != traceID {
			t.Errorf("%s is in the trace %s", s.Name(), s.SpanContext().TraceID())
		}
	}
	// What was published last belongs below the span of that publish.
	last := spans.Ended()[2].SpanContext()
	if got, _ := env.Header("traceparent"); got != "00-"+traceID+"-"+last.SpanID().String()+"-01" {
		t.Errorf("traceparent %q", got)
	}
	list := tracer.Exemplars("r")
	if len(list) != 1 || list[0].TraceID != traceID || list[0].Took <= 0 || tracer.Exemplars("other") != nil {
		t.Errorf("exemplars %+v", list)
	}
}

// What is not sampled, by whoever began the trace or by the router itself, is not
// followed, and its headers are not touched.
func TestWhatIsNotSampledIsNotFollowed(t *testing.T) {
	for name, headers := range map[string]map[string]any{
		"by the sender": {"traceparent": ignored},
		"here":          nil,
	} {
		t.Run(name, func(t *testing.T) {
			tracer, spans := recording(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
			if trace := tracer.Trace("r", received(headers)); trace != nil {
				t.Error("it is followed")
			}
			if len(spans.Ended()) > 0 {
				t.Errorf("spans: %s", described(spans))
			}
		})
	}
}

func TestSpansAreNamedAfterWhatLasts(t *testing.T) {
	for target, want := range map[router.Target]string{
		{Kind: router.TargetQueue, Queue: "out"}:                                 "publish out",
		{Kind: router.TargetQueue, Queue: "reply_1"}:                             "publish",
		{Kind: router.TargetQueue, Queue: "amq.rabbitmq.reply-to.x"}:             "publish",
		{Kind: router.TargetExchange, Exchange: "orders", Topic: "customer.123"}: "publish orders",
		{Kind: router.TargetExchange, Topic: "key"}:                              "publish amq.default",
		{Kind: router.TargetServer, Topic: "compute", Server: "host1"}:           "publish openstack:compute.host1",
		{Kind: router.TargetFanout, Topic: "compute"}:                            "publish compute_fanout",
	} {
		tracer, spans := recording()
		env := router.NewEnvelope(nil, nil)
		tracer.Publish(t.Context(), "publish", target, &env)(nil)
		if got := spans.Ended()[0].Name(); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
		if _, key := target.Address(); key != "" && !hasAttribute(spans.Ended()[0], "messaging.rabbitmq.destination.routing_key", key) {
			t.Errorf("%s: no routing key in %v", target, spans.Ended()[0].Attributes())
		}
	}
}

func hasAttribute(s sdktrace.ReadOnlySpan, key attribute.Key, value string) bool {
	for _, kv := range s.Attributes() {
		if kv.Key == key && kv.Value.String() == value {
			return true
		}
	}
	return false
}

// A handler's own messages belong below what it handles; baggage comes along.
func TestAHandlerGoesOnWithTheTrace(t *testing.T) {
	tracer, spans := recording()
	ctx, end := tracer.Process(context.Background(), received(map[string]any{"traceparent": parent, "baggage": "tenant=a1"}))
	env := router.NewEnvelope(nil, nil)
	tracer.Publish(ctx, "call", router.Target{Kind: router.TargetQueue, Queue: "next"}, &env)(context.DeadlineExceeded)
	end(errors.New(strings.Repeat("é", 500)))
	process, publish := spans.Ended()[1], spans.Ended()[0]
	if publish.Parent().SpanID() != process.SpanContext().SpanID() || process.Parent().SpanID().String() != "b7ad6b7169203331" {
		t.Errorf("parents %s and %s", process.Parent().SpanID(), publish.Parent().SpanID())
	}
	if got, _ := env.Header("baggage"); got != "tenant=a1" {
		t.Errorf("baggage %q", got)
	}
	if !hasAttribute(publish, "error.type", "timeout") || !hasAttribute(process, "error.type", "_OTHER") {
		t.Errorf("%v, %v", publish.Attributes(), process.Attributes())
	}
	if n := len(process.Status().Description); n == 0 || n > 300 {
		t.Errorf("the error's text has %d bytes", n)
	}
}
