package wasmhost

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
)

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
	if n := discards(f); n != 0 {
		t.Errorf("%d instances discarded for errors that filters reported", n)
	}
}

func TestResults(t *testing.T) {
	f, in := load(t, FilterConfig{Module: watFile(t, "result"), Limits: Limits{Output: 1000}})
	for _, c := range []struct {
		name   string
		result uint64
		class  string
		text   string
	}{
		{"pass", 0, "", ""},
		{"out of memory", ^uint64(0), ClassMemory, "out of memory"},
		{"malformed frame", uint64(1<<64 - 2), ClassError, "malformed"},
		{"unsupported", uint64(1<<64 - 3), ClassError, "does not support"},
		{"internal", uint64(1<<64 - 99), ClassError, "internal error"},
		{"bit 63", 1 << 63, ClassError, "internal error"},
		{"no length", 64 << 32, ClassInvalid, "without bytes"},
		{"length past the memory", 64<<32 | 0xffffffff, ClassInvalid, "passes the limit"},
		{"length over the output limit", 64<<32 | 1001, ClassInvalid, "output of 1001 bytes passes the limit of 1000"},
		{"address past the memory", 0x7fffffff<<32 | 8, ClassInvalid, "outside the memory"},
		{"end past the memory", (2*65536-4)<<32 | 8, ClassInvalid, "outside the memory"},
		{"too short for an op", 64<<32 | 4, ClassInvalid, "too short"},
		{"an unknown op", 64<<32 | 8, ClassInvalid, "unknown op"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := discards(f)
			var d router.Decision
			err := in.Run(context.Background(), router.Decide, small(u64(c.result)), &d)
			if c.class == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if got := classOf(t, err); got != c.class || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v: want class %s with %q", err, c.class, c.text)
			}
			want := uint64(1)
			if c.class == ClassError {
				want = 0
			}
			if got := discards(f) - before; got != want {
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
		{"last emitted without a target", ops(emit(), q, emit()), "message 2 has no target"},
		{"emitted without a target of its own", ops(q, emit()), "message 1 has no target"},
		{"emit and reject", ops(action("reject", ""), emit(), q), "EMIT does not go"},
		{"action after emit", ops(emit(), q, action("drop", "")), "ACTION after EMIT"},
		{"error code too long", ops(rawOp(opError, 0, strings.Repeat("c", 65), "")), "65 bytes"},
		{"emit with a key", ops(rawOp(opEmit, 0, "k", "")), "neither"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := discards(f)
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
			if got := discards(f) - before; got != 1 {
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
