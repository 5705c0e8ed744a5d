package wasmhost

import (
	"context"
	"errors"
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
		{name: "headers of every type", delta: ops(
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
			}},
		{name: "an unchanged header keeps its type", delta: ops(setHeader("n", typeInt, u64(5)), setHeader("f", typeFloat, float(0.5)))},
		{name: "a changed one does not", delta: ops(setHeader("n", typeInt, u64(6))), alter: func(e *router.Envelope) { e.SetHeader("n", int64(6)) }},
		{name: "delete", delta: ops(rawOp(opDelHeader, 0, "a", ""), rawOp(opDelHeader, 0, "absent", "")), alter: func(e *router.Envelope) { e.DelHeader("a") }},
		{name: "clear, then set", delta: ops(setHeader("gone", typeUTF8, "x"), rawOp(opClearHeaders, 0, "", ""), setHeader("b", typeUTF8, "2")),
			alter: func(e *router.Envelope) { e.ClearHeaders(); e.SetHeader("b", "2") }},
		{name: "properties", delta: ops(setProperty(2, "x/y"), setProperty(3, "gzip"), setProperty(4, "c"), setProperty(5, "r"), setProperty(6, ""),
			setProperty(7, "t"), setProperty(8, "app"), setProperty(12, "77"), setProperty(32, "\x09"), setProperty(33, "\x02"), setProperty(34, u64(1700000000))),
			alter: func(e *router.Envelope) {
				e.Properties = router.Properties{ContentType: "x/y", ContentEncoding: "gzip", CorrelationID: "c", ReplyTo: "r", Type: "t", AppID: "app",
					Expiration: "77", Priority: 9, DeliveryMode: 2, Timestamp: when}
			}},
		{name: "body", delta: ops(bodyOp("new")), alter: func(e *router.Envelope) { e.Body = []byte("new") }},
		{name: "empty body", delta: ops(bodyOp("")), alter: func(e *router.Envelope) { e.Body = []byte{} }},
		{name: "body by reference into the input", delta: ops(bodyRef(65536, 4)), alter: func(e *router.Envelope) { e.Body = []byte("RTR1") }},
		{name: "targets of every kind", delta: ops(
			target("queue", "q"), target("exchange", "\x00key"), target("exchange", "x\x00k/1"), target("topic", "t"), target("topic", "t\x00x"),
			target("server", "t\x00s"), target("server", "t\x00s\x00x"), target("fanout", "f"), target("notify", "n\x00info"), target("notify", "n\x00info\x00x")),
			start: router.Decision{Action: router.Reject, Reason: "earlier", Targets: []router.Target{queue("old")}},
			want: router.Decision{Action: router.Forward, Targets: []router.Target{
				queue("q"), {Kind: router.TargetExchange, Topic: "key"}, {Kind: router.TargetExchange, Exchange: "x", Topic: "k/1"},
				{Kind: router.TargetTopic, Topic: "t"}, {Kind: router.TargetTopic, Topic: "t", Exchange: "x"},
				{Kind: router.TargetServer, Topic: "t", Server: "s"}, {Kind: router.TargetServer, Topic: "t", Server: "s", Exchange: "x"},
				{Kind: router.TargetFanout, Topic: "f"}, {Kind: router.TargetNotify, Topic: "n", Priority: "info"},
				{Kind: router.TargetNotify, Topic: "n", Priority: "info", Exchange: "x"},
			}}},
		{name: "drop", delta: ops(action("drop", "dull")), want: router.Decision{Action: router.Drop, Reason: "dull"}},
		{name: "reject", delta: ops(action("reject", "bad\nline")), want: router.Decision{Action: router.Reject, Reason: `bad\x0aline`}},
		{name: "retry", delta: ops(action("retry", u64(250)+"later")), want: router.Decision{Action: router.Retry, Reason: "later", Delay: 250 * time.Millisecond}},
		{name: "requeue", delta: ops(action("requeue", u64(0))), want: router.Decision{Action: router.Retry}},
		{name: "reply and stop", delta: ops(bodyOp("pong"), action("reply", ""), action("stop", "")), want: router.Decision{Action: router.Reply, Stop: true},
			alter: func(e *router.Envelope) { e.Body = []byte("pong") }},
		{name: "forward to earlier targets", delta: ops(action("forward", "")), start: router.Decision{Targets: []router.Target{queue("old")}},
			want: router.Decision{Action: router.Forward, Targets: []router.Target{queue("old")}}},
		{name: "unknown op that may be ignored", delta: ops(rawOp(200, opFlagOptional, "key", "value"), setHeader("b", typeUTF8, "2")),
			alter: func(e *router.Envelope) { e.SetHeader("b", "2") }},
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

func TestReportedErrors(t *testing.T) {
	f, in := load(t, FilterConfig{Module: watFile(t, "delta")})
	for _, c := range []struct {
		name, delta, text string
		retryable         bool
	}{
		{"code and message", ops(setHeader("x", typeUTF8, "y"), rawOp(opError, 0, "schema", "no tenant")), "schema: no tenant", false},
		{"retryable", ops(rawOp(opError, opFlagRetryable, "busy", "")), "busy", true},
		{"control characters", ops(rawOp(opError, 0, "", "a\x1b[0m\xff")), `a\x1b[0m\xff`, false},
		{"empty", ops(rawOp(opError, 0, "", "")), "no reason given", false},
		{"the first counts", ops(rawOp(opError, 0, "one", ""), rawOp(opError, 0, "two", "")), "one", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := small(c.delta)
			var d router.Decision
			err := in.Run(context.Background(), router.Encode, env, &d)
			var fe *router.FilterError
			if !errors.As(err, &fe) {
				t.Fatal(err)
			}
			want := router.FilterError{Filter: "test", Stage: router.Encode, Class: ClassError, Retryable: c.retryable}
			got := *fe
			got.Err = nil
			if diff := cmp.Diff(want, got); diff != "" || fe.Err.Error() != c.text {
				t.Errorf("%s; text %q, want %q", diff, fe.Err, c.text)
			}
			if diff := cmp.Diff(show(small(c.delta)), show(env)); diff != "" {
				t.Errorf("the envelope changed: %s", diff)
			}
		})
	}
	if s := f.Stat(); s.Discarded != 0 {
		t.Errorf("%d instances discarded for errors that filters reported", s.Discarded)
	}
}

func TestResults(t *testing.T) {
	f, in := load(t, FilterConfig{Module: watFile(t, "result"), Limits: Limits{Output: 1000}})
	for _, c := range []struct {
		name   string
		result uint64
		class  string
	}{
		{"pass", 0, ""},
		{"out of memory", ^uint64(0), ClassMemory},
		{"malformed frame", uint64(1<<64 - 2), ClassError},
		{"unsupported", uint64(1<<64 - 3), ClassError},
		{"internal", uint64(1<<64 - 99), ClassError},
		{"bit 63", 1 << 63, ClassError},
		{"no length", 64 << 32, ClassInvalid},
		{"length past the memory", 64<<32 | 0xffffffff, ClassInvalid},
		{"length over the output limit", 64<<32 | 1001, ClassInvalid},
		{"address past the memory", 0x7fffffff<<32 | 8, ClassInvalid},
		{"end past the memory", (2*65536-4)<<32 | 8, ClassInvalid},
		{"too short for an op", 64<<32 | 4, ClassInvalid},
		{"an unknown op", 64<<32 | 8, ClassInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := f.Stat().Discarded
			var d router.Decision
			err := in.Run(context.Background(), router.Decide, small(u64(c.result)), &d)
			if c.class == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if got := classOf(t, err); got != c.class {
				t.Errorf("%v: want class %s", err, c.class)
			}
			want := uint64(1)
			if c.class == ClassError {
				want = 0
			}
			if got := f.Stat().Discarded - before; got != want {
				t.Errorf("%d instances discarded, want %d", got, want)
			}
		})
	}
}

func TestLyingDeltas(t *testing.T) {
	f, in := load(t, FilterConfig{Module: watFile(t, "delta"), Limits: Limits{Output: 600_000, Targets: 3, Emit: 2}})
	q := target("queue", "q")
	many := func(n int, op []byte) string { return strings.Repeat(string(op), n) }
	good := ops(setHeader("must", typeUTF8, "not be applied"), bodyOp("nor this"))
	for _, c := range []struct {
		name, delta, text string
	}{
		{"key past the end", "\x01\x10\xff\xff\x00\x00\x00\x00abc", "pass the end"},
		{"value past the end", "\x07\x00\x00\x00\xff\xff\xff\xffabc", "pass the end"},
		{"truncated head", "\x07\x00\x00", "too short"},
		{"unknown op", ops(rawOp(99, 0, "", "")), "unknown op 99"},
		{"op 0", ops(rawOp(0, 0, "", "")), "unknown op 0"},
		{"unknown flags", ops(rawOp(opBody, 4, "", "")), "flags"},
		{"type on another op", ops(rawOp(opBody, 1<<4, "", "")), "flags"},
		{"retryable on another op", ops(rawOp(opBody, 2, "", "")), "flags"},
		{"body reference out of range", ops(bodyRef(0xfffffff0, 8)), "outside the memory"},
		{"body reference that wraps", ops(bodyRef(16, 0xfffffff8)), "limit"},
		{"body references over the output limit", ops(bodyRef(0, 65536), bodyRef(0, 65536), many2(10, bodyRef(0, 65536))), "limit"},
		{"body reference of another size", ops(rawOp(opBodyRef, 0, "", "abcd")), "two u32"},
		{"body with a key", ops(rawOp(opBody, 0, "k", "abcd")), "no key"},
		{"too many ops", many(maxOps+1, rawOp(opDelHeader, 0, "a", "")), "more than 4096 ops"},
		{"too many targets", many(4, q), "more than 3 targets"},
		{"too many emitted", ops(emit(), q, emit(), q, emit(), q), "more than 2"},
		{"target of 64 KB", ops(target("queue", strings.Repeat("q", 65000))), "65000 bytes"},
		{"target of 256 bytes", ops(target("queue", strings.Repeat("q", 256))), "255"},
		{"target not UTF-8", ops(target("queue", "\xff\xfe")), "UTF-8"},
		{"target with a line break", ops(target("queue", "a\nb")), "control"},
		{"target with a name too many", ops(target("queue", "a\x00b")), "1 to 1 names"},
		{"target with a name too few", ops(target("server", "a")), "2 to 3 names"},
		{"target without a name", ops(target("queue", "")), "empty"},
		{"target of no kind", ops(target("mail", "a")), "unknown kind"},
		{"header without a name", ops(setHeader("", typeUTF8, "")), "0 bytes"},
		{"header name too long", ops(setHeader(strings.Repeat("h", 256), typeUTF8, "")), "256 bytes"},
		{"header name with a control character", ops(setHeader("a\nb", typeUTF8, "")), "control"},
		{"router header", ops(setHeader("X-Router-Reason", typeUTF8, "forged")), "cannot be set"},
		{"CC", ops(setHeader("CC", typeUTF8, "x")), "cannot be set"},
		{"BCC", ops(setHeader("BCC", typeBytes, "x")), "cannot be set"},
		{"nested header", ops(setHeader("h", typeNested, "{}")), "nested"},
		{"header of an unknown type", ops(setHeader("h", 9, "")), "unknown type"},
		{"text that is not UTF-8", ops(setHeader("h", typeUTF8, "\xff")), "UTF-8"},
		{"integer of 4 bytes", ops(setHeader("h", typeInt, "abcd")), "has 8 bytes"},
		{"bool of 2", ops(setHeader("h", typeBool, "\x02")), "a bool of 2"},
		{"delete with a value", ops(rawOp(opDelHeader, 0, "a", "v")), "no value"},
		{"clear with a key", ops(rawOp(opClearHeaders, 0, "a", "")), "neither"},
		{"read-only property", ops(setProperty(9, "root")), "read-only"},
		{"unknown property", ops(setProperty(99, "root")), "unknown property"},
		{"property key of 1 byte", ops(rawOp(opSetProp, 0, "a", "")), "u16"},
		{"property too long", ops(setProperty(2, strings.Repeat("x", 256))), "256 bytes"},
		{"property with a control character", ops(setProperty(2, "\r")), "control"},
		{"expiration in words", ops(setProperty(12, "-1")), "decimal"},
		{"delivery mode 3", ops(setProperty(33, "\x03")), "delivery mode"},
		{"priority of 2 bytes", ops(setProperty(32, "ab")), "one byte"},
		{"timestamp of 4 bytes", ops(setProperty(34, "abcd")), "8 bytes"},
		{"unknown action", ops(action("explode", "")), "unknown action"},
		{"two actions", ops(action("drop", ""), action("reject", "")), "after the action"},
		{"targets and drop", ops(q, action("drop", "")), "does not go with"},
		{"drop and targets", ops(action("drop", ""), q), "does not go with"},
		{"retry without a delay", ops(action("retry", "")), "8 bytes"},
		{"retry in the past", ops(action("retry", u64(1<<63))), "delay"},
		{"forward with a value", ops(action("forward", "x")), "no value"},
		{"stop with a value", ops(action("stop", "x")), "no value"},
		{"emitted without a target", ops(emit(), bodyOp("x")), "no target"},
		{"first emitted without a target", ops(emit(), emit(), q), "no target"},
		{"emit and reject", ops(action("reject", ""), emit(), q), "EMIT does not go"},
		{"action after emit", ops(emit(), q, action("drop", "")), "ACTION after EMIT"},
		{"error code too long", ops(rawOp(opError, 0, strings.Repeat("c", 65), "")), "65 bytes"},
		{"emit with a key", ops(rawOp(opEmit, 0, "k", "")), "neither"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := f.Stat().Discarded
			env := small(good + c.delta)
			var d router.Decision
			err := in.Run(context.Background(), router.Decide, env, &d)
			if err == nil {
				t.Fatal("accepted")
			}
			if got := classOf(t, err); got != ClassInvalid || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v: want class %s and %q", err, ClassInvalid, c.text)
			}
			if diff := cmp.Diff(show(small(good+c.delta)), show(env)); diff != "" {
				t.Errorf("the envelope changed: %s", diff)
			}
			if diff := cmp.Diff(router.Decision{}, d); diff != "" {
				t.Errorf("the decision changed: %s", diff)
			}
			if got := f.Stat().Discarded - before; got != 1 {
				t.Errorf("%d instances discarded, want 1", got)
			}
		})
	}
	t.Run("output over the limit", func(t *testing.T) {
		var d router.Decision
		err := in.Run(context.Background(), router.Decide, small(ops(bodyOp(strings.Repeat("x", 700_000)))), &d)
		if got := classOf(t, err); got != ClassInvalid {
			t.Error(err)
		}
	})
}

func many2(n int, op []byte) []byte { return []byte(strings.Repeat(string(op), n)) }

func TestStagesRestrictWhatADeltaMayDo(t *testing.T) {
	_, in := load(t, FilterConfig{Module: watFile(t, "delta")})
	for _, stage := range []router.Stage{router.Decode, router.Unpack, router.Pack, router.Encode} {
		for _, bad := range [][]byte{target("queue", "q"), action("forward", ""), action("reply", ""), emit()} {
			var d router.Decision
			if err := in.Run(context.Background(), stage, small(ops(bad)), &d); err == nil || classOf(t, err) != ClassInvalid {
				t.Errorf("%s: op %d: %v", stage, bad[0], err)
			}
		}
		var d router.Decision
		if err := in.Run(context.Background(), stage, small(ops(action("reject", "no"), action("stop", ""))), &d); err != nil {
			t.Errorf("%s: %v", stage, err)
		}
		if diff := cmp.Diff(router.Decision{Action: router.Reject, Reason: "no", Stop: true}, d); diff != "" {
			t.Error(diff)
		}
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
	if s := f.Stat(); s.MemoryBytes > 1<<20 || s.Live != 1 || s.Discarded != 1 { // the first never reached the filter
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
