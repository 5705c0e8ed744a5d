package conformance

import "strings"

// validDeltas are deltas that must be taken, and what is remarkable about them.
func validDeltas() []deltaCase {
	var o ops
	long := strings.Repeat("n", 255)
	emits := o.action("drop", "split")
	targets := o
	for range maxTargets {
		targets = targets.target("queue", "q")
		emits = emits.emit().target("queue", "q")
	}
	return []deltaCase{
		{"headers of all types", o.set("utf8", UTF8, "grün").set("bytes", Bytes, "\x00\xff").set("i64", I64, delay(-1)).set("f64", F64, "\x00\x00\x00\x00\x00\x00\xe0\x3f").
			set("bool", Bool, "\x01").set("no", Bool, "\x00").set("time", Time, delay(1_700_000_000)).set("null", Null, "").set("empty", UTF8, "").set("none", Bytes, ""), allStages},
		{"a header replaced by another type", o.set("k", I64, delay(5)).set("n", UTF8, "text"), nil},
		{"a header set twice", o.set("k", UTF8, "one").set("k", UTF8, "two"), nil},
		{"a header name of 255 bytes", o.set(long, UTF8, "v"), nil},
		{"header names that are nearly reserved", o.set("cc", UTF8, "v").set("CCC", UTF8, "v").set("x-router", UTF8, "v").set("x-routers-", UTF8, "v"), nil},
		{"a header removed", o.op(OpDelHeader, 0, "k", "").op(OpDelHeader, 0, "absent", ""), allStages},
		{"a header removed and set", o.op(OpDelHeader, 0, "k", "").set("k", UTF8, "new"), nil},
		{"all headers removed between two", o.set("a", UTF8, "1").op(OpClearHeaders, 0, "", "").set("b", UTF8, "2"), allStages},
		{"text properties", o.prop(2, "a").prop(3, "b").prop(4, "c").prop(5, "d").prop(6, "e").prop(7, "f").prop(8, long).prop(12, "0"), allStages},
		{"properties removed", o.prop(2, "").prop(5, "").prop(12, "").prop(34, ""), nil},
		{"priority, delivery mode, timestamp", o.prop(32, "\xff").prop(33, "\x01").prop(34, delay(1_000_000_000)), allStages},
		{"delivery mode removed", o.prop(33, "\x00"), nil},
		{"a body", o.body("new"), allStages},
		{"an empty body", o.body(""), nil},
		{"two bodies", o.body("one").body("two"), nil},
		{"a body by reference", o.ref(echoTextAt, uint32(len(echoText))), allStages},
		{"a part of the frame as the body", o.ref(echoBuffer, 4), nil},
		{"an empty body by reference", o.ref(echoTextAt, 0), nil},
		{"every kind of target", o.target("queue", "q").target("exchange", "ex", "key").target("exchange", "", "key").target("topic", "t").target("topic", "t", "ex").
			target("server", "t", "s").target("server", "t", "s", "ex").target("fanout", "t").target("notify", "t", "info").target("notify", "t", "info", "ex"), nil},
		{"targets of 255 bytes", o.target("queue", long).target("server", long[:200], long[:54]).target("fanout", long[:248]).target("exchange", long, long), nil},
		{"targets with dots and slashes", o.target("queue", "a/b.c").target("exchange", "", "a/b").target("topic", "a/b", "x.y").target("server", "t.u", "s.t").target("notify", "a.b", "info"), nil},
		{"16 targets", targets, nil},
		{"a target and forward", o.target("queue", "q").action("forward", ""), nil},
		{"forward and a target", o.action("forward", "").target("queue", "q"), nil},
		{"forward alone", o.action("forward", ""), nil},
		{"drop", o.action("drop", "why"), allStages},
		{"drop without a reason", o.action("drop", ""), nil},
		{"reject", o.action("reject", "größe"), allStages},
		{"retry", o.action("retry", delay(1500)+"later"), allStages},
		{"requeue", o.action("requeue", delay(0)), nil},
		{"retry after ages", o.action("retry", delay(1<<63-1)), nil},
		{"reply", o.body("answer").action("reply", ""), nil},
		{"stop", o.action("stop", ""), allStages},
		{"continue", o.action("continue", ""), allStages},
		{"continue and drop", o.action("continue", "").action("drop", "x"), nil},
		{"drop and stop", o.action("drop", "x").action("stop", ""), nil},
		{"a target and stop", o.target("queue", "q").action("stop", ""), nil},
		{"two emitted messages", o.set("all", UTF8, "x").action("drop", "split").
			emit().target("queue", "a").set("part", I64, delay(1)).body("one").
			emit().target("queue", "b").target("topic", "t").prop(7, "second").op(OpDelHeader, 0, "k", "").ref(echoTextAt, 6), nil},
		{"an emitted message beside the original", o.target("queue", "q").emit().target("queue", "copy").op(OpClearHeaders, 0, "", ""), nil},
		{"an emitted message beside a reply", o.action("reply", "").emit().target("queue", "copy"), nil},
		{"16 emitted messages", emits, nil},
		{"an unknown op that may be ignored", o.op(11, opOptional, "key", "value").op(200, opOptional|0xf0, "", "").set("k", UTF8, "w"), nil},
		{"a known op that could be ignored", o.set("a", UTF8, "1").op(OpDelHeader, opOptional, "k", ""), nil},
		{"padding left out at the end", o.set("a", UTF8, "12").cut(5), nil},
		{"4,096 ops", repeat(maxOps, o.op(OpDelHeader, 0, "x", "")), nil},
	}
}

// invalidDeltas are deltas that break one rule each.
func invalidDeltas() []deltaCase {
	var o ops
	set := o.set("k", UTF8, "changed").body("changed").prop(2, "changed") // must not stay
	long := strings.Repeat("n", 256)
	notDecide := []Stage{Decode, Unpack, Pack, Encode}
	cases := []deltaCase{
		{"4 bytes more than an op", set.then("\x00\x00\x00\x00"), allStages},
		{"a key that passes the end", set.set("abcdefgh", UTF8, "").cut(8), nil},
		{"a value that passes the end", set.body("abcdefgh").cut(1), nil},
		{"a value of 4 GiB", set.then("\x07\x00\x00\x00\xff\xff\xff\xff"), nil},
		{"op 0", set.op(0, 0, "", ""), nil},
		{"op 11", set.op(11, 0, "", ""), allStages},
		{"op 255", set.op(255, 0, "", ""), nil},
		{"flag bit 2", set.op(OpDelHeader, 1<<2, "k", ""), nil},
		{"flag bit 3", set.op(OpBody, 1<<3, "", ""), nil},
		{"retryable in another op than ERROR", set.op(OpSetHeader, opRetryable|1<<4, "k", "v"), nil},
		{"a type in another op than SET_HEADER", set.op(OpBody, 1<<4, "", "v"), nil},
		{"4,097 ops", repeat(maxOps+1, o.op(OpDelHeader, 0, "x", "")), nil},
		{"more output than 4 MiB", set.body(strings.Repeat("x", maxOutput)), nil},
		{"references to more than 4 MiB", repeat(65, ops{}.ref(0, 65536)), nil},

		{"an empty header name", set.set("", UTF8, "v"), allStages},
		{"a header name of 256 bytes", set.set(long, UTF8, "v"), nil},
		{"a header name with a newline", set.set("a\nb", UTF8, "v"), nil},
		{"a header name with a NUL", set.set("a\x00b", UTF8, "v"), nil},
		{"a header name with a DEL", set.set("a\x7f", UTF8, "v"), nil},
		{"a header name that is not UTF-8", set.set("a\xff", UTF8, "v"), nil},
		{"the header CC", set.set("CC", UTF8, "v"), nil},
		{"the header BCC", set.set("BCC", UTF8, "v"), nil},
		{"the header x-router-id", set.set("x-router-id", UTF8, "v"), nil},
		{"the header X-Router-ID", set.set("X-Router-ID", UTF8, "v"), nil},
		{"the header x-router-", set.set("x-router-", UTF8, "v"), nil},
		{"a null with a value", set.set("a", Null, "v"), nil},
		{"a utf8 value that is not UTF-8", set.set("a", UTF8, "\xc3("), nil},
		{"an integer of 7 bytes", set.set("a", I64, "1234567"), nil},
		{"an integer of 9 bytes", set.set("a", I64, "123456789"), nil},
		{"a float of 4 bytes", set.set("a", F64, "1234"), nil},
		{"a bool of no bytes", set.set("a", Bool, ""), nil},
		{"a bool of 2", set.set("a", Bool, "\x02"), nil},
		{"a time of 4 bytes", set.set("a", Time, "1234"), nil},
		{"a nested value", set.set("a", Nested, "{}"), nil},
		{"a value of type 8", set.set("a", 8, ""), nil},
		{"a value of type 15", set.set("a", 15, ""), nil},
		{"DEL_HEADER with a value", set.op(OpDelHeader, 0, "k", "v"), nil},
		{"CLEAR_HEADERS with a key", set.op(OpClearHeaders, 0, "k", ""), nil},
		{"CLEAR_HEADERS with a value", set.op(OpClearHeaders, 0, "", "v"), nil},

		{"a slot of 1 byte", set.op(OpSetProp, 0, "\x02", "v"), nil},
		{"a slot of 3 bytes", set.op(OpSetProp, 0, "\x02\x00\x00", "v"), nil},
		{"a property of 256 bytes", set.prop(2, long), nil},
		{"a property with a control character", set.prop(3, "a\tb"), nil},
		{"a property that is not UTF-8", set.prop(4, "\xff"), nil},
		{"an expiration with a unit", set.prop(12, "60s"), nil},
		{"a negative expiration", set.prop(12, "-1"), nil},
		{"a priority of no bytes", set.prop(32, ""), nil},
		{"a priority of 2 bytes", set.prop(32, "\x01\x00"), nil},
		{"a delivery mode of 3", set.prop(33, "\x03"), nil},
		{"a delivery mode of no bytes", set.prop(33, ""), nil},
		{"a timestamp of 4 bytes", set.prop(34, "1234"), nil},

		{"an unknown kind of target", set.target("server2", "q"), nil},
		{"a target without a kind", set.target("", "q"), nil},
		{"a queue without a name", set.target("queue", ""), nil},
		{"a queue of two names", set.target("queue", "q", "q"), nil},
		{"an exchange without a key", set.target("exchange", "ex"), nil},
		{"an exchange of three names", set.target("exchange", "ex", "key", "x"), nil},
		{"a topic of three names", set.target("topic", "t", "ex", "x"), nil},
		{"a topic without a name", set.target("topic", "", "ex"), nil},
		{"a topic without a server", set.target("server", "t"), nil},
		{"a server without a name", set.target("server", "t", ""), nil},
		{"a server of four names", set.target("server", "t", "s", "ex", "x"), nil},
		{"a fanout of two names", set.target("fanout", "t", "x"), nil},
		{"a fanout without a name", set.target("fanout", ""), nil},
		{"a notification without a priority", set.target("notify", "t"), nil},
		{"a notification with an empty priority", set.target("notify", "t", ""), nil},
		{"a queue of 256 bytes", set.target("queue", long), nil},
		{"a queue with a control character", set.target("queue", "a\nb"), nil},
		{"a queue that is not UTF-8", set.target("queue", "a\xff"), nil},
		{"a topic and a server of 256 bytes", set.target("server", long[:200], long[:55]), nil},
		{"a fanout of 249 bytes", set.target("fanout", long[:249]), nil},
		{"an exchange with a slash", set.target("exchange", "a/b", "key"), nil},
		{"an exchange of a topic with a slash", set.target("topic", "t", "a/b"), nil},
		{"a priority with a dot", set.target("notify", "t", "a.b"), nil},
		{"a server whose topic begins with a dot", set.target("server", ".t", "s"), nil},
		{"17 targets", set.then(string(repeat(maxTargets+1, o.target("queue", "q")).b)), nil},
		{"a target outside of decide", set.target("queue", "q"), notDecide},
		{"a target after drop", set.action("drop", "").target("queue", "q"), nil},
		{"drop after a target", set.target("queue", "q").action("drop", ""), nil},
		{"reply after a target", set.target("queue", "q").action("reply", ""), nil},
		{"a target after retry", set.action("retry", delay(1)).target("queue", "q"), nil},

		{"an unknown action", set.action("explode", ""), allStages},
		{"an empty action", set.action("", ""), nil},
		{"an action in capitals", set.action("DROP", ""), nil},
		{"two actions", set.action("drop", "a").action("reject", "b"), nil},
		{"drop twice", set.action("drop", "a").action("drop", "a"), nil},
		{"forward and reply", set.action("forward", "").action("reply", ""), nil},
		{"forward with a value", set.action("forward", "x"), nil},
		{"reply with a value", set.action("reply", "x"), nil},
		{"stop with a value", set.action("stop", "x"), nil},
		{"continue with a value", set.action("continue", "x"), nil},
		{"retry with a delay of 7 bytes", set.action("retry", "1234567"), nil},
		{"retry without a delay", set.action("retry", ""), nil},
		{"retry with a negative delay", set.action("retry", delay(-1)), nil},
		{"forward outside of decide", set.action("forward", ""), notDecide},
		{"reply outside of decide", set.action("reply", ""), notDecide},

		{"BODY with a key", set.op(OpBody, 0, "k", "v"), nil},
		{"BODY_REF with a key", set.op(OpBodyRef, 0, "k", "12345678"), nil},
		{"BODY_REF of 7 bytes", set.op(OpBodyRef, 0, "", "1234567"), nil},
		{"BODY_REF of 12 bytes", set.op(OpBodyRef, 0, "", "123456789012"), nil},
		{"BODY_REF behind the memory", set.ref(0x7fff0000, 1), nil},
		{"BODY_REF past the end of the memory", set.ref(echoTextAt, 0x00100000<<8), nil},
		{"BODY_REF that wraps around", set.ref(0xffffffff, 2), nil},
		{"BODY_REF of 4 GiB", set.ref(0, 0xffffffff), nil},

		{"EMIT with a key", set.op(OpEmit, 0, "k", "").target("queue", "q"), nil},
		{"EMIT with a value", set.op(OpEmit, 0, "", "v").target("queue", "q"), nil},
		{"EMIT outside of decide", set.emit(), notDecide},
		{"EMIT without a target", set.emit().body("x"), nil},
		{"the first of two EMITs without a target", set.emit().emit().target("queue", "q"), nil},
		{"the second of two EMITs without a target", set.emit().target("queue", "q").emit(), nil},
		{"17 emitted messages", set.then(string(repeat(maxEmits+1, o.emit().target("queue", "q")).b)), nil},
		{"17 targets of an emitted message", set.emit().then(string(repeat(maxTargets+1, o.target("queue", "q")).b)), nil},
		{"an action after EMIT", set.emit().target("queue", "q").action("drop", ""), nil},
		{"EMIT and reject", set.action("reject", "").emit().target("queue", "q"), nil},
		{"EMIT and retry", set.action("retry", delay(0)).emit().target("queue", "q"), nil},

		{"an ERROR with a code of 65 bytes", set.error(0, strings.Repeat("c", 65), ""), nil},
		{"an ERROR after an invalid op", set.set("", UTF8, "").error(0, "E", ""), nil},
		{"an ERROR before an invalid op", set.error(0, "E", "").set("", UTF8, ""), nil},
	}
	for _, slot := range []uint16{0, 1, 9, 10, 11, 13, 14, 31, 35, 65535} {
		cases = append(cases, deltaCase{"a slot that cannot be set", set.prop(slot, "1"), nil})
	}
	return cases
}
