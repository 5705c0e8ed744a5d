package wasmhost

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
)

func TestRouteInC(t *testing.T)  { testRoute(t, cGuest(t, "route")) }
func TestRouteInGo(t *testing.T) { testRoute(t, goGuest(t)) }

func testRoute(t *testing.T, module []byte) {
	_, in := load(t, FilterConfig{Module: module})
	env := message(strings.Repeat("x", 1000))
	for range 3 {
		var d router.Decision
		if err := in.Run(context.Background(), router.Decide, env, &d); err != nil {
			t.Fatal(err)
		}
		want := router.Decision{Action: router.Forward, Targets: []router.Target{queue("orders.high")}}
		if diff := cmp.Diff(want, d); diff != "" {
			t.Fatal(diff)
		}
	}
	env.SetHeader("priority", int32(2))
	d := router.Decision{Targets: []router.Target{queue("earlier"), queue("two")}}
	if err := in.Run(context.Background(), router.Decide, env, &d); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]router.Target{queue("orders.low")}, d.Targets); diff != "" {
		t.Fatal(diff)
	}
}

func queue(name string) router.Target { return router.Target{Kind: router.TargetQueue, Queue: name} }

// small is a message with few headers, to compare whole.
func small(body string) *router.Envelope {
	env := router.NewEnvelope(map[string]any{"a": "1", "n": int32(5), "f": float32(0.5)}, []byte(body))
	env.ContentType = "text/plain"
	env.MessageID = "m1"
	env.Expiration = "1000"
	return &env
}

// show is an envelope as a comparable value.
func show(env *router.Envelope) map[string]any {
	return map[string]any{"headers": env.Headers(), "properties": env.Properties, "body": string(env.Body)}
}

func TestDeltas(t *testing.T) {
	_, in := load(t, FilterConfig{Module: watFile(t, "delta")})
	when := time.Unix(1700000000, 0).UTC()
	cases := []struct {
		name  string
		delta string
		start router.Decision // the decision before
		want  router.Decision
		alter func(env *router.Envelope) // turns small into what it must be
	}{
		{name: "nothing", delta: ops(action("continue", "")), start: router.Decision{Action: router.Drop}, want: router.Decision{Action: router.Drop}},
		{
			name: "headers of every type", delta: ops(
				setHeader("null", typeNull, ""), setHeader("text", typeUTF8, "t\u00e4xt"), setHeader("bytes", typeBytes, "\xff\x00"),
				setHeader("int", typeInt, u64(1<<63)), setHeader("float", typeFloat, float(-2.5)), setHeader("yes", typeBool, "\x01"),
				setHeader("no", typeBool, "\x00"), setHeader("time", typeTime, u64(1700000000))),
			alter: func(e *router.Envelope) {
				for k, v := range map[string]any{
					"null": nil, "text": "t\u00e4xt", "bytes": []byte("\xff\x00"), "int": int64(-1 << 63),
					"float": -2.5, "yes": true, "no": false, "time": when,
				} {
					e.SetHeader(k, v)
				}
			},
		},
		{name: "an unchanged header keeps its type", delta: ops(setHeader("n", typeInt, u64(5)), setHeader("f", typeFloat, float(0.5)))},
		{name: "a changed one does not", delta: ops(setHeader("n", typeInt, u64(6))), alter: func(e *router.Envelope) { e.SetHeader("n", int64(6)) }},
		{name: "delete", delta: ops(rawOp(opDelHeader, 0, "a", ""), rawOp(opDelHeader, 0, "absent", "")), alter: func(e *router.Envelope) { e.DelHeader("a") }},
		{
			name: "clear, then set", delta: ops(setHeader("gone", typeUTF8, "x"), rawOp(opClearHeaders, 0, "", ""), setHeader("b", typeUTF8, "2")),
			alter: func(e *router.Envelope) { e.ClearHeaders(); e.SetHeader("b", "2") },
		},
		{
			name: "properties", delta: ops(setProperty(2, "x/y"), setProperty(3, "gzip"), setProperty(4, "c"), setProperty(5, "r"), setProperty(6, ""),
				setProperty(7, "t"), setProperty(8, "app"), setProperty(12, "77"), setProperty(32, "\x09"), setProperty(33, "\x02"), setProperty(34, u64(1700000000))),
			alter: func(e *router.Envelope) {
				e.Properties = router.Properties{
					ContentType: "x/y", ContentEncoding: "gzip", CorrelationID: "c", ReplyTo: "r", Type: "t", AppID: "app",
					Expiration: "77", Priority: 9, DeliveryMode: 2, Timestamp: when,
				}
			},
		},
		{name: "body", delta: ops(bodyOp("new")), alter: func(e *router.Envelope) { e.Body = []byte("new") }},
		{name: "empty body", delta: ops(bodyOp("")), alter: func(e *router.Envelope) { e.Body = []byte{} }},
		{name: "body by reference into the input", delta: ops(bodyRef(65536, 4)), alter: func(e *router.Envelope) { e.Body = []byte("RTR1") }},
		{
			name: "targets of every kind", delta: ops(
				target("queue", "q"), target("exchange", "\x00key"), target("exchange", "x\x00k/1"), target("topic", "t"), target("topic", "t\x00x"),
				target("server", "t\x00s"), target("server", "t\x00s\x00x"), target("fanout", "f"), target("notify", "n\x00info"), target("notify", "n\x00info\x00x")),
			start: router.Decision{Action: router.Reject, Reason: "earlier", Targets: []router.Target{queue("old")}},
			want: router.Decision{Action: router.Forward, Targets: []router.Target{
				queue("q"),
				{Kind: router.TargetExchange, Topic: "key"},
				{Kind: router.TargetExchange, Exchange: "x", Topic: "k/1"},
				{Kind: router.TargetTopic, Topic: "t"},
				{Kind: router.TargetTopic, Topic: "t", Exchange: "x"},
				{Kind: router.TargetServer, Topic: "t", Server: "s"},
				{Kind: router.TargetServer, Topic: "t", Server: "s", Exchange: "x"},
				{Kind: router.TargetFanout, Topic: "f"},
				{Kind: router.TargetNotify, Topic: "n", Priority: "info"},
				{Kind: router.TargetNotify, Topic: "n", Priority: "info", Exchange: "x"},
			}},
		},
		{name: "drop", delta: ops(action("drop", "dull")), want: router.Decision{Action: router.Drop, Reason: "dull"}},
		{name: "reject", delta: ops(action("reject", "bad\nline")), want: router.Decision{Action: router.Reject, Reason: `bad\x0aline`}},
		{name: "retry", delta: ops(action("retry", u64(250)+"later")), want: router.Decision{Action: router.Retry, Reason: "later", Delay: 250 * time.Millisecond}},
		{name: "requeue", delta: ops(action("requeue", u64(0))), want: router.Decision{Action: router.Retry}},
		{
			name: "reply and stop", delta: ops(bodyOp("pong"), action("reply", ""), action("stop", "")), want: router.Decision{Action: router.Reply, Stop: true},
			alter: func(e *router.Envelope) { e.Body = []byte("pong") },
		},
		{
			name: "forward to earlier targets", delta: ops(action("forward", "")), start: router.Decision{Targets: []router.Target{queue("old")}},
			want: router.Decision{Action: router.Forward, Targets: []router.Target{queue("old")}},
		},
		{name: "forward to the route's targets", delta: ops(action("forward", ""))},
		{
			name: "unknown op that may be ignored", delta: ops(rawOp(200, opFlagOptional, "key", "value"), setHeader("b", typeUTF8, "2")),
			alter: func(e *router.Envelope) { e.SetHeader("b", "2") },
		},
		{name: "last padding left out", delta: string(append(setHeader("b", typeUTF8, "2")[:10:10], []byte{}...)), alter: func(e *router.Envelope) { e.SetHeader("b", "2") }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			env, want := small(c.delta), small(c.delta)
			if c.alter != nil {
				c.alter(want)
			}
			d := c.start
			if err := in.Run(context.Background(), router.Decide, env, &d); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(show(want), show(env)); diff != "" {
				t.Errorf("envelope: %s", diff)
			}
			if diff := cmp.Diff(c.want, d); diff != "" {
				t.Errorf("decision: %s", diff)
			}
		})
	}
}

func TestEmit(t *testing.T) {
	_, in := load(t, FilterConfig{Module: watFile(t, "delta")})
	env := small(ops(
		setHeader("shared", typeUTF8, "yes"), action("drop", ""),
		emit(), setHeader("part", typeInt, u64(1)), bodyOp("one"), target("queue", "p1"), target("queue", "p2"),
		emit(), bodyOp("two"), setProperty(6, "m2"), target("queue", "p1"),
	))
	original := string(env.Body)
	d := router.Decision{Emitted: []router.Emission{{Targets: []router.Target{queue("earlier filter's")}}}}
	if err := in.Run(context.Background(), router.Decide, env, &d); err != nil {
		t.Fatal(err)
	}
	if d.Action != router.Drop || len(d.Emitted) != 3 || len(d.Targets) != 0 {
		t.Fatalf("%+v", d)
	}
	one, two := d.Emitted[1], d.Emitted[2]
	want1, want2, wantOwn := small("one"), small("two"), small(original)
	for _, e := range []*router.Envelope{want1, want2, wantOwn} {
		e.SetHeader("shared", "yes")
	}
	want1.SetHeader("part", int64(1))
	want2.MessageID = "m2"
	if diff := cmp.Diff([]any{show(wantOwn), show(want1), show(want2)}, []any{show(env), show(&one.Envelope), show(&two.Envelope)}); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([][]router.Target{{queue("p1"), queue("p2")}, {queue("p1")}}, [][]router.Target{one.Targets, two.Targets}); diff != "" {
		t.Error(diff)
	}
}

func TestLimitsOfTargetsArePerMessage(t *testing.T) {
	_, in := load(t, FilterConfig{Module: watFile(t, "delta"), Limits: Limits{Targets: 2}})
	q := target("queue", "q")
	var d router.Decision
	if err := in.Run(context.Background(), router.Decide, small(ops(q, q, emit(), q, q, emit(), q)), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Targets) != 2 || len(d.Emitted) != 2 || len(d.Emitted[0].Targets) != 2 || len(d.Emitted[1].Targets) != 1 {
		t.Errorf("%+v", d)
	}
}

// A message lives on after the call: its values must not lie in what the next
// call overwrites.
func TestMessagesKeepTheirValues(t *testing.T) {
	_, in := load(t, FilterConfig{Module: watFile(t, "delta")})
	run := func(c string) *router.Envelope {
		text := strings.Repeat(c, 8)
		env := small(ops(setHeader("key"+text, typeBytes, text), setHeader("text", typeUTF8, text), setProperty(7, text), bodyOp(text)))
		var d router.Decision
		if err := in.Run(context.Background(), router.Decide, env, &d); err != nil {
			t.Fatal(err)
		}
		return env
	}
	byReference := small(ops(bodyRef(65536+8, 4)))
	var d router.Decision
	if err := in.Run(context.Background(), router.Decide, byReference, &d); err != nil {
		t.Fatal(err)
	}
	body := string(byReference.Body)
	first := run("1")
	run("2")
	run("3")
	want := small("11111111")
	want.SetHeader("key11111111", []byte("11111111"))
	want.SetHeader("text", "11111111")
	want.Type = "11111111"
	if diff := cmp.Diff(show(want), show(first)); diff != "" {
		t.Error(diff)
	}
	// What the next call hands back lies where that of the last one did, and is read
	// anew.
	for _, key := range []string{"k", "ke", "key"} {
		env := small(ops(setHeader(key, typeBytes, "12345678"[len(key):])))
		if err := in.Run(context.Background(), router.Decide, env, &d); err != nil {
			t.Fatal(err)
		}
		if got, _ := env.Header(key); !cmp.Equal(got, any([]byte("12345678"[len(key):]))) {
			t.Errorf("the header %s is %q", key, got)
		}
	}
	if string(byReference.Body) != body {
		t.Errorf("a body by reference was %q and is now %q", body, byReference.Body)
	}
}

func TestAMessageTooBigForTheFilterFailsAlone(t *testing.T) {
	f, in := load(t, FilterConfig{Module: watFile(t, "pass"), Limits: Limits{Memory: 1 << 20}})
	var d router.Decision
	for _, size := range []int{2 << 20, 1<<20 - 4096} { // more than all memory; more than is left of it
		err := in.Run(context.Background(), router.Decide, small(strings.Repeat("x", size)), &d)
		if classOf(t, err) != ClassMemory {
			t.Error(err)
		}
	}
	for _, size := range []int{0, 10, 100_000, 700_000, 5} {
		if err := in.Run(context.Background(), router.Decide, small(strings.Repeat("x", size)), &d); err != nil {
			t.Error(err)
		}
	}
	if s := f.Stat(); s.MemoryBytes > 1<<20 || s.Live != 1 || s.Discarded[ClassMemory] != 1 { // the first never reached the filter
		t.Errorf("%+v", s)
	}
}

func TestNoAllocations(t *testing.T) {
	for _, c := range []struct {
		name   string
		module []byte
	}{{"C", cGuest(t, "route")}, {"pass", watFile(t, "pass")}} {
		t.Run(c.name, func(t *testing.T) {
			_, in := load(t, FilterConfig{Module: c.module})
			env := message(strings.Repeat("x", 1024))
			d := router.Decision{Targets: make([]router.Target, 0, 4)}
			got := testing.AllocsPerRun(1000, func() {
				d.Reset()
				if err := in.Run(context.Background(), router.Decide, env, &d); err != nil {
					t.Fatal(err)
				}
			})
			if got != 0 {
				t.Errorf("%v allocations for each call", got)
			}
		})
	}
}
